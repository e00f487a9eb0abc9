"""Silences: alerts that match are not told until a moment. They are evaluated and listed all the same."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from monitoring.pipeline.alerts.alert import Alert
from monitoring.pipeline.alerts.rule import RuleInvalid
from monitoring.pipeline.clock import rfc3339
from monitoring.pipeline.errors import PermanentError
from monitoring.pipeline.store.matchers import Matcher

__all__ = ["MAX_MATCHERS", "Silence", "matcher_of", "matchers_of", "matches", "shown"]

MAX_MATCHERS = 16
_LONGEST = 1024
_MATCHER = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_.-]*)\s*(=~|!~|!=|=)\s*(.*?)\s*", re.DOTALL)
_MEMBERS = {"name", "value", "isRegex", "isEqual"}
_FIX = 'like ["rule=High CPU usage", "host=~web-.*"]'


@dataclass(frozen=True, slots=True)
class Silence:
    """Times are nanoseconds since 1970; `ends` is exclusive."""

    id: str
    matchers: tuple[Matcher, ...]
    starts: int
    ends: int
    author: str
    reason: str
    created: int

    def active(self, now_ns: int) -> bool:
        """Whether it is in force."""
        return self.starts <= now_ns < self.ends

    def describe(self, now_ns: int) -> dict[str, Any]:
        """As JSON members."""
        state = "active" if self.active(now_ns) else "expired" if now_ns >= self.ends else "pending"
        return {
            "id": self.id,
            "matchers": shown(self.matchers),
            "starts_at": rfc3339(self.starts),
            "ends_at": rfc3339(self.ends),
            "state": state,
            "author": self.author,
            "reason": self.reason,
            "created_at": rfc3339(self.created),
        }


def matchers_of(given: Any) -> tuple[Matcher, ...]:
    """Matchers out of texts such as `host=~web-.*`. Raises RuleInvalid: at least one is needed, or all is silent.

    Those of Alertmanager, `{"name": "host", "value": "web-.*", "isRegex": true}`, and an object of labels do as well.
    """
    if isinstance(given, Mapping):
        given = [{"name": name, "value": value} for name, value in given.items()]
    if not isinstance(given, list) or not 0 < len(given) <= MAX_MATCHERS:
        raise RuleInvalid("matchers", f"not a list of 1 to {MAX_MATCHERS} matchers", _FIX)
    return tuple(matcher_of(text) for text in given)


def matcher_of(text: Any) -> Matcher:
    """One of them. Raises RuleInvalid."""
    if isinstance(text, Mapping) and set(text) <= _MEMBERS and isinstance(text.get("value"), str):
        equal, regex = text.get("isEqual", True), text.get("isRegex", False)
        text = f"{text.get('name')}{'=' if equal else '!'}{'~' if regex else '' if equal else '='}{text['value']}"
    found = _MATCHER.fullmatch(text) if isinstance(text, str) and len(text) <= _LONGEST else None
    if found is None:
        raise RuleInvalid("matchers", f"{str(text)[:60]!r} is no matcher", _FIX)
    value = found[3]
    if len(value) >= 2 and value[0] == value[-1] == '"':
        value = value[1:-1]
    matcher = Matcher(found[1], found[2], value)  # type: ignore[arg-type]  # the expression knows the four operators
    try:
        matcher.test()
    except PermanentError as error:
        raise RuleInvalid("matchers", str(error), "RE2 syntax") from error
    return matcher


def shown(matchers: Sequence[Matcher]) -> list[str]:
    """As they are written."""
    return [f"{each.label}{each.operator}{each.value}" for each in matchers]


def matches(matchers: Sequence[Matcher], alert: Alert) -> bool:
    """Whether an alert meets all of them: by its labels, and by `rule`, `severity` and `kind`."""
    known: Mapping[str, str] = {
        **alert.labels, "rule": alert.rule, "severity": alert.severity, "kind": alert.kind,
    }  # fmt: skip
    return all(_test(each)(known.get(each.label, "")) for each in matchers)


@lru_cache(maxsize=4096)
def _test(matcher: Matcher) -> Any:
    return matcher.test()

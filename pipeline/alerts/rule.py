"""A rule: what is looked at, when that is an alert, and who is told.

metric      a PromQL expression; each series of its answer is an alert of its own
logs        a search: how many events of a window match, or messages of a kind never seen before
heartbeat   a service or host that was there has fallen silent
delivery    notifications that could not be delivered; built in
status      how the product itself is doing, by its own books; built in
"""

from __future__ import annotations

import difflib
import hashlib
import operator as compare
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson

from monitoring.pipeline.alerts.durations import duration
from monitoring.pipeline.errors import PermanentError

__all__ = [
    "BUILT_IN",
    "CONDITIONS",
    "FACTS",
    "KINDS",
    "NO_DATA",
    "OPERATORS",
    "SEVERITIES",
    "Escalation",
    "Inhibition",
    "Rule",
    "RuleInvalid",
    "fingerprint",
]

KINDS = ("metric", "logs", "heartbeat", "delivery", "status")
BUILT_IN = ("delivery", "status")
"""Kinds of which only the product makes rules; those can be changed and removed like any other."""
FACTS = (
    "ingest_lag_seconds", "dead_letters_last_hour", "dropped_last_hour", "disk_free_reserves", "books_residual",
)  # fmt: skip
"""What `expr` of a status rule can be. By signal, what was dropped also by reason; `disk_free_reserves` is free
space in multiples of MONITORING_DISK_RESERVE."""
SEVERITIES = ("info", "warning", "critical")
NO_DATA = ("ok", "alert", "keep")
CONDITIONS = ("threshold", "zero", "new_pattern")
OPERATORS: Mapping[str, Callable[[float, float], bool]] = {
    ">": compare.gt,
    ">=": compare.ge,
    "<": compare.lt,
    "<=": compare.le,
    "==": compare.eq,
    "!=": compare.ne,
}


class RuleInvalid(PermanentError):
    """A rule cannot be used: `field` of it is wrong, `fix` says what to write instead."""

    def __init__(self, field: str, problem: str, fix: str = "") -> None:
        super().__init__(f"{field}: {problem}" + (f"; {fix}" if fix else ""))
        self.field, self.problem, self.fix = field, problem, fix

    @classmethod
    def unknown(cls, name: str, known: tuple[str, ...], where: str = "") -> RuleInvalid:
        """A member that there is not."""
        near = difflib.get_close_matches(name, known, 1, 0.6)
        fix = f"did you mean {where}{near[0]}?" if near else f"known are {', '.join(known)}"
        return cls(f"{where}{name}"[:80], "there is no such member", fix)


@dataclass(frozen=True, slots=True)
class Escalation:
    """Whom to tell as well when nobody has acknowledged an alert so long after it was told."""

    after_seconds: int
    channels: tuple[str, ...]

    def describe(self) -> dict[str, Any]:
        """As JSON members."""
        return {"after": duration(self.after_seconds), "channels": list(self.channels)}


@dataclass(frozen=True, slots=True)
class Inhibition:
    """An alert is not told while one of `rule` is active whose labels of these names have the same values."""

    rule: str
    equal: tuple[str, ...] = ()

    def describe(self) -> dict[str, Any]:
        """As JSON members."""
        return {"rule": self.rule, "equal": list(self.equal)}


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule that is valid; `reading.rule_of` makes one out of JSON or YAML. Seconds are whole.

    `threshold` is None where every series that a PromQL expression answers is an alert. `recovery` is the value that
    ends an alert, where that is not the threshold. `hold_seconds` is the rule's `for`. `lookback_seconds`: how long a
    group is remembered that is not there any more. `established_seconds`: how long a service or host must have been
    there before its silence counts.
    """

    name: str
    kind: str
    expr: str = ""
    query: str = ""
    condition: str = "threshold"
    window_seconds: int = 300
    group_by: tuple[str, ...] = ()
    operator: str = ">="
    threshold: float | None = None
    recovery: float | None = None
    hold_seconds: int = 0
    interval_seconds: int = 60
    cooldown_seconds: int = 300
    lookback_seconds: int = 86_400
    established_seconds: int = 0
    no_data: str = "ok"
    severity: str = "warning"
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    channels: tuple[str, ...] = ()
    escalation: tuple[Escalation, ...] = ()
    inhibited_by: tuple[Inhibition, ...] = ()
    enabled: bool = True

    @property
    def remembers(self) -> bool:
        """Whether the groups that were seen have to be kept: their absence, or their novelty, is what counts."""
        if self.kind == "logs":
            rising = self.condition == "threshold" and self.operator in (">", ">=")
            return self.condition == "new_pattern" or (bool(self.group_by) and not rising)
        return self.kind == "heartbeat" or (self.kind == "metric" and self.no_data == "alert")

    def beyond(self, value: float) -> bool:
        """Whether a value is an alert."""
        return self.threshold is None or OPERATORS[self.operator](value, self.threshold)

    def still_beyond(self, value: float) -> bool:
        """Whether a value keeps an alert going: the same, by the recovery threshold where there is one."""
        limit = self.threshold if self.recovery is None else self.recovery
        return limit is None or OPERATORS[self.operator](value, limit)

    def to_json(self) -> bytes:
        """As it is stored."""
        return orjson.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: bytes) -> Rule:
        """What `to_json` wrote, which was checked then."""
        found = orjson.loads(text)
        for name in ("group_by", "channels"):
            found[name] = tuple(found[name])
        found["escalation"] = tuple(Escalation(each["after_seconds"], tuple(each["channels"]))
                                    for each in found["escalation"])  # fmt: skip
        found["inhibited_by"] = tuple(Inhibition(each["rule"], tuple(each["equal"])) for each in found["inhibited_by"])
        return cls(**found)

    def describe(self) -> dict[str, Any]:
        """As JSON members, those that do not apply to its kind left out."""
        members: dict[str, Any] = {"name": self.name, "kind": self.kind}
        if self.kind in ("metric", "status"):
            members["expr"] = self.expr
        if self.kind == "logs":
            members |= {"query": self.query, "condition": self.condition}
        if self.kind == "heartbeat":
            members |= {"query": self.query, "established": duration(self.established_seconds)}
        if self.kind in ("logs", "heartbeat"):
            members |= {"window": duration(self.window_seconds), "group_by": list(self.group_by)}
        if self.kind in ("metric", "logs", "status") and self.condition == "threshold":
            members |= {"operator": self.operator, "threshold": self.threshold, "recovery": self.recovery}
        if self.remembers:
            members["lookback"] = duration(self.lookback_seconds)
        return members | {
            "for": duration(self.hold_seconds),
            "interval": duration(self.interval_seconds),
            "cooldown": duration(self.cooldown_seconds),
            "no_data": self.no_data,
            "severity": self.severity,
            "labels": dict(self.labels),
            "annotations": dict(self.annotations),
            "channels": list(self.channels),
            "escalation": [step.describe() for step in self.escalation],
            "inhibited_by": [each.describe() for each in self.inhibited_by],
            "enabled": self.enabled,
        }


def fingerprint(rule: str, labels: Mapping[str, str]) -> str:
    """What alerts of one rule and one group have in common, 16 hex digits."""
    text = "\x00".join((rule, *(f"{name}\x01{value}" for name, value in sorted(labels.items()))))
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:16]

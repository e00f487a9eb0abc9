"""Reading a rule out of JSON or YAML members. Every error names the member and what to write instead."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from monitoring.pipeline.alerts.durations import LONGEST_SECONDS, duration, seconds_of
from monitoring.pipeline.alerts.rule import (
    BUILT_IN,
    CONDITIONS,
    FACTS,
    KINDS,
    NO_DATA,
    OPERATORS,
    SEVERITIES,
    Escalation,
    Inhibition,
    Rule,
    RuleInvalid,
)
from monitoring.pipeline.alerts.template import TemplateInvalid, check
from monitoring.pipeline.errors import PermanentError, QuerySyntaxError
from monitoring.pipeline.query.fields import TEXTS
from monitoring.pipeline.query.parse import parse

__all__ = ["MEMBERS", "rule_of"]

MEMBERS = (
    "name", "kind", "expr", "query", "condition", "window", "group_by", "operator", "threshold", "recovery", "for",
    "interval", "cooldown", "lookback", "established", "no_data", "severity", "labels", "annotations", "channels",
    "escalation", "inhibited_by", "enabled",
)  # fmt: skip
_ANNOTATIONS = ("summary", "description", "runbook")
_ONLY_FOR = {
    "expr": ("metric", "status"),
    "query": ("logs", "heartbeat"),
    "condition": ("logs",),
    "window": ("logs", "heartbeat"),
    "group_by": ("logs", "heartbeat"),
    "operator": ("metric", "logs", "status"),
    "threshold": ("metric", "logs", "status"),
    "recovery": ("metric", "logs", "status"),
    "established": ("heartbeat",),
}
_FIX_FOR = {
    "group_by": "the groups of a metric rule are the series of its expression: write `sum by (service) (…)`",
    "window": "the window of a metric rule stands in its expression: write `rate(x[5m])`",
}
_NAME = re.compile(r"[^\W_][\w .:()%<>=+&,'-]{0,99}")
_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,99}")
_CHANNEL = re.compile(r"[\w][\w .:@-]{0,99}")
SHORTEST_INTERVAL_SECONDS = 5
"""The ticker looks every second and a job costs 20 ms: below this, a rule finds little new for what it costs."""
MOST_GROUP_BY = 5
MOST_ITEMS = 32
"""Labels, channels, steps of escalation."""
LONGEST_EXPR = 8192
LONGEST_VALUE = 1024


def rule_of(members: Any, *, built_in: bool = False) -> Rule:
    """The rule that these members mean; `built_in`: of a kind that nobody else can make. Raises RuleInvalid."""
    if not isinstance(members, Mapping):
        raise RuleInvalid("rule", "not an object", 'like {"name": "errors", "kind": "logs", "query": "level:error", …}')
    given = {str(name): value for name, value in members.items() if value is not None}
    for name in given:
        if name not in MEMBERS:
            raise RuleInvalid.unknown(name, MEMBERS)
    kinds = KINDS if built_in else tuple(kind for kind in KINDS if kind not in BUILT_IN)
    kind = _choice(given, "kind", kinds, None)
    _fits_kind(given, kind)
    condition = _choice(given, "condition", CONDITIONS, "threshold")
    return Rule(
        name=_text(given, "name", _NAME, "1 to 100 letters, digits, blanks and . : ( ) - and the like"),
        kind=kind,
        expr=_looked_at(given, kind),
        query=_query(given),
        condition=condition,
        window_seconds=_seconds(given, "window", 300, 1),
        group_by=_group_by(given, kind),
        labels=_labels(given),
        annotations=_annotations(given),
        hold_seconds=_seconds(given, "for", 0, 0),
        interval_seconds=_seconds(given, "interval", 60, SHORTEST_INTERVAL_SECONDS),
        cooldown_seconds=_seconds(given, "cooldown", 300, 0),
        lookback_seconds=_seconds(given, "lookback", 86_400, 60),
        established_seconds=_seconds(given, "established", 0, 0),
        no_data=_choice(given, "no_data", NO_DATA, "ok"),
        severity=_choice(given, "severity", SEVERITIES, "warning"),
        channels=_names(given, "channels", _CHANNEL),
        escalation=_escalation(given),
        inhibited_by=_inhibitions(given),
        enabled=_flag(given, "enabled", True),
        **_limits(given, kind, condition),
    )


def _fits_kind(given: Mapping[str, Any], kind: str) -> None:
    for name, kinds in _ONLY_FOR.items():
        if name in given and given[name] != [] and kind not in kinds:
            raise RuleInvalid(name, f"a {kind} rule has none", _FIX_FOR.get(name, "leave it out"))


def _limits(given: Mapping[str, Any], kind: str, condition: str) -> dict[str, Any]:
    """Operator, threshold and recovery: they must be there where the kind needs them, and recovery on the safe side."""
    operator = _choice(given, "operator", tuple(OPERATORS), ">=")
    threshold, recovery = _number(given, "threshold"), _number(given, "recovery")
    if kind in ("heartbeat", "delivery") or condition != "threshold":
        if threshold is not None and not (condition == "zero" and threshold == 0):
            raise RuleInvalid("threshold", f"with the condition {condition} there is none", "leave it out")
        if condition == "zero":
            return {"operator": "==", "threshold": 0.0}
        return {"operator": ">=", "threshold": float(_seconds(given, "window", 300, 1)) if kind == "heartbeat" else 1.0}
    if threshold is None and kind in ("logs", "status"):
        fix = "how many events are an alert, like 10" if kind == "logs" else "the value that is an alert"
        raise RuleInvalid("threshold", "is needed", fix)
    if recovery is not None:
        if threshold is None:
            raise RuleInvalid("recovery", "there is no threshold to recover from", "add threshold, or leave it out")
        safe = recovery <= threshold if operator in (">", ">=") else recovery >= threshold
        if operator in ("==", "!=") or not safe:
            side = "below" if operator in (">", ">=") else "above"
            raise RuleInvalid(
                "recovery", f"{recovery:g} with {operator} {threshold:g}", f"a value {side} the threshold"
            )
    return {"operator": operator, "threshold": threshold, "recovery": recovery}


def _looked_at(given: Mapping[str, Any], kind: str) -> str:
    if kind == "status":
        return _choice(given, "expr", FACTS, None)
    return _expression(given) if kind == "metric" else ""


def _expression(given: Mapping[str, Any]) -> str:
    text = given.get("expr")
    if not isinstance(text, str) or not text.strip():
        raise RuleInvalid("expr", "a metric rule needs a PromQL expression", "like system_cpu_usage_ratio > 0.8")
    if len(text) > LONGEST_EXPR:
        raise RuleInvalid("expr", f"{len(text)} characters", f"{LONGEST_EXPR} at most")
    _check_promql(text)
    return text.strip()


def _check_promql(text: str) -> None:
    from monitoring.pipeline.query.promql.parse import parse as parse_promql  # numpy: 110 ms that others need not pay
    from monitoring.pipeline.query.promql.tree import shape

    try:
        found = shape(parse_promql(text))
    except PermanentError as error:
        raise RuleInvalid("expr", str(error), "`monitoring metrics` tries an expression") from error
    if found in ("matrix", "string"):
        what = "range of samples" if found == "matrix" else "text"
        raise RuleInvalid("expr", f"answers a {what}", "an expression with one value a series, like rate(x[5m])")


def _query(given: Mapping[str, Any]) -> str:
    text = given.get("query", "")
    if not isinstance(text, str):
        raise RuleInvalid("query", "not a text", "a search like level:error")
    try:
        parse(text)
    except QuerySyntaxError as error:
        raise RuleInvalid("query", str(error)) from error
    except PermanentError as error:
        raise RuleInvalid("query", str(error)) from error
    return text.strip()


def _group_by(given: Mapping[str, Any], kind: str) -> tuple[str, ...]:
    found = _names(given, "group_by", _LABEL)
    if len(found) > MOST_GROUP_BY:
        raise RuleInvalid("group_by", f"{len(found)} fields", f"{MOST_GROUP_BY} at most")
    for name in found:
        if name in ("time", *TEXTS):
            raise RuleInvalid("group_by", f"events cannot be grouped by {name!r}", "a field like service or user_id")
    return found or (("service",) if kind == "heartbeat" else ())


def _labels(given: Mapping[str, Any]) -> dict[str, str]:
    found = given.get("labels", {})
    if not isinstance(found, Mapping) or len(found) > MOST_ITEMS:
        raise RuleInvalid("labels", "not an object of texts", 'like {"team": "payments"}')
    for name, value in found.items():
        if not isinstance(name, str) or _LABEL.fullmatch(name) is None:
            raise RuleInvalid(f"labels.{name}"[:80], "not a name", "letters, digits, _ . and -")
        if not isinstance(value, str | int | float) or len(str(value)) > LONGEST_VALUE:
            raise RuleInvalid(f"labels.{name}", "not a text", f"up to {LONGEST_VALUE} characters")
    return {name: str(value) for name, value in found.items()}


def _annotations(given: Mapping[str, Any]) -> dict[str, str]:
    found = given.get("annotations", {})
    if not isinstance(found, Mapping):
        raise RuleInvalid("annotations", "not an object of texts", 'like {"summary": "{{ value }} errors"}')
    for name, value in found.items():
        if name not in _ANNOTATIONS:
            raise RuleInvalid.unknown(str(name), _ANNOTATIONS, "annotations.")
        if not isinstance(value, str):
            raise RuleInvalid(f"annotations.{name}", "not a text")
        try:
            check(value)
        except TemplateInvalid as error:
            raise RuleInvalid(f"annotations.{name}", str(error)) from error
    return {str(name): value.strip() for name, value in found.items()}


def _escalation(given: Mapping[str, Any]) -> tuple[Escalation, ...]:
    found = []
    for index, step in enumerate(_items(given, "escalation")):
        where = f"escalation[{index}]"
        if not isinstance(step, Mapping) or set(step) != {"after", "channels"}:
            raise RuleInvalid(where, "not a step", 'like {"after": "15m", "channels": ["pager"]}')
        found.append(Escalation(_seconds(step, "after", 0, 1, where), _names(step, "channels", _CHANNEL, where)))
        if not found[-1].channels:
            raise RuleInvalid(f"{where}.channels", "names no channel")
    if [step.after_seconds for step in found] != sorted({step.after_seconds for step in found}):
        raise RuleInvalid("escalation", "the steps are not in order", "each later than the one before")
    return tuple(found)


def _inhibitions(given: Mapping[str, Any]) -> tuple[Inhibition, ...]:
    found = []
    for index, each in enumerate(_items(given, "inhibited_by")):
        where = f"inhibited_by[{index}]"
        if not isinstance(each, Mapping) or "rule" not in each or set(each) - {"rule", "equal"}:
            raise RuleInvalid(where, "not an inhibition", 'like {"rule": "System unavailable", "equal": ["host"]}')
        found.append(Inhibition(_text(each, "rule", _NAME, "a rule's name"), _names(each, "equal", _LABEL, where)))
    return tuple(found)


# ---------------------------------------------------------------------- single members


def _text(given: Mapping[str, Any], name: str, shape: re.Pattern[str], fix: str) -> str:
    value = given.get(name)
    if not isinstance(value, str) or shape.fullmatch(value.strip()) is None:
        raise RuleInvalid(name, "is needed" if value is None else f"{str(value)[:60]!r} cannot be one", fix)
    return value.strip()


def _choice(given: Mapping[str, Any], name: str, choices: tuple[str, ...], default: str | None) -> str:
    value = given.get(name, default)
    if value not in choices:
        problem = "is needed" if value is None else f"{str(value)[:60]!r} is none"
        raise RuleInvalid(name, problem, f"one of {', '.join(choices)}")
    return str(value)


def _seconds(given: Mapping[str, Any], name: str, default: int, least: int, where: str = "") -> int:
    value = given.get(name)
    if value is None:
        return default
    found = seconds_of(value)
    if found is None or found < least:
        fix = f"from {duration(least)} to {duration(LONGEST_SECONDS)}, like 30s, 5m or 1h30m"
        raise RuleInvalid(f"{where}.{name}" if where else name, f"{str(value)[:40]!r} is no such duration", fix)
    return found


def _number(given: Mapping[str, Any], name: str) -> float | None:
    value = given.get(name)
    if value is None:
        return None
    if type(value) not in (int, float) or not math.isfinite(value):
        raise RuleInvalid(name, f"{str(value)[:40]!r} is no number", "like 0.8 or 10")
    return float(value)


def _flag(given: Mapping[str, Any], name: str, default: bool) -> bool:
    value = given.get(name, default)
    if type(value) is not bool:
        raise RuleInvalid(name, f"{str(value)[:40]!r} is neither true nor false")
    return value


def _items(given: Mapping[str, Any], name: str) -> list[Any]:
    value = given.get(name, [])
    if not isinstance(value, list) or len(value) > MOST_ITEMS:
        raise RuleInvalid(name, "not a list", f"of {MOST_ITEMS} items at most")
    return value


def _names(given: Mapping[str, Any], name: str, shape: re.Pattern[str], where: str = "") -> tuple[str, ...]:
    found = _items(given, name)
    for value in found:
        if not isinstance(value, str) or shape.fullmatch(value) is None:
            raise RuleInvalid(f"{where}.{name}" if where else name, f"{str(value)[:60]!r} is no name")
    return tuple(dict.fromkeys(found))

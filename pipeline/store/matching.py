"""What matchers would meet: open alerts now, and hints where they name what no alert could have."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence
from typing import Any

import orjson

from monitoring.pipeline.alerts.alert import STATES
from monitoring.pipeline.alerts.rule import KINDS, SEVERITIES, Rule
from monitoring.pipeline.alerts.silence import matches
from monitoring.pipeline.store.alerts import Alerts
from monitoring.pipeline.store.control import Control
from monitoring.pipeline.store.matchers import Matcher

__all__ = ["described", "hints"]

_OWN = ("rule", "severity", "kind")
_USUAL = ("service", "host", "environment", "release", "channel", "pattern")
"""What the product's own rules group by: no slip, though no alert may have had it yet."""
_MOST_LOOKED_AT = 500
"""Alerts in each state whose labels are known: a silence is for what is seen, not for last year's."""


def described(control: Control, matchers: Sequence[Matcher]) -> dict[str, Any]:
    """As JSON members: how many open alerts match at this moment, and the hints."""
    matching = sum(matches(matchers, alert) for alert in Alerts(control).all())
    return {"matching": matching, "warnings": hints(control, matchers)}


def hints(control: Control, matchers: Sequence[Matcher]) -> list[str]:
    """What is probably a slip: a label that no alert has had and no rule names, a rule that there is not."""
    rules = {rule.name: rule for rule in map(Rule.from_json, _column(control, "SELECT data FROM rule"))}
    labels = _labels(control, list(rules.values()))
    values = {"rule": tuple(rules), "severity": SEVERITIES, "kind": KINDS}
    found = []
    for each in matchers:
        if each.label not in labels:
            found.append(f"{each.label}: no alert has had this label so far{_near(each.label, labels)}")
        elif each.label in values and each.operator == "=" and each.value not in values[each.label]:
            found.append(
                f"{each.label}: there is no {each.label} {each.value!r}{_near(each.value, values[each.label])}"
            )
    return found


def _labels(control: Control, rules: Sequence[Rule]) -> set[str]:
    found = {*_OWN, *_USUAL}
    for rule in rules:
        found.update(rule.labels, rule.group_by)
    alerts = Alerts(control)
    for state in STATES:
        for alert in alerts.all((state,), limit=_MOST_LOOKED_AT):
            found.update(alert.labels)
    for text in _column(control, "SELECT labels FROM seen LIMIT 5000"):
        found.update(orjson.loads(text))
    return found


def _column(control: Control, sql: str) -> list[bytes]:
    return [value for (value,) in control.rows(sql)]


def _near(name: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(name, known, 1, 0.6)
    return f"; did you mean {near[0]!r}?" if near else ""

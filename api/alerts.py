"""`/api/v1/alerts`: what is wrong, who takes care of it, and all that happened."""

from __future__ import annotations

from monitoring.api.keys import json_object
from monitoring.api.problems import Problem
from monitoring.api.refusals import refusals
from monitoring.api.routes import Answer, Call, whole_number
from monitoring.pipeline.alerts.alert import OPEN, STATES, Alert
from monitoring.pipeline.store.alerts import MAX_ALERTS

__all__ = ["acknowledge", "comment", "history", "listing", "one", "resolve"]

DEFAULT_ALERTS = 100


def listing(call: Call) -> Answer:
    """Alerts, the newest first: the open ones, or those in the states that are asked for."""
    limit = whole_number(call.params.get("limit"), field="limit", default=DEFAULT_ALERTS, most=MAX_ALERTS)
    found = call.runtime.alerts.all(_states(call.params.get("state", "")), rule=call.params.get("rule"), limit=limit)
    return {"alerts": [_shown(call, alert) for alert in found], "counts": call.runtime.alerts.counts()}


def one(call: Call, identity: str) -> Answer:
    """One alert, with its rule's state and links."""
    with refusals():
        return _shown(call, call.runtime.alerts.get(identity))


def history(call: Call, identity: str) -> Answer:
    """All that happened to an alert: transitions, notifications, comments; the oldest first."""
    with refusals():
        return {"history": call.runtime.alerts.history(identity)}


def acknowledge(call: Call, identity: str) -> Answer:
    """Take care of an alert: it is not escalated any further, and who was told of it hears so."""
    said = _comment(required=False)
    with refusals():
        return _shown(call, call.runtime.alerts.acknowledge(identity, call.key.name, said))


def resolve(call: Call, identity: str) -> Answer:
    """Say that an alert is over; where its condition still holds after the rule's cooldown, it comes back."""
    said = _comment(required=False)
    with refusals():
        return _shown(call, call.runtime.alerts.resolve(identity, call.key.name, said))


def comment(call: Call, identity: str) -> Answer:
    """Add a comment to an alert's history."""
    said = _comment(required=True)
    with refusals():
        return _shown(call, call.runtime.alerts.comment(identity, call.key.name, said)), 201


def _shown(call: Call, alert: Alert) -> dict[str, object]:
    rule = call.runtime.rules.get(alert.rule)
    stale = rule is not None and rule.status in ("stale", "error")
    return {**alert.describe(), "stale": stale, "links": call.runtime.alerts.links(alert)}


def _states(text: str) -> tuple[str, ...]:
    if text in ("", "open"):
        return OPEN
    if text == "all":
        return STATES
    found = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    if not set(found) <= set(STATES):
        raise Problem(400, "not a state", field="state", fix=f"of {', '.join(STATES)} with commas; or open, or all")
    return found


def _comment(*, required: bool) -> str:
    found = json_object(("comment",), required=required).get("comment", "")
    if not isinstance(found, str):
        raise Problem(400, "not a text", field="comment", fix='{"comment": "looking into it"}')
    return found

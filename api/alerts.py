"""`/api/v1/alerts`: what is wrong, who takes care of it, and all that happened."""

from __future__ import annotations

from monitoring.api.params import Fields, Text, Whole
from monitoring.api.problems import Problem
from monitoring.api.refusals import refusals
from monitoring.api.routes import Answer, Call, Route
from monitoring.pipeline.alerts.alert import OPEN, STATES, Alert
from monitoring.pipeline.store.alerts import MAX_ALERTS

__all__ = ["ROUTES", "acknowledge", "comment", "history", "listing", "one", "resolve"]

STATE = Text("state", f"of {', '.join(STATES)}, divided by commas; open, if not given; or all", longest=256)
RULE = Text("rule", "only those of this rule", longest=256)
LIMIT = Whole("limit", "alerts", default=100, most=MAX_ALERTS)
COMMENT = Fields(Text("comment", "what others should know"), optional=True)
COMMENTED = Fields(Text("comment", "what others should know", required=True))


def listing(call: Call) -> Answer:
    """Alerts, the newest first: the open ones, or those in the states that are asked for."""
    states, rule, limit = _states(call.params.get("state", "")), RULE.of(call.params), LIMIT.of(call.params)
    found = call.runtime.alerts.all(states, rule=rule, limit=limit)
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
    """Take care of an alert: it is not escalated any further, and who was told of it hears so.

    One that somebody takes care of already stays theirs.
    """
    said = COMMENT.read()["comment"] or ""
    with refusals():
        already = call.runtime.alerts.get(identity).state == "acknowledged"
        taken = call.runtime.alerts.acknowledge(identity, call.actor, said)
    return {**_shown(call, taken), "already_acknowledged": already}


def resolve(call: Call, identity: str) -> Answer:
    """Say that an alert is over; where its condition still holds after the rule's cooldown, it comes back."""
    said = COMMENT.read()["comment"] or ""
    with refusals():
        return _shown(call, call.runtime.alerts.resolve(identity, call.actor, said))


def comment(call: Call, identity: str) -> Answer:
    """Add a comment to an alert's history."""
    said = COMMENTED.read()["comment"]
    with refusals():
        return _shown(call, call.runtime.alerts.comment(identity, call.actor, said)), 201


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


ROUTES = (
    Route("GET", "/api/v1/alerts", "viewer", listing, (STATE, RULE, LIMIT)),
    Route("GET", "/api/v1/alerts/<identity>", "viewer", one),
    Route("GET", "/api/v1/alerts/<identity>/history", "viewer", history),
    Route(
        "POST",
        "/api/v1/alerts/<identity>/acknowledge",
        "operator",
        acknowledge,
        audit="alert.acknowledge",
        body=COMMENT,
        before=one,
    ),
    Route(
        "POST",
        "/api/v1/alerts/<identity>/resolve",
        "operator",
        resolve,
        audit="alert.resolve",
        body=COMMENT,
        before=one,
    ),
    Route("POST", "/api/v1/alerts/<identity>/comments", "operator", comment, audit="alert.comment", body=COMMENTED),
)

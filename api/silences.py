"""`/api/v1/silences` and `/api/v1/maintenance-windows`: alerts that nobody is told of for a while."""

from __future__ import annotations

from typing import Any

from monitoring.api.params import Fields, Flag, Json, Moment, Text
from monitoring.api.problems import Problem
from monitoring.api.refusals import refusals
from monitoring.api.routes import Answer, Call, Route
from monitoring.pipeline.alerts.silence import Silence, matchers_of, shown
from monitoring.pipeline.alerts.window import DAYS, Window, window_of
from monitoring.pipeline.store import matching

__all__ = ["ROUTES", "change", "create", "expire", "listing", "one", "window_remove", "window_save", "windows"]

_TEXTS = {"type": "array", "items": {"type": "string"}}
MATCHERS = Json("matchers", 'like ["rule=High CPU usage", "host=~web-.*"]', like=_TEXTS, required=True)
STARTS = Moment("starts_at", "included", default="now")
ENDS = Moment("ends_at", "a moment like +2h or 2026-05-01T10:00:00Z", required=True)
REASON = Text("reason", "for others to read", required=True)
CREATE = Fields(MATCHERS, STARTS, ENDS, REASON)
CHANGE = Fields(Json("matchers", like=_TEXTS), Moment("ends_at", ENDS.help), Text("reason", REASON.help))
WINDOW = Fields(
    Text("name", "as in the address"),
    MATCHERS,
    Json("days", f"of {', '.join(DAYS)}; absent: all", like=_TEXTS),
    Text("start", "a time of day like 22:30", required=True),
    Json("duration", "like 2h", like={"type": ["string", "number"]}, required=True),
    Text("time_zone", "like Europe/Berlin; absent: UTC"),
    Text("from", "the first date, like 2026-12-24"),
    Text("until", "the last date"),
    Text("reason", REASON.help),
    Flag("enabled", "absent: true"),
)


def listing(call: Call) -> Answer:
    """Silences in force, to come, and expired in the last month; the newest first."""
    now = call.runtime.now_ns()
    return {"silences": [silence.describe(now) for silence in call.runtime.silences.all()]}


def one(call: Call, identity: str) -> Answer:
    """One silence."""
    return _found(call.runtime.silences.get(identity)).describe(call.runtime.now_ns())


def create(call: Call) -> Answer:
    """Silence alerts that match until a moment; they are evaluated and listed all the same."""
    body, now = CREATE.read(), call.runtime.now_ns()
    starts, ends = (each.at(body[each], now) for each in (STARTS, ENDS))
    with refusals():
        made = call.runtime.silences.add(matchers_of(body["matchers"]), starts, ends, call.actor, body["reason"])
    return _weighed(call, made), 201


def change(call: Call, identity: str) -> Answer:
    """Change a silence that has not expired: until when, what it matches, why."""
    body, before = CHANGE.given(), _found(call.runtime.silences.get(identity))
    ends = ENDS.at(body["ends_at"], call.runtime.now_ns()) if "ends_at" in body else before.ends
    with refusals():
        matchers = matchers_of(body.get("matchers", shown(before.matchers)))
        reason = body.get("reason") or before.reason
        found = call.runtime.silences.change(identity, matchers, ends, call.actor, reason)
    return _weighed(call, _found(found))


def expire(call: Call, identity: str) -> Answer:
    """End a silence now: what is still active and was not told is told."""
    return _found(call.runtime.silences.expire(identity)).describe(call.runtime.now_ns())


def windows(call: Call) -> Answer:
    """All maintenance windows, by name, and whether each is in force now."""
    now = call.runtime.now_ns()
    return {"maintenance_windows": [window.describe(now) for window in call.runtime.windows.all()]}


def window_save(call: Call, name: str) -> Answer:
    """Save a maintenance window, in place of what had its name."""
    body, known = WINDOW.given(), call.runtime.windows.get(name)
    call.changed(before=known.describe(call.runtime.now_ns()) if known else None)
    with refusals():
        window = call.runtime.windows.save(window_of({**body, "name": name}, call.actor))
    return _weighed(call, window)


def window_remove(call: Call, name: str) -> Answer:
    """Forget a maintenance window."""
    found: Window | None = call.runtime.windows.remove(name)
    if found is None:
        raise Problem(404, "there is no such window", field="name", fix="GET /api/v1/maintenance-windows lists them")
    gone = found.describe(call.runtime.now_ns())
    call.changed(before=gone)
    return gone


def _weighed(call: Call, quiet: Silence | Window) -> dict[str, Any]:
    """With what it matches now, and what in it is probably a slip."""
    return {**quiet.describe(call.runtime.now_ns()), **matching.described(call.runtime.control, quiet.matchers)}


def _found(silence: Silence | None) -> Silence:
    if silence is None:
        raise Problem(404, "there is no such silence", field="id", fix="GET /api/v1/silences lists them")
    return silence


ROUTES = (
    Route("GET", "/api/v1/silences", "viewer", listing),
    Route("POST", "/api/v1/silences", "operator", create, audit="silence.create", body=CREATE),
    Route("GET", "/api/v1/silences/<identity>", "viewer", one),
    Route("PUT", "/api/v1/silences/<identity>", "operator", change, audit="silence.change", body=CHANGE),
    Route("DELETE", "/api/v1/silences/<identity>", "operator", expire, audit="silence.expire"),
    Route("GET", "/api/v1/maintenance-windows", "viewer", windows),
    Route("PUT", "/api/v1/maintenance-windows/<name>", "operator", window_save, audit="window.save", body=WINDOW),
    Route("DELETE", "/api/v1/maintenance-windows/<name>", "operator", window_remove, audit="window.remove"),
)

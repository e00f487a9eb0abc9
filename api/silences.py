"""`/api/v1/silences` and `/api/v1/maintenance-windows`: alerts that nobody is told of for a while."""

from __future__ import annotations

from typing import Any

from monitoring.api.keys import json_object
from monitoring.api.problems import Problem
from monitoring.api.refusals import refusals
from monitoring.api.routes import Answer, Call
from monitoring.pipeline.alerts.silence import Silence, matchers_of, shown
from monitoring.pipeline.alerts.window import MEMBERS, Window, window_of
from monitoring.pipeline.clock import rfc3339
from monitoring.pipeline.errors import QuerySyntaxError
from monitoring.pipeline.query.ranges import moment

__all__ = ["change", "create", "expire", "listing", "one", "window_remove", "window_save", "windows"]

_SILENCE = ("matchers", "starts_at", "ends_at", "reason")


def listing(call: Call) -> Answer:
    """Silences in force, to come, and expired in the last month; the newest first."""
    now = call.runtime.now_ns()
    return {"silences": [silence.describe(now) for silence in call.runtime.silences.all()]}


def one(call: Call, identity: str) -> Answer:
    """One silence."""
    return _found(call.runtime.silences.get(identity)).describe(call.runtime.now_ns())


def create(call: Call) -> Answer:
    """Silence alerts that match until a moment; they are evaluated and listed all the same."""
    body = json_object(_SILENCE)
    starts, ends = _moment(call, body, "starts_at", "now"), _moment(call, body, "ends_at", None)
    with refusals():
        made = call.runtime.silences.add(
            matchers_of(body.get("matchers")), starts, ends, call.key.name, str(body.get("reason") or "")
        )
    return made.describe(call.runtime.now_ns()), 201


def change(call: Call, identity: str) -> Answer:
    """Change a silence that has not expired: until when, what it matches, why."""
    body, before = json_object(_SILENCE[:1] + _SILENCE[2:]), _found(call.runtime.silences.get(identity))
    ends = _moment(call, body, "ends_at", rfc3339(before.ends))
    with refusals():
        matchers = matchers_of(body.get("matchers", shown(before.matchers)))
        reason = str(body.get("reason") or before.reason)
        found = call.runtime.silences.change(identity, matchers, ends, call.key.name, reason)
    return _found(found).describe(call.runtime.now_ns())


def expire(call: Call, identity: str) -> Answer:
    """End a silence now: what is still active and was not told is told."""
    return _found(call.runtime.silences.expire(identity)).describe(call.runtime.now_ns())


def windows(call: Call) -> Answer:
    """All maintenance windows, by name, and whether each is in force now."""
    now = call.runtime.now_ns()
    return {"maintenance_windows": [window.describe(now) for window in call.runtime.windows.all()]}


def window_save(call: Call, name: str) -> Answer:
    """Save a maintenance window, in place of what had its name."""
    body = json_object(MEMBERS)
    with refusals():
        window = call.runtime.windows.save(window_of({**body, "name": name}, call.key.name))
    return window.describe(call.runtime.now_ns())


def window_remove(call: Call, name: str) -> Answer:
    """Forget a maintenance window."""
    found: Window | None = call.runtime.windows.remove(name)
    if found is None:
        raise Problem(404, "there is no such window", field="name", fix="GET /api/v1/maintenance-windows lists them")
    return found.describe(call.runtime.now_ns())


def _moment(call: Call, body: dict[str, Any], name: str, default: str | None) -> int:
    text = body.get(name, default)
    if text is None:
        raise Problem(400, "is needed", field=name, fix="a moment like +2h or 2026-05-01T10:00:00Z")
    try:
        return moment(str(text), call.runtime.now_ns())
    except QuerySyntaxError as error:
        raise Problem(400, "not a time", field=name, fix="like +2h or 2026-05-01T10:00:00Z") from error


def _found(silence: Silence | None) -> Silence:
    if silence is None:
        raise Problem(404, "there is no such silence", field="id", fix="GET /api/v1/silences lists them")
    return silence

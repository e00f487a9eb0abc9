"""`POST /api/v1/logs`: events in, answered 202 once they are safe (see keeping.py)."""

from __future__ import annotations

from datetime import UTC
from typing import Any

import orjson
from flask import Response

from monitoring.api.intake import Intake, parse
from monitoring.api.keeping import Way, body_of, take
from monitoring.api.routes import Answer, Call
from monitoring.pipeline.events.lenient import Defaults

__all__ = ["MOST_LISTED", "accepted", "defaults_of", "post_logs", "told"]

MOST_LISTED = 1000
"""Rejected lines named in an answer; all of them are in the dead-letter table."""


def post_logs(call: Call) -> Answer:
    """Take events in: JSON lines, an array or one object; answered once they are fsynced."""
    body = body_of(call)
    most = call.runtime.settings.whole("buffer_events")
    return take(
        call,
        _LOGS,
        body,
        lambda received_ns: parse(body, defaults_of(call, received_ns), source=f"http:{call.key.name}", most=most),
    )


def defaults_of(call: Call, received_ns: int) -> Defaults:
    """What is known of events, or metrics, from the settings and the key that brings them."""
    chosen = call.runtime.settings
    return Defaults(
        received_ns=received_ns,
        service=chosen.text("service"),
        fallback_service=call.key.name,
        environment=chosen.text("environment"),
        release=chosen.text("release"),
        zone=UTC,
    )


def accepted(result: bytes) -> Response:
    """202 with what was told."""
    return Response(result, status=202, mimetype="application/json")


def told(intake: Intake) -> bytes:
    """JSON of how many events were taken, and why the others were not."""
    members: dict[str, Any] = {
        "accepted": len(intake.events),
        "rejected": [{"line": item.line, "reason": item.reason} for item in intake.rejected[:MOST_LISTED]],
    }
    if len(intake.rejected) > MOST_LISTED:
        members["rejected_not_listed"] = len(intake.rejected) - MOST_LISTED
    return orjson.dumps(members, option=orjson.OPT_APPEND_NEWLINE)


_LOGS = Way("", told, accepted)

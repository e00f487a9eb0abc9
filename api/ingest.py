"""`POST /api/v1/logs`: events in, answered 202 once they are safe (see taking.py)."""

from __future__ import annotations

from typing import Any

import orjson

from monitoring.api.intake import parse
from monitoring.api.routes import DATA, Answer, Call, Route
from monitoring.api.taking import Protocol, body_of, take
from monitoring.pipeline.ingest.intake import Intake

__all__ = ["ROUTES", "answer_of", "post_logs"]

MOST_LISTED = 1000
"""Rejected lines named in an answer; all of them are in the dead-letter table."""


def post_logs(call: Call) -> Answer:
    """Take events in: JSON lines, an array or one object; answered once they are fsynced."""
    return take(call, body_of(call), _LINES)


def answer_of(intake: Intake) -> bytes:
    """How many events were taken, and which lines were not, as JSON."""
    members: dict[str, Any] = {
        "accepted": len(intake.events),
        "rejected": [{"line": item.line, "reason": item.reason} for item in intake.rejected[:MOST_LISTED]],
    }
    if len(intake.rejected) > MOST_LISTED:
        members["rejected_not_listed"] = len(intake.rejected) - MOST_LISTED
    return orjson.dumps(members, option=orjson.OPT_APPEND_NEWLINE)


_LINES = Protocol(parse, answer_of, 202, "application/json")


ROUTES = (
    Route("POST", "/api/v1/logs", "ingest", post_logs, audit=DATA, body=("application/x-ndjson", "application/json")),
)

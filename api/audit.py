"""`GET /api/v1/audit`: who changed what, when and from where, and who was refused."""

from __future__ import annotations

from flask import Response

from monitoring.api import asking
from monitoring.api.problems import Problem
from monitoring.api.routes import Answer, Call, whole_number
from monitoring.pipeline.store.audit import Wanted

__all__ = ["export", "listing"]

DEFAULT, MOST = 100, 1000


def listing(call: Call) -> Answer:
    """The newest entries of the audit log that match; `next_before` leads to older ones."""
    limit = whole_number(call.params.get("limit"), field="limit", default=DEFAULT, most=MOST)
    before = call.params.get("before")
    if before is not None and not (before.isascii() and before.isdecimal() and len(before) < 19):
        raise Problem(400, "not an id", field="before", fix="next_before of the page before, or leave it out")
    found = call.runtime.audit.find(_wanted(call), limit=limit, below=None if before is None else int(before))
    return {
        "entries": [entry.describe() for entry in found],
        "next_before": found[-1].id if len(found) == limit else None,
    }


def export(call: Call) -> Answer:
    """All entries of the audit log that match, as lines of JSON, the oldest first."""
    response = Response(call.runtime.audit.export(_wanted(call)), mimetype="application/x-ndjson")
    response.headers["Content-Disposition"] = 'attachment; filename="audit.ndjson"'
    return response


def _wanted(call: Call) -> Wanted:
    params = call.params
    return Wanted(
        text=params.get("query", ""),
        actor=params.get("actor", ""),
        action=params.get("action", ""),
        object=params.get("object", ""),
        start=asking.start(call) if params.get("start") else None,
        end=asking.end(call) if params.get("end") else None,
    )

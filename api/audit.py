"""`GET /api/v1/audit`: who changed what, when and from where, and who was refused."""

from __future__ import annotations

from flask import Response

from monitoring.api import asking
from monitoring.api.params import Text, Whole
from monitoring.api.routes import Answer, Call, Route
from monitoring.pipeline.store.audit import Wanted

__all__ = ["ROUTES", "export", "listing"]

LIMIT = Whole("limit", "entries", default=100, most=1000)
BEFORE = Whole("before", "next_before of the page before", most=1 << 60)
FILTERS = (
    Text("query", "a text anywhere in an entry", longest=256),
    Text("actor", "like key:shop/1a2b3c4d5e", longest=256),
    Text("action", "like key.create, or key.* for all of a kind", longest=256),
    Text("object", "what it was done to", longest=256),
    asking.START,
    asking.END,
)


def listing(call: Call) -> Answer:
    """The newest entries of the audit log that match; `next_before` leads to older ones."""
    limit = LIMIT.of(call.params)
    found = call.runtime.audit.find(_wanted(call), limit=limit, below=BEFORE.of(call.params))
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
    start, end = asking.span(call)
    return Wanted(
        text=params.get("query", ""),
        actor=params.get("actor", ""),
        action=params.get("action", ""),
        object=params.get("object", ""),
        start=start if params.get("start") else None,
        end=end if params.get("end") else None,
    )


ROUTES = (
    Route("GET", "/api/v1/audit", "admin", listing, (*FILTERS, LIMIT, BEFORE)),
    Route("GET", "/api/v1/audit/export", "admin", export, FILTERS),
)

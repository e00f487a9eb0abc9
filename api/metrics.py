"""`POST /api/v1/metrics`: increments and values in as plain JSON, answered 202 once they are safe (see taking.py)."""

from __future__ import annotations

from functools import partial

from monitoring.api.ingest import answer_of
from monitoring.api.intake import parse
from monitoring.api.routes import DATA, Answer, Call, Route
from monitoring.api.taking import Protocol, body_of, take
from monitoring.pipeline.events.signals import METRICS
from monitoring.pipeline.ingest.metric_items import delta_from_json_line

__all__ = ["ROUTES", "post_metrics"]


def post_metrics(call: Call) -> Answer:
    """Take metrics in: an array, JSON lines or one object; a counter's value is an increment."""
    return take(call, body_of(call), _METRICS)


_METRICS = Protocol(
    partial(parse, read=delta_from_json_line), answer_of, 202, "application/json", salt="metrics", signal=METRICS
)


ROUTES = (
    Route(
        "POST", "/api/v1/metrics", "ingest", post_metrics, audit=DATA, body=("application/x-ndjson", "application/json")
    ),
)

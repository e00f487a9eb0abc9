"""`POST /api/v1/metrics`: increments and values in as plain JSON, answered 202 once they are safe (see keeping.py)."""

from __future__ import annotations

from monitoring.api.ingest import accepted, defaults_of, told
from monitoring.api.intake import parse
from monitoring.api.keeping import Way, body_of, take
from monitoring.api.routes import Answer, Call
from monitoring.pipeline.events.signals import METRICS
from monitoring.pipeline.ingest.metric_items import delta_from_json_line

__all__ = ["post_metrics"]


def post_metrics(call: Call) -> Answer:
    """Take metrics in: an array, JSON lines or one object; a counter's value is an increment."""
    body = body_of(call)
    most = call.runtime.settings.whole("buffer_events")
    source = f"http:{call.key.name}"
    return take(
        call,
        _METRICS,
        body,
        lambda received_ns: parse(
            body, defaults_of(call, received_ns), source=source, most=most, read=delta_from_json_line
        ),
    )


_METRICS = Way("metrics", told, accepted, METRICS)

"""`POST /v1/metrics`: OTLP over HTTP, as for logs and spans (see otlp.py).

Points that make no sense are dead-lettered and counted in the answer's partial success.
"""

from __future__ import annotations

from monitoring.api.otlp import MEDIA, answer_or_status, protocols, wants_json
from monitoring.api.routes import DATA, Answer, Call, Route
from monitoring.api.taking import body_of, take
from monitoring.pipeline.events.signals import METRICS
from monitoring.pipeline.ingest.intake import Intake
from monitoring.pipeline.ingest.otlp_metrics import read_json, read_proto

__all__ = ["ROUTES", "post_metrics"]


def post_metrics(call: Call) -> Answer:
    """OTLP metrics, protobuf or JSON: sums, gauges, histograms of both kinds, summaries."""
    return answer_or_status(lambda: take(call, body_of(call), _METRICS[wants_json()]))


def _reason(intake: Intake) -> str:
    first = intake.rejected[0]
    return f"point {first.line}: {first.reason}; what was rejected is kept as dead letters"


_METRICS = protocols(
    "metrics", read_proto, read_json,
    collector="metrics", rejected="rejected_data_points", signal=METRICS, reason=_reason,
)  # fmt: skip


ROUTES = (Route("POST", "/v1/metrics", "ingest", post_metrics, audit=DATA, body=MEDIA),)

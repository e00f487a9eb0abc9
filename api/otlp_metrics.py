"""`POST /v1/metrics`: OTLP over HTTP, as for logs and spans (see otlp.py).

Points that make no sense are dead-lettered and counted in the answer's partial success.
"""

from __future__ import annotations

import orjson

from monitoring.api.otlp import MEDIA, PROTOBUF, answer_or_status, wants_json
from monitoring.api.routes import DATA, Answer, Call, Route
from monitoring.api.taking import Protocol, body_of, take
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


def _json(intake: Intake) -> bytes:
    if not intake.rejected:
        return b"{}"
    told = {"rejectedDataPoints": str(len(intake.rejected)), "errorMessage": _reason(intake)}
    return orjson.dumps({"partialSuccess": told})


def _proto(intake: Intake) -> bytes:
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse

    found = ExportMetricsServiceResponse()
    if intake.rejected:
        found.partial_success.rejected_data_points = len(intake.rejected)
        found.partial_success.error_message = _reason(intake)
    return bytes(found.SerializeToString())


_METRICS = {
    False: Protocol(read_proto, _proto, 200, PROTOBUF, "otlp metrics", METRICS),
    True: Protocol(read_json, _json, 200, "application/json", "otlp metrics json", METRICS),
}


ROUTES = (Route("POST", "/v1/metrics", "ingest", post_metrics, audit=DATA, body=MEDIA),)

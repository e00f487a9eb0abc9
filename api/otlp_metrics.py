"""`POST /v1/metrics`: OTLP/HTTP, in protobuf and in JSON.

Points that make no sense are dead-lettered and counted in the answer's partial success, as OTLP defines it; the
answer comes in the encoding of the question. Source: https://opentelemetry.io/docs/specs/otlp/#otlphttp
"""

from __future__ import annotations

from typing import Any

from flask import request

from monitoring.api.problems import Problem
from monitoring.api.routes import Answer, Call
from monitoring.api.taking import Protocol, body_of, take
from monitoring.pipeline.events.signals import METRICS
from monitoring.pipeline.ingest.intake import Intake
from monitoring.pipeline.ingest.otlp_metrics import read_json, read_proto

__all__ = ["post_metrics"]

_PROTO, _JSON = "application/x-protobuf", "application/json"


def post_metrics(call: Call) -> Answer:
    """Take metrics in by OpenTelemetry's protocol: sums, gauges, histograms of both kinds, summaries."""
    body = body_of(call)
    if request.mimetype == _JSON:
        return take(call, body, Protocol(read_json, _json, 200, _JSON, "otlp metrics json", METRICS))
    if request.mimetype == _PROTO:
        return take(call, body, Protocol(read_proto, _proto, 200, _PROTO, "otlp metrics", METRICS))
    raise Problem(
        415, f"{request.mimetype[:60]!r} is not supported", field="Content-Type", fix=f"one of {_PROTO}, {_JSON}"
    )


def _proto(intake: Intake) -> bytes:
    return bytes(_response(intake).SerializeToString())


def _json(intake: Intake) -> bytes:
    from google.protobuf.json_format import MessageToJson

    return str(MessageToJson(_response(intake), indent=None)).encode()


def _response(intake: Intake) -> Any:
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse

    found = ExportMetricsServiceResponse()
    if intake.rejected:
        found.partial_success.rejected_data_points = len(intake.rejected)
        found.partial_success.error_message = f"point {intake.rejected[0].line}: {intake.rejected[0].reason}"
    return found

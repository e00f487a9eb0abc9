"""`POST /prometheus/api/v1/write`: Prometheus' remote write 1.0.

204 once every sample is fsynced. Prometheus never sends again what was answered 400 (a series that makes no sense;
the others of its request are kept, as the specification wants it) or 413, and tries again after 429 and 503.
"""

from __future__ import annotations

from flask import request

from monitoring.api.problems import Problem
from monitoring.api.routes import DATA, Answer, Call, Route
from monitoring.api.taking import Protocol, body_of, take
from monitoring.pipeline.events.signals import METRICS
from monitoring.pipeline.ingest.intake import Intake, TooMuch
from monitoring.pipeline.ingest.remote_write import decompressed, read

__all__ = ["ROUTES", "post_samples"]

_VERSION_2 = "io.prometheus.write.v2"


def post_samples(call: Call) -> Answer:
    """Prometheus' remote write 1.0: samples as they were scraped, stale markers and metadata."""
    if _VERSION_2 in request.headers.get("Content-Type", ""):
        raise Problem(
            415,
            "remote write 2.0 is not supported",
            field="Content-Type",
            fix="set protobuf_message: prometheus.WriteRequest",
        )
    if request.headers.get("Content-Encoding", "snappy").strip().lower() != "snappy":
        raise Problem(415, "a remote write is a snappy block", field="Content-Encoding", fix="snappy")
    block = body_of(call, content_encoding="")
    try:
        body = decompressed(block, call.runtime.settings.whole("max_body"))
    except TooMuch as error:
        raise Problem(
            413, str(error), field="body", fix="send fewer samples at once; the operator may raise MONITORING_MAX_BODY"
        ) from error
    response = take(call, body, _SAMPLES)
    if response.data:
        response.status_code = 400
    return response


def _answer(intake: Intake) -> bytes:
    """Nothing where all were taken; else what Prometheus writes to its log."""
    if not intake.rejected:
        return b""
    first = intake.rejected[0]
    many = f"{len(intake.rejected)} series were rejected, the others are stored"
    return f"{many}; series {first.line}: {first.reason}\n".encode()


_SAMPLES = Protocol(read, _answer, 204, "text/plain", "remote write", METRICS)


ROUTES = (
    Route("POST", "/prometheus/api/v1/write", "ingest", post_samples, audit=DATA, body=("application/x-protobuf",)),
)

"""`POST /v1/logs` and `/v1/traces`: OTLP over HTTP, protobuf or JSON, answered in the type of the request.

What cannot be an event is dead-lettered and told as OTLP's partial success. Errors are google.rpc.Status, as the
protocol wants them, with the status and headers of our problem documents.
Source: https://opentelemetry.io/docs/specs/otlp/#otlphttp
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

import orjson
from flask import Response, request

from monitoring.api.problems import Problem, problem_of, respond
from monitoring.api.routes import DATA, Answer, Call, Route, request_id
from monitoring.api.taking import Protocol, body_of, take
from monitoring.pipeline.events.signals import LOGS, Signal
from monitoring.pipeline.ingest import otlp_logs, otlp_spans
from monitoring.pipeline.ingest.intake import Intake
from monitoring.pipeline.ingest.messages import message_types

__all__ = ["MEDIA", "PROTOBUF", "ROUTES", "answer_or_status", "post_logs", "post_traces", "protocols", "wants_json"]

PROTOBUF = "application/x-protobuf"
_JSON = "application/json"
MEDIA = (PROTOBUF, _JSON)
_CODES = {400: 3, 401: 16, 403: 7, 413: 3, 415: 3, 422: 3, 429: 8, 503: 14}
"""google.rpc.Code for a status of HTTP; 13 (internal) for others."""


def post_logs(call: Call) -> Answer:
    """OTLP logs, protobuf or JSON; what cannot be an event is counted in `partialSuccess` and dead-lettered."""
    return answer_or_status(lambda: take(call, body_of(call), _LOGS[wants_json()]))


def post_traces(call: Call) -> Answer:
    """OTLP spans, protobuf or JSON: each span, and each of its events, is kept as a log event with their ids."""
    return answer_or_status(lambda: take(call, body_of(call), _TRACES[wants_json()]))


def wants_json() -> bool:
    """Whether the request is JSON, not protobuf. Raises Problem 415 for other types."""
    if request.mimetype in (PROTOBUF, "application/protobuf"):
        return False
    if request.mimetype == _JSON:
        return True
    raise Problem(
        415, f"{request.mimetype[:60]!r} is no type of OTLP", field="Content-Type", fix=f"{PROTOBUF} or {_JSON}"
    )


def answer_or_status(work: Callable[[], Response]) -> Response:
    """The answer, or the error as OTLP has it: a Status in the type of the request."""
    try:
        return work()
    except Exception as error:  # the edge, as in routes.py
        problem = problem_of(error, request_id())
    response = respond(problem, request_id())
    code, message = _CODES.get(problem.status, 13), problem.detail + (f"; {problem.fix}" if problem.fix else "")
    if request.mimetype == _JSON:
        response.mimetype = _JSON
        response.data = orjson.dumps({"code": code, "message": message})
    elif request.mimetype in (PROTOBUF, "application/protobuf"):
        response.mimetype = PROTOBUF
        response.data = _status()(code=code, message=message).SerializeToString()
    return response


@cache
def _status() -> Any:
    """The message google.rpc.Status, without the details that we do not send."""
    return message_types("monitoring.rpc", {"Status": [("code", 1, "int32"), ("message", 2, "string")]})["Status"]


def _reason(intake: Intake) -> str:
    """Why records were rejected: the first reason, and that there are others."""
    reasons = list(dict.fromkeys(item.reason for item in intake.rejected))
    more = f", and {len(reasons) - 1} other reasons" if len(reasons) > 1 else ""
    return f"{reasons[0]}{more}; they are kept as dead letters"


def protocols(
    name: str,
    read_proto: Callable[..., Intake],
    read_json: Callable[..., Intake],
    *,
    collector: str,
    rejected: str,
    signal: Signal = LOGS,
    reason: Callable[[Intake], str] = _reason,
) -> dict[bool, Protocol]:
    """How a signal of OTLP is read and answered, by whether that is JSON.

    `collector` names its service, `rejected` the member of the partial success that counts what was not taken.
    """
    head, *tail = rejected.split("_")
    member = head + "".join(map(str.capitalize, tail))

    def proto(intake: Intake) -> bytes:
        module = import_module(f"opentelemetry.proto.collector.{collector}.v1.{collector}_service_pb2")
        answer = getattr(module, f"Export{collector.capitalize()}ServiceResponse")()
        if intake.rejected:
            setattr(answer.partial_success, rejected, len(intake.rejected))
            answer.partial_success.error_message = reason(intake)
        return bytes(answer.SerializeToString())

    def json(intake: Intake) -> bytes:
        if not intake.rejected:
            return b"{}"
        told = {member: str(len(intake.rejected)), "errorMessage": reason(intake)}
        return orjson.dumps({"partialSuccess": told})

    return {
        False: Protocol(read_proto, proto, 200, PROTOBUF, f"otlp {name}", signal),
        True: Protocol(read_json, json, 200, _JSON, f"otlp {name} json", signal),
    }


_LOGS = protocols("logs", otlp_logs.read_proto, otlp_logs.read_json, collector="logs", rejected="rejected_log_records")
_TRACES = protocols("traces", otlp_spans.read_proto, otlp_spans.read_json, collector="trace", rejected="rejected_spans")


ROUTES = (
    Route("POST", "/v1/logs", "ingest", post_logs, audit=DATA, body=MEDIA),
    Route("POST", "/v1/traces", "ingest", post_traces, audit=DATA, body=MEDIA),
)

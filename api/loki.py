"""`POST /loki/api/v1/push`: lines as Loki's clients push them. Loki answers 204 and has no partial success: what
cannot be an event is dead-lettered."""

from __future__ import annotations

from flask import request

from monitoring.api.otlp import MEDIA, PROTOBUF
from monitoring.api.problems import Problem
from monitoring.api.routes import DATA, Answer, Call, Route
from monitoring.api.snappy import unsnapped
from monitoring.api.taking import Protocol, body_of, take
from monitoring.pipeline.ingest import loki
from monitoring.pipeline.ingest.intake import Intake

__all__ = ["ROUTES", "push"]


def push(call: Call) -> Answer:
    """Loki push, JSON or snappy protobuf; answered once every line is fsynced."""
    body = body_of(call)
    if request.mimetype in ("application/json", ""):
        return take(call, body, _JSON)
    if request.mimetype == PROTOBUF:
        return take(call, unsnapped(body, call.runtime.settings.whole("max_body")), _PROTO)
    raise Problem(
        415,
        f"{request.mimetype[:60]!r} is no type of Loki's",
        field="Content-Type",
        fix=f"application/json or {PROTOBUF}",
    )


def _nothing(intake: Intake) -> bytes:
    return b""


_JSON = Protocol(loki.read_json, _nothing, 204, "application/json", "loki json")
_PROTO = Protocol(loki.read_proto, _nothing, 204, "application/json", "loki")


ROUTES = (Route("POST", "/loki/api/v1/push", "ingest", push, audit=DATA, body=MEDIA),)

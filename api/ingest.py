"""`POST /api/v1/logs`: events in, answered 202 once they are safe.

    body -> decoded -> events and rejected lines -> the process's own lane -> spool, fsynced -> 202

Nothing is answered 2xx that could be lost: what fits neither memory nor spool is refused as a whole, before
any of it is kept.

With an Idempotency-Key the events go on a lane of their own, which follows from the API key and the value, as
do the frames' times: whoever repeats the request, to whichever process, sends the same frames again and the
store has them once (see promises.py). Without one, a request that is repeated because its answer was lost is
stored twice.
"""

from __future__ import annotations

import hashlib
import re
import time
from datetime import UTC
from typing import Any

import orjson
from flask import Response, request

from monitoring.api.body import read_body
from monitoring.api.intake import Intake, parse
from monitoring.api.once import frames_of, publish_once
from monitoring.api.problems import RETRY_SECONDS, Problem
from monitoring.api.routes import Answer, Call
from monitoring.pipeline.events.lenient import Defaults
from monitoring.pipeline.publish.buffer import text_bytes

__all__ = ["post_logs"]

MOST_LISTED = 1000
"""Rejected lines named in an answer; all of them are in the dead-letter table."""
SAFE_SECONDS = 10.0
"""An fsync takes milliseconds, on a busy disk a second: beyond this it is stuck."""
_LOOK_SECONDS = 0.5
_REPEAT = "repeat the request; they may be stored all the same, with an Idempotency-Key only once"
_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,253}[\x21-\x7e])?")


def post_logs(call: Call) -> Answer:
    """Take events in: JSON lines, an array or one object; answered once they are fsynced."""
    call.runtime.quotas.check(call.key)
    body = bytes(
        read_body(
            request.stream,
            content_encoding=request.headers.get("Content-Encoding", ""),
            content_length=request.content_length,
            limit=call.runtime.settings.whole("max_body"),
        )
    )
    value = request.headers.get("Idempotency-Key")
    if value is not None:
        return _once(call, value, body)
    intake = _parse(call, body, call.runtime.now_ns())
    if intake.events or intake.rejected:
        _keep(call, intake)
        call.runtime.quotas.charge(call.key, len(intake.events) + len(intake.rejected))
    return _answer(intake), 202


def _keep(call: Call, intake: Intake) -> None:
    """All of it into the process's lane and fsynced, together with what other requests bring, or none of it."""
    most = call.runtime.settings.whole("buffer_bytes")
    if text_bytes(intake.events, intake.rejected) > most:
        raise Problem(413, f"the events hold more than {most} bytes", field="body", fix="split the body")
    publisher = call.runtime.publisher
    publisher.emit_all(intake.events, intake.rejected)
    ends = time.monotonic() + SAFE_SECONDS
    while not publisher.flush(_LOOK_SECONDS, ack="spool"):
        publisher.emit_all(())  # raises where the spool has stopped working
        if time.monotonic() > ends:
            raise Problem(
                503, "the events could not be written to disk in time", fix=_REPEAT, retry_after=RETRY_SECONDS
            )


def _parse(call: Call, body: bytes, received_ns: int) -> Intake:
    chosen = call.runtime.settings
    defaults = Defaults(
        received_ns=received_ns,
        service=chosen.text("service"),
        fallback_service=call.key.name,
        environment=chosen.text("environment"),
        release=chosen.text("release"),
        zone=UTC,
    )
    return parse(body, defaults, source=f"http:{call.key.name}", most=chosen.whole("buffer_events"))


def _once(call: Call, value: str, body: bytes) -> Response:
    """The answer to a request under an Idempotency-Key, however often it comes within 24 hours."""
    if not _IDEMPOTENCY_KEY.fullmatch(value):
        raise Problem(
            400, "not a usable key", field="Idempotency-Key", fix="1 to 255 printable ASCII characters, a UUID for one"
        )
    runtime, scope = call.runtime, call.key.id
    digest = hashlib.blake2b(body, digest_size=16).digest()
    promise = runtime.promises.claim(scope, value, digest, len(runtime.catalog.partitions()))
    if promise.digest != digest:
        raise Problem(
            422, "the key was used for another body within 24 hours", field="Idempotency-Key", fix="use a new one"
        )
    if promise.result is not None:
        return _response(promise.result, replayed=True)
    intake = _parse(call, body, promise.created)
    publish_once(runtime, promise, frames_of(promise, intake))
    result = orjson.dumps(_answer(intake), option=orjson.OPT_APPEND_NEWLINE)
    runtime.promises.keep(scope, value, result)
    runtime.quotas.charge(call.key, len(intake.events) + len(intake.rejected))
    return _response(result, replayed=False)


def _response(result: bytes, *, replayed: bool) -> Response:
    response = Response(result, status=202, mimetype="application/json")
    if replayed:
        response.headers["Idempotent-Replayed"] = "true"
    return response


def _answer(intake: Intake) -> dict[str, Any]:
    members: dict[str, Any] = {
        "accepted": len(intake.events),
        "rejected": [{"line": item.line, "reason": item.reason} for item in intake.rejected[:MOST_LISTED]],
    }
    if len(intake.rejected) > MOST_LISTED:
        members["rejected_not_listed"] = len(intake.rejected) - MOST_LISTED
    return members

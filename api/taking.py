"""What every protocol's endpoint does with a request: read it, keep its events, answer.

    body -> decoded -> events and rejected input -> a lane of the process -> spool, fsynced -> answer

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
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC

from flask import Response, request

from monitoring.api.body import read_body
from monitoring.api.once import frames_of, publish_once
from monitoring.api.problems import RETRY_SECONDS, Problem
from monitoring.api.routes import Call
from monitoring.pipeline.events.lenient import Defaults
from monitoring.pipeline.events.signals import LOGS, Signal
from monitoring.pipeline.ingest.intake import Intake, TooMuch
from monitoring.pipeline.publish.buffer import text_bytes

__all__ = ["Protocol", "body_of", "take"]

SAFE_SECONDS = 10.0
"""An fsync takes milliseconds, on a busy disk a second: beyond this it is stuck."""
_LOOK_SECONDS = 0.5
_REPEAT = "repeat the request; they may be stored all the same, with an Idempotency-Key only once"
_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,253}[\x21-\x7e])?")


@dataclass(frozen=True, slots=True)
class Protocol:
    """How a body is read and answered.

    `read` is given the decoded body, what is known of its events, their source for dead letters, and the most
    events that are taken at once. `answer` makes the body of the answer. `salt` sets protocols apart, and what
    else decides what a body means: the same Idempotency-Key for another meaning is a mistake.
    """

    read: Callable[[bytes, Defaults, str, int], Intake]
    answer: Callable[[Intake], bytes]
    status: int
    mimetype: str
    salt: str = ""
    signal: Signal = LOGS


def body_of(call: Call, content_encoding: str | None = None) -> bytes:
    """The request's body without its content codings. Raises Problem, 429 where the key's quota is used up.

    `content_encoding` stands in for what the header says.
    """
    encoding = request.headers.get("Content-Encoding", "") if content_encoding is None else content_encoding
    call.runtime.quotas.check(call.key)
    return bytes(
        read_body(
            request.stream,
            content_encoding=encoding,
            content_length=request.content_length,
            limit=call.runtime.settings.whole("max_body"),
        )
    )


def take(call: Call, body: bytes, protocol: Protocol, *, service: str = "") -> Response:
    """Keep the events of a body, then answer; `service` stands in for one that they do not name. Raises Problem."""
    value = request.headers.get("Idempotency-Key")
    if value is not None:
        return _once(call, value, body, protocol, service)
    intake = _read(call, body, protocol, service, call.runtime.now_ns())
    if intake.events or intake.rejected:
        _keep(call, intake, protocol.signal)
        call.runtime.quotas.charge(call.key, len(intake.events) + len(intake.rejected))
    return _respond(protocol, protocol.answer(intake))


def _keep(call: Call, intake: Intake, signal: Signal) -> None:
    """All of it into a lane of the process and fsynced, together with what other requests bring, or none of it."""
    most = call.runtime.settings.whole("buffer_bytes")
    if text_bytes(intake.events, intake.rejected, signal) > most:
        raise Problem(413, f"the events hold more than {most} bytes", field="body", fix="split the body")
    with call.runtime.lanes(signal).taken() as publisher:
        publisher.emit_all(intake.events, intake.rejected)
        ends = time.monotonic() + SAFE_SECONDS
        while not publisher.flush(_LOOK_SECONDS, ack="spool"):
            publisher.emit_all(())  # raises where the spool has stopped working
            if time.monotonic() > ends:
                raise Problem(
                    503, "the events could not be written to disk in time", fix=_REPEAT, retry_after=RETRY_SECONDS
                )


def _read(call: Call, body: bytes, protocol: Protocol, service: str, received_ns: int) -> Intake:
    chosen = call.runtime.settings
    defaults = Defaults(
        received_ns=received_ns,
        service=chosen.text("service"),
        fallback_service=service or call.key.name,
        environment=chosen.text("environment"),
        release=chosen.text("release"),
        zone=UTC,
    )
    try:
        return protocol.read(body, defaults, f"http:{call.key.name}", chosen.whole("buffer_events"))
    except TooMuch as error:
        raise Problem(413, str(error), field="body", fix="split the body") from error


def _once(call: Call, value: str, body: bytes, protocol: Protocol, service: str) -> Response:
    """The answer to a request under an Idempotency-Key, however often it comes within 24 hours."""
    if not _IDEMPOTENCY_KEY.fullmatch(value):
        raise Problem(
            400, "not a usable key", field="Idempotency-Key", fix="1 to 255 printable ASCII characters, a UUID for one"
        )
    runtime, scope, signal = call.runtime, call.key.id, protocol.signal
    salt = hashlib.sha256(protocol.salt.encode()).digest() if protocol.salt else b""
    digest = hashlib.blake2b(body, digest_size=16, key=salt).digest()
    promise = runtime.promises.claim(scope, value, digest, len(runtime.catalog.partitions(signal.name)))
    if promise.digest != digest:
        raise Problem(
            422, "the key was used for another body within 24 hours", field="Idempotency-Key", fix="use a new one"
        )
    if promise.result is not None:
        return _respond(protocol, promise.result, replayed=True)
    intake = _read(call, body, protocol, service, promise.created)
    publish_once(runtime, promise, frames_of(promise, intake, signal), signal)
    result = protocol.answer(intake)
    runtime.promises.keep(scope, value, result)
    runtime.quotas.charge(call.key, len(intake.events) + len(intake.rejected))
    return _respond(protocol, result, replayed=False)


def _respond(protocol: Protocol, result: bytes, *, replayed: bool = False) -> Response:
    response = Response(result, status=protocol.status, mimetype=protocol.mimetype)
    if replayed:
        response.headers["Idempotent-Replayed"] = "true"
    return response

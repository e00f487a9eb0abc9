"""What every way in does with what it has read: safe first, answered then.

    body -> read by the endpoint -> rows and rejected ones -> the process's own lane -> spool, fsynced -> answer

Nothing is answered as taken that could be lost: what fits neither memory nor spool is refused as a whole, before
any of it is kept.

With an Idempotency-Key the rows go on a lane of their own, which follows from the API key and the value, as do the
frames' times: whoever repeats the request, to whichever process, sends the same frames again and the store has them
once (see promises.py). Without one, a request that is repeated because its answer was lost is stored twice.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable
from typing import NamedTuple

from flask import Response, request

from monitoring.api.body import read_body
from monitoring.api.intake import Intake
from monitoring.api.once import frames_of, publish_once
from monitoring.api.problems import RETRY_SECONDS, Problem
from monitoring.api.routes import Call
from monitoring.pipeline.events.signals import LOGS, Signal
from monitoring.pipeline.publish.buffer import text_bytes

__all__ = ["SAFE_SECONDS", "Way", "body_of", "take"]

SAFE_SECONDS = 10.0
"""An fsync takes milliseconds, on a busy disk a second: beyond this it is stuck."""
_LOOK_SECONDS = 0.5
_REPEAT = "repeat the request; they may be stored all the same, with an Idempotency-Key only once"
_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,253}[\x21-\x7e])?")


class Way(NamedTuple):
    """One way in: its signal; the bytes that say what was taken, and the response that carries them.

    `name`, at most 16 ASCII letters, keeps apart what the same bytes mean under the same Idempotency-Key.
    """

    name: str
    told: Callable[[Intake], bytes]
    response: Callable[[bytes], Response]
    signal: Signal = LOGS


def body_of(call: Call, content_encoding: str | None = None) -> bytes:
    """The request's body, decoded and within bounds; the key's quota is looked at first. Raises Problem."""
    call.runtime.quotas.check(call.key)
    encoding = request.headers.get("Content-Encoding", "") if content_encoding is None else content_encoding
    limit = call.runtime.settings.whole("max_body")
    return bytes(
        read_body(request.stream, content_encoding=encoding, content_length=request.content_length, limit=limit)
    )


def take(call: Call, way: Way, body: bytes, parse: Callable[[int], Intake]) -> Response:
    """Keep what `parse`, given the time it was received in nanoseconds, reads of the body, and answer.

    `parse` must read the same every time; raises Problem, as this does.
    """
    value = request.headers.get("Idempotency-Key")
    if value is not None:
        return _once(call, way, value, body, parse)
    intake = parse(call.runtime.now_ns())
    if intake.events or intake.rejected:
        _keep(call, way, intake)
        call.runtime.quotas.charge(call.key, len(intake.events) + len(intake.rejected))
    return way.response(way.told(intake))


def _keep(call: Call, way: Way, intake: Intake) -> None:
    """All of it into the process's lane and fsynced, together with what other requests bring, or none of it."""
    most = call.runtime.settings.whole("buffer_bytes")
    if text_bytes(intake.events, intake.rejected, way.signal) > most:
        raise Problem(413, f"the events hold more than {most} bytes", field="body", fix="split the body")
    publisher = call.runtime.publisher_of(way.signal)
    publisher.emit_all(intake.events, intake.rejected)
    ends = time.monotonic() + SAFE_SECONDS
    while not publisher.flush(_LOOK_SECONDS, ack="spool"):
        publisher.emit_all(())  # raises where the spool has stopped working
        if time.monotonic() > ends:
            raise Problem(
                503, "the events could not be written to disk in time", fix=_REPEAT, retry_after=RETRY_SECONDS
            )


def _once(call: Call, way: Way, value: str, body: bytes, parse: Callable[[int], Intake]) -> Response:
    """The answer to a request under an Idempotency-Key, however often it comes within 24 hours."""
    if not _IDEMPOTENCY_KEY.fullmatch(value):
        raise Problem(
            400, "not a usable key", field="Idempotency-Key", fix="1 to 255 printable ASCII characters, a UUID for one"
        )
    runtime, scope, signal = call.runtime, call.key.id, way.signal
    digest = hashlib.blake2b(body, digest_size=16, person=way.name.encode()).digest()
    promise = runtime.promises.claim(scope, value, digest, len(runtime.catalog.partitions(signal.name)))
    if promise.digest != digest:
        raise Problem(
            422, "the key was used for another body within 24 hours", field="Idempotency-Key", fix="use a new one"
        )
    if promise.result is not None:
        return _replayed(way.response(promise.result))
    intake = parse(promise.created)
    publish_once(runtime, promise, frames_of(promise, intake, signal), signal)
    result = way.told(intake)
    runtime.promises.keep(scope, value, result)
    runtime.quotas.charge(call.key, len(intake.events) + len(intake.rejected))
    return way.response(result)


def _replayed(response: Response) -> Response:
    response.headers["Idempotent-Replayed"] = "true"
    return response

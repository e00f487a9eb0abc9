"""`GET /api/v1/logs/tail`: what arrives, as server-sent events."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import orjson
from flask import Response, request

from monitoring.api import asking
from monitoring.api.params import Whole
from monitoring.api.problems import Problem
from monitoring.api.routes import Answer, Call, Route
from monitoring.api.runtime import Runtime
from monitoring.pipeline.errors import MonitoringError
from monitoring.pipeline.query.completeness import complete_through
from monitoring.pipeline.query.follow import POLL_SECONDS, Follower
from monitoring.pipeline.query.histogram import DEFAULT_BUCKETS
from monitoring.pipeline.query.limits import MAX_EVENTS
from monitoring.pipeline.query.parse import parse
from monitoring.pipeline.query.ranges import EARLIEST, LATEST
from monitoring.pipeline.query.search import Order, Page

__all__ = ["ROUTES", "logs"]

HEARTBEAT_SECONDS = 15.0
"""A comment is sent after so long a silence: proxies cut silent connections, and a reader that left is noticed."""
RETRY_MS = 2000
"""When a browser connects again after an interruption."""


RECENT = Whole("limit", "of the newest events that are there already", default=0, most=MAX_EVENTS, least=0)


def logs(call: Call) -> Answer:
    """What arrives and matches, as server-sent events, for as long as somebody reads."""
    query = call.params.get("query", "")
    parse(query)
    recent = RECENT.of(call.params)
    follower = Follower(_Source(call.runtime), query, call.runtime.now_ns)
    position = _position(request.headers.get("Last-Event-ID"))
    with contextlib.ExitStack() as place:
        place.enter_context(call.runtime.streams_gate.entered())
        stream = _stream(call, follower, recent, position)
        response = Response(stream, mimetype="text/event-stream")
        response.call_on_close(place.pop_all().close)
    response.headers["X-Accel-Buffering"] = "no"  # nginx would keep events until it has a buffer full
    return response


def _position(sent: str | None) -> int | None:
    if not sent:
        return None
    if not sent.isascii() or not sent.isdecimal() or len(sent) > 20 or not EARLIEST < int(sent) < LATEST:
        raise Problem(
            400, "not an id of this stream", field="Last-Event-ID", fix="send the last id as it came, or none"
        )
    return int(sent)


def _stream(call: Call, follower: Follower, recent: int, position: int | None) -> Iterator[bytes]:
    events = follower.begin(EARLIEST, recent) if position is None else follower.resume(position)
    yield b"retry: %d\n\n" % RETRY_MS  # whoever has read this misses nothing that comes from now on
    spoke = time.monotonic()
    while True:
        pieces = [_message(event, follower.position) for event in events]
        if follower.missed:
            pieces.append(b'event: missed\ndata: {"missed":%d}\n\n' % follower.missed)
        if not pieces and time.monotonic() - spoke > HEARTBEAT_SECONDS:
            pieces.append(b": nothing new\n\n")
        if pieces:
            yield b"".join(pieces)
            spoke = time.monotonic()
        time.sleep(POLL_SECONDS)
        if call.runtime.stopping() or not call.still_allowed("viewer"):
            return
        with contextlib.suppress(MonitoringError):  # best effort: the next look finds what this one could not
            events = []
            events = follower.look()


def _message(event: dict[str, Any], position: int) -> bytes:
    return b"id: %d\ndata: %s\n\n" % (position, orjson.dumps(event))


class _Source:
    """The store as following sees it. A look takes its turn like any query."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def page(self, query: str, start: int, end: int, *, order: Order, limit: int, cursor: str | None) -> Page:
        with self._runtime.gate.entered():
            return self._runtime.store.search(
                query, start, end, order=order, limit=limit, cursor=cursor, deadline=asking.deadline(self._runtime)
            )

    def count(self, query: str, start: int) -> int:
        with self._runtime.gate.entered():
            found = self._runtime.store.histogram(
                query, start, LATEST, buckets=DEFAULT_BUCKETS, deadline=asking.deadline(self._runtime)
            )
        return sum(counts.total() for counts in found.counts)

    def complete_through(self) -> int | None:
        runtime = self._runtime
        try:
            return complete_through(runtime.streams, runtime.catalog.partitions(), runtime.now_ns())
        except MonitoringError:
            return None


ROUTES = (Route("GET", "/api/v1/logs/tail", "viewer", logs, (asking.QUERY, RECENT)),)

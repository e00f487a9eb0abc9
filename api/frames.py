"""`/api/v1/frames`: the bus for services that cannot reach it. Each method is one of `Transport`'s.

    GET  /api/v1/frames                                   -> {"partitions": {"logs": 2, "metrics": 1}}
    POST /api/v1/frames?signal&partition&lane   records   -> 202 {"ids": […], "low": n, "full": false}
    GET  /api/v1/frames?signal&partition&lane&id          -> {"present": true}
    PUT  /api/v1/frames?signal&partition&lane   JSON      -> 204

The lanes stay those of the service: it retains each frame until the watermark `low` has passed it, so what
is lost between here and the store is sent again, and what comes twice is absorbed by the store's marks.
"""

from __future__ import annotations

import re
from typing import Any

import orjson
from flask import Response, request

from monitoring.api.body import read_body
from monitoring.api.params import OneOf, Text, Whole
from monitoring.api.problems import Problem
from monitoring.api.routes import DATA, Answer, Call, Route
from monitoring.pipeline.bus.frame import Frame, iter_records
from monitoring.pipeline.errors import FrameCorrupt, SignalUnknown
from monitoring.pipeline.events.signals import SIGNALS

__all__ = ["ROUTES", "ask", "publish", "report"]

SIGNAL = OneOf("signal", "of the lane", choices=tuple(SIGNALS))
PARTITION = Whole("partition", "of the lane, for good", least=0, most=999_999)
LANE = Text("lane", "32 lower-case hex digits", longest=32)
ENTRY_ID = Text("id", "of an entry of the stream", longest=41)
LANE_OF = (SIGNAL, PARTITION, LANE)

MAX_REPORT_BYTES = 1 << 16
_LANE = re.compile(r"[0-9a-f]{32}")
_ENTRY_ID = re.compile(r"[0-9]{1,20}-[0-9]{1,20}")


def ask(call: Call) -> Answer:
    """How many partitions there are; with `id`, whether that entry still waits."""
    if not call.params:
        return {"partitions": {signal: count for signal in SIGNALS if (count := _partitions(call, signal))}}
    signal, partition, _ = _address(call)
    entry_id = call.params.get("id", "")
    if not _ENTRY_ID.fullmatch(entry_id):
        raise Problem(400, "not an entry id", field="id", fix="one of the ids that POST answered, like 1700000000000-0")
    return {"present": call.runtime.transport.present(signal, partition, entry_id)}


def publish(call: Call) -> Answer:
    """Append frames to their stream, in order; no frames: only ask for the watermark."""
    signal, partition, lane = _address(call)
    call.runtime.quotas.check(call.key)
    body = read_body(
        request.stream,
        content_encoding=request.headers.get("Content-Encoding", ""),
        content_length=request.content_length,
        limit=call.runtime.settings.whole("max_body"),
    )
    frames = _frames(bytes(body), signal, lane)
    ids, low, full = call.runtime.transport.publish(signal, partition, lane, frames)
    call.runtime.quotas.charge(call.key, sum(frame.count for frame in frames))
    return {"ids": ids, "low": low, "full": full}, 202


def report(call: Call) -> Answer:
    """Keep what a lane's producer says of itself."""
    signal, partition, lane = _address(call)
    body = read_body(request.stream, content_encoding="", content_length=request.content_length, limit=MAX_REPORT_BYTES)
    try:
        facts: Any = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Problem(400, f"not JSON: {error}", field="body", fix="send one JSON object") from error
    if not isinstance(facts, dict):
        raise Problem(400, "not a JSON object", field="body", fix="send one JSON object")
    call.runtime.transport.report(signal, partition, lane, facts)
    return Response(status=204)


def _address(call: Call) -> tuple[str, int, str]:
    """Signal, partition and lane of the request. Raises Problem where one is missing or cannot be."""
    signal, partition, lane = (call.params.get(name, "") for name in ("signal", "partition", "lane"))
    count = _partitions(call, signal) if signal in SIGNALS else 0
    if not count:
        raise Problem(400, "not a signal that this instance takes", field="signal", fix="one that GET tells, like logs")
    if not _LANE.fullmatch(lane):
        raise Problem(400, "not a lane", field="lane", fix="32 lower-case hex digits")
    if not partition.isdecimal() or len(partition) > 6 or not int(partition) < count:
        raise Problem(400, "not a partition", field="partition", fix=f"a number from 0 to {count - 1}")
    return signal, int(partition), lane


def _partitions(call: Call, signal: str) -> int:
    """How many partitions the signal has; 0 where this instance takes none of it."""
    try:
        return call.runtime.partitions(signal)
    except SignalUnknown:
        return 0


def _frames(body: bytes, signal: str, lane: str) -> list[Frame]:
    """The frames of the body, all whole and all of this lane. Raises Problem that names the record."""
    frames: list[Frame] = []
    whole = 0
    for frame, end in iter_records(body):
        whole = end
        try:
            frame.verify()
        except FrameCorrupt as error:
            raise _bad_record(len(frames), str(error)) from error
        if frame.lane != lane or frame.signal != signal:
            raise _bad_record(len(frames), f"it is of lane {frame.lane} and signal {frame.signal}")
        frames.append(frame)
    if whole != len(body):
        raise _bad_record(len(frames), "it is torn, changed or no frame")
    return frames


def _bad_record(index: int, what: str) -> Problem:
    return Problem(
        400, f"record {index + 1}: {what}", field="body", fix="send this and the later records again from their source"
    )


ROUTES = (
    Route("GET", "/api/v1/frames", "ingest", ask, (*LANE_OF, ENTRY_ID)),
    Route("POST", "/api/v1/frames", "ingest", publish, LANE_OF, audit=DATA, body=("application/octet-stream",)),
    Route("PUT", "/api/v1/frames", "ingest", report, LANE_OF, audit=DATA, body=("application/json",)),
)

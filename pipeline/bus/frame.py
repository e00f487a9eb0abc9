"""The wire: one frame carries many rows of one lane: log events, or metric deltas.

A frame is one entry of a stream; its fields are the names on the left. The same frame in a spool, in
`ingest.db` or in the body of `POST /api/v1/frames` is a record: the fields before the payload as one
line of JSON, then the payload.

    v               "1"
    lane            32 hex digits, the UUID of the sequence this frame belongs to
    seq             1, 2, 3, … within the lane, without gaps
    released_below  the lane's producer has forgotten every seq below this one: they are committed
    signal          "logs" | "metrics"
    count           rows in the payload, rejected ones included
    created         nanoseconds since 1970, when the frame was sealed
    digest          32 hex digits, BLAKE2b-128 of the other fields and the payload
    counters        JSON {"emitted": n, "dropped": {reason: n}}: the lane's totals up to this frame, so that
                    emitted = sum of count over all frames so far + dropped
    encoding        "json"
    payload         {"columns": [[…timestamps…], …], "rejected": [[reason, base64, source, line], …]}
                    the columns are those of the signal's rows (pipeline/events/signals.py)

    record   +--------+-------------+--------------+----------+-----------+---------+
             | "MFR1" | header: u32 | payload: u32 | crc: u32 | header …  | payload |
             +--------+-------------+--------------+----------+-----------+---------+
              lengths are big-endian; crc is CRC-32 of header and payload

A column is a list with a value for each row, or a single value that all of them share. In a signal's repeating
columns it may be {"values": […], "rows": […]}: the different values and, for each row, which of them it has. 500 deltas
of 10 families take 95 bytes each that way, 309 as plain lists (`python -m bench.metrics`).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from monitoring.pipeline.errors import FrameCorrupt
from monitoring.pipeline.events.event import Rejected
from monitoring.pipeline.events.signals import LOGS, SIGNALS, Row, Signal

__all__ = [
    "MAX_FRAME_BYTES",
    "MAX_FRAME_EVENTS",
    "Columns",
    "Frame",
    "collapse",
    "decode_payload",
    "encode_columns",
    "encode_payload",
    "iter_records",
    "seal",
]

MAX_FRAME_EVENTS = 10_000
"""Most events in a frame: what a drain commits at a time."""
MAX_FRAME_BYTES = 8 << 20
"""Largest payload. Publishers aim at a quarter MiB; a single event may be large (MAX_EVENT_BYTES, escaped)."""
_MAX_HEADER_BYTES = 1 << 16
_RECORD = struct.Struct(">4sIII")
_MAGIC = b"MFR1"
_NUMBERS = 2  # the first two columns of every row are integers; the others are text

Columns = list[Any]
"""One entry a column of the signal: a list of values, or the one value that all rows share."""


@dataclass(frozen=True, slots=True)
class Frame:
    """Many rows of one lane, sealed: it never changes and is sent until it is committed."""

    lane: str
    seq: int
    released_below: int
    signal: str
    count: int
    created: int
    digest: str
    counters: dict[str, Any]
    encoding: str
    payload: bytes

    def fields(self) -> dict[str, str | int | bytes]:
        """The frame as the fields of a stream entry."""
        return {**self._header(), "digest": self.digest, "payload": self.payload}

    def to_record(self) -> bytes:
        """The frame as one self-delimiting record."""
        header = orjson.dumps({**self._header(), "digest": self.digest})
        crc = zlib.crc32(self.payload, zlib.crc32(header))
        return _RECORD.pack(_MAGIC, len(header), len(self.payload), crc) + header + self.payload

    def expected_digest(self) -> str:
        """The digest that these fields and this payload should carry."""
        return _digest(self._header(), self.payload)

    def _header(self) -> dict[str, str | int]:
        return {
            "v": 1,
            "lane": self.lane,
            "seq": self.seq,
            "released_below": self.released_below,
            "signal": self.signal,
            "count": self.count,
            "created": self.created,
            "counters": orjson.dumps(self.counters, option=orjson.OPT_SORT_KEYS).decode(),
            "encoding": self.encoding,
        }

    @classmethod
    def from_fields(cls, fields: Mapping[bytes, bytes]) -> Frame:
        """The frame of a stream entry. Raises FrameCorrupt; the digest is checked by `verify`."""
        try:
            if fields[b"v"] != b"1":
                raise FrameCorrupt(f"frame version {fields[b'v']!r} is not known to this release; upgrade it")
            counters = orjson.loads(fields[b"counters"])
            frame = cls(
                lane=fields[b"lane"].decode("ascii"),
                seq=int(fields[b"seq"]),
                released_below=int(fields[b"released_below"]),
                signal=fields[b"signal"].decode("ascii"),
                count=int(fields[b"count"]),
                created=int(fields[b"created"]),
                digest=fields[b"digest"].decode("ascii"),
                counters=counters,
                encoding=fields[b"encoding"].decode("ascii"),
                payload=fields[b"payload"],
            )
            _check_header(frame)
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise FrameCorrupt(f"not a frame: {type(error).__name__}: {error}") from error
        return frame

    def verify(self) -> None:
        """Raises FrameCorrupt unless the digest fits."""
        if self.expected_digest() != self.digest:
            raise FrameCorrupt(f"frame {self.lane}/{self.seq}: the digest does not fit, its bytes were changed")


def _check_header(frame: Frame) -> None:
    if len(frame.lane) != 32 or int(frame.lane, 16) < 0 or frame.lane != frame.lane.lower():
        raise ValueError("lane is not 32 lower-case hex digits")
    if not 1 <= frame.seq < 1 << 62 or not 1 <= frame.released_below <= frame.seq:
        raise ValueError("seq or released_below is out of range")
    if not 0 < frame.count <= MAX_FRAME_EVENTS or not 0 <= frame.created < 1 << 63:
        raise ValueError("count or created is out of range")
    if len(frame.payload) > MAX_FRAME_BYTES or frame.encoding != "json":
        raise ValueError("the payload is too large or its encoding unknown")
    counters = frame.counters
    if type(counters) is not dict or type(counters["emitted"]) is not int or type(counters["dropped"]) is not dict:
        raise ValueError("counters are malformed")
    if any(type(count) is not int or count < 0 for count in (counters["emitted"], *counters["dropped"].values())):
        raise ValueError("counters are malformed")


def _digest(header: Mapping[str, str | int], payload: bytes) -> str:
    state = hashlib.blake2b(orjson.dumps(header), digest_size=16)
    state.update(payload)
    return state.hexdigest()


def seal(
    *,
    lane: str,
    seq: int,
    released_below: int,
    signal: str,
    count: int,
    created: int,
    counters: dict[str, Any],
    payload: bytes,
) -> Frame:
    """A frame with its digest computed."""
    open_frame = Frame(lane, seq, released_below, signal, count, created, "", counters, "json", payload)
    return Frame(
        lane,
        seq,
        released_below,
        signal,
        count,
        created,
        open_frame.expected_digest(),
        counters,
        "json",
        payload,
    )


def encode_payload(rows: Sequence[Row], rejected: Sequence[Rejected] = (), signal: Signal = LOGS) -> bytes:
    """The payload for these rows. Raises TypeError where a text holds lone surrogates."""
    return encode_columns(collapse(list(zip(*rows, strict=True))), rejected, signal)


def collapse(columns: Sequence[Sequence[Any]]) -> Columns:
    """Columns with the one value in place of many equal ones; a look at both ends spares most columns the count."""
    return [
        column[0] if column[0] == column[-1] and column.count(column[0]) == len(column) else column
        for column in columns
    ]


def encode_columns(columns: Columns, rejected: Sequence[Rejected] = (), signal: Signal = LOGS) -> bytes:
    """`encode_payload` for rows that are turned into columns and collapsed already."""
    if columns and signal.repeating:
        columns = list(columns)
        for place in signal.repeating:
            columns[place] = _numbered(columns[place])
    body: dict[str, Any] = {"columns": columns}
    if rejected:
        body["rejected"] = [[r.reason, base64.b64encode(r.raw).decode(), r.source, r.line] for r in rejected]
    return orjson.dumps(body)


def _numbered(column: Any) -> Any:
    """The column's different values and which of them each row has, if that is shorter: each comes twice or more."""
    if type(column) is str or len(values := dict.fromkeys(column)) * 2 > len(column):
        return column
    places = {value: place for place, value in enumerate(values)}
    return {"values": list(values), "rows": [places[value] for value in column]}


class Payload(NamedTuple):
    """A decoded payload: so many events (rows) in columns, and the rejected."""

    events: int
    columns: Columns
    rejected: list[Rejected]


def decode_payload(frame: Frame) -> Payload:
    """The rows of a frame, still in columns and checked for shape and type. Raises FrameCorrupt."""
    try:
        signal = SIGNALS.get(frame.signal)
        if signal is None:
            raise ValueError(f"the signal {frame.signal!r} is not known to this release; upgrade it")
        body = orjson.loads(frame.payload)
        columns = body["columns"]
        rejected = [
            Rejected(str(reason), base64.b64decode(raw), str(source), int(line))
            for reason, raw, source, line in body.get("rejected", ())
        ]
        count = frame.count - len(rejected)
        if columns:
            _check_columns(columns, count, signal)
        elif count:
            raise ValueError(f"{count} rows are announced and none is there")
    except (ValueError, TypeError, KeyError, AttributeError, binascii.Error) as error:
        raise FrameCorrupt(f"frame {frame.lane}/{frame.seq}: {error}") from error
    return Payload(count, columns, rejected)


def _check_columns(columns: Columns, count: int, signal: Signal) -> None:
    """Check the columns, and spell the numbered ones out."""
    names = signal.columns
    if type(columns) is not list or len(columns) != len(names):
        raise ValueError(f"{len(names)} columns are expected")
    for place in signal.repeating:
        if type(columns[place]) is dict:
            columns[place] = _spelt_out(columns[place])
    for index, column in enumerate(columns):
        values = column if type(column) is list else [column]
        if type(column) is list and len(column) != count:
            raise ValueError(f"column {names[index]} has {len(column)} values for {count} rows")
        kinds = set(map(type, values))
        if kinds != {int if index < _NUMBERS else str}:
            raise ValueError(f"column {names[index]} holds values of another type")


def _spelt_out(column: dict[str, Any]) -> list[Any]:
    values, rows = column["values"], column["rows"]
    if type(values) is not list or set(map(type, rows)) != {int} or min(rows) < 0 or max(rows) >= len(values):
        raise ValueError("a numbered column names values that it does not have")
    return [values[row] for row in rows]


def iter_records(data: bytes) -> Iterator[tuple[Frame, int]]:
    """Frames of a run of records, each with the offset behind it; stops silently at a torn or foreign tail.

    The caller compares the last offset with the length to learn whether a tail was left.
    """
    offset = 0
    view = memoryview(data)
    while offset + _RECORD.size <= len(data):
        magic, header_length, payload_length, crc = _RECORD.unpack_from(data, offset)
        end = offset + _RECORD.size + header_length + payload_length
        if magic != _MAGIC or header_length > _MAX_HEADER_BYTES or payload_length > MAX_FRAME_BYTES or end > len(data):
            return
        middle = offset + _RECORD.size + header_length
        header, payload = bytes(view[offset + _RECORD.size : middle]), bytes(view[middle:end])
        if zlib.crc32(payload, zlib.crc32(header)) != crc:
            return
        try:
            fields = {key.encode(): str(value).encode() for key, value in orjson.loads(header).items()}
            frame = Frame.from_fields({**fields, b"payload": payload})
        except (FrameCorrupt, ValueError, AttributeError):
            return
        yield frame, end
        offset = end

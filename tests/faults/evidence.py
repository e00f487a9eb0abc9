"""What lies in a data directory, read without any of the product's code: rows, index, roll-ups, letters, marks.

Standard library only. Formats are read as they are documented, a second time, on purpose: a mistake that the
product makes in writing and reading alike would stay unseen otherwise.
"""

from __future__ import annotations

import base64
import json
import sqlite3
import struct
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Lane", "Letter", "Record", "Segment", "connect", "decode_record", "partitions"]

_EPOCH_US = 946_684_800_000_000
_MINUTE = 60_000_000
_RECORD = struct.Struct(">4sIII")
_APPLIED = struct.Struct("<q8sIq")
_TOKEN = "\ue000"
_FIELDS = ("timestamp", "level", "service", "environment", "release", "logger", "host", "message",
           "trace_id", "span_id", "request_id", "exception", "attributes")  # fmt: skip


@contextmanager
def connect(path: Path) -> Iterator[sqlite3.Connection]:
    """A read-only connection that sees one state of the file, its WAL included."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10.0)) as connection:
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute("BEGIN")
        yield connection


def partitions(data: Path, signal: str = "logs") -> dict[int, list[Path]]:
    """Segment files by partition, in order."""
    folders = sorted((data / signal).glob("p[0-9]*"))
    return {int(folder.name[1:]): sorted(folder.glob("[0-9]*.db")) for folder in folders}


@dataclass(frozen=True, slots=True)
class Record:
    """A frame out of its record: header fields, and the events and rejected inputs in it."""

    header: dict[str, Any]
    events: list[list[Any]]
    rejected: list[bytes]


def decode_record(data: bytes) -> Record:
    """The frame in a record. Raises ValueError for anything else."""
    if len(data) < _RECORD.size:
        raise ValueError("too short for a record")
    magic, header_length, payload_length, crc = _RECORD.unpack_from(data)
    body = data[_RECORD.size :]
    if magic != b"MFR1" or len(body) != header_length + payload_length or zlib.crc32(body) != crc:
        raise ValueError("not an intact record")
    header = json.loads(body[:header_length])
    payload = json.loads(body[header_length:])
    rejected = [base64.b64decode(item[1]) for item in payload.get("rejected", ())]
    count = header["count"] - len(rejected)
    columns = [column if isinstance(column, list) else [column] * count for column in payload["columns"]]
    return Record(header, [list(values) for values in zip(*columns, strict=True)], rejected)


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter as it stands in its table."""

    kind: str
    lane: str
    seq: int
    reason: str
    raw: bytes

    def contents(self) -> tuple[list[list[Any]], list[bytes]]:
        """The events (fields in order) and raw inputs in it. Raises ValueError where it cannot be told."""
        if self.kind == "input":
            return [], [self.raw]
        if self.raw[:4] == b"MFR1":
            record = decode_record(self.raw)
            return record.events, record.rejected
        if self.kind == "poison" and self.raw[:1] == b"{":
            event = json.loads(self.raw)
            return [[event[name] for name in _FIELDS]], []
        if self.kind == "poison":
            return [], [self.raw]
        raise ValueError(f"a letter of kind {self.kind} that holds no frame")


@dataclass(frozen=True, slots=True)
class Lane:
    """The mark of a lane; `waiting` are the seqs applied beyond a gap."""

    lane: str
    low: int
    residual: int
    missing: int
    waiting: list[int]
    committed: int
    dead_lettered: int
    emitted: int
    dropped: int


class Segment:
    """One segment file, open for reading."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        connection.create_function("minute_of", 1, lambda row_id: (row_id >> 12) // _MINUTE, deterministic=True)
        cursor = connection.execute("SELECT * FROM head")
        self.head: dict[str, Any] = dict(
            zip([column[0] for column in cursor.description], cursor.fetchone(), strict=True)
        )

    def count(self, table: str) -> int:
        """Rows of a table."""
        return self._count(f"SELECT 1 FROM {table}")

    def events(self) -> Iterator[tuple[int, list[Any]]]:
        """Row id and the fields of each event, as its producer gave them."""
        dimension: dict[int, str] = dict(self._connection.execute("SELECT id, value FROM dimension"))
        resources = {
            number: json.loads(value)
            for number, value in self._connection.execute("SELECT id, value FROM dimension WHERE kind = 'resource'")
        }
        rows = self._connection.execute(
            "SELECT id, offset_ns, level, service, resource, logger, host, message, trace_id, span_id, request_id,"
            " exception, attributes FROM log ORDER BY id"
        )
        for row_id, offset, level, service, resource, logger, host, *texts in rows:
            of = resources[resource]
            yield row_id, [
                ((row_id >> 12) + _EPOCH_US) * 1000 + offset, level, dimension[service], of.get("environment", ""),
                of.get("release", ""), dimension[logger], dimension[host], *texts,
            ]  # fmt: skip

    def bounds(self) -> tuple[int | None, int | None, int]:
        """Least and greatest id, and the furthest (microseconds) an id lies behind its true time."""
        least, greatest, offset = self._connection.execute(
            "SELECT min(id), max(id), min(offset_ns) FROM log"
        ).fetchone()
        return least, greatest, max(0, -((offset or 0) // 1000))

    def letters(self) -> Iterator[Letter]:
        """The dead letters."""
        for row in self._connection.execute("SELECT kind, lane, seq, reason, CAST(raw AS BLOB) FROM dead_letter"):
            yield Letter(*row)

    def lanes(self) -> list[Lane]:
        """The marks."""
        rows = self._connection.execute(
            "SELECT lane, low, through, accounted, missing, window, committed, dead_lettered, emitted, dropped"
            " FROM mark"
        )
        return [
            Lane(
                lane, low, through - accounted, missing,
                [seq for seq, *_ in _APPLIED.iter_unpack(window) if seq > low],
                committed, dead, emitted, sum(json.loads(dropped).values()),
            )
            for lane, low, through, accounted, missing, window, committed, dead, emitted, dropped in rows
        ]  # fmt: skip

    def minutes_that_differ(self) -> int:
        """Rows of the roll-up that disagree with the events."""
        actual = "SELECT minute_of(id) AS m, service, level, count(*) FROM log GROUP BY m, service, level"
        stored = "SELECT minute, service, level, count FROM minute"
        return self._count(f"{actual} EXCEPT {stored}") + self._count(f"{stored} EXCEPT {actual}")

    def index_that_differs(self, word: str = "evt_") -> list[str]:
        """What the text index has wrong: each event's key (words that begin with `word`), level, service and host."""
        self._connection.execute(
            "CREATE VIRTUAL TABLE IF NOT EXISTS temp.vocabulary USING fts5vocab('main', 'text', 'instance')"
        )
        troubles = []
        for column, first, token in (
            ("request_id", word, "request_id"),
            ("level", f"{_TOKEN}l", f"'{_TOKEN}l' || ((level - 1) / 4)"),
            ("service", f"{_TOKEN}s", f"'{_TOKEN}s' || service"),
            ("host", f"{_TOKEN}h", f"'{_TOKEN}h' || host"),
        ):
            last = first[:-1] + chr(ord(first[-1]) + 1)
            indexed = f"SELECT term, doc FROM temp.vocabulary WHERE term >= '{first}' AND term < '{last}'"
            stored = f"SELECT {token} AS term, id FROM log WHERE term >= '{first}' AND term < '{last}'"
            lacking, foreign = self._count(f"{stored} EXCEPT {indexed}"), self._count(f"{indexed} EXCEPT {stored}")
            doubled = self._count(indexed) - self._count(stored) + lacking - foreign
            if lacking or foreign or doubled:
                troubles.append(f"the index of {column} lacks {lacking}, has {foreign} foreign and {doubled} double")
        return troubles

    def _count(self, query: str) -> int:
        return int(self._connection.execute(f"SELECT count(*) FROM ({query})").fetchone()[0])

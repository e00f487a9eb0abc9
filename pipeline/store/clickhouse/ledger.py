"""The ledger: a segment of logs whose rows lie on a server. It knows what was committed, and what is still to be sent.

A commit of a ledger is marks, dead letters, derived metrics and, in the table `outgoing`, the inserts that bring the
rows to the server, byte for byte: one for each day of the events. From then on they will be sent until the server has
them, by whoever holds the partition; an insert that is sent twice is stored once, for the server knows its token. See
docs/decisions/clickhouse-ledger.md.
"""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, NamedTuple

import apsw
import orjson

from monitoring.pipeline import failpoint
from monitoring.pipeline.bus.frame import Frame, Payload
from monitoring.pipeline.derived import outbox as derived_outbox
from monitoring.pipeline.derived.keeping import Keeping
from monitoring.pipeline.query.tokens import Tokenizer
from monitoring.pipeline.store.clickhouse.rows import DAY_NS, SentRows, block, days, rows_of
from monitoring.pipeline.store.clickhouse.words import tokenizer
from monitoring.pipeline.store.contents import Extent, Understood, rejected_letters
from monitoring.pipeline.store.rows import EPOCH_US, ID_SHIFT, Dimensions, id_floor, resource_text

__all__ = ["LedgerContents", "Outgoing"]

_MINUTE_NS = 60_000_000_000
_COMPRESSION = 1
"""gzip's fastest: a quarter of the size at 30 ms a megabyte of columns, for the disk here and the way there."""
_SCRATCH = """
CREATE TEMP TABLE IF NOT EXISTS log(
  id INTEGER PRIMARY KEY, offset_ns INTEGER, level INTEGER, service INTEGER, resource INTEGER, logger INTEGER,
  host INTEGER, message TEXT, trace_id TEXT, span_id TEXT, request_id TEXT, exception TEXT, attributes TEXT)
"""


class Outgoing(NamedTuple):
    """An insert that the server may not have yet. `frames` are lane, seq and number of events of the frames in it."""

    batch: int
    day: int
    rows: int
    frames: list[tuple[str, int, int]]
    token: str
    body: bytes


class LedgerContents(Keeping):
    """The tables of a ledger, open for writing. See `contents.Contents`."""

    schema: ClassVar[str] = (
        """
CREATE TABLE outgoing(
  batch INTEGER, day INTEGER, rows INTEGER NOT NULL, frames TEXT NOT NULL, token TEXT NOT NULL UNIQUE,
  body BLOB NOT NULL, PRIMARY KEY(batch, day));
CREATE TABLE sent(one INTEGER PRIMARY KEY CHECK(one = 1), batch INTEGER NOT NULL);
CREATE TABLE day(day INTEGER PRIMARY KEY, rows INTEGER NOT NULL);
CREATE TABLE minute(minute INTEGER PRIMARY KEY, count INTEGER NOT NULL);
INSERT INTO sent VALUES(1, 0);
"""
        + derived_outbox.SCHEMA
    )

    def __init__(self, connection: apsw.Connection) -> None:
        self._split: Tokenizer | None = None
        self._sent: set[str] = set()
        super().__init__(connection)
        connection.execute("PRAGMA temp_store = MEMORY").fetchall()
        self.forget()

    def set_memory(self, *, large: bool) -> None:
        """See Contents. There is no index here."""

    def forget(self) -> None:
        """See Contents."""
        super().forget()
        self._names = Dimensions()  # repeated strings, by numbers that only what is derived knows

    def empty(self) -> SentRows:
        """See Contents."""
        return SentRows()

    def understand(self, frame: Frame, payload: Payload, now_ns: int) -> Understood:
        """See Contents. Every event that a payload can hold can be stored."""
        rows = rows_of(frame, payload.columns, payload.events)
        return Understood(rows, rejected_letters(frame, payload, now_ns), range(payload.events))

    def insert(self, rows: SentRows) -> Extent | None:
        """See Contents. Writes the inserts that bring the rows to the server."""
        self.forget_sent()
        if not rows:
            return None
        rows = rows.by_time()
        times = rows.column("timestamp")
        failpoint.poison(rows.column("message"))
        self._put(rows)
        self._count("day", "rows", Counter(time // DAY_NS for time in times))
        self._count("minute", "count", Counter(time // _MINUTE_NS for time in times))
        self._gather(rows)
        return Extent(id_floor(times[0]), id_floor(times[-1]))

    def _put(self, rows: SentRows) -> None:
        connection, now_ns = self._connection, self._now_ns()
        self._split = self._split or tokenizer()
        last = connection.execute("SELECT batch FROM sent").get
        batch = max(last + 1, now_ns // 1000)
        partition = connection.execute("SELECT partition FROM head").get
        for day, part in days(rows):
            some = rows[part]
            body = block(
                some, self._split, partition=partition, batch=batch, first=part.start, received=now_ns // 10**9
            )
            frames = Counter(zip(some.column("lane"), some.column("seq"), strict=True))
            connection.execute(
                "INSERT INTO outgoing VALUES(?, ?, ?, ?, ?, ?)",
                (batch, day, len(some), orjson.dumps([[*frame, count] for frame, count in frames.items()]).decode(),
                 f"{partition}-{batch}-{day}", gzip.compress(body, _COMPRESSION, mtime=0)),
            )  # fmt: skip
        connection.execute("UPDATE sent SET batch = ?", (batch,))

    def _count(self, table: str, column: str, counts: Counter[int]) -> None:
        self._connection.executemany(
            f"INSERT INTO {table} VALUES(?1, ?2) ON CONFLICT DO UPDATE SET {column} = {column} + ?2",
            counts.items(),
        )

    def _gather(self, rows: SentRows) -> None:
        """Derive metrics as a segment does, from a table that lives as long as this takes."""
        if self._gatherer is None:
            return self._derive((), self._names)
        connection, number = self._connection, self._names.number
        connection.execute(_SCRATCH)
        origins = [
            (number("service", service), number("resource", resource_text(environment, release)),
             number("logger", logger), number("host", host))
            for service, environment, release, logger, host in zip(
                *(rows.column(name) for name in ("service", "environment", "release", "logger", "host")), strict=True
            )
        ]  # fmt: skip
        texts = (rows.column(name) for name in (
            "message", "trace_id", "span_id", "request_id", "exception", "attributes"))  # fmt: skip
        ids = range(1, len(rows) + 1)
        connection.executemany(
            "INSERT INTO temp.log VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?)",
            (
                (row_id, time - ((row_id >> ID_SHIFT) + EPOCH_US) * 1000, level, *origin, *values)
                for row_id, time, level, origin, *values in zip(
                    ids, rows.column("timestamp"), rows.column("level"), origins, *texts, strict=True
                )
            ),
        )
        self._derive(ids, self._names)
        connection.execute("DELETE FROM temp.log")
        return None

    # ------------------------------------------------------------------ on the way to the server

    def outgoing(self) -> list[Outgoing]:
        """What the server may not have yet, in order."""
        tokens = [token for (token,) in self._connection.execute("SELECT token FROM outgoing ORDER BY batch, day")]
        self._sent &= set(tokens)
        return [self._read(token) for token in tokens if token not in self._sent]

    def _read(self, token: str) -> Outgoing:
        query = "SELECT batch, day, rows, frames, token, body FROM outgoing WHERE token = ?"
        batch, day, rows, frames, _, body = self._connection.execute(query, (token,)).get
        return Outgoing(batch, day, rows, [tuple(each) for each in orjson.loads(frames)], token, body)

    def note_sent(self, item: Outgoing) -> None:
        """The server has it; the next commit forgets it."""
        self._sent.add(item.token)

    @property
    def unforgotten(self) -> bool:
        """Whether there is something for `forget_sent`."""
        return bool(self._sent)

    def forget_sent(self) -> None:
        """Forget what the server has, within a transaction of the caller's."""
        self._connection.executemany("DELETE FROM outgoing WHERE token = ?", [(token,) for token in self._sent])

    # ------------------------------------------------------------------ as every segment

    @staticmethod
    def carried(connection: apsw.Connection, oldest_ns: int) -> Iterator[tuple[str, list[tuple[Any, ...]]]]:
        """See Contents: what is not sent, how many rows each day has, and what was derived."""
        yield from derived_outbox.carried(connection)
        if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'outgoing'").get:
            for table, columns in (("outgoing", 6), ("day", 2)):
                marks = ",".join("?" * columns)
                rows = list(connection.execute(f"SELECT * FROM {table}"))  # noqa: S608 - own names
                yield f"INSERT INTO {table} VALUES({marks})", rows
            yield "UPDATE sent SET batch = ?", list(connection.execute("SELECT batch FROM sent"))

    @staticmethod
    def disagreements(connection: apsw.Connection, rows: int, extent: tuple[int | None, int | None]) -> Iterator[str]:
        """See Contents. What the server has is another question."""
        counted = connection.execute("SELECT ifnull(sum(count), 0) FROM minute").get
        if counted != rows:
            yield f"its minutes count {counted} rows, but its head says {rows}"

    @staticmethod
    def received_since(connection: apsw.Connection, minute_ns: int) -> int:
        """See Contents."""
        query = "SELECT ifnull(sum(count), 0) FROM minute WHERE minute BETWEEN ?1 AND ?1 + 1"
        return int(connection.execute(query, (minute_ns // _MINUTE_NS,)).get)

    @staticmethod
    def compact(connection: apsw.Connection, stopped: Callable[[], bool]) -> bool:
        """See Contents. There is nothing to merge."""
        return True

    @staticmethod
    def committed_days(connection: apsw.Connection) -> dict[int, int]:
        """How many rows of each day were ever committed to the partition."""
        return dict(connection.execute("SELECT day, rows FROM day"))

"""What a segment of logs holds: events, their text index, roll-ups by minute."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

import apsw

from monitoring.pipeline import failpoint
from monitoring.pipeline.bus.frame import Frame, Payload
from monitoring.pipeline.derived import outbox as derived_outbox
from monitoring.pipeline.derived.keeping import Keeping
from monitoring.pipeline.store import census
from monitoring.pipeline.store.contents import Extent, Understood, rejected_letters
from monitoring.pipeline.store.rows import (
    EPOCH_US,
    ID_SHIFT,
    MICROSECONDS_A_MINUTE,
    MINUTE_SHIFT,
    Dimensions,
    Rows,
    allocate,
    rows_of,
)

__all__ = ["LogContents"]

_MERGE_PAGES = 2000
"""Pages of the index that a step writes: 8 MB, a tenth of a second, between two looks at the stop flag."""


class LogContents(Keeping):
    """The tables of the signal "logs" in one segment, open for writing. See `contents.Contents`."""

    schema: ClassVar[str] = (
        """
CREATE TABLE log(
  id INTEGER PRIMARY KEY, offset_ns INTEGER NOT NULL, level INTEGER NOT NULL, service INTEGER NOT NULL,
  resource INTEGER NOT NULL, logger INTEGER NOT NULL, host INTEGER NOT NULL, message TEXT NOT NULL,
  trace_id TEXT NOT NULL, span_id TEXT NOT NULL, request_id TEXT NOT NULL, exception TEXT NOT NULL,
  attributes TEXT NOT NULL);
CREATE VIRTUAL TABLE text USING fts5(
  words, content='', detail=none, columnsize=0, tokenize="unicode61 tokenchars '_'");
CREATE TABLE dimension(id INTEGER PRIMARY KEY, kind TEXT NOT NULL, value TEXT NOT NULL, UNIQUE(kind, value));
CREATE TABLE minute(
  minute INTEGER, service INTEGER, level INTEGER, count INTEGER NOT NULL,
  PRIMARY KEY(minute, service, level)) WITHOUT ROWID;
INSERT INTO text(text, rank) VALUES('automerge', 16);
"""
        + derived_outbox.SCHEMA
    )

    def __init__(self, connection: apsw.Connection) -> None:
        super().__init__(connection)
        self.set_memory(large=False)
        self.forget()

    def set_memory(self, *, large: bool) -> None:
        """The hash of the text index: 4 MB while events trickle, 16 under load."""
        self._hash_bytes = (16 if large else 4) << 20
        self._hash_set = False

    def forget(self) -> None:
        """See Contents."""
        super().forget()
        self._dimensions: Dimensions | None = None
        self._hints: dict[int, int] = {}

    @property
    def dimensions(self) -> Dimensions:
        """Repeated strings and their numbers."""
        if self._dimensions is None:
            self._dimensions = Dimensions(self._connection.execute("SELECT id, kind, value FROM dimension"))
        return self._dimensions

    def empty(self) -> Rows:
        """See Contents."""
        return Rows()

    def understand(self, frame: Frame, payload: Payload, now_ns: int) -> Understood:
        """See Contents. Every event that a payload can hold can be stored."""
        rows = rows_of(frame, payload.columns, payload.events, self.dimensions)
        return Understood(rows, rejected_letters(frame, payload, now_ns), range(payload.events))

    def insert(self, rows: Rows) -> Extent | None:
        """See Contents."""
        connection = self._connection
        connection.executemany("INSERT INTO dimension VALUES(?, ?, ?)", self.dimensions.take_new())
        if not rows:
            return None
        times, levels, services, *columns, words = rows.by_time().columns
        newest = connection.execute("SELECT max(id) FROM log").get
        ids = allocate(times, newest=newest, taken=self._taken, hints=self._hints)
        offsets, spill = _offsets(times, ids)
        failpoint.poison(words)
        connection.executemany(
            "INSERT INTO log VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?)",
            zip(ids, offsets, levels, services, *columns, strict=True),
        )
        if not self._hash_set:
            connection.execute("INSERT INTO text(text, rank) VALUES('hashsize', ?)", (self._hash_bytes,))
            self._hash_set = True
        connection.executemany("INSERT INTO text(rowid, words) VALUES(?, ?)", zip(ids, words, strict=True))
        minutes = _by_minute(ids, services, levels)
        connection.executemany(
            "INSERT INTO minute VALUES(?, ?, ?, ?)"
            " ON CONFLICT(minute, service, level) DO UPDATE SET count = count + excluded.count",
            [(*key, count) for key, count in minutes.items()],
        )
        self._derive(ids, self.dimensions)
        return Extent(ids[0], ids[-1], spill)

    def _taken(self, ids: Sequence[int]) -> set[int]:
        if isinstance(ids, range):
            found = self._connection.execute("SELECT id FROM log WHERE id BETWEEN ? AND ?", (ids[0], ids[-1]))
        else:
            found = self._connection.execute(
                "SELECT value FROM carray(?) WHERE EXISTS(SELECT 1 FROM log WHERE id = value)",
                (apsw.carray(array("q", ids)),),
            )
        return {row_id for (row_id,) in found}

    @staticmethod
    def carried(connection: apsw.Connection, oldest_ns: int) -> Iterator[tuple[str, list[tuple[Any, ...]]]]:
        """See Contents. An event stands for itself; what was derived and is not committed yet goes along."""
        yield from derived_outbox.carried(connection)

    @staticmethod
    def disagreements(connection: apsw.Connection, rows: int, extent: tuple[int | None, int | None]) -> Iterator[str]:
        """See Contents."""
        found, *ends = connection.execute("SELECT count(*), min(id), max(id) FROM log").get
        if (found, *ends) != (rows, *extent):
            yield f"{found} rows, but its head says {rows}, or their first and last ids differ"
        rolled_up = connection.execute("SELECT ifnull(sum(count), 0) FROM minute").get
        if rolled_up != found:
            yield f"{found} rows, but its roll-ups count {rolled_up}"
        levels = [f'"\ue000l{group}"' for group in range(6)]
        indexed = connection.execute("SELECT count(*) FROM text WHERE text MATCH ?", (" OR ".join(levels),)).get
        if indexed != found:
            yield f"{found} rows, but its text index knows {indexed}"

    @staticmethod
    def received_since(connection: apsw.Connection, minute_ns: int) -> int:
        """See Contents."""
        minute = (minute_ns // 1000 - EPOCH_US) // MICROSECONDS_A_MINUTE
        query = "SELECT ifnull(sum(count), 0) FROM minute WHERE minute BETWEEN ? AND ?"
        return int(connection.execute(query, (minute, minute + 1)).get)

    @staticmethod
    def compact(connection: apsw.Connection, stopped: Callable[[], bool]) -> bool:
        """Merge the text index, a step at a time, and take the census. See Contents.

        How to go in steps, and that a step with fewer than two changes was the last: sqlite.org/fts5.html, "merge".
        """
        pages = -_MERGE_PAGES  # a negative number begins to merge everything into one, the steps behind go on with it
        while not stopped():
            before = connection.total_changes()
            connection.execute("INSERT INTO text(text, rank) VALUES('merge', ?)", (pages,))
            if connection.total_changes() - before < 2:
                return census.build(connection, stopped)
            pages = _MERGE_PAGES
        return False


def _offsets(times: Sequence[int], ids: Sequence[int]) -> tuple[list[int], int]:
    """Nanoseconds from each id's time to the true time, and the furthest an id lies behind it, microseconds."""
    offsets = [time - ((row_id >> ID_SHIFT) + EPOCH_US) * 1000 for time, row_id in zip(times, ids, strict=True)]
    return offsets, max(0, -(min(offsets) // 1000))


def _by_minute(ids: Sequence[int], services: Sequence[int], levels: Sequence[int]) -> dict[tuple[int, int, int], int]:
    """How many rows of each minute, service and level; ids rise, so most batches are of one minute."""
    first = ids[0] // MINUTE_SHIFT
    if first == ids[-1] // MINUTE_SHIFT:
        pairs = Counter(zip(services, levels, strict=True))
        return {(first, service, level): count for (service, level), count in pairs.items()}
    return Counter(zip([row_id // MINUTE_SHIFT for row_id in ids], services, levels, strict=True))

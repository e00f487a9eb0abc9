"""A segment: one SQLite file with the rows of one partition, what is derived of them, marks and dead letters.

Active segments are in WAL mode and written by the partition's lease holder alone; a sealed one never changes
but for being compacted once, and where retention or a purge take events out of it (rewrite.py). All that a batch
changes is one transaction: rows, what is derived of them, dead letters and marks are there together or not at all.
Which tables the rows have is their signal's (`contents.py`).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw
import orjson

from monitoring.pipeline import failpoint
from monitoring.pipeline.clock import boot_seconds
from monitoring.pipeline.durable import sync
from monitoring.pipeline.errors import Fenced, StoreCorrupt
from monitoring.pipeline.store.contents import Contents, StoredRows
from monitoring.pipeline.store.kinds import contents_of, kind_of
from monitoring.pipeline.store.letter import DeadLetter
from monitoring.pipeline.store.marks import Mark
from monitoring.pipeline.store.space import space_needed

__all__ = [
    "PURGED_SCHEMA",
    "SCHEMA",
    "SCHEMA_VERSION",
    "Head",
    "Segment",
    "create",
    "identify",
    "open_readonly",
    "purged_rows",
    "read_marks",
]

SCHEMA_VERSION = 1
APPLICATION_ID = 0x4D4F4E53  # "MONS"
MINIMUM_SQLITE = (3, 51, 3)
"""Before it, a WAL checkpoint and a commit at the same moment could corrupt the file."""
BUSY_TIMEOUT_MS = 5000
WAL_PAGES = 4000
"""Checkpoint at 16 MB of WAL: half the write-backs of the default 4 MB, and still a quick recovery."""

SCHEMA = """
CREATE TABLE dead_letter(
  id INTEGER PRIMARY KEY, created INTEGER NOT NULL, kind TEXT NOT NULL, lane TEXT NOT NULL, seq INTEGER NOT NULL,
  ordinal INTEGER NOT NULL, reason TEXT NOT NULL, source TEXT NOT NULL, line INTEGER NOT NULL, raw BLOB NOT NULL,
  UNIQUE(kind, lane, seq, ordinal, reason));
CREATE TABLE mark(
  lane TEXT PRIMARY KEY, low INTEGER NOT NULL, through INTEGER NOT NULL, accounted INTEGER NOT NULL,
  missing INTEGER NOT NULL, window BLOB NOT NULL, committed INTEGER NOT NULL, dead_lettered INTEGER NOT NULL,
  emitted INTEGER NOT NULL, dropped TEXT NOT NULL, born INTEGER NOT NULL, seen INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE poison(
  lane TEXT NOT NULL, seq INTEGER NOT NULL, attempts INTEGER NOT NULL, pending TEXT NOT NULL, trying TEXT NOT NULL,
  committed INTEGER NOT NULL, dead_lettered INTEGER NOT NULL, PRIMARY KEY(lane, seq)) WITHOUT ROWID;
CREATE TABLE head(
  one INTEGER PRIMARY KEY CHECK(one = 1), signal TEXT NOT NULL, partition INTEGER NOT NULL, number INTEGER NOT NULL,
  created INTEGER NOT NULL, rows INTEGER NOT NULL, letters INTEGER NOT NULL, min_id INTEGER, max_id INTEGER,
  max_spill INTEGER NOT NULL, epoch INTEGER NOT NULL, holder TEXT, renewed REAL NOT NULL, sealed INTEGER, next INTEGER,
  expired_committed INTEGER NOT NULL, expired_dead INTEGER NOT NULL);
"""
"""The tables that segments of all signals have."""
PURGED_SCHEMA = "CREATE TABLE IF NOT EXISTS purged(at INTEGER NOT NULL, rows INTEGER NOT NULL)"
"""Of a sealed segment that was written anew: when, and how many rows less it had (see rewrite.py)."""


@dataclass(frozen=True, slots=True)
class Head:
    """The head row: what a segment is, how far it goes, and whether it is sealed (nanoseconds) and followed."""

    signal: str
    partition: int
    number: int
    created: int
    rows: int
    letters: int
    min_id: int | None
    max_id: int | None
    max_spill: int
    epoch: int
    holder: str | None
    renewed: float
    sealed: int | None
    next: int | None
    expired_committed: int
    expired_dead: int

    @classmethod
    def read(cls, connection: apsw.Connection) -> Head:
        """The head row of the segment behind this connection."""
        row = connection.execute(f"SELECT {', '.join(cls.__dataclass_fields__)} FROM head").get  # noqa: S608 - own names
        return cls(*row)


def create(
    path: Path, *, signal: str, partition: int, number: int, now_ns: int, epoch: int = 0, holder: str | None = None,
    marks: Sequence[tuple[Any, ...]] = (), expired: tuple[int, int] = (0, 0), poison: Sequence[tuple[Any, ...]] = (),
    contents: Iterable[tuple[str, Sequence[tuple[Any, ...]]]] = (), kind: type[Contents] | None = None,
) -> None:  # fmt: skip
    """Make a segment file, complete or not at all: written beside, synced, linked into its place.

    A file that stands there already is left as it is (a roll-over that is done a second time).
    """
    beside = path.with_suffix(f".{os.getpid()}.tmp")
    beside.unlink(missing_ok=True)
    with space_needed(path), closing(apsw.Connection(str(beside))) as connection:
        connection.execute("PRAGMA journal_mode = MEMORY; PRAGMA synchronous = FULL").fetchall()
        connection.execute("BEGIN")
        connection.execute((kind or contents_of(signal)).schema)
        connection.execute(SCHEMA)
        identify(connection)
        connection.execute(
            "INSERT INTO head VALUES(1, ?, ?, ?, ?, 0, 0, NULL, NULL, 0, ?, ?, ?, NULL, NULL, ?, ?)",
            (signal, partition, number, now_ns, epoch, holder, boot_seconds(), *expired),
        )
        connection.executemany("INSERT INTO mark VALUES(?,?,?,?,?,?,?,?,?,?,?,?)", marks)
        connection.executemany("INSERT INTO poison VALUES(?,?,?,?,?,?,?)", poison)
        for statement, rows in contents:
            connection.executemany(statement, rows)
        connection.execute("COMMIT")
    sync(beside)
    failpoint.hit("rollover.created")
    with suppress(FileExistsError):
        os.link(beside, path)
    sync(path.parent)
    beside.unlink(missing_ok=True)


def identify(connection: apsw.Connection) -> None:
    """Write into a new file what it is, and of which version."""
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION}")


def purged_rows(connection: apsw.Connection) -> int:
    """How many rows were taken out of a segment since it was sealed."""
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'purged'").get:
        return 0
    return int(connection.execute("SELECT ifnull(sum(rows), 0) FROM purged").get)


def open_readonly(path: Path, *, cache_kib: int = 1024) -> apsw.Connection:
    """A read-only connection to a segment. Raises StoreCorrupt unless it is one of a known version."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        connection.set_busy_timeout(BUSY_TIMEOUT_MS)
        _check_identity(connection, path)
        # fetchall: a statement that answers with a row would else be the last that is executed
        connection.execute(f"PRAGMA mmap_size = 0; PRAGMA cache_size = -{cache_kib}; PRAGMA query_only = 1").fetchall()
    except BaseException:
        connection.close()
        raise
    return connection


def _check_identity(connection: apsw.Connection, path: Path) -> None:
    try:
        application = connection.pragma("application_id")
        version = connection.pragma("user_version")
    except apsw.NotADBError as error:
        raise StoreCorrupt(f"{path} is not a SQLite file: restore it from a backup or move it away") from error
    if application != APPLICATION_ID:
        raise StoreCorrupt(f"{path} is not a segment of this product: move it away")
    if version > SCHEMA_VERSION:
        raise StoreCorrupt(f"{path} has schema {version}, this release knows up to {SCHEMA_VERSION}: upgrade it")


def _open_for_writing(path: Path) -> apsw.Connection:
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        connection.set_busy_timeout(BUSY_TIMEOUT_MS)
        _check_identity(connection, path)
        connection.execute(
            f"PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = {WAL_PAGES};"
            "PRAGMA mmap_size = 0"
        ).fetchall()
    except BaseException:
        connection.close()
        raise
    return connection


class Segment:
    """The active segment of a partition, open for writing by the process that holds the lease of `epoch`.

    Every write names the epoch and raises Fenced, changing nothing, where another process has taken over.
    Not for use by several threads.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with space_needed(path):
            self.connection = _open_for_writing(path)
            self.contents: Contents = kind_of(self.connection, self.head().signal)(self.connection)
        self.epoch = 0
        self._large: bool | None = None
        self.set_memory(large=False)
        self.forget()

    def close(self) -> None:
        """Close the file; uncommitted work is gone."""
        self.connection.close()

    def set_memory(self, *, large: bool) -> None:
        """Small while events trickle (2 MB of pages), large under load (16)."""
        if large == self._large:
            return
        self._large = large
        self.connection.execute(f"PRAGMA cache_size = -{16_384 if large else 2048}")
        self.contents.set_memory(large=large)

    def forget(self) -> None:
        """Drop what is remembered of the file; read again from it."""
        self.contents.forget()
        self._marks: dict[str, Mark | None] = {}

    def head(self) -> Head:
        """The head row."""
        return Head.read(self.connection)

    def mark(self, lane: str) -> Mark | None:
        """The mark of a lane, or None where the lane is unknown. Change a copy (`Mark.restore`) and store it."""
        if lane not in self._marks:
            row = self.connection.execute(f"SELECT {_MARK_COLUMNS} FROM mark WHERE lane = ?", (lane,)).get  # noqa: S608 - own names
            self._marks[lane] = read_mark(row) if row else None
        return self._marks[lane]

    @contextmanager
    def transaction(self) -> Iterator[apsw.Connection]:
        """A write transaction that holds only while the epoch is ours.

        Raises Fenced, StoreFull (disk or quota), or what the body raises; nothing is changed then.
        """
        with space_needed(self.path), self._transaction() as connection:
            yield connection

    @contextmanager
    def _transaction(self) -> Iterator[apsw.Connection]:
        connection = self.connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(
                "UPDATE head SET renewed = ? WHERE epoch = ? AND sealed IS NULL", (boot_seconds(), self.epoch)
            )
            if connection.changes() != 1:
                raise Fenced(f"{self.path.name} of epoch {self.epoch} was taken over or sealed")
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            self.forget()
            raise

    def renew(self) -> None:
        """Say that the lease is still held. Raises Fenced if it is not."""
        with self.transaction():
            pass

    def insert(self, rows: StoredRows, letters: Sequence[DeadLetter], marks: dict[str, Mark], *, now_ns: int) -> None:
        """Write rows, dead letters and marks within a transaction that the caller opened."""
        connection = self.connection
        extent = self.contents.insert(rows)
        if extent is None:
            connection.execute("UPDATE head SET rows = rows + ?", (len(rows),))  # they only told what was known
        else:
            first, last, spill = extent
            connection.execute(
                "UPDATE head SET rows = rows + ?, min_id = min(ifnull(min_id, ?), ?),"
                " max_id = max(ifnull(max_id, ?), ?), max_spill = max(max_spill, ?)",
                (len(rows), first, first, last, last, spill),
            )
        failpoint.hit("drain.mid_transaction")
        if letters:
            self._insert_letters(letters)
        connection.executemany(
            "INSERT OR REPLACE INTO mark VALUES(?,?,?,?,?,?,?,?,?,?,?,?)",
            [mark_row(lane, mark, now_ns) for lane, mark in marks.items()],
        )
        self._marks.update(marks)

    def _insert_letters(self, letters: Sequence[DeadLetter]) -> None:
        before = self.connection.total_changes()
        self.connection.executemany(
            "INSERT OR IGNORE INTO dead_letter(created, kind, lane, seq, ordinal, reason, source, line, raw)"
            " VALUES(?,?,?,?,?,?,?,?,?)",
            [(x.created, x.kind, x.lane, x.seq, x.ordinal, x.reason, x.source, x.line, x.raw) for x in letters],
        )
        self.connection.execute("UPDATE head SET letters = letters + ?", (self.connection.total_changes() - before,))

    def bytes(self) -> int:
        """Size of the file on disk, WAL included."""
        wal = self.path.with_name(self.path.name + "-wal")
        return self.path.stat().st_size + (wal.stat().st_size if wal.exists() else 0)


_MARK_COLUMNS = "low, through, accounted, missing, window, committed, dead_lettered, emitted, dropped, born"


def read_mark(row: tuple[Any, ...]) -> Mark:
    """A mark from the columns `low` to `born` of its row."""
    low, through, accounted, missing, window, committed, dead_lettered, emitted, dropped, born = row
    return Mark.restore(
        window, low=low, through=through, accounted=accounted, missing=missing, committed=committed,
        dead_lettered=dead_lettered, emitted=emitted, dropped=orjson.loads(dropped), born=born,
    )  # fmt: skip


def read_marks(connection: apsw.Connection) -> Iterator[tuple[str, Mark]]:
    """Every lane of a segment with its mark."""
    for lane, *row in connection.execute(f"SELECT lane, {_MARK_COLUMNS} FROM mark"):  # noqa: S608 - own names
        yield lane, read_mark(tuple(row))


def mark_row(lane: str, mark: Mark, now_ns: int) -> tuple[Any, ...]:
    """The row of a mark."""
    return (
        lane, mark.low, mark.through, mark.accounted, mark.missing, mark.window(), mark.committed, mark.dead_lettered,
        mark.emitted, orjson.dumps(mark.dropped).decode(), mark.born, now_ns,
    )  # fmt: skip

"""The catalog: which segments there are, how many partitions, which drains live.

It can be made again from the segments, which are the truth, so its commits need not survive a power cut.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import apsw

from monitoring.pipeline.clock import boot_seconds
from monitoring.pipeline.errors import StoreCorrupt
from monitoring.pipeline.events.signals import SIGNALS
from monitoring.pipeline.store.lease import LEASE_SECONDS, Holder
from monitoring.pipeline.store.segment import Head, open_readonly, purged_rows
from monitoring.pipeline.store.space import space_needed

__all__ = ["CATALOG_FILE", "Catalog", "SegmentRow", "partition_dir", "segment_path"]

CATALOG_FILE = "catalog.db"
SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS partition(signal TEXT, number INTEGER, PRIMARY KEY(signal, number)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS segment(
  signal TEXT, partition INTEGER, number INTEGER, sealed_at INTEGER, min_id INTEGER, max_id INTEGER,
  max_spill INTEGER NOT NULL DEFAULT 0, rows INTEGER NOT NULL DEFAULT 0, letters INTEGER NOT NULL DEFAULT 0,
  bytes INTEGER NOT NULL DEFAULT 0, optimised INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY(signal, partition, number)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS retired(
  signal TEXT, partition INTEGER, number INTEGER, rows INTEGER NOT NULL, letters INTEGER NOT NULL,
  PRIMARY KEY(signal, partition, number)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS purged(
  signal TEXT, partition INTEGER, number INTEGER, rows INTEGER NOT NULL,
  PRIMARY KEY(signal, partition, number)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS drain(holder TEXT PRIMARY KEY, seen REAL NOT NULL) WITHOUT ROWID;
"""


def partition_dir(data: Path, signal: str, partition: int) -> Path:
    """Where a partition's segments lie."""
    return data / signal / f"p{partition}"


def segment_path(data: Path, signal: str, partition: int, number: int) -> Path:
    """File of a segment."""
    return partition_dir(data, signal, partition) / f"{number:06d}.db"


@dataclass(frozen=True, slots=True)
class SegmentRow:
    """A segment as the catalog knows it. Of an active one only the head row in the file tells how far it goes."""

    signal: str
    partition: int
    number: int
    path: Path
    sealed: bool
    min_id: int | None
    max_id: int | None
    max_spill: int
    rows: int
    letters: int
    bytes: int
    sealed_at: int | None
    optimised: bool


class Catalog:
    """catalog.db of a data directory. Safe to open from many processes; not shared between threads."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            raise StoreCorrupt(f"{path} does not exist: start `monitoring up`, or set MONITORING_DATA_DIR")
        self.data = path.parent
        self._connection = _open(path)
        if not self._connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'purged'").get:
            with _write(self._connection):
                self._connection.execute(_SCHEMA)  # made by a release that knew no purge

    @classmethod
    def create_or_open(cls, path: Path, *, partitions: int) -> Catalog:
        """The catalog of this data directory, made with so many log partitions and one of metrics if it is new.

        Where the file is lost, segments that lie in the directory are found again.
        """
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = not path.exists()
        connection = _open(path)
        with _write(connection):
            connection.execute(_SCHEMA)
            connection.execute("INSERT OR IGNORE INTO meta VALUES('instance', ?)", (uuid.uuid4().hex,))
            for signal in SIGNALS:
                if not connection.execute("SELECT 1 FROM partition WHERE signal = ?", (signal,)).get:
                    rows = [(signal, number) for number in range(partitions if signal == "logs" else 1)]
                    connection.executemany("INSERT INTO partition VALUES(?, ?)", rows)
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        connection.close()
        path.chmod(0o600)
        catalog = cls(path)
        if new:
            catalog.reconcile()
        return catalog

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @property
    def instance(self) -> str:
        """Identity of this data directory, 32 hex digits."""
        return str(self._connection.execute("SELECT value FROM meta WHERE key = 'instance'").get)

    def partitions(self, signal: str = "logs") -> list[int]:
        """Numbers of the signal's partitions."""
        rows = self._connection.execute("SELECT number FROM partition WHERE signal = ? ORDER BY number", (signal,))
        return [number for (number,) in rows]

    def add_partitions(self, signal: str, count: int) -> None:
        """Have at least so many partitions. There is no way back: lanes keep their partition."""
        with _write(self._connection):
            rows = [(signal, number) for number in range(count)]
            self._connection.executemany("INSERT OR IGNORE INTO partition VALUES(?, ?)", rows)

    def segments(
        self, signal: str = "logs", start_id: int | None = None, end_id: int | None = None
    ) -> list[SegmentRow]:
        """Segments that may hold ids in [start_id, end_id), active ones always, oldest number first."""
        rows = self._connection.execute(
            "SELECT partition, number, sealed_at, min_id, max_id, max_spill, rows, letters, bytes, optimised"
            " FROM segment WHERE signal = ?1 AND (sealed_at IS NULL OR ("
            "  (?2 IS NULL OR max_id >= ?2) AND (?3 IS NULL OR min_id < ?3 + (max_spill << 12))))"
            " ORDER BY number, partition",
            (signal, start_id, end_id),
        )
        return [
            SegmentRow(
                signal, partition, number, segment_path(self.data, signal, partition, number), sealed_at is not None,
                min_id, max_id, max_spill, count, letters, size, sealed_at, bool(optimised),
            )
            for partition, number, sealed_at, min_id, max_id, max_spill, count, letters, size, optimised in rows
        ]  # fmt: skip

    def note_active(self, signal: str, partition: int, number: int) -> None:
        """A segment was created."""
        with _write(self._connection):
            self._connection.execute(
                "INSERT OR IGNORE INTO segment(signal, partition, number) VALUES(?, ?, ?)", (signal, partition, number)
            )

    def note_sealed(self, head: Head, size_bytes: int) -> None:
        """A segment was sealed; what its head says is final, but for what is purged from it."""
        if head.sealed is None:
            raise ValueError(f"segment {head.number} is not sealed")
        with _write(self._connection):
            self._connection.execute(
                "INSERT INTO segment(signal, partition, number, sealed_at, min_id, max_id, max_spill, rows, letters,"
                " bytes) VALUES(?,?,?,?,?,?,?,?,?,?) ON CONFLICT DO UPDATE SET sealed_at = excluded.sealed_at,"
                " min_id = excluded.min_id, max_id = excluded.max_id, max_spill = excluded.max_spill,"
                " rows = excluded.rows, letters = excluded.letters, bytes = excluded.bytes",
                (head.signal, head.partition, head.number, head.sealed, head.min_id, head.max_id, head.max_spill,
                 head.rows, head.letters, size_bytes),
            )  # fmt: skip

    def note_overlooked(self, signal: str, partition: int, before: int) -> None:
        """Note the sealed segments with numbers below `before` whose writers died before they could."""
        query = "SELECT number FROM segment WHERE signal = ? AND partition = ? AND sealed_at IS NOT NULL"
        known = {number for (number,) in self._connection.execute(query, (signal, partition))}
        for path in sorted(partition_dir(self.data, signal, partition).glob("[0-9]*.db")):
            number = int(path.stem)
            if number < before and number not in known and not self.is_retired(signal, partition, number):
                self._adopt(path, None)

    def note_unsettled(self, row: SegmentRow) -> None:
        """A sealed segment is about to be written anew: until `note_settled`, only its file says what is in it."""
        with _write(self._connection):
            self._connection.execute(
                "UPDATE segment SET optimised = 0 WHERE signal = ? AND partition = ? AND number = ?", _key(row)
            )

    def note_settled(self, row: SegmentRow, head: Head, purged: int, size_bytes: int) -> None:
        """A sealed segment was compacted, or written anew with so many rows less than it once had.

        Nothing where retention has taken it meanwhile.
        """
        with _write(self._connection):
            self._settle(row, head, purged, size_bytes)

    def _settle(self, row: SegmentRow, head: Head, purged: int, size_bytes: int) -> None:
        self._connection.execute(
            "UPDATE segment SET optimised = 1, bytes = ?, rows = ?, letters = ?, min_id = ?, max_id = ?, max_spill = ?"
            " WHERE signal = ? AND partition = ? AND number = ?",
            (size_bytes, head.rows, head.letters, head.min_id, head.max_id, head.max_spill, *_key(row)),
        )
        if self._connection.changes():
            self._note_purged(_key(row), purged)

    def _note_purged(self, key: tuple[str, int, int], purged: int) -> None:
        if purged:
            self._connection.execute("INSERT OR REPLACE INTO purged VALUES(?, ?, ?, ?)", (*key, purged))

    def retire(self, row: SegmentRow) -> None:
        """Forget a segment before its file is deleted, but not how much was in it, what was purged included."""
        unsettled = None if row.optimised or not row.sealed else _contents(row.path)
        with _write(self._connection):
            if unsettled is not None:
                self._settle(row, *unsettled)
            self._connection.execute(
                "INSERT OR IGNORE INTO retired SELECT ?1, ?2, ?3, rows + ifnull((SELECT rows FROM purged"
                " WHERE signal = ?1 AND partition = ?2 AND number = ?3), 0), letters FROM segment"
                " WHERE signal = ?1 AND partition = ?2 AND number = ?3",
                _key(row),
            )
            for table in ("segment", "purged"):
                self._connection.execute(
                    f"DELETE FROM {table} WHERE signal = ? AND partition = ? AND number = ?",  # noqa: S608 - own names
                    _key(row),
                )

    def retired(self, signal: str, partition: int) -> tuple[int, int]:
        """How many rows and dead letters were in the segments that retention has deleted from a partition."""
        found = self._connection.execute(
            "SELECT ifnull(sum(rows), 0), ifnull(sum(letters), 0) FROM retired WHERE signal = ? AND partition = ?",
            (signal, partition),
        ).get
        return int(found[0]), int(found[1])

    def deleted(self, signal: str, partition: int) -> int:
        """How many rows of a partition are gone: with segments that were deleted, and out of ones that are there."""
        query = "SELECT ifnull(sum(rows), 0) FROM purged WHERE signal = ? AND partition = ?"
        purged = self._connection.execute(query, (signal, partition)).get
        return self.retired(signal, partition)[0] + int(purged)

    def is_retired(self, signal: str, partition: int, number: int) -> bool:
        """Whether retention took this segment."""
        key = (signal, partition, number)
        query = "SELECT 1 FROM retired WHERE signal = ? AND partition = ? AND number = ?"
        return bool(self._connection.execute(query, key).get)

    def note_dropped(self, days: Iterable[int]) -> None:
        """Retention is about to delete these days (since 1970) of events that lie on a server."""
        with _write(self._connection):
            rows = [(f"dropped:{day}", "") for day in days]
            self._connection.executemany("INSERT OR IGNORE INTO meta VALUES(?, ?)", rows)

    def dropped(self) -> set[int]:
        """Those days."""
        keys = self._connection.execute("SELECT substr(key, 9) FROM meta WHERE key LIKE 'dropped:%'")
        return {int(day) for (day,) in keys}

    def attend(self, me: Holder) -> int:
        """Say that this drain lives; how many drains do, this one included."""
        with _write(self._connection):
            self._connection.execute(
                "INSERT INTO drain VALUES(?, ?) ON CONFLICT DO UPDATE SET seen = excluded.seen",
                (me.to_json(), boot_seconds()),
            )
            for holder in self._drains(live=False):
                self._connection.execute("DELETE FROM drain WHERE holder = ?", (holder.to_json(),))
        return len(self.drains())

    def leave(self, me: Holder) -> None:
        """Say that this drain ends."""
        with _write(self._connection):
            self._connection.execute("DELETE FROM drain WHERE holder = ?", (me.to_json(),))

    def drains(self) -> list[Holder]:
        """Drain processes that live."""
        return self._drains(live=True)

    def _drains(self, *, live: bool) -> list[Holder]:
        found = []
        for text, seen in self._connection.execute("SELECT holder, seen FROM drain"):
            holder = Holder.from_json(text)
            if live == (not holder.gone and -1.0 <= boot_seconds() - seen < LEASE_SECONDS):
                found.append(holder)
        return found

    def reconcile(self) -> list[str]:
        """Make the catalog agree with the files; what was changed, a line each."""
        changes = []
        for signal in SIGNALS:
            numbers = [int(path.name[1:]) for path in (self.data / signal).glob("p*") if path.name[1:].isdigit()]
            self.add_partitions(signal, max(numbers, default=-1) + 1)
            known = {(row.partition, row.number): row for row in self.segments(signal)}
            for partition in numbers:
                for path in sorted(partition_dir(self.data, signal, partition).glob("[0-9]*.db")):
                    row = known.pop((partition, int(path.stem)), None)
                    if (row is None or not row.sealed) and self._adopt(path, row):
                        changes.append(f"{path} was not in the catalog")
            for row in known.values():
                self.retire(row)
                changes.append(f"{row.path} is gone and was taken out of the catalog")
        return changes

    def _adopt(self, path: Path, row: SegmentRow | None) -> bool:
        with contextlib.closing(open_readonly(path)) as connection:
            head, purged = Head.read(connection), purged_rows(connection)
        if head.sealed is not None:
            self.note_sealed(head, path.stat().st_size)
            with _write(self._connection):
                self._note_purged((head.signal, head.partition, head.number), purged)
            return True
        if row is None:
            self.note_active(head.signal, head.partition, head.number)
        return row is None


def _key(row: SegmentRow) -> tuple[str, int, int]:
    return row.signal, row.partition, row.number


def _contents(path: Path) -> tuple[Head, int, int] | None:
    """What a segment itself says: head, rows that were purged, bytes; None where there is none."""
    if not path.exists():
        return None
    with contextlib.closing(open_readonly(path)) as connection:
        return Head.read(connection), purged_rows(connection), path.stat().st_size


def _open(path: Path) -> apsw.Connection:
    connection = apsw.Connection(str(path))
    connection.set_busy_timeout(5000)
    connection.execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL").fetchall()
    if connection.pragma("user_version") > SCHEMA_VERSION:
        connection.close()
        raise StoreCorrupt(f"{path} was made by a newer release: upgrade this one")
    return connection


@contextmanager
def _write(connection: apsw.Connection) -> Iterator[None]:
    with space_needed(Path(connection.filename)):
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:  # a full disk has rolled it back already
                connection.execute("ROLLBACK")
            raise

"""Taking events out of sealed segments of logs: the segment is written anew without them.

    1  catalog: the segment is unsettled
    2  n.<pid>.tmp: rows that stay, an index and roll-ups made of these alone, all else as it is
    3  one transaction of SQLite's puts the new pages in place of the old ones (the online backup)
    4  checkpoint: the old pages are overwritten or cut off, the log is emptied
    5  catalog: the segment is settled, with its rows and what was purged

Nothing of what went is left, neither in free pages nor in the text index, for the copy never held it. A process that
dies before the end of 3 has changed nothing; after it, maintenance finds the unsettled segment and does the rest.
Step 3 is no renaming because SQLite's log and its index belong to a path: a reader that has the old file open would
share them with those of the new one. As it is, readers go on with what they see and have the new rows at their next
transaction.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Literal

import apsw

from monitoring.pipeline import failpoint
from monitoring.pipeline.errors import RetryableError, StoreFull
from monitoring.pipeline.store.catalog import Catalog, SegmentRow
from monitoring.pipeline.store.kinds import kind_of
from monitoring.pipeline.store.log_segment import LogContents
from monitoring.pipeline.store.partition import active_number
from monitoring.pipeline.store.rows import MINUTE_SHIFT, index_words
from monitoring.pipeline.store.segment import (
    PURGED_SCHEMA,
    SCHEMA,
    Head,
    identify,
    open_readonly,
    purged_rows,
)
from monitoring.pipeline.store.space import space_needed

__all__ = ["Outcome", "RewriteBusy", "is_past", "rewrite", "settle", "turn"]

_LOCK_FILE = "rewrite.lock"
_ROWS = 2000
"""Copied at a time, between two looks at the stop flag: 20 ms, and some MB of memory."""
_PAGES = 4000
"""Put in place at a time, likewise: 16 MB."""
_BUSY_TIMEOUT_MS = 5000
_COPIES = 2
"""Of the segment's size that are needed while it is written anew: the new file, and the log of the transaction."""
_TABLES = {"dead_letter": 10, "mark": 12, "poison": 7}
"""What is copied as it is, with its number of columns."""

Outcome = Literal["done", "placed", "stopped"]
"""`placed`: the rows are gone, but a reader still sees the old pages; maintenance does the rest (`settle`).
`stopped`: nothing was changed."""


class RewriteBusy(RetryableError):
    """Another process takes events out of segments, or holds this one."""


@contextlib.contextmanager
def turn(data: Path) -> Iterator[None]:
    """While this lasts, no other process writes segments of the data directory anew. Raises RewriteBusy.

    Two at once would each put back what the other has taken out.
    """
    with (data / _LOCK_FILE).open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RewriteBusy("another process is taking events out of segments: try again when it is done") from None
        yield


def is_past(catalog: Catalog, row: SegmentRow) -> bool:
    """Whether a segment is sealed, and its marks and epoch were handed on: only then may it be written anew."""
    return row.sealed and row.number < active_number(catalog.data, row.signal, row.partition)


def rewrite(
    catalog: Catalog, row: SegmentRow, doomed: Sequence[int], *, now_ns: int, reserve_bytes: int,
    stopped: Callable[[], bool],
) -> Outcome:  # fmt: skip
    """Take the rows with these ids, rising, out of a sealed segment that was followed; only within a `turn`.

    Raises StoreFull, RewriteBusy.
    """
    free = shutil.disk_usage(row.path.parent).free
    if free - _COPIES * row.path.stat().st_size < reserve_bytes:
        raise StoreFull(f"{row.path} cannot be written anew: {free >> 20} MiB are free, make room on its disk")
    beside = row.path.with_suffix(f".{os.getpid()}.tmp")
    beside.unlink(missing_ok=True)
    catalog.note_unsettled(row)
    failpoint.hit("purge.unsettled")
    try:
        with space_needed(row.path):
            if not _copy(row.path, beside, doomed, now_ns, stopped):
                return "stopped"
            failpoint.hit("purge.copied")
            if not _put_in_place(beside, row.path, stopped):
                return "stopped"
    except (apsw.BusyError, apsw.LockedError) as error:
        raise RewriteBusy(f"{row.path} is in use: try again") from error
    finally:
        beside.unlink(missing_ok=True)
        beside.with_name(f"{beside.name}-journal").unlink(missing_ok=True)
    failpoint.hit("purge.placed")
    return "done" if settle(catalog, row, stopped) else "placed"


def settle(catalog: Catalog, row: SegmentRow, stopped: Callable[[], bool]) -> bool:
    """Compact a sealed segment, empty its log, leave WAL mode and tell the catalog what is in it.

    False where it is in use, or we must stop: it is done later then.
    """
    connection = apsw.Connection(str(row.path), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        connection.set_busy_timeout(1000)
        if not kind_of(connection, row.signal).compact(connection, stopped):
            return False
        if connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").get[0]:
            return False  # a reader still sees the old pages
        with contextlib.suppress(apsw.BusyError, apsw.LockedError):  # a reader has it open: it stays in WAL mode
            connection.execute("PRAGMA journal_mode = DELETE").fetchall()
        head, purged = Head.read(connection), purged_rows(connection)
    except apsw.BusyError:
        return False
    finally:
        connection.close()
    failpoint.hit("purge.emptied")
    catalog.note_settled(row, head, purged, row.path.stat().st_size)
    return True


def _put_in_place(beside: Path, path: Path, stopped: Callable[[], bool]) -> bool:
    target = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    with contextlib.closing(target), contextlib.closing(open_readonly(beside)) as source:
        target.set_busy_timeout(_BUSY_TIMEOUT_MS)
        target.execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL").fetchall()  # readers need not wait
        with target.backup("main", source, "main") as backup:
            while not backup.done:
                if stopped():
                    return False  # what was put in place is rolled back
                backup.step(_PAGES)
                failpoint.hit("purge.placing")
    return True


def _copy(path: Path, beside: Path, doomed: Sequence[int], now_ns: int, stopped: Callable[[], bool]) -> bool:
    with contextlib.closing(open_readonly(path)) as old, contextlib.closing(apsw.Connection(str(beside))) as new:
        new.execute("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -16384").fetchall()
        old.execute("BEGIN")
        new.execute("BEGIN")
        new.execute(LogContents.schema)
        new.execute(SCHEMA)
        new.execute(PURGED_SCHEMA)
        identify(new)
        if not _copy_rows(old, new, doomed, stopped):
            return False
        for table, columns in _TABLES.items():
            marks = ",".join("?" * columns)
            new.executemany(f"INSERT INTO {table} VALUES({marks})", old.execute(f"SELECT * FROM {table}"))  # noqa: S608 - own names
        _copy_head(old, new, now_ns)
        if not LogContents.compact(new, stopped):
            return False
        new.execute("COMMIT")
    return True


def _copy_head(old: apsw.Connection, new: apsw.Connection, now_ns: int) -> None:
    names = ", ".join(Head.__dataclass_fields__)
    marks = ",".join("?" * len(Head.__dataclass_fields__))
    values = old.execute(f"SELECT {names} FROM head").get  # noqa: S608 - own names
    new.execute(f"INSERT INTO head(one, {names}) VALUES(1, {marks})", values)
    rows, first, last = new.execute("SELECT count(*), min(id), max(id) FROM log").get
    new.execute("UPDATE head SET rows = ?, min_id = ?, max_id = ?", (rows, first, last))
    before = Head.read(old)
    new.execute("INSERT INTO purged VALUES(?, ?)", (now_ns, purged_rows(old) + before.rows - rows))


def _copy_rows(old: apsw.Connection, new: apsw.Connection, doomed: Sequence[int], stopped: Callable[[], bool]) -> bool:
    names: dict[int, str] = dict(old.execute("SELECT id, value FROM dimension"))
    used: set[int] = set()
    minutes: Counter[tuple[int, int, int]] = Counter()
    going = doomed if isinstance(doomed, array) else array("q", doomed)
    rows = old.execute("SELECT * FROM log ORDER BY id")
    while chunk := list(islice(rows, _ROWS)):
        if stopped():
            return False
        low, high = bisect_left(going, chunk[0][0]), bisect_left(going, chunk[-1][0] + 1)
        gone = set(going[low:high])
        staying = [row for row in chunk if row[0] not in gone]
        if not staying:
            continue
        new.executemany("INSERT INTO log VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?)", staying)
        ids, _, levels, services, resources, loggers, hosts, *texts = map(list, zip(*staying, strict=True))
        words = index_words(len(ids), levels, services, hosts, [names[number] for number in loggers], texts)
        new.executemany("INSERT INTO text(rowid, words) VALUES(?, ?)", zip(ids, words, strict=True))
        minutes.update(zip([row_id // MINUTE_SHIFT for row_id in ids], services, levels, strict=True))
        used.update(services, resources, loggers, hosts)
    new.executemany("INSERT INTO minute VALUES(?, ?, ?, ?)", [(*key, count) for key, count in minutes.items()])
    known = old.execute("SELECT id, kind, value FROM dimension ORDER BY id")
    new.executemany("INSERT INTO dimension VALUES(?, ?, ?)", [row for row in known if row[0] in used])
    return True

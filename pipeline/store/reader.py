"""Reading segments: a bounded pool of read-only connections that threads take turns with.

A connection is taken for one short piece of work inside one read transaction, so that it sees one state of the
segment, never holds up the writer's checkpoints, and a thread never waits for one while it holds another.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import NamedTuple

import apsw

from monitoring.pipeline.errors import RetryableError, StoreCorrupt
from monitoring.pipeline.query.functions import register
from monitoring.pipeline.query.limits import STEPS_BETWEEN_CHECKS, Deadline
from monitoring.pipeline.query.remembered import Remembered
from monitoring.pipeline.query.tokens import Tokenizer
from monitoring.pipeline.store.census import Census
from monitoring.pipeline.store.segment import Head, open_readonly

__all__ = ["MAX_OPEN", "OutOfTime", "Reader", "SegmentGone", "View"]

MAX_OPEN = 24
"""Segments open at a time: 64 handles cost 31 MB, and a page of results needs one or two of them."""
CACHE_KIB = 512
"""Page cache of each: the system's own cache holds the file, and 24 of these are 12 MB."""


_SAMPLE = 256
"""Events that are looked at to guess how common a token is: 0.1 ms, and half of them is far from chance."""
_COMMON_TOKENS = 1000
"""Guesses that are kept for a segment."""


class SegmentGone(RetryableError):
    """The segment's file is not there: retention has deleted it."""


class OutOfTime(RetryableError):
    """The deadline passed while a connection was waited for."""


class View(NamedTuple):
    """A segment as one read transaction sees it, for the thread that took it.

    `dimensions` are the numbers of repeated strings by kind and value, `names` the strings by number. `version`
    changes when these or the head may have changed; `connection` stops at the deadline with apsw.InterruptError.
    `common` tells whether most events hold a token: a guess, from the newest. `census` is that of a sealed segment
    that has one.
    """

    connection: apsw.Connection
    split: Tokenizer
    head: Head
    dimensions: dict[str, dict[str, int]]
    names: dict[int, str]
    version: tuple[int, int]
    common: Callable[[str], bool]
    census: Callable[[], Census | None]


class _Open:
    """An open segment: used by one thread at a time."""

    def __init__(self, path: Path, serial: int) -> None:
        self.path = path
        self.serial = serial
        self.inode = path.stat().st_ino
        self.connection = open_readonly(path, cache_kib=CACHE_KIB)
        if self.connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'outgoing'").get:
            self.connection.close()
            raise StoreCorrupt("it is the ledger of a ClickHouse store: set MONITORING_STORE as it was")
        self.split = register(self.connection)
        self.version: int | None = None
        self.head: Head | None = None
        self.dimensions: dict[str, dict[str, int]] = {}
        self.names: dict[int, str] = {}
        self._newest_dimension = -1
        self._common: dict[str, bool] = {}
        self._census: Census | None = None
        self._census_version: int | None = None

    def close(self) -> None:
        self.connection.close()

    def stands(self) -> bool:
        """Whether the path still leads to the file that is open."""
        try:
            return self.path.stat().st_ino == self.inode
        except OSError:
            return False

    def view(self) -> View:
        """What the current transaction sees; read again only where another connection has written."""
        version = self.connection.pragma("data_version")
        if version != self.version or self.head is None:
            self.head = Head.read(self.connection)
            rows = self.connection.execute(
                "SELECT id, kind, value FROM dimension WHERE id > ? ORDER BY id", (self._newest_dimension,)
            )
            for number, kind, value in rows:
                self.dimensions.setdefault(kind, {})[value] = number
                self.names[number] = value
                self._newest_dimension = number
            self.version = version
        key = (self.serial, int(version))
        return View(self.connection, self.split, self.head, self.dimensions, self.names, key, self.common,
                    self.census)  # fmt: skip

    def census(self) -> Census | None:
        """The census, read again only where another connection has written."""
        if self._census_version != self.version:
            sealed = self.head is not None and self.head.sealed is not None
            self._census = Census.read(self.connection) if sealed else None
            self._census_version = self.version
        return self._census

    def common(self, source: str) -> bool:
        """Whether more than half of the newest events hold this token."""
        if source not in self._common:
            if len(self._common) >= _COMMON_TOKENS:
                self._common.clear()
            self._common[source] = self._is_common(source)
        return self._common[source]

    def _is_common(self, source: str) -> bool:
        edge = self.connection.execute("SELECT id FROM log ORDER BY id DESC LIMIT 1 OFFSET ?", (_SAMPLE - 1,)).get
        if edge is None:
            return False
        term = '"' + source.replace('"', '""') + '"'
        query = "SELECT count(*) FROM text WHERE text MATCH ? AND rowid >= ?"
        return bool(self.connection.execute(query, (term, edge)).get * 2 > _SAMPLE)


class Reader:
    """Read-only access to segments for all threads of a process; at most `max_open` files are open at a time.

    Segments whose file retention has deleted are closed when the next one is opened, or by `sweep`. After a
    fork the child starts with an empty pool. `remembered` are counts of sealed segments.
    """

    def __init__(self, *, max_open: int = MAX_OPEN) -> None:
        self._max_open = max_open
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._changed = threading.Condition()
        self._idle: OrderedDict[int, _Open] = OrderedDict()
        self._open = 0
        self._serials = count(1)
        self.remembered = Remembered()

    @property
    def open_count(self) -> int:
        """Segments that are open now."""
        return self._open

    @contextmanager
    def view(self, path: Path, deadline: Deadline) -> Iterator[View]:
        """A segment within a read transaction, until the deadline.

        Raises SegmentGone where the file is missing, StoreCorrupt where it is no sound segment, OutOfTime while
        waiting for a place in the pool, and apsw.InterruptError from statements that run past the deadline.
        """
        segment = self._take(path, deadline)
        sound = False
        try:
            connection = segment.connection
            connection.set_progress_handler(deadline.expired, STEPS_BETWEEN_CHECKS)
            try:
                connection.execute("BEGIN")
                yield segment.view()
            finally:
                connection.set_progress_handler(None)
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
            sound = True
        except apsw.InterruptError:
            sound = True
            raise
        except (apsw.CorruptError, apsw.NotADBError) as error:
            raise StoreCorrupt(f"{path} is damaged: {error}; run `monitoring verify`") from error
        finally:
            self._give_back(segment, keep=sound)

    def sweep(self) -> None:
        """Close the idle segments whose file is gone, so that the disk gets its space back."""
        with self._changed:
            gone = [key for key, segment in self._idle.items() if not segment.stands()]
            for key in gone:
                self._close(self._idle.pop(key))

    def close(self) -> None:
        """Close the idle segments; those in use are closed when they are given back."""
        with self._changed:
            self._max_open = 0
            while self._idle:
                self._close(self._idle.popitem()[1])

    def _take(self, path: Path, deadline: Deadline) -> _Open:
        if self._pid != os.getpid():
            self._reset()  # the parent's handles must not be used, nor closed, here
        with self._changed:
            while True:
                found = self._idle_at(path)
                if found is not None:
                    return found
                if self._open < self._max_open:
                    self._open += 1
                    break
                if self._idle:
                    self._close(self._idle.popitem(last=False)[1])
                elif deadline.expired() or not self._changed.wait(deadline.remaining()):
                    raise OutOfTime("no place to open another segment: too many searches at once")
        try:
            return _Open(path, next(self._serials))
        except BaseException as error:
            with self._changed:
                self._open -= 1
                self._changed.notify()
            if isinstance(error, FileNotFoundError) or (isinstance(error, apsw.CantOpenError) and not path.exists()):
                raise SegmentGone(f"{path} is not there") from error
            if isinstance(error, apsw.CantOpenError | OSError):
                raise StoreCorrupt(f"{path} cannot be opened: {error}") from error
            raise

    def _idle_at(self, path: Path) -> _Open | None:
        for key in reversed(self._idle):
            if self._idle[key].path == path:
                segment = self._idle.pop(key)
                if segment.stands():
                    return segment
                self._close(segment)
                return None
        return None

    def _give_back(self, segment: _Open, *, keep: bool) -> None:
        with self._changed:
            if keep and self._open <= self._max_open and segment.stands():
                self._idle[segment.serial] = segment
            else:
                self._close(segment)
            self._changed.notify()

    def _close(self, segment: _Open) -> None:
        self._open -= 1
        with suppress(apsw.Error):  # best effort: a read-only handle has nothing to lose
            segment.close()

"""`ingest.db`: how far each file was read, and the frames that are on their way.

One transaction stores a sealed frame and the place behind its last line, so that a run which is killed
anywhere goes on exactly there:

    killed before the commit    the lines are read again, the frame never was
    killed behind it            the frame is sent again under its lane and seq; the store skips it if it has it

A file is its device, its inode and a hash of its first bytes, up to 1,024. A file that shrank, or starts
otherwise, is a new generation and is read from its start.

    ingest.db
      file    device, inode -> generation, hash and length of the head, offset, line, format, last time
      lane    lane -> partition; a run has one, an earlier run's remains until its frames are committed
      frame   lane, seq -> record (see bus.frame)
    ingest.locks/<device>-<inode>, ingest.locks/<lane>     flocked by the process that reads or sends it
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import apsw

from monitoring.pipeline import failpoint
from monitoring.pipeline.bus.frame import Frame, iter_records
from monitoring.pipeline.errors import (
    AlreadyRunning,
    MonitoringError,
    PermanentError,
    RetryableError,
    StoreCorrupt,
    StoreFull,
)

__all__ = [
    "FILE_NAME",
    "HEAD_BYTES",
    "SCHEMA_VERSION",
    "Identity",
    "IngestState",
    "Last",
    "Lock",
    "Orphan",
    "Place",
    "identify",
]

FILE_NAME = "ingest.db"
HEAD_BYTES = 1024
_LOCKS = "ingest.locks"
_BUSY_TIMEOUT_MS = 30_000
"""Another run holds the write lock for one fsync; a very slow disk may take seconds."""
_PAGE_BYTES = 16_384
"""A frame has a quarter MiB: larger pages make its chain of overflow pages shorter."""

_MIGRATIONS = (
    """
    CREATE TABLE file(
        device TEXT NOT NULL, inode TEXT NOT NULL, generation INTEGER NOT NULL, head BLOB NOT NULL,
        head_length INTEGER NOT NULL, size INTEGER NOT NULL, path TEXT NOT NULL, offset INTEGER NOT NULL,
        line INTEGER NOT NULL, format TEXT NOT NULL, last_ns INTEGER NOT NULL, updated INTEGER NOT NULL,
        PRIMARY KEY(device, inode)) WITHOUT ROWID;
    CREATE INDEX file_path ON file(path, updated);
    CREATE TABLE lane(lane TEXT PRIMARY KEY, partition INTEGER) WITHOUT ROWID;
    CREATE TABLE frame(lane TEXT NOT NULL, seq INTEGER NOT NULL, record BLOB NOT NULL, UNIQUE(lane, seq));
    """,
)
"""Each entry brings the file from version i to i + 1 (`PRAGMA user_version`); entries are never edited."""
SCHEMA_VERSION = len(_MIGRATIONS)


@dataclass(frozen=True, slots=True)
class Identity:
    """Which file this is: numbers of its device and inode, its first bytes (at most 1,024) and its size in bytes."""

    device: int
    inode: int
    head: bytes
    size: int

    def same_file(self, other: Identity) -> bool:
        """Whether both are one place on one disk, whatever is in it."""
        return (self.device, self.inode) == (other.device, other.inode)

    def continues(self, head_digest: bytes, head_length: int) -> bool:
        """Whether the file still starts as it did."""
        return len(self.head) >= head_length and _digest(self.head[:head_length]) == head_digest


def identify(handle: int) -> Identity:
    """The identity of an open file."""
    stat = os.fstat(handle)
    return Identity(stat.st_dev, stat.st_ino, os.pread(handle, HEAD_BYTES, 0), stat.st_size)


@dataclass(frozen=True, slots=True)
class Place:
    """How far a file was read: everything before `offset` (of the decompressed bytes) is in sealed frames.

    `line` is the number of the line that starts there, `format` the key of the file's format or "", `last_ns`
    the time of the last event before it. `generation` counts from 1 how often the file began anew.
    """

    generation: int = 1
    offset: int = 0
    line: int = 1
    format: str = ""
    last_ns: int = -1


@dataclass(frozen=True, slots=True)
class Last:
    """A file as it was when it was read last, at `updated` nanoseconds, and how far."""

    device: int
    inode: int
    head_digest: bytes
    head_length: int
    updated: int
    place: Place

    def is_at(self, identity: Identity) -> bool:
        """Whether this is the same place on disk."""
        return (identity.device, identity.inode) == (self.device, self.inode)

    def goes_on_in(self, identity: Identity) -> bool:
        """Whether that file starts as this one did, and is longer than what was read."""
        same = self.head_length > 0 and identity.continues(self.head_digest, self.head_length)
        return same and identity.size > self.place.offset


@dataclass(frozen=True, slots=True)
class Orphan:
    """A lane of a run that ended before all was committed, now owned by this process: release it by `forget`."""

    lane: str
    partition: int | None
    frames: list[Frame]
    lock: Lock


class Lock:
    """A name owned by this process until it ends or calls `release`. Does not cross a fork."""

    def __init__(self, path: Path, handle: int) -> None:
        self._path = path
        self._handle = handle

    @classmethod
    def take(cls, directory: Path, name: str) -> Lock | None:
        """The lock, or None where a living process has it."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = directory / name
        while True:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(path.stat(), os.fstat(handle)):
                    return cls(path, handle)
            except BlockingIOError:
                os.close(handle)
                return None
            except FileNotFoundError:
                pass  # its owner removed it between our open and our lock
            os.close(handle)

    def release(self) -> None:
        """Give the name up."""
        if self._handle >= 0:
            with suppress(FileNotFoundError):
                self._path.unlink()
            os.close(self._handle)
            self._handle = -1


class IngestState:
    """The open `ingest.db` of a data directory. Commits are fsynced. Used by one thread; not across a fork.

    Raises StoreFull where the disk is full, StoreCorrupt where the file is damaged.
    """

    def __init__(self, data: Path) -> None:
        self.path = data / FILE_NAME
        self._locks = data / _LOCKS
        try:
            data.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))  # SQLite: readable by all
        except OSError as error:
            raise PermanentError(
                f"{self.path} cannot be written ({error.strerror}): what is read is remembered there. Run as the user "
                "of `monitoring up`, or set MONITORING_DATA_DIR to a directory of your own, and MONITORING_BUS_URL"
            ) from None
        with _errors_as_ours(self.path):
            self._db = apsw.Connection(str(self.path))
            self._db.set_busy_timeout(_BUSY_TIMEOUT_MS)
            self._db.pragma("page_size", _PAGE_BYTES)
            self._db.pragma("auto_vacuum", 2)  # incremental: `close` gives the frames' room back
            self._db.pragma("journal_mode", "wal")
            self._db.pragma("synchronous", "FULL")
            self._migrate()

    def close(self) -> None:
        """Give back the room of committed frames, and close."""
        with suppress(apsw.Error):  # best effort: another run may be writing
            self._db.pragma("incremental_vacuum")
        self._db.close()

    # files

    def lock_file(self, identity: Identity, path: str) -> Lock:
        """Own a file for reading. Raises AlreadyRunning where another ingest reads it."""
        lock = Lock.take(self._locks, f"{identity.device}-{identity.inode}")
        if lock is None:
            raise AlreadyRunning(f"{path} is being read by another ingest; wait for it or stop it")
        return lock

    def place(self, identity: Identity) -> Place:
        """How far earlier runs came with a file; the start of a new generation where it is not the same any more."""
        with _errors_as_ours(self.path):
            row = self._db.execute(
                "SELECT generation, offset, line, format, last_ns, head, head_length, size FROM file "
                "WHERE device = ? AND inode = ?",
                (str(identity.device), str(identity.inode)),
            ).fetchone()
        if row is None:
            return Place()
        generation, offset, line, format_key, last_ns, head, head_length, size = row
        if identity.size < size or not identity.continues(head, head_length):
            return Place(generation=generation + 1)
        return Place(generation, offset, line, format_key, last_ns)

    def known(self, identity: Identity) -> Place | None:
        """As `place`, but None for a file of which nothing was ever read."""
        with _errors_as_ours(self.path):
            row = self._db.execute(
                "SELECT 1 FROM file WHERE device = ? AND inode = ?", (str(identity.device), str(identity.inode))
            ).fetchone()
        return None if row is None else self.place(identity)

    def last_of(self, path: str) -> Last | None:
        """The file that was read last under this path."""
        with _errors_as_ours(self.path):
            row = self._db.execute(
                "SELECT device, inode, head, head_length, updated, generation, offset, line, format, last_ns FROM file "
                "WHERE path = ? ORDER BY updated DESC LIMIT 1",
                (path,),
            ).fetchone()
        if row is None:
            return None
        device, inode, head, head_length, updated, *place = row
        return Last(int(device), int(inode), head, head_length, updated, Place(*place))

    # lanes and frames

    def lock_lane(self, lane: str) -> Lock:
        """Own a new lane; its row comes with its first frame."""
        lock = Lock.take(self._locks, lane)
        if lock is None:
            raise AlreadyRunning(f"lane {lane} belongs to another process")
        return lock

    def orphans(self) -> Iterator[Orphan]:
        """The lanes of runs that were killed or interrupted, each owned by this process from here on."""
        with _errors_as_ours(self.path):
            rows = list(self._db.execute("SELECT lane, partition FROM lane ORDER BY lane"))
        for lane, _ in rows:
            lock = Lock.take(self._locks, lane)
            if lock is None:
                continue
            with _errors_as_ours(self.path):
                row = self._db.execute("SELECT partition FROM lane WHERE lane = ?", (lane,)).fetchone()
            if row is None:  # its owner finished between our two looks
                lock.release()
                continue
            yield Orphan(lane, row[0], self._frames(lane), lock)

    def _frames(self, lane: str) -> list[Frame]:
        with _errors_as_ours(self.path):
            records = self._db.execute("SELECT record FROM frame WHERE lane = ? ORDER BY seq", (lane,)).fetchall()
        frames = [frame for (record,) in records for frame, _ in iter_records(cast(bytes, record))]
        if len(frames) != len(records):
            raise StoreCorrupt(f"{self.path} holds frames of lane {lane} that are damaged; set the file aside")
        return frames

    def commit(
        self,
        frame: Frame | None,
        places: Sequence[tuple[Identity, str, Place]],
        *,
        now_ns: int,
        released: int = 0,
        lane: str = "",
    ) -> None:
        """Store a frame and the places (of a file and path) behind its lines, and forget frames up to `released`.

        Without a frame only the rest is done. All of it or, where this raises, nothing.
        """
        failpoint.hit("ingest-before-commit")
        with self._transaction():
            if frame is not None:
                self._db.execute("INSERT OR IGNORE INTO lane(lane) VALUES(?)", (frame.lane,))
                self._db.execute(
                    "INSERT INTO frame(lane, seq, record) VALUES(?, ?, ?)", (frame.lane, frame.seq, frame.to_record())
                )
            if released:
                self._db.execute("DELETE FROM frame WHERE lane = ? AND seq <= ?", (lane, released))
            for identity, path, place in places:
                self._set_place(identity, path, place, now_ns)
        failpoint.hit("ingest-after-commit")

    def _set_place(self, identity: Identity, path: str, place: Place, now_ns: int) -> None:
        head_length = len(identity.head)
        self._db.execute(
            "INSERT OR REPLACE INTO file(device, inode, generation, head, head_length, size, path, offset, line, "
            "format, last_ns, updated) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                str(identity.device),
                str(identity.inode),
                place.generation,
                _digest(identity.head),
                head_length,
                identity.size,
                path,
                place.offset,
                place.line,
                place.format,
                place.last_ns,
                now_ns,
            ),
        )

    def set_partition(self, lane: str, partition: int) -> None:
        """Remember where the lane's frames go."""
        with self._transaction():
            self._db.execute("UPDATE lane SET partition = ? WHERE lane = ?", (partition, lane))

    def forget_lane(self, lane: str, low: int) -> None:
        """Forget the frames of a lane up to this seq, which are committed, and the lane if no others are stored."""
        with self._transaction():
            self._db.execute("DELETE FROM frame WHERE lane = ? AND seq <= ?", (lane, low))
            self._db.execute(
                "DELETE FROM lane WHERE lane = ?1 AND NOT EXISTS (SELECT 1 FROM frame WHERE lane = ?1)", (lane,)
            )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with _errors_as_ours(self.path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def _migrate(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            version = int(self._db.pragma("user_version"))
            if version > len(_MIGRATIONS):
                raise StoreCorrupt(f"{self.path} was written by a newer release (version {version}); upgrade this one")
            for script in _MIGRATIONS[version:]:
                self._db.execute(script)
            self._db.pragma("user_version", len(_MIGRATIONS))
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise


def _digest(head: bytes) -> bytes:
    return hashlib.blake2b(head, digest_size=16).digest()


@contextmanager
def _errors_as_ours(path: Path) -> Iterator[None]:
    try:
        yield
    except MonitoringError:
        raise
    except apsw.FullError as error:
        raise StoreFull(f"{path} cannot be written: no space is left; make room on its disk") from error
    except (apsw.CorruptError, apsw.NotADBError) as error:
        raise StoreCorrupt(f"{path} is damaged; set it aside, files are then read from their start: {error}") from error
    except apsw.BusyError as error:
        raise RetryableError(f"{path} is locked by another process for over {_BUSY_TIMEOUT_MS / 1000:g} s") from error
    except apsw.IOError as error:
        if "No space left" in str(error) or getattr(error, "extendedresult", 0) == apsw.SQLITE_IOERR_WRITE:
            raise StoreFull(f"{path} cannot be written: {os.strerror(errno.ENOSPC)}, or the disk fails") from error
        raise

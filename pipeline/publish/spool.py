"""The spool: frames on disk before they are sent, so that they outlive their process.

    <spool directory>/<lane>/lock                           flocked by the process that owns the lane
                             head                           JSON: signal, partition, low; 256 bytes
                             00000000000000000001.frames    records (see frame), named by the first seq

A lane without a living owner is an orphan: any process with the same directory takes its lock and sends its
frames under their old lane and seqs. What the store has already, it skips.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import shutil
import weakref
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from monitoring.pipeline.bus.frame import Frame
from monitoring.pipeline.clock import NowNs, wall_ns
from monitoring.pipeline.durable import sync
from monitoring.pipeline.errors import StoreCorrupt, StoreFull
from monitoring.pipeline.publish.forks import in_every_child
from monitoring.pipeline.publish.salvage import fill_gaps, salvage

__all__ = ["Spool", "SpoolLane"]

ROTATE_BYTES = 4 << 20
"""A file is deleted when all of its frames are committed: small enough to free space soon, and about twenty
frames of 256 KiB, so that an ordinary lane creates few."""
_HEAD_BYTES = 256
"""Overwritten in place, within one disk sector: it needs no new space on a full disk and cannot be torn."""
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_LANE = re.compile(r"(\.new-)?[0-9a-f]{32}")
_ABANDONED_SECONDS = 60
"""A lane that was begun and never finished is somebody's who died within these microseconds."""


@dataclass(slots=True)
class _File:
    """One file of records; `size` is what is known to be good."""

    first: int
    path: Path
    size: int


class Spool:
    """A spool directory and its bound in bytes, which all processes that share it keep together.

    `max_bytes` bounds the records of all lanes; each process looks at the others every 4 MiB it writes, so
    it may be passed by that much a process: publishers of one process share one of these. Several threads may charge
    it: an addition that is lost when they switch is found at the next look.
    """

    def __init__(self, directory: Path, *, max_bytes: int, now_ns: NowNs = wall_ns) -> None:
        self.directory = directory
        self._max_bytes = max_bytes
        self.damaged: dict[str, str] = {}
        self._now_ns = now_ns
        self._known_bytes = 0
        self._written_since = ROTATE_BYTES

    def create(self, lane: str, signal: str) -> SpoolLane:
        """Begin a lane, locked for this process. Raises StoreFull or OSError."""
        with _storage(self.directory):
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            begun = self.directory / f".new-{lane}"
            begun.mkdir(mode=0o700)
            lock = -1
            try:
                lock = _lock(begun)
                _write_head(begun, signal, None, 0)
                sync(begun)
                begun.rename(self.directory / lane)
                sync(self.directory)
            except OSError:
                if lock >= 0:
                    os.close(lock)
                shutil.rmtree(begun, ignore_errors=True)
                raise
        return SpoolLane(self, self.directory / lane, lock, signal=signal, partition=None, low=0, files=[])

    def orphans(self, most: int, *, but: Container[str] = ()) -> list[SpoolLane]:
        """So many lanes that nobody owned, locked for this process now, but none of these signals. Lanes with
        nothing to send are removed.

        Best effort: lanes of other users, which this one may not read, are passed over; a lane that cannot be
        understood is passed over and noted in `damaged`, with the reason.
        """
        orphans: list[SpoolLane] = []
        for path in self._lane_directories():
            if len(orphans) >= most:
                break
            if path.name in self.damaged:
                continue
            try:
                found = self._adopt(path, but)
            except (BlockingIOError, FileNotFoundError, PermissionError):
                continue  # its owner lives, or has just removed it, or it is not ours to read
            except StoreCorrupt as error:
                self.damaged[path.name] = str(error)
                continue
            if found is not None:
                orphans.append(found)
        return orphans

    def charge(self, size: int) -> None:
        """Claim room for so many bytes. Raises StoreFull."""
        self._written_since += size
        self._known_bytes += size
        if self._written_since >= ROTATE_BYTES or self._known_bytes > self._max_bytes:
            self._known_bytes = self.used_bytes() + size
            self._written_since = 0
        if self._known_bytes > self._max_bytes:
            self._known_bytes -= size
            raise StoreFull(
                f"the spool {self.directory} holds {self._max_bytes} bytes: raise MONITORING_SPOOL_BYTES, or see "
                "why nothing is committed (monitoring status)"
            )

    @property
    def crowded(self) -> bool:
        """Whether over half of the room is used, as far as this process knows: then what can go has to."""
        return self._known_bytes > self._max_bytes // 2

    def used_bytes(self) -> int:
        """Bytes of all records in the directory."""
        total = 0
        for path in self._lane_directories():
            with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
                total += sum(entry.stat().st_size for entry in os.scandir(path) if entry.name.endswith(".frames"))
        return total

    def _lane_directories(self) -> list[Path]:
        try:
            entries = sorted(self.directory.iterdir())
        except FileNotFoundError:
            return []
        return [entry for entry in entries if _LANE.fullmatch(entry.name) and not self._being_made(entry)]

    def _being_made(self, entry: Path) -> bool:
        if not entry.name.startswith("."):
            return False
        with contextlib.suppress(FileNotFoundError):
            return self._now_ns() - entry.stat().st_mtime_ns < _ABANDONED_SECONDS * 1_000_000_000
        return True

    def _adopt(self, path: Path, but: Container[str]) -> SpoolLane | None:
        lock = _lock(path)
        try:
            signal, partition, low = _read_head(path)
            if signal in but:
                os.close(lock)
                return None
            files = [_File(int(file.stem), file, file.stat().st_size) for file in sorted(path.glob("*.frames"))]
            if files:
                low = max(low, files[0].first - 1)
            found = SpoolLane(self, path, lock, signal=signal, partition=partition, low=low, files=files)
        except BaseException:
            os.close(lock)
            raise
        found.cut_torn_tail()
        if found.last is None or found.last.seq <= low:
            found.release(found.last.seq if found.last else low)
            found.close()
            return None
        return found


class SpoolLane:
    """A Journal in a spool directory, locked by this process; its handles are closed in a forked child.

    `last` is the newest stored frame, known for an adopted lane. `low` as last written down: the store may
    be further.
    """

    def __init__(
        self, spool: Spool, path: Path, lock: int, *, signal: str, partition: int | None, low: int, files: list[_File]
    ) -> None:
        self.lane = path.name
        self.signal = signal
        self.partition = partition
        self.low = low
        self.last: Frame | None = None
        self._spool = spool
        self._path = path
        self._lock = lock
        self._files = files
        self._last_seq = low
        self._durable_low = low
        self._fd = -1
        self._undo: tuple[int, int] | None = None
        self._cache: list[Frame] = []
        _forget_in_children(self)

    # writing

    def append(self, frames: Sequence[Frame]) -> None:
        """See Journal."""
        if not frames:
            return
        with _storage(self._path):
            self._roll_back()
            self._let_go()
            if frames[0].seq > self._last_seq + 1 and self._durable_low < self.low:
                self._write_head(sync=True)  # the frames between are committed, and a reader must know
            self._undo = (self._files[-1].first, self._files[-1].size) if self._files else (0, 0)
            for frame in frames:
                self._write(frame.seq, frame.to_record())
            os.fsync(self._fd)
            self._undo = None
            self._last_seq = frames[-1].seq

    def _write(self, seq: int, record: bytes) -> None:
        self._spool.charge(len(record))
        if not self._files or 0 < self._files[-1].size > ROTATE_BYTES - len(record):
            self._rotate(seq)
        if self._fd < 0:
            self._fd = os.open(self._files[-1].path, os.O_RDWR | os.O_CLOEXEC)
        file = self._files[-1]
        view = memoryview(record)
        while view:
            written = os.pwrite(self._fd, view, file.size)
            view = view[written:]
            file.size += written

    def _rotate(self, seq: int) -> None:
        if self._fd >= 0:
            os.fsync(self._fd)
            self._close_file()
        path = self._path / f"{seq:020d}.frames"
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._files.append(_File(seq, path, 0))
        sync(self._path)

    def _roll_back(self) -> None:
        """Take back what a failed append left: the frames come again, and none may stand there twice."""
        if self._undo is None:
            return
        first, size = self._undo
        self._close_file()
        self._cache = []
        while self._files and self._files[-1].first > first:
            self._files[-1].path.unlink(missing_ok=True)
            self._files.pop()
        if self._files and self._files[-1].first == first:
            os.truncate(self._files[-1].path, size)
            self._files[-1].size = size
        self._undo = None

    def place(self, partition: int) -> None:
        """See Journal."""
        with _storage(self._path):
            self.partition = partition
            self._write_head(sync=True)

    def release(self, low: int) -> None:
        """See Journal. Best effort: a file that cannot be deleted is deleted when the lane is adopted."""
        self.low = max(self.low, low)
        with contextlib.suppress(OSError):
            while len(self._files) > 1 and self._files[1].first <= self.low + 1:
                self._files[0].path.unlink(missing_ok=True)
                self._files.pop(0)
            self._write_head(sync=False)
            self._let_go()

    def _let_go(self) -> None:
        """Delete the newest file too, where all of it is committed and room is short.

        It would only go once it is followed by another, and a full spool takes no other: it would stay full for ever.
        """
        if not self._files or self.low < self._last_seq or not self._spool.crowded:
            return
        self._roll_back()
        self._write_head(sync=True)  # with no file left it alone says how far the lane was
        self._close_file()
        while self._files:
            self._files[-1].path.unlink(missing_ok=True)
            self._files.pop()

    def _write_head(self, *, sync: bool) -> None:
        _write_head(self._path, self.signal, self.partition, self.low, sync=sync)
        if sync:
            self._durable_low = self.low

    # reading

    def read(self, after: int, max_frames: int, max_bytes: int) -> list[Frame]:
        """See Journal."""
        if not self._cache or not self._cache[0].seq <= after + 1 <= self._cache[-1].seq:
            self._cache = self._read_file(after + 1)
        found: list[Frame] = []
        size = 0
        for frame in self._cache[after + 1 - self._cache[0].seq :][:max_frames]:
            size += len(frame.payload)
            if found and size > max_bytes:
                break
            found.append(frame)
        if found[-1] is self._cache[-1]:
            self._cache = []
        return found

    def _read_file(self, seq: int) -> list[Frame]:
        """All frames from `seq` to the end of its file; at least one."""
        index = next((index for index, file in reversed(list(enumerate(self._files))) if file.first <= seq), None)
        if index is None or seq > self._last_seq:
            raise StoreCorrupt(f"the spool {self._path} has lost frame {seq}")
        file = self._files[index]
        through = self._files[index + 1].first - 1 if index + 1 < len(self._files) else self._last_seq
        with file.path.open("rb") as handle:
            frames = salvage(handle.read(file.size)).frames
        return fill_gaps(frames, lane=self.lane, signal=self.signal, after=seq - 1, through=through)

    def cut_torn_tail(self) -> None:
        """Find the newest frame of an adopted lane, and cut what was being written when its owner died."""
        while self._files:
            file = self._files[-1]
            frames, end = salvage(file.path.read_bytes())
            frames = [frame for frame in frames if frame.lane == self.lane and frame.seq >= file.first]
            if frames:
                if end < file.size:
                    os.truncate(file.path, end)
                    file.size = end
                self.last = frames[-1]
                self._last_seq = self.last.seq
                return
            file.path.unlink()
            self._files.pop()

    # letting go

    def close(self) -> None:
        """See Journal. A lane whose frames are all committed is removed. Best effort, as `release`."""
        if self._lock < 0:
            return
        with contextlib.suppress(OSError):
            if self._undo is None and self._last_seq <= self.low:
                for file in self._files:
                    file.path.unlink(missing_ok=True)
                for name in ("head", "lock"):
                    (self._path / name).unlink(missing_ok=True)
                self._path.rmdir()
        self.forget()

    def forget(self) -> None:
        """Close the handles and change nothing on disk; in a forked child the parent keeps its lock."""
        self._close_file()
        handle, self._lock = self._lock, -1
        if handle >= 0:
            os.close(handle)

    def _close_file(self) -> None:
        handle, self._fd = self._fd, -1  # first forgotten, then closed: a fork in between must not close it again
        if handle >= 0:
            os.close(handle)


@contextlib.contextmanager
def _storage(path: Path) -> Iterator[None]:
    """Turn "no space" in its kinds into StoreFull."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StoreFull(f"the spool {path} cannot be written: {error.strerror}; make room on its disk") from error
        raise


def _lock(path: Path) -> int:
    """The lock of a lane's directory.

    Raises BlockingIOError where a living process has it, FileNotFoundError where the lane was just removed.
    """
    handle = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.path.samestat((path / "lock").stat(), os.fstat(handle)):
            raise FileNotFoundError(errno.ENOENT, "the lane was removed", str(path))
    except OSError:
        os.close(handle)
        raise
    return handle


def _write_head(path: Path, signal: str, partition: int | None, low: int, *, sync: bool = True) -> None:
    text = orjson.dumps({"v": 1, "signal": signal, "partition": partition, "low": low})
    handle = os.open(path / "head", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.pwrite(handle, text.ljust(_HEAD_BYTES - 1) + b"\n", 0)
        if sync:
            os.fsync(handle)
    finally:
        os.close(handle)


def _read_head(path: Path) -> tuple[str, int | None, int]:
    """Signal, partition and low of a lane; of a lane that was begun and never finished, the defaults."""
    try:
        head = orjson.loads((path / "head").read_bytes())
        partition = head["partition"]
        return str(head["signal"]), None if partition is None else int(partition), int(head["low"])
    except FileNotFoundError:
        return "logs", None, 0
    except (ValueError, KeyError, TypeError) as error:
        raise StoreCorrupt(f"{path / 'head'} is damaged; set the directory aside: {error}") from error


_open_lanes: weakref.WeakSet[SpoolLane] = weakref.WeakSet()
_hooked = False


def _forget_in_children(lane: SpoolLane) -> None:
    """A flock belongs to the open file, which a forked child shares: it would outlive its owner there."""
    global _hooked
    _open_lanes.add(lane)
    if not _hooked:
        _hooked = True
        in_every_child(_close_all)


def _close_all() -> None:
    for lane in list(_open_lanes):
        lane.forget()
    _open_lanes.clear()

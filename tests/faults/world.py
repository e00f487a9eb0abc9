"""A small world for the model test: a bus in memory that misbehaves, producers, and drains that die.

Only the bus and the deaths are made up. Lanes, the drain's way of a batch, poison, segments, marks, leases and
roll-overs are the product's own, on real files.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from monitoring.consumers.drain import Drain, Held
from monitoring.consumers.poison import before_suspects
from monitoring.pipeline.bus.frame import Frame
from monitoring.pipeline.bus.lanes import Lane
from monitoring.pipeline.bus.streams import Entry, Streams, low_key, stream_key
from monitoring.pipeline.clock import boot_id
from monitoring.pipeline.errors import Fenced, RetryableError, StoreFull
from monitoring.pipeline.settings import Settings
from monitoring.pipeline.store.catalog import Catalog
from monitoring.pipeline.store.lease import Holder
from monitoring.pipeline.store.partition import Limits, acquire
from monitoring.pipeline.store.segment import Head

__all__ = ["Bus", "Committed", "Crash", "Fuse", "Hand", "Producer"]

_NO_SUCH_PID = 1 << 23  # beyond Linux's largest


class Crash(BaseException):
    """The process died here."""


class Fuse:
    """Every effect burns a bit of it; where it ends, the process dies or the disk is full."""

    def __init__(self) -> None:
        self._left: int | None = None
        self._error: type[BaseException] = Crash

    def light(self, steps: int | None, error: type[BaseException] = Crash) -> None:
        """Burn for so many effects; None puts it out."""
        self._left, self._error = steps, error

    def burn(self) -> None:
        """An effect is about to happen."""
        if self._left is not None:
            self._left -= 1
            if self._left < 0:
                self._left = None
                raise self._error("the fuse has burned down")


class Bus(Streams):
    """Streams and watermarks in memory. Ids rise within a stream until it is lost, then start wherever the clock is."""

    def __init__(self, fuse: Fuse) -> None:
        self._fuse = fuse
        self.clock = 1000
        self.streams: dict[str, list[tuple[tuple[int, int], Frame]]] = {}
        self.lows: dict[str, int] = {}
        self._last: dict[str, tuple[int, int]] = {}

    @property
    def client(self) -> Bus:  # type: ignore[override]  # a drain counts through its client, and closes it
        """Itself."""
        return self

    def pipeline(self, transaction: bool) -> Bus:
        """Itself: what a drain counts for `/metrics` goes nowhere here."""
        return self

    def hincrbyfloat(self, name: str, key: str, amount: float) -> None:
        """Nothing."""

    def execute(self) -> None:
        """Nothing."""

    def close(self) -> None:
        """There is nothing to close."""

    def publish(self, partition: int, frame: Frame) -> str:
        """XADD."""
        key = stream_key(frame.signal, partition)
        last = self._last.get(key, (0, -1))
        found = (self.clock, 0) if self.clock > last[0] else (last[0], last[1] + 1)
        self._last[key] = found
        self.streams.setdefault(key, []).append((found, frame))
        return f"{found[0]}-{found[1]}"

    def shows(self, partition: int, entry_id: str) -> bool:
        """XRANGE of one id."""
        return any(_text(found) == entry_id for found, _ in self.streams.get(stream_key("logs", partition), ()))

    def low(self, lane: Lane) -> int:
        """The published watermark of a lane."""
        assert lane.partition is not None
        return self.lows.get(low_key("logs", lane.partition, lane.lane), 0)

    def scramble(self, partition: int, order: Sequence[int]) -> None:
        """Let the frames that wait arrive in another order."""
        waiting = self.streams.get(stream_key("logs", partition), [])
        frames = [frame for _, frame in waiting]
        places = sorted(range(len(frames)), key=lambda place: (order[place % len(order)], place))
        waiting[:] = [(found, frames[place]) for (found, _), place in zip(waiting, places, strict=True)]

    def forget(self, clock: int) -> None:
        """FLUSHALL, with the clock moved too."""
        self.streams, self.lows, self._last, self.clock = {}, {}, {}, clock

    def snapshot(self) -> tuple[object, ...]:
        """All of it, to be given to `restore` later."""
        return copy.copy((
            {key: list(value) for key, value in self.streams.items()}, dict(self.lows), dict(self._last), self.clock
        ))  # fmt: skip

    def restore(self, taken: tuple[object, ...]) -> None:
        """Back to how it was: a restored append-only file."""
        streams, lows, last, clock = copy.deepcopy(taken)
        self.streams, self.lows, self._last, self.clock = streams, lows, last, clock  # type: ignore[assignment]  # as taken

    def read(self, cursors: Mapping[str, str], *, count: int, block_ms: int | None) -> dict[str, list[Entry]]:
        """See Streams."""
        self._fuse.burn()
        found = {}
        for key, cursor in cursors.items():
            behind = tuple(int(part) for part in cursor.split("-"))
            waiting = [(entry_id, frame) for entry_id, frame in self.streams.get(key, ()) if entry_id > behind]
            if waiting:
                found[key] = [Entry(_text(entry_id), _fields(frame)) for entry_id, frame in waiting[:count]]
        return found

    def settle(self, signal: str, partition: int, ids: Sequence[str], lows: Mapping[str, int]) -> None:
        """See Streams; dies before, between and after its two steps."""
        self._fuse.burn()
        key = stream_key(signal, partition)
        gone = set(ids)
        self.streams[key] = [(found, frame) for found, frame in self.streams.get(key, ()) if _text(found) not in gone]
        self._fuse.burn()
        self.lows.update({low_key(signal, partition, lane): low for lane, low in lows.items()})
        self._fuse.burn()


def _text(entry_id: tuple[int, int]) -> str:
    return f"{entry_id[0]}-{entry_id[1]}"


def _fields(frame: Frame) -> dict[bytes, bytes]:
    return {
        key.encode(): value if isinstance(value, bytes) else str(value).encode()
        for key, value in frame.fields().items()
    }


class _FragileCatalog(Catalog):
    """A catalog whose writer may die before and after a roll-over is noted."""

    fuse: Fuse

    def note_sealed(self, head: Head, size_bytes: int) -> None:
        """See Catalog."""
        self.fuse.burn()
        super().note_sealed(head, size_bytes)

    def note_active(self, signal: str, partition: int, number: int) -> None:
        """See Catalog."""
        self.fuse.burn()
        super().note_active(signal, partition, number)
        self.fuse.burn()


class Committed(NamedTuple):
    """What a drain has committed and not yet said on the bus."""

    partition: int
    ids: list[str]
    lows: dict[str, int]


class Hand:
    """A drain process: takes partitions, writes, dies, or is stopped and goes on when others have taken over."""

    _made = 0

    def __init__(self, chosen: Settings, limits: Limits, bus: Bus, fuse: Fuse, clock: list[int]) -> None:
        self._chosen, self._limits, self._bus, self._fuse, self._clock = chosen, limits, bus, fuse, clock
        self.held: dict[int, Held] = {}
        self._start()

    def _start(self) -> None:
        # A holder that no longer runs: whoever comes may take over at once, as after its lease.
        Hand._made += 1
        self._me = Holder(boot_id(), str(Path("/proc/self/ns/pid").readlink()), _NO_SUCH_PID + Hand._made, Hand._made)
        self._drain = Drain(self._chosen, me=self._me)
        self._drain.abandon()  # its connections; only its way of a batch is wanted
        self._drain.streams = self._bus
        self._catalog = _FragileCatalog(self._chosen.data / "catalog.db")
        self._catalog.fuse = self._fuse
        self.held = {}

    def now_ns(self) -> int:
        """The wall clock, which the disk's troubles and deaths look at too."""
        self._fuse.burn()
        return self._clock[0]

    def step(self, partition: int, count: int) -> str:
        """One batch of a partition; what became of it: "done", "idle", "fenced", "full" or "died"."""
        try:
            held = self._take(partition)
            found = self._bus.read({stream_key("logs", partition): held.cursor}, count=count, block_ms=None)
            entries = next(iter(found.values()), [])
            if not entries:
                return "idle"
            self._drain._batch(held, entries)
        except Fenced:
            self.held.pop(partition).partition.abandon()
            return "fenced"
        except RetryableError:
            return "full"
        except Crash:
            self.die()
            return "died"
        return "done"

    def roll_over(self, partition: int) -> str:
        """Roll over now; answers as `step` does."""
        try:
            self._take(partition).partition.roll_over()
        except Fenced:
            self.held.pop(partition).partition.abandon()
            return "fenced"
        except RetryableError:
            return "full"
        except Crash:
            self.die()
            return "died"
        return "done"

    def commit(self, partition: int, count: int) -> Committed | None:
        """Write what waits and stop there: what `settle_late` needs, or None."""
        try:
            held = self._take(partition)
            found = self._bus.read({stream_key("logs", partition): "0-0"}, count=count, block_ms=None)
            batch = held.partition.admit(before_suspects(held.partition, next(iter(found.values()), [])))
            held.partition.write(batch)
        except (Fenced, StoreFull):
            self.held.pop(partition).partition.abandon()
            return None
        return Committed(partition, batch.settled, batch.lows)

    def settle_late(self, committed: Committed) -> None:
        """Go on where `commit` stopped, whatever has happened to the bus meanwhile."""
        self._bus.settle("logs", *committed)

    def release(self, partition: int) -> None:
        """Give the lease back in order."""
        if held := self.held.pop(partition, None):
            with suppress(Fenced):
                held.partition.release()

    def die(self) -> None:
        """SIGKILL; another process comes in its place."""
        self._fuse.light(None)
        self.close()
        self._start()

    def close(self) -> None:
        """Close all files, releasing nothing."""
        for held in self.held.values():
            held.partition.abandon()
        self.held = {}
        self._catalog.close()

    def _take(self, number: int) -> Held:
        if number not in self.held:
            partition = acquire(self._catalog, "logs", number, self._limits, me=self._me, now_ns=self.now_ns)
            assert partition is not None, "the holder does not run, so its lease is free"
            self.held[number] = Held(partition, cautious=0 if partition.clean else self._drain._count)
        return self.held[number]


class Producer:
    """A lane, all frames it ever sealed and their events' keys, and how many of them it ever sent."""

    def __init__(self, lane: str, partition: int) -> None:
        self.lane = Lane(lane, "logs", partition)
        self.frames: list[Frame] = []
        self.keys: list[list[str]] = []
        self.sent = 0

    @property
    def partition(self) -> int:
        """Where the lane belongs."""
        assert self.lane.partition is not None
        return self.lane.partition

    def adopt(self, spooled_from: int) -> None:
        """Its process died; another goes on from the spool, which still has the frames from this seq on."""
        reborn = Lane(self.lane.lane, "logs", self.partition)
        reborn.restore(self.frames[spooled_from - 1 :])
        self.lane = reborn

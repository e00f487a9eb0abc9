"""The lanes of a run of ingest: its own, and those that earlier runs left behind."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Sequence

from monitoring.pipeline.bus.frame import Frame
from monitoring.pipeline.bus.streams import Transport
from monitoring.pipeline.clock import NowNs, wall_ns
from monitoring.pipeline.events.event import Event, Rejected
from monitoring.pipeline.ingest.state import Identity, IngestState, Lock, Orphan, Place
from monitoring.pipeline.publish.sender import LaneSender

__all__ = ["IN_FLIGHT_BYTES", "Lanes", "Stored"]

IN_FLIGHT_BYTES = 16 << 20
"""Payloads that may wait for their commit: half a second of the fastest drain, and what bounds a run's memory."""

Stored = tuple[Identity, str, Place]
"""A file, its path, and the place behind the lines whose events are stored."""


class _Lane:
    """A lane on its way, the events of its frames, and the newest seq that may be forgotten."""

    def __init__(self, sender: LaneSender, lock: Lock, frames: Sequence[Frame] = ()) -> None:
        self.sender = sender
        self.lock = lock
        self.events = {frame.seq: frame.count for frame in frames}
        self.released = 0

    @property
    def name(self) -> str:
        """Its id."""
        return self.sender.lane.lane

    def release(self, low: int) -> None:
        """Everything up to this seq is committed."""
        self.released = low
        for seq in [seq for seq in self.events if seq <= low]:
            del self.events[seq]


class Lanes:
    """Seals frames into `ingest.db`, and sends what is there until it is committed.

    A run has one lane, opened by its first frame. Lanes of runs that were killed are sent beside it, one at a
    time, under their own seqs. Used by one thread; does not cross a fork.
    """

    def __init__(
        self,
        state: IngestState,
        transport_factory: Callable[[], Transport],
        *,
        now_ns: NowNs = wall_ns,
        clock: Callable[[], float] = time.monotonic,
        new_lane: Callable[[], str] = lambda: uuid.uuid4().hex,
    ) -> None:
        self.recovered = 0
        self.trouble = ""
        self._state = state
        self._transport_factory = transport_factory
        self._now_ns = now_ns
        self._clock = clock
        self._new_lane = new_lane
        self._own: _Lane | None = None
        self._old: _Lane | None = None
        self._orphans: Iterator[Orphan] = state.orphans()
        self._next_orphan()

    @property
    def crowded(self) -> bool:
        """Whether so much waits for its commit that nothing more should be read."""
        if self._own is None:
            return False
        return self._own.sender.lane.held_bytes > IN_FLIGHT_BYTES or self._own.sender.room < 2

    @property
    def idle(self) -> bool:
        """Whether everything sealed, by earlier runs too, is committed."""
        return self._old is None and (self._own is None or self._own.sender.committed)

    @property
    def in_flight(self) -> int:
        """Events, rejected ones included, that are stored here and not known to be committed."""
        return sum(sum(lane.events.values()) for lane in (self._old, self._own) if lane is not None)

    def seal(self, events: Sequence[Event], rejected: Sequence[Rejected], places: Sequence[Stored]) -> None:
        """Make a frame and store it with the places behind its lines; all of it or, where this raises, nothing."""
        lane = self._own
        if lane is None:
            name = self._new_lane()
            lane = self._own = self._make(name, None, self._state.lock_lane(name))
        state, own = self._state, lane

        def persist(frame: Frame) -> None:
            state.commit(frame, places, now_ns=self._now_ns(), released=own.released, lane=own.name)

        frame = lane.sender.seal(events, rejected, persist=persist)
        lane.events[frame.seq] = frame.count

    def pump(self) -> float:
        """One round trip for each lane that has something due; seconds until the next. Raises as LaneSender.pump."""
        pause = 1.0
        self.trouble = ""
        for lane in (self._old, self._own):
            if lane is not None:
                pause = min(pause, lane.sender.pump())
                self.trouble = lane.sender.trouble or self.trouble
        if self._old is not None and self._old.sender.committed:
            self._forget(self._old)
            self._next_orphan()
            pause = 0.0
        return pause

    def close(self) -> None:
        """Forget the own lane if all of it is committed; what is stored else is for the next run."""
        if self._own is not None and self._own.sender.committed:
            self._forget(self._own)
            self._own = None
        for lane in (self._old, self._own):
            if lane is not None:
                lane.sender.close()
                lane.lock.release()
        self._old = self._own = None

    def _next_orphan(self) -> None:
        """Take up the next lane of an earlier run whose frames are not all committed."""
        self._old = None
        for orphan in self._orphans:
            if not orphan.frames:
                self._state.forget_lane(orphan.lane, 0)
                orphan.lock.release()
                continue
            self._old = self._make(orphan.lane, orphan.partition, orphan.lock, orphan.frames)
            self._old.sender.restore(orphan.frames)
            self.recovered += sum(frame.count for frame in orphan.frames)
            return

    def _make(self, name: str, partition: int | None, lock: Lock, frames: Sequence[Frame] = ()) -> _Lane:
        sender = LaneSender(
            name,
            self._transport_factory,
            partition=partition,
            released=lambda low: lane.release(low),
            placed=lambda number: self._state.set_partition(name, number),
            clock=self._clock,
            now_ns=self._now_ns,
        )
        lane = _Lane(sender, lock, frames)
        return lane

    def _forget(self, lane: _Lane) -> None:
        lane.sender.close()
        self._state.forget_lane(lane.name, lane.sender.lane.low)
        lane.lock.release()

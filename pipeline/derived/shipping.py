"""The way of what was derived to the metric store: the outbox of a partition of logs, pumped by its drain.

Frames are read back from the segment after their commit, so what is sent is what is stored; the rest is as for every
producer: a frame is sent again until the watermark of its lane has passed it (`publish.outbox`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import Protocol

from monitoring.pipeline import failpoint
from monitoring.pipeline.bus.frame import Frame
from monitoring.pipeline.bus.lanes import Lane
from monitoring.pipeline.bus.streams import Transport
from monitoring.pipeline.derived.outbox import Outbox
from monitoring.pipeline.errors import StoreCorrupt
from monitoring.pipeline.events.signals import METRICS
from monitoring.pipeline.publish import outbox as publishing

__all__ = ["Kept", "Shipper"]

_RETAINED = 100
"""New frames taken up at a time: a commit of ten thousand events seldom makes more."""
_TRIPS = 4
"""Round trips at a time: the first may only ask, and one carries sixteen frames."""


class Kept(Protocol):
    """The outbox of a segment, and the way to say what of it is committed."""

    @property
    def outbox(self) -> Outbox:
        """The outbox of the active segment."""
        ...

    def release(self, lane: str, low: int, *, overtaken: bool = False) -> None:
        """Forget frames up to this seq when it suits; put the others on another lane if this one is `overtaken`."""
        ...


class Shipper:
    """Sends what a partition's outbox keeps. `kept` gives the outbox of the segment that is active now.

    Used by one thread, by who holds the partition's lease.
    """

    def __init__(self, kept: Callable[[], Kept | None]) -> None:
        self._kept = kept
        self._way: publishing.Outbox | None = None
        self._released = 0
        self._there = False

    def begin(self) -> None:
        """Take up what an earlier holder left. Before anything is written: what is sealed later was never sent."""
        kept = self._kept()
        if kept is not None:
            self._follow(kept)

    def pump(self, transport: Callable[[], Transport], now: float) -> None:
        """The round trips that are due, a few at most. Raises as Transport does; nothing is lost by that."""
        kept = self._kept()
        if kept is None or not self._follow(kept):
            return
        way = self._way
        assert way is not None  # noqa: S101 - `_follow` made it
        for _ in range(_TRIPS):
            if not way.lane.overtaken and way.due(now) <= now:
                way.pump(transport(), now)
                failpoint.hit("derived.sent")
        if way.lane.low > self._released or way.lane.overtaken:
            self._released = way.lane.low
            kept.release(way.lane.lane, self._released, overtaken=way.lane.overtaken)

    def _follow(self, kept: Kept) -> bool:
        """Take up the lane and its new frames; whether there is a lane."""
        outbox = kept.outbox
        self._there = self._there or outbox.there
        position = outbox.position if self._there else None
        if position is None:
            return False
        if self._way is None or self._way.lane.lane != position.lane:
            self._way = self._begin(outbox, position.lane, position.seq)
        lane = self._way.lane
        while lane.next_seq <= position.seq:
            frames = outbox.after(lane.next_seq - 1, _RETAINED)
            if not frames:
                raise StoreCorrupt(f"frame {lane.next_seq} of the outbox of derived metrics is not there")
            for frame in frames:
                lane.retain(frame, hold=False)
            self._way.saved_to = lane.next_seq - 1
        return True

    def _begin(self, outbox: Outbox, name: str, newest: int) -> publishing.Outbox:
        """Where an earlier holder stood: what it sent may have come, and is sent again unless the watermark says so."""
        lane = Lane(name, METRICS.name)
        oldest = outbox.oldest
        lane.resume(newest if oldest is None else oldest - 1, outbox.newest())
        self._released = lane.low
        return publishing.Outbox(lane, _Reading(self._kept))


class _Reading:
    """The outbox as a journal: frames are there already, and are forgotten by `Shipper.pump`."""

    def __init__(self, kept: Callable[[], Kept | None]) -> None:
        self._kept = kept

    def append(self, frames: Sequence[Frame]) -> None:
        """See Journal. Frames are sealed by the segment alone."""
        raise TypeError("frames of an outbox are appended in the transaction that makes them")

    def read(self, after: int, max_frames: int, max_bytes: int) -> list[Frame]:
        """See Journal."""
        kept = self._kept()
        frames = kept.outbox.after(after, max_frames) if kept else []
        size = 0

        def fits(frame: Frame) -> bool:
            nonlocal size
            size += len(frame.payload)
            return size <= max_bytes or frame.seq == after + 1

        return list(takewhile(fits, frames))

    def place(self, partition: int) -> None:
        """See Journal. The lane's name says it."""

    def release(self, low: int) -> None:
        """See Journal."""

    def close(self) -> None:
        """See Journal."""

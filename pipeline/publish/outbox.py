"""An outbox: one lane, its frames in memory and in a journal, and its way to the bus.

The steps of a round trip, each visible in `pump`:

    place    choose the partition, once, when the bus is first reached
    load     bring frames that are only in the journal into the lane's window
    publish  send what was never sent, several frames at once, and read the watermark back
    release  forget what the watermark has passed
    look     after five seconds, ask after the oldest frame, and send it again if it is lost

No thread and no waiting: `due` says when to pump next.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from monitoring.pipeline.bus.frame import Frame
from monitoring.pipeline.bus.lanes import Doubt, Lane
from monitoring.pipeline.bus.streams import Reply, Transport
from monitoring.pipeline.errors import IngestRefused, MonitoringError
from monitoring.pipeline.publish.journal import Journal

__all__ = ["ChoosePartition", "Outbox", "Progress", "by_lane"]

ChoosePartition = Callable[[str, int], int]
"""Given a lane and how many partitions there are: the number of the one for it."""

_TRIP_FRAMES = 16
_TRIP_BYTES = 4 << 20
"""Most of one round trip: 16 frames of 256 KiB; a reply that is lost puts no more than that in doubt."""
_POLL_FIRST_SECONDS = 0.05
_POLL_LONGEST_SECONDS = 1.0
"""While frames wait for their commit and there is nothing to send, the watermark is asked for ever more rarely."""


class Progress(NamedTuple):
    """What a round trip brought: frames sent (again, too), frames released, whether the bus is full."""

    sent: int
    released: int
    full: bool


def by_lane(lane: str, partitions: int) -> int:
    """The partition of a lane: lanes are random, so they spread evenly."""
    return int(lane, 16) % partitions


class Outbox:
    """One lane on its way. Used by one thread; does not cross a fork.

    The first round trip, and the first after a failure or a full bus, only asks for the watermark: frames that
    went into a broken connection are in doubt for five seconds, so no more are risked than need be.

    Guarantee: what was sealed into it is sent until the watermark has passed it. Without a journal all frames
    are in memory, at most 256 and, but for one, `window_bytes`. With one, frames beyond that are on disk only;
    while the journal fails (`failing`) frames are kept in memory, and saved once it works again. `must_save`
    forbids to send, or to seal, what cannot be saved. `placed` and `released` are the journal's methods, for who
    keeps frames elsewhere: called with the partition before anything is sent, and with the watermark.
    """

    def __init__(
        self,
        lane: Lane,
        journal: Journal | None = None,
        *,
        must_save: bool = False,
        window_bytes: int = 16 << 20,
        choose_partition: Callable[[str, int], int] = by_lane,
        placed: Callable[[int], None] | None = None,
        released: Callable[[int], None] | None = None,
    ) -> None:
        self.lane = lane
        self.journal = journal
        self.released_events = 0
        self.failing = False
        self.saved_to = lane.next_seq - 1
        self._must_save = must_save
        self._window_bytes = window_bytes
        self._choose_partition = choose_partition
        self._placed = placed or (journal.place if journal else None)
        self._released = released or (journal.release if journal else None)
        self._unsaved: dict[int, Frame] = {}
        self._trip_frames = _TRIP_FRAMES
        self._ask_first = True
        self._poll_at = float("-inf")
        self._poll_pause = _POLL_FIRST_SECONDS

    # sealing

    @property
    def room(self) -> bool:
        """Whether another frame may be sealed: it has a place in the window, or in a journal that works."""
        if self.lane.overtaken or (self.failing and self._must_save):
            return False
        if self.journal is not None and not self.failing:
            return True
        return self.lane.tail == 0 and self._window_open

    @property
    def _window_open(self) -> bool:
        lane = self.lane
        return lane.room > 0 and (lane.held == 0 or lane.held_bytes < self._window_bytes)

    @property
    def unsaved_events(self) -> int:
        """Events of sealed frames that should be in the journal and are only in memory."""
        return sum(frame.count for frame in self._unsaved.values())

    def durable(self, seq: int) -> bool:
        """Whether every frame up to this seq is fsynced: in the journal, or in the store."""
        return seq <= max(self.saved_to, self.lane.low)

    def seal(self, payload: bytes, count: int, now_ns: int, dropped: Mapping[str, int]) -> Frame:
        """Make the next frame; with a journal, `save` has to follow. Only where there is `room`."""
        frame = self.lane.draft(payload, count, now_ns, dropped)
        self.lane.retain(frame, hold=self.journal is None or (self.lane.tail == 0 and self._window_open))
        if self.journal is not None:
            self._unsaved[frame.seq] = frame
        return frame

    def save(self) -> bool:
        """Put what was sealed into the journal, with one fsync for all; whether there was anything.

        Raises as Journal.append; the frames stay in memory then, and the next call tries them again.
        """
        if self.journal is None or not self._unsaved:
            return False
        self.failing = True  # until the next line has succeeded
        self.journal.append(list(self._unsaved.values()))
        self.failing = False
        self.saved_to = max(self._unsaved)
        self._unsaved.clear()
        return True

    # sending

    @property
    def ready(self) -> bool:
        """Whether the bus answered last time and was not full: what is sealed now is sent at once."""
        return not self._ask_first

    def due(self, now: float, *, wanting: bool = False) -> float:
        """When to pump next, in the clock of `now`; infinity where there is nothing to do.

        `wanting`: there is more to seal, so whether the bus is ready is worth a question.
        """
        if self.lane.idle and not (wanting and self._ask_first):
            return float("inf")
        if self._ask_first:
            return self._poll_at
        return now if self._sendable() or self._loadable() else self._poll_at

    def hurry(self, now: float) -> None:
        """Somebody waits for the commit: ask for the watermark soon."""
        self._poll_at = min(self._poll_at, now + _POLL_FIRST_SECONDS)

    def pump(self, transport: Transport, now: float) -> Progress:
        """One round trip. Raises as Transport does, and as Journal.place; the lane is consistent either way."""
        partition = self._place(transport)
        self._load()
        frames = [] if self._ask_first else self._sendable()
        released, sent = 0, len(frames)
        if frames or now >= self._poll_at:
            reply = self._publish(transport, partition, frames, now)
            released = self._release(reply.low)
            self._ask_first = reply.full
        if not self._ask_first and (doubt := self.lane.doubt(now)) is not None:
            replayed, more = self._look(transport, partition, doubt, now)
            sent, released = sent + replayed, released + more
        self._plan(now, progress=bool(sent or released))
        return Progress(sent, released, self._ask_first)

    def _place(self, transport: Transport) -> int:
        if self.lane.partition is not None:
            return self.lane.partition
        partition = self._choose_partition(self.lane.lane, transport.partitions(self.lane.signal))
        if self._placed is not None:
            self._placed(partition)
        self.lane.place(partition)
        return partition

    def _sendable(self) -> list[Frame]:
        frames = self.lane.unsent(self._trip_frames, _TRIP_BYTES)
        return [frame for frame in frames if frame.seq <= self.saved_to] if self._must_save else frames

    def _loadable(self) -> bool:
        return self.lane.tail > 0 and self._window_open

    def _load(self) -> None:
        """Fill the window from the journal, or from what the journal refused to take."""
        if not self._loadable():
            return
        lane = self.lane
        frames: list[Frame] = []
        if self.journal is not None and lane.loaded_to < self.saved_to:
            room = max(1, self._window_bytes - lane.held_bytes)
            frames = self.journal.read(lane.loaded_to, min(lane.room, _TRIP_FRAMES), room)
        elif (frame := self._unsaved.get(lane.loaded_to + 1)) is not None:
            frames = [frame]
        lane.load(frames)

    def _publish(self, transport: Transport, partition: int, frames: list[Frame], now: float) -> Reply:
        lane = self.lane
        try:
            reply = transport.publish(lane.signal, partition, lane.lane, frames)
        except IngestRefused:
            # Refused whole before any of it was relayed: too large together, perhaps not one by one.
            self._trip_frames = max(1, self._trip_frames // 2)
            raise
        except MonitoringError:
            for frame in frames:
                lane.sent(frame.seq, None, now)
            self._ask_first = True
            self._poll_at = now
            raise
        for frame, entry_id in zip(frames, reply.ids, strict=True):
            lane.sent(frame.seq, entry_id, now)
        self._trip_frames = min(_TRIP_FRAMES, self._trip_frames * 2) if frames else self._trip_frames
        return reply

    def _release(self, low: int) -> int:
        """Forget what the watermark has passed; how many frames."""
        before = self.lane.low
        released = self.lane.committed(low)
        if self.lane.low == before:
            return 0
        self.released_events += sum(frame.count for frame in released)
        for seq in [seq for seq in self._unsaved if seq <= self.lane.low]:
            del self._unsaved[seq]
        if self._released is not None:
            self._released(self.lane.low)
        return self.lane.low - before

    def _look(self, transport: Transport, partition: int, doubt: Doubt, now: float) -> tuple[int, int]:
        """Ask after the oldest frame; returns frames sent again and frames released."""
        lane = self.lane
        if doubt.entry_id is not None:
            if transport.present(lane.signal, partition, doubt.entry_id):
                lane.seen(doubt.frame.seq, now)
                return 0, 0
            released = self._release(self._publish(transport, partition, [], now).low)
            if released:
                return 0, released
        released = self._release(self._publish(transport, partition, [doubt.frame], now).low)
        return 1, released

    def _plan(self, now: float, *, progress: bool) -> None:
        self._poll_pause = _POLL_FIRST_SECONDS if progress else min(_POLL_LONGEST_SECONDS, self._poll_pause * 2)
        self._poll_at = now + self._poll_pause

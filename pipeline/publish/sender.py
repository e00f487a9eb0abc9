"""One lane, pumped by its caller: no thread, no buffer.

For those who bring their own batches and wait for the store: `monitoring ingest` (frames kept in its own
database), the replay of dead letters, requests that carry an idempotency key.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from monitoring.pipeline.bus.frame import Frame, encode_payload
from monitoring.pipeline.bus.lanes import Lane
from monitoring.pipeline.bus.streams import Transport
from monitoring.pipeline.clock import NowNs, wall_ns
from monitoring.pipeline.errors import BusFull, BusUnavailable, MonitoringError
from monitoring.pipeline.events.event import Rejected
from monitoring.pipeline.events.signals import SIGNALS, Row
from monitoring.pipeline.publish.breaker import Breaker
from monitoring.pipeline.publish.outbox import Outbox, by_lane

__all__ = ["LaneSender"]


class LaneSender:
    """Seals, sends, and waits for the commit of one lane. Used by one thread; does not cross a fork.

    Guarantee: a frame that was persisted before `seal` returned and is given to `restore` by the next process
    ends in the store exactly once. `placed` is called with the partition before anything is sent (persist it: the
    next process has to give it), `released` with a seq when every frame up to it is committed.

    `transport_factory` is called when the bus is first needed and after each failure. `persist` of `seal` runs
    before the frame is part of the lane: when it raises, the lane is as it was, and the next `seal` makes the
    same seq.
    """

    def __init__(
        self,
        lane: str,
        transport_factory: Callable[[], Transport],
        *,
        signal: str = "logs",
        partition: int | None = None,
        released: Callable[[int], None] = lambda low: None,
        choose_partition: Callable[[str, int], int] = by_lane,
        placed: Callable[[int], None] = lambda partition: None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        now_ns: NowNs = wall_ns,
    ) -> None:
        self.lane = Lane(lane, signal, partition)
        self._transport_factory = transport_factory
        self._transport: Transport | None = None
        self._outbox = Outbox(self.lane, choose_partition=choose_partition, placed=placed, released=released)
        self._breaker = Breaker(random.random)
        self._clock = clock
        self._sleep = sleep
        self._now_ns = now_ns
        self.trouble = ""

    @property
    def room(self) -> int:
        """How many more frames may be sealed before some have to be committed; at most 256."""
        return 0 if self.lane.overtaken else self.lane.room

    @property
    def committed(self) -> bool:
        """Whether everything sealed is in the store."""
        return self.lane.idle

    def restore(self, frames: Sequence[Frame]) -> None:
        """Take up the frames of an earlier process, in order: all that were persisted and not yet released.

        Call it once, before anything else. For a lane whose frames are all released say `resume`.
        """
        if frames:
            self.lane.restore(frames)

    def resume(self, low: int) -> None:
        """Continue a lane whose frames up to `low` are all committed and forgotten."""
        self.lane.resume(low, None)

    def seal(
        self,
        rows: Sequence[Row],
        rejected: Sequence[Rejected] = (),
        *,
        persist: Callable[[Frame], None] = lambda frame: None,
        dropped: Mapping[str, int] | None = None,
        created: int | None = None,
    ) -> Frame:
        """Make the next frame of these, at least one and at most MAX_FRAME_EVENTS, and persist it.

        `created` (nanoseconds) for who has to make the same frame again. Raises whatever `persist` raises,
        TypeError where a text holds lone surrogates, ValueError where there is no `room`.
        """
        if not self.room:
            raise ValueError(f"lane {self.lane.lane} has no room: wait for commits, or open a new lane")
        payload = encode_payload(rows, rejected, SIGNALS[self.lane.signal])
        now_ns = self._now_ns() if created is None else created
        frame = self.lane.draft(payload, len(rows) + len(rejected), now_ns, dropped)
        persist(frame)
        self.lane.retain(frame)
        return frame

    def pump(self) -> float:
        """One round trip if one is due; seconds until the next. Raises BusRefused and IngestRefused.

        While the bus is away or full nothing is raised: `trouble` says why, and the pause grows.
        """
        now = self._clock()
        due = max(self._outbox.due(now), self._breaker.retry_at)
        if due > now:
            return due - now
        try:
            if self._transport is None:
                self._transport = self._transport_factory()
            progress = self._outbox.pump(self._transport, now)
        except (BusUnavailable, BusFull) as error:
            self._failed(error, now)
        else:
            self._breaker.succeeded()
            self.trouble = "the bus is full" if progress.full else ""
        now = self._clock()
        return max(0.0, max(self._outbox.due(now), self._breaker.retry_at) - now)

    def wait(
        self, timeout_seconds: float | None = None, *, until: Callable[[Lane], bool] = lambda lane: lane.idle
    ) -> bool:
        """Pump until everything sealed is committed (or `until` says so); whether that came in time.

        Raises as `pump`. Without a timeout it waits for as long as the bus and the drains need.
        """
        ends = float("inf") if timeout_seconds is None else self._clock() + timeout_seconds
        while not until(self.lane):
            pause = self.pump()
            left = ends - self._clock()
            if left <= 0:
                return until(self.lane)
            if pause and not until(self.lane):
                self._sleep(min(pause, left))
        return True

    def close(self) -> None:
        """Give up the connection; what is not committed is for `restore`."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()

    def _failed(self, error: MonitoringError, now: float) -> None:
        self.trouble = str(error)
        self._breaker.failed(now, at_least=error.retry_after_seconds if isinstance(error, BusFull) else 0.0)
        if isinstance(error, BusUnavailable):
            with suppress(MonitoringError):  # it is broken already
                self.close()

"""Orphans: lanes in a spool whose owner died, sent on under their old lane and seqs until they are committed."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

from monitoring.pipeline.bus.lanes import Lane
from monitoring.pipeline.bus.streams import Transport
from monitoring.pipeline.errors import BusFull, BusUnavailable, SignalUnknown, StoreCorrupt, StoreFull
from monitoring.pipeline.events.signals import is_optional
from monitoring.pipeline.publish.outbox import Outbox
from monitoring.pipeline.publish.spool import Spool, SpoolLane

__all__ = ["ASK_AGAIN_SECONDS", "Adopter", "adopt_orphans"]

LOOK_SECONDS = 5.0
"""How often the directory is looked through: a few system calls a lane."""
_AT_ONCE = 4
"""Lanes sent at the same time; each holds up to `window_bytes` of frames in memory."""
ASK_AGAIN_SECONDS = 60.0
"""An instance takes another signal after it was upgraded, which is not worth more than a question a minute."""


class Adopter:
    """Takes lanes without a living owner and sends what is in them. Used by one thread; does not cross a fork.

    Guarantee: a frame of an adopted lane is deleted once the store has committed it, not before. Several
    adopters may share a directory: each lane has one at a time. Lanes of a signal that the instance does not take
    stay where they are.
    """

    def __init__(self, spool: Spool, *, window_bytes: int = 4 << 20) -> None:
        self._spool = spool
        self._window_bytes = window_bytes
        self._outboxes: list[tuple[Outbox, SpoolLane]] = []
        self._look_at = float("-inf")
        self._left: dict[str, float] = {}
        self.adopted = 0
        self.finished = 0

    @property
    def busy(self) -> bool:
        """Whether adopted lanes wait for their commit."""
        return bool(self._outboxes)

    @property
    def left(self) -> bool:
        """Whether lanes are left where they are, because the instance does not take their signal."""
        return bool(self._left)

    def due(self, now: float) -> float:
        """When to call `step` next, in the clock of `now`."""
        return min([self._look_at, *(outbox.due(now) for outbox, _ in self._outboxes)])

    def step(self, transport: Transport, now: float) -> None:
        """Look for orphans if it is time, and one round trip for each that was found. Raises as Transport does."""
        if now >= self._look_at:
            self._look(now)
        for outbox, journal in list(self._outboxes):
            try:
                if outbox.due(now) <= now:
                    outbox.pump(transport, now)
            except SignalUnknown:
                if not is_optional(journal.signal):
                    raise
                self._left[journal.signal] = now + ASK_AGAIN_SECONDS
                self._let_go(outbox, journal)
                self._look_at = now  # for others
                continue
            except (StoreCorrupt, StoreFull, OSError) as error:
                self._spool.damaged[journal.lane] = str(error)  # which also says: not again in this process
                self._let_go(outbox, journal)
                continue
            if outbox.lane.idle:
                self.finished += 1
                self._let_go(outbox, journal)
                self._look_at = now  # the next one may be waiting for this place

    def _let_go(self, outbox: Outbox, journal: SpoolLane) -> None:
        journal.close()
        self._outboxes.remove((outbox, journal))

    def _look(self, now: float) -> None:
        self._look_at = now + LOOK_SECONDS
        self._left = {signal: until for signal, until in self._left.items() if until > now}
        for journal in self._spool.orphans(_AT_ONCE - len(self._outboxes), but=self._left):
            lane = Lane(journal.lane, journal.signal, journal.partition)
            lane.resume(journal.low, journal.last)
            self._outboxes.append((Outbox(lane, journal, window_bytes=self._window_bytes), journal))
            self.adopted += 1

    def close(self) -> None:
        """Let go of the lanes: what is not committed is adopted by the next one."""
        for _, journal in self._outboxes:
            journal.close()
        self._outboxes = []


def adopt_orphans(
    spool_dir: Path,
    transport: Transport,
    *,
    max_bytes: int,
    timeout_seconds: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> bool:
    """Send every orphan of a spool directory; whether all were committed in time.

    Raises BusRefused. While the bus is away or full it waits and tries again.
    """
    adopter = Adopter(Spool(spool_dir, max_bytes=max_bytes))
    ends = clock() + timeout_seconds
    try:
        while True:
            now = clock()
            pause = 0.5
            with contextlib.suppress(BusUnavailable, BusFull):
                adopter.step(transport, now)
                if not adopter.busy and adopter.due(now) > now:
                    return not adopter.left
                pause = max(0.0, adopter.due(now) - now)
            if clock() + pause > ends:
                return False
            sleep(pause)
    finally:
        adopter.close()

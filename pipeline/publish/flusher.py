"""The flusher's work, one step at a time: seal, save, send, release, adopt, report.

No thread of its own and no waiting, so that whoever is left at the end of a process can run it.
"""

from __future__ import annotations

import os
import random
import socket
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from monitoring.pipeline.bus.frame import MAX_FRAME_EVENTS
from monitoring.pipeline.bus.lanes import Lane
from monitoring.pipeline.bus.streams import Transport
from monitoring.pipeline.errors import (
    BusFull,
    BusUnavailable,
    MonitoringError,
    PermanentError,
    SignalUnknown,
    StoreCorrupt,
    StoreFull,
)
from monitoring.pipeline.publish import forks
from monitoring.pipeline.publish.adopter import ASK_AGAIN_SECONDS, Adopter
from monitoring.pipeline.publish.barrier import Barrier
from monitoring.pipeline.publish.breaker import Breaker
from monitoring.pipeline.publish.buffer import Batch, Buffer, text_bytes
from monitoring.pipeline.publish.outbox import Outbox
from monitoring.pipeline.publish.packing import Packed, Packing, pack
from monitoring.pipeline.publish.plan import Plan
from monitoring.pipeline.publish.yielding import Yielding

__all__ = ["Flusher"]


FRAME_BYTES = 256 << 10
"""Aim for a frame's text: about a thousand ordinary events, and sixteen frames make a round trip of 4 MiB."""
_LARGEST = 4
"""Frames grow up to this many times as large while a backlog waits: fewer round trips on a slow bus."""
_STEP_FRAMES = 16
"""Frames sealed before the next round trip."""
REPORT_SECONDS = 10.0
_REFUSED_SECONDS = 5.0
"""Pause after an answer that asking again will not change: somebody has to change a setting first."""


class Flusher:
    """Moves events from the buffer to the store's commit. Does not cross a fork.

    `seal_step` (buffer to frames to spool) and `talk_step` (frames to bus, watermark back) may run in two threads,
    so that a bus which does not answer holds up nobody who waits for the spool; each in one thread at a time. One
    lock guards what they share; it is open while the bus is waited for.

    `unwanted`: the instance takes none of this signal, and can do without. That is no trouble; it is asked again.
    """

    def __init__(self, buffer: Buffer, plan: Plan) -> None:
        self.barriers: deque[Barrier] = deque()
        self.committed_events = 0
        self.trouble = ""
        self.spool_trouble = ""
        self.unwanted = False
        self.ending = False
        self._last = False
        self._buffer = buffer
        self._plan = plan
        self._outboxes: list[Outbox] = []
        self.transport: Transport | None = None
        self.breaker = Breaker(random.random)
        self._spool_breaker = Breaker(random.random)
        self._spool = plan.spool
        self._adopter = Adopter(self._spool) if self._spool else None
        self._packed: deque[Packed] = deque()
        self._told: dict[str, int] = {}
        self._lock = threading.Lock()
        self._shut = False
        self._waiting_since: float | None = None
        self._report_at = float("-inf")
        self._host = socket.gethostname()

    def has_reached(self, barrier: Barrier) -> bool:
        """Whether everything in front of the barrier is as safe as it asks, while no step runs."""
        return self._reached(barrier)

    def last_call(self) -> None:
        """The process ends: try the bus at once, and let those who wait go when it is doubtful."""
        self._last = True
        self.breaker.retry_at = float("-inf")

    def step(self) -> float:
        """Both steps in one thread."""
        self.seal_step()
        pause = self.talk_step()
        with self._lock:
            return min(pause, self._seal_pause())

    def seal_step(self) -> float:
        """Seal and save what is due; seconds until the next time (0: at once, infinity: when it is roused).

        Neither step raises anything that the outside can cause.
        """
        with self._lock:
            now = self._plan.clock()
            self._seal(now, at_once=bool(self.barriers))
            self._save(now)
            self._answer(now)
            self._shut = self._blocked(now)
            return self._seal_pause()

    def talk_step(self) -> float:
        """Send and ask what is due; seconds until the next time."""
        with self._lock:
            now = self._plan.clock()
            self._talk(now)
            self._answer(now)
            return self._talk_pause()

    @property
    def talk_is_due(self) -> bool:
        """Whether `talk_step` would do something now."""
        with self._lock:
            return self._talk_pause() <= 0

    @property
    def reopened(self) -> bool:
        """Whether `seal_step` could not seal the last time and can now."""
        with self._lock:
            return self._shut and not self._blocked(self._plan.clock())

    def _seal_pause(self) -> float:
        now = self._plan.clock()
        due = self._seal_due(now)
        if any(outbox.failing for outbox in self._outboxes):
            due = min(due, self._spool_breaker.retry_at)
        return max(0.0, due - now)

    def _talk_pause(self) -> float:
        now = self._plan.clock()
        return max(0.0, max(self._talk_due(now), self.breaker.retry_at) - now)

    # sealing

    def _seal(self, now: float, *, at_once: bool) -> None:
        if not self._buffer.count:
            self._waiting_since = None
        elif self._waiting_since is None:
            self._waiting_since = now
        aged = self._waiting_since is not None and now - self._waiting_since >= self._plan.interval_seconds
        enough = 1 if at_once or aged else self._plan.frame_events
        for _ in range(_STEP_FRAMES):
            if self._buffer.count < enough and not self._packed:
                break
            outbox = self._open_outbox(now)
            if outbox is None:
                return
            self._seal_one(outbox)
        self._waiting_since = now if self._buffer.count else None

    def _seal_one(self, outbox: Outbox) -> None:
        if not self._packed:
            self._pack()
        if self._packed:
            payload, count = self._packed.popleft()
            outbox.seal(payload, count, self._plan.now_ns(), self._untold())

    def _pack(self) -> None:
        """Take a batch out of the buffer and encode it: one frame, or several where its events are large."""
        waiting = self._buffer.count
        growth = max(1, min(_LARGEST, waiting // (8 * self._plan.frame_events)))
        average = max(1, self._buffer.used_bytes // max(1, waiting))
        number = min(self._plan.frame_events * growth, FRAME_BYTES * growth // average, MAX_FRAME_EVENTS)
        batch = self._buffer.take(max(1, number))
        packing = self._packing(batch, FRAME_BYTES * growth)
        self._packed.extend(packing.frames)
        self._buffer.settle(batch, packing.text_bytes, packing.dropped)

    def _packing(self, batch: Batch, max_text_bytes: int) -> Packing:
        """The batch, refined, as frames."""
        signal = self._plan.signal
        if self._plan.refine is None:
            return pack(batch.events, batch.rejected, max_text_bytes=max_text_bytes, signal=signal)
        try:
            with forks.held_off():
                refined = self._plan.refine(batch.events)
        except Exception as error:  # better lost, and counted, than sent with its secrets
            self._plan.on_trouble(f"{len(batch.events)} events were dropped: {type(error).__name__}: {error}")
            return self._with_size(batch, pack((), batch.rejected, max_text_bytes=max_text_bytes))._replace(
                dropped={"not_refined": len(batch.events)}
            )
        return self._with_size(batch, pack(refined, batch.rejected, max_text_bytes=max_text_bytes, signal=signal))

    def _with_size(self, batch: Batch, packing: Packing) -> Packing:
        """With the size that the buffer counted, which is that of the events before they were refined."""
        return packing._replace(text_bytes=text_bytes(batch.events, batch.rejected, self._plan.signal))

    def _open_outbox(self, now: float) -> Outbox | None:
        """The outbox to seal into; None while events are better kept where they can still be shed."""
        active = self._outboxes[-1] if self._outboxes else None
        spool_wanted = self._spool is not None and (active is None or active.journal is None)
        another = active is None or active.lane.overtaken or spool_wanted
        if another and (self._spool is None or self._spool_breaker.ready(now)):
            active = self._new_outbox(now) or active
        return active if active is not None and self._may_seal(active) else None

    def _may_seal(self, outbox: Outbox) -> bool:
        if not outbox.room:
            return False
        if outbox.journal is not None and not outbox.failing:
            return True
        held = sum(other.lane.held_bytes for other in self._outboxes)
        return outbox.ready and held < self._plan.retain_bytes

    def _new_outbox(self, now: float) -> Outbox | None:
        """A new lane, spooled if that is possible; without a spool where it is not required."""
        lane = Lane(self._plan.mint(), self._plan.signal.name)
        journal = None
        if self._spool is not None:
            try:
                journal = self._spool.create(lane.lane, lane.signal)
                self._spool_works()
            except (StoreFull, OSError) as error:
                self._spool_fails(error, now)
                if self._plan.required or self._outboxes:
                    return None
        outbox = Outbox(
            lane,
            journal,
            must_save=self._plan.required,
            window_bytes=self._plan.retain_bytes,
            choose_partition=self._plan.choose_partition,
        )
        self._outboxes.append(outbox)
        return outbox

    def _untold(self) -> dict[str, int]:
        """Drops since the last time they were asked for; a lane's counters tell each once."""
        dropped = self._buffer.tally().dropped
        new = {reason: number - self._told.get(reason, 0) for reason, number in dropped.items()}
        self._told = dropped
        return {reason: number for reason, number in new.items() if number}

    # saving

    def _save(self, now: float) -> None:
        for outbox in self._outboxes:
            if outbox.failing and not self._spool_breaker.ready(now):
                continue
            try:
                if outbox.save():
                    self._spool_works()
            except (StoreFull, OSError) as error:
                self._spool_fails(error, now)

    def _spool_works(self) -> None:
        self._spool_breaker.succeeded()
        self.spool_trouble = ""

    def _spool_fails(self, error: Exception, now: float) -> None:
        self._spool_breaker.failed(now)
        text = str(error) if isinstance(error, MonitoringError) else f"the spool cannot be written: {error}"
        if not self.spool_trouble:
            self._plan.on_trouble(text)
        self.spool_trouble = text

    # sending

    def _talk(self, now: float) -> None:
        """One round trip for everything that is due, unless the bus failed a moment ago."""
        if not self.breaker.ready(now) or self._talk_due(now) > now:
            return
        try:
            if self.transport is None:
                with self._opened():
                    self.transport = self._plan.transport_factory()
            self._exchange(Yielding(self.transport, self._opened), now)
            if self._adopter is not None and self._adopter.due(now) <= now:
                with self._opened():
                    self._adopter.step(Yielding(self.transport, self._unless_ending), now)
        except BusFull as error:
            self._bus_fails(error, now, at_least=error.retry_after_seconds)
        except SignalUnknown as error:
            if self._plan.signal.optional:
                self._nobody_wants_it(now)
            else:
                self._bus_fails(error, now, at_least=_REFUSED_SECONDS)
            self._hang_up()
        except PermanentError as error:
            self._bus_fails(error, now, at_least=_REFUSED_SECONDS)
            self._hang_up()
        except (MonitoringError, OSError) as error:
            self._bus_fails(error, now)
            self._hang_up()
        else:
            self.breaker.succeeded()
            self.trouble = ""
            self.unwanted = False

    @contextmanager
    def _opened(self) -> Iterator[None]:
        """The lock is open inside. Once `ending` nothing more is asked: who closes waits for one answer at most."""
        with self._unless_ending():
            self._lock.release()
            try:
                yield
            finally:
                self._lock.acquire()

    @contextmanager
    def _unless_ending(self) -> Iterator[None]:
        if self.ending:
            raise BusUnavailable("the publisher is being closed")
        yield

    def _exchange(self, transport: Transport, now: float) -> None:
        for outbox in list(self._outboxes):
            if outbox.due(now, wanting=self._wanting) <= now:
                self._pump(outbox, transport, now)
            if outbox in self._outboxes[:-1] and outbox.lane.idle:
                self._report(transport, outbox, closed=True)
                self._outboxes.remove(outbox)
                if outbox.journal is not None:
                    outbox.journal.close()
        if self._outboxes and now >= self._report_at and self._outboxes[-1].lane.partition is not None:
            try:
                self._report(transport, self._outboxes[-1], closed=False)
                self._report_at = now + REPORT_SECONDS
            except BusFull:
                self._report_at = now + 1.0  # the frames, and their watermark, come first

    def _pump(self, outbox: Outbox, transport: Transport, now: float) -> None:
        before = outbox.released_events
        try:
            outbox.pump(transport, now)
        except StoreCorrupt as error:
            self._abandon(outbox, str(error))
        finally:
            self.committed_events += outbox.released_events - before

    def _abandon(self, outbox: Outbox, reason: str) -> None:
        """The spool lost frames while their process lives (somebody deleted them): count them and go on anew."""
        self._spool_fails(StoreCorrupt(reason), self._plan.clock())
        self._outboxes.remove(outbox)
        if outbox.journal is not None:
            outbox.journal.close()
        lost = outbox.lane.sealed_events - outbox.released_events
        self._buffer.lose("spool_lost", lost)
        self._told["spool_lost"] = self._told.get("spool_lost", 0) + lost  # its lane shows them as missing

    @property
    def _wanting(self) -> bool:
        return bool(self._buffer.count or self._packed)

    def _nobody_wants_it(self, now: float) -> None:
        self.breaker.failed(now, at_least=ASK_AGAIN_SECONDS)
        self.trouble = ""
        self.unwanted = True

    def _bus_fails(self, error: Exception, now: float, *, at_least: float = 0.0) -> None:
        self.breaker.failed(now, at_least=at_least)
        if not self.trouble and not self.ending:
            self._plan.on_trouble(str(error))
        self.trouble = str(error)
        self.unwanted = False
        self._report_at = float("-inf")  # what was dropped meanwhile is told as soon as somebody listens
        if self._last and (at_least or self.breaker.doubtful):
            self._give_up()

    def _hang_up(self) -> None:
        transport, self.transport = self.transport, None
        if transport is not None:
            transport.close()

    def _report(self, transport: Transport, outbox: Outbox, *, closed: bool) -> None:
        lane = outbox.lane
        if lane.partition is None:
            return
        waiting = 0
        if outbox is self._outboxes[-1]:
            lane.note_dropped(self._untold())
            waiting = self._buffer.tally().waiting
        facts: dict[str, Any] = {
            **lane.facts(),
            "emitted": lane.emitted + waiting,
            "service": self._plan.service,
            "host": self._host,
            "pid": os.getpid(),
            "closed": closed,
            "seen": self._plan.now_ns(),
        }
        transport.report(lane.signal, lane.partition, lane.lane, facts)

    # waiting

    def _answer(self, now: float) -> None:
        for _ in range(len(self.barriers)):
            barrier = self.barriers.popleft()
            if barrier.given_up:
                continue
            if self._reached(barrier):
                barrier.done.set()
                continue
            if self._in_vain(barrier, now):
                barrier.in_vain = True
                barrier.done.set()
                continue
            self.barriers.append(barrier)
            for outbox, _seq in barrier.targets or ():
                outbox.hurry(now)

    def _give_up(self) -> None:
        """Let everybody go who does not wait for the spool alone."""
        for barrier in list(self.barriers):
            if barrier.ack != "spool":
                barrier.in_vain = True
                barrier.done.set()

    def _in_vain(self, barrier: Barrier, now: float) -> bool:
        """Whether to wait would be in vain: nobody takes this signal, and it is not yet time to ask again."""
        return self.unwanted and not self.breaker.ready(now) and (barrier.ack != "spool" or self._spool is None)

    def _reached(self, barrier: Barrier) -> bool:
        if barrier.targets is None:
            if self._packed or not self._buffer.passed(barrier.mark):
                return False
            barrier.targets = [(outbox, outbox.lane.next_seq - 1) for outbox in self._outboxes]
        return barrier.reached

    @property
    def rouse_at(self) -> int:
        """More events than this waiting are a reason to seal earlier than planned."""
        with self._lock:
            if self._blocked(self._plan.clock()):
                return self._buffer.max_events
            return 0 if self._waiting_since is None else self._plan.frame_events - 1

    def _blocked(self, now: float) -> bool:
        """Whether what waits cannot be sealed now."""
        if not self._outboxes or self._outboxes[-1].lane.overtaken:
            return self._spool is not None and not self._spool_breaker.ready(now)
        return not self._may_seal(self._outboxes[-1])

    def _seal_due(self, now: float) -> float:
        if self._waiting_since is None and not self._packed:
            return float("inf")
        if (
            self.barriers
            or self._packed
            or self._buffer.count >= self._plan.frame_events
            or self._waiting_since is None
        ):
            due = now
        else:
            due = self._waiting_since + self._plan.interval_seconds
        if not self._blocked(now):
            return due
        # A round trip opens it again, or the spool.
        return float("inf") if self._spool is None else max(due, self._spool_breaker.retry_at)

    def _talk_due(self, now: float) -> float:
        due = min([outbox.due(now, wanting=self._wanting) for outbox in self._outboxes], default=float("inf"))
        if self._outboxes and self._outboxes[-1].lane.partition is not None:
            due = min(due, self._report_at)
        return min(due, self._adopter.due(now)) if self._adopter else due

    def close(self) -> None:
        """Say goodbye and let go of everything; no step runs."""
        self.leave()
        self._let_go()

    def leave(self) -> float:
        """Say of each lane that it is closed, if the bus is there, and hang up; no step runs. Best effort.

        Like a step it tells when there is something to do next: never, until more is emitted.
        """
        with self._lock:
            if self.transport is not None and self.breaker.closed:
                try:
                    for outbox in self._outboxes:
                        self._report(self.transport, outbox, closed=True)
                except MonitoringError as error:
                    self.trouble = str(error)
            self._hang_up()
        return float("inf")

    def _let_go(self) -> None:
        for outbox in self._outboxes:
            if outbox.journal is not None:
                outbox.journal.close()
        if self._adopter is not None:
            self._adopter.close()

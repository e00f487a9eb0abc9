"""The publisher: what a process puts its events into, and a thread that brings them to the store.

emit -> buffer -> [flusher: seal -> spool -> publish -> watermark -> release]
"""

from __future__ import annotations

import atexit
import sys
import threading
import time
import uuid
import weakref
from collections.abc import Callable, Sequence
from typing import NamedTuple

from monitoring.pipeline.bus.streams import Transport
from monitoring.pipeline.clock import NowNs, wall_ns
from monitoring.pipeline.errors import BusFull, IngestRefused, MonitoringError, SettingsError, StoreFull
from monitoring.pipeline.events.event import MAX_EVENT_BYTES, Event, Rejected
from monitoring.pipeline.events.signals import SIGNALS, Row
from monitoring.pipeline.publish import forks, own_threads
from monitoring.pipeline.publish.barrier import Ack, Barrier
from monitoring.pipeline.publish.breaker import DOUBTFUL_SECONDS
from monitoring.pipeline.publish.buffer import Buffer, text_bytes
from monitoring.pipeline.publish.flusher import Flusher
from monitoring.pipeline.publish.outbox import by_lane
from monitoring.pipeline.publish.plan import Plan
from monitoring.pipeline.publish.spool import Spool
from monitoring.pipeline.publish.waker import Waker

__all__ = ["EXIT_SECONDS", "Counters", "Publisher"]

EXIT_SECONDS = 3.0
"""How long the end of the interpreter waits for the bus: long enough for a slow one, short enough for a person."""
_BUG_PAUSE_SECONDS = 1.0
_JOIN_SECONDS = 0.5
"""Least time for a thread to end: it waits for one answer of the bus, or one fsync."""


class Counters(NamedTuple):
    """What became of the events of this process: emitted = committed + sum(dropped) + buffered + sealed.

    `sealed` are in frames on their way, in memory, in the spool or on the bus; `buffered` may still be shed.
    """

    emitted: int
    committed: int
    dropped: dict[str, int]
    buffered: int
    sealed: int


class Publisher:
    """Publishes events of one process and signal over one lane. Thread-safe; makes itself anew after a fork.

    Guarantees, from weak to strong:

    - `emit` returned True: the event is in memory (A0), and lost only, counted, if the buffer has to shed.
    - `flush(ack="spool")` returned True: every event emitted before is fsynced (A1) and ends in the store
      exactly once, whatever dies.
    - `flush(ack="bus")`: it is on the bus as well as in this process (A2); the loss of one of them is survived.
    - `flush(ack="store")`: it is committed and searchable (A3).

    `transport_factory` is called in the flusher's thread when the bus is needed, and anew after each failure.
    With a `spool` every frame is fsynced there before it is sent; with `required`, moreover, nothing is shed:
    `emit` raises StoreFull or BusFull instead of dropping, and nothing is sent that could not be fsynced.
    Without `required`, while the spool fails, frames are kept in memory like those of a publisher without one.

    `signal` "metrics" publishes deltas instead of log events, batch by batch (`offer`); of what was taken nothing is
    shed. Where the instance takes no metrics, `offer` says False, nothing is reported as trouble, and the instance is
    asked again once a minute.

    Nothing happens before the first event: no thread, no connection.
    """

    def __init__(
        self,
        transport_factory: Callable[[], Transport],
        *,
        service: str = "",
        signal: str = "logs",
        max_events: int = 100_000,
        max_bytes: int = 64 << 20,
        frame_events: int = 1000,
        flush_interval_seconds: float = 0.2,
        spool: Spool | None = None,
        required: bool = False,
        choose_partition: Callable[[str, int], int] = by_lane,
        refine: Callable[[Sequence[Event]], Sequence[Event]] | None = None,
        on_trouble: Callable[[str], None] = lambda reason: None,
        on_start: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
        now_ns: NowNs = wall_ns,
        mint: Callable[[], str] = lambda: uuid.uuid4().hex,
    ) -> None:
        """Arguments are those of the settings of the same names; `max_*` bound the buffer.

        A quarter of `max_bytes` is what frames in memory may take besides. `refine` is given each batch before it
        leaves the process, in the flusher's thread, and answers what is sent in its place, as many events; those of
        a batch for which it raises are dropped. `on_trouble` is told once when the bus or the spool stops working,
        in the flusher's thread, `on_start` whenever threads are started, after a fork too. Several publishers of a
        process share one `spool`, and so its bound. Raises SettingsError for `required` without a spool, KeyError for
        a signal that is none.
        """
        if required and spool is None:
            raise SettingsError(
                "durability `required` needs a spool: set MONITORING_SPOOL_DIR to a directory on a local disk"
            )
        self._plan = Plan(
            transport_factory=transport_factory,
            choose_partition=choose_partition,
            refine=refine,
            clock=clock,
            now_ns=now_ns,
            mint=mint,
            on_trouble=on_trouble,
            signal=SIGNALS[signal],
            service=service,
            frame_events=max(1, min(frame_events, max_events // 4)),
            interval_seconds=flush_interval_seconds,
            retain_bytes=max_bytes // 4,
            spool=spool,
            required=required,
        )
        self._bounds = (max_events, max_bytes)
        self._on_start = on_start
        self._closing = False
        self._closed = False
        self._late_until = float("-inf")
        self._inherited: list[Transport | None] = []
        self._reset()
        _remember(self)

    def _reset(self) -> None:
        """Everything that must not cross a fork, new."""
        self._equip()
        self._buffer = Buffer(*self._bounds, self._rouse, shed=not self._plan.required, signal=self._plan.signal)
        self._flusher = Flusher(self._buffer, self._plan)
        self._thread: threading.Thread | None = None
        self._talker: threading.Thread | None = None
        self._add = self._add_or_raise if self._plan.required else self._buffer.add

    def _equip(self) -> None:
        """What is waited for, of the kind that `threading` offers now: gevent puts greenlets in the place of threads,
        and one that waits for a thread's lock would stop them all."""
        self._made_of = threading.Lock
        self._lock = threading.RLock()
        self._stepping = threading.Lock()
        self._wake = Waker()
        self._talk_wake = Waker()
        self._seen_drops = threading.local()

    def _renew(self) -> None:
        """In a forked child: the parent sends what was buffered, over its own connection.

        That one is kept and never touched again, because closing it could take a lock that nobody will release.
        """
        self._inherited.append(self._flusher.transport)
        buffer, flusher = self._buffer, self._flusher
        self._reset()
        self._flusher.breaker.learn_from(flusher.breaker)
        if forks.is_heir():
            self._buffer.inherit(buffer)

    # the caller's side

    def emit(self, event: Event) -> bool:
        """Take over a log event. False where it was dropped, which is counted. Does not block.

        Raises nothing unless durability is `required`: then StoreFull or BusFull where it cannot be kept, and
        IngestRefused where it never could.
        """
        if self._thread is None and not self._start():
            return self._add_late(event)
        return self._add(event)

    def reject(self, item: Rejected) -> bool:
        """Take over input that is not an event; it travels with the events to the dead letters. As `emit`."""
        if self._thread is None and not self._start():
            return self._refuse(1)
        kept = self._buffer.add_rejected(item)
        if not kept and self._plan.required:
            raise self._refusal()
        return kept

    def emit_all(self, rows: Sequence[Row], rejected: Sequence[Rejected] = ()) -> bool:
        """Take over all of these or none; False, counted, where they do not fit. Raises as `emit`."""
        if self._thread is None and not self._start():
            return self._refuse(len(rows) + len(rejected))
        self._check_spool()
        if self._buffer.add_all(rows, rejected):
            return True
        if self._plan.required:
            raise self._refusal()
        self._buffer.refuse("buffer_full", len(rows) + len(rejected))
        return False

    def offer(self, rows: Sequence[Row]) -> bool:
        """Take over all of these, or none and count nothing: whoever offers them keeps them and offers again later.

        Raises nothing, does not block. False where they do not fit, where nobody wants them (the instance takes
        none of this signal), where `required` cannot be kept, and once `close` was called. A batch that is larger
        than the buffer is taken once nothing else waits: who offers it bounds it.
        """
        if self._closing or self._flusher.unwanted or (self._plan.required and self._flusher.spool_trouble):
            return False
        if self._thread is None and not self._start():
            return False
        return self._buffer.add_all(rows, alone=True)

    def flush(self, timeout_seconds: float = 5.0, ack: Ack = "store") -> bool:
        """Wait until all that was emitted before is as safe as `ack`; whether it came to that in time.

        False too where an event was dropped since this thread asked last: it is safe nowhere. Where there
        is no spool, or it fails, `ack="spool"` is reached by the commit, which is safer still.
        """
        return self._reach(ack, timeout_seconds) & self._clean()

    def _clean(self) -> bool:
        """Whether nothing was dropped since this thread asked last."""
        dropped = sum(self._buffer.tally().dropped.values())
        seen = getattr(self._seen_drops, "number", 0)
        self._seen_drops.number = dropped
        return dropped == seen

    def _reach(self, ack: Ack, timeout_seconds: float, *, at_exit: bool = False) -> bool:
        """Wait until what is left of all that was emitted before is as safe as `ack`."""
        forks.check()
        barrier = Barrier(self._buffer.mark(), ack)
        if self._closed:
            return self._flusher.has_reached(barrier)
        if not self._buffer.tally().sealed and not self._buffer.count:
            return True
        self._flusher.barriers.append(barrier)
        self._start()
        if at_exit:
            self._flusher.last_call()
        self._rouse()
        return self._await(barrier, timeout_seconds)

    def counters(self) -> Counters:
        """The counts at this moment. They begin anew in a forked child."""
        committed = self._flusher.committed_events
        sealed, waiting, dropped = self._buffer.tally()
        return Counters(sealed + waiting + sum(dropped.values()), committed, dropped, waiting, sealed - committed)

    @property
    def unwanted(self) -> bool:
        """Whether the instance takes none of this signal, as far as is known."""
        return self._flusher.unwanted

    @property
    def trouble(self) -> str:
        """Why the bus or the spool does not work at present; "" where they do."""
        return self._flusher.trouble or self._flusher.spool_trouble

    def close(self, timeout_seconds: float = 5.0) -> bool:
        """Flush to the bus, say goodbye and end the thread; whether everything is on the bus or in the spool.

        What is in the spool and not committed is adopted by the next process, or by `monitoring up`.
        """
        return self._end(timeout_seconds, at_exit=False)

    def finish(self, timeout_seconds: float = EXIT_SECONDS) -> bool:
        """As `close`, for a process that ends: it is not held up by a bus that refuses, and is not over yet.

        The bus is tried at once, and given up when it fails three times in a row. What functions of `atexit` emit later
        is saved in the spool or, without one, sent before `emit` returns, until the time is up or the bus fails.
        """
        return self._end(timeout_seconds, at_exit=True)

    def learn_from(self, other: Publisher) -> None:
        """The other one goes to the same bus: whether it fails is known here, too. The bus is tried all the same."""
        self._flusher.breaker.learn_from(other._flusher.breaker)

    def _end(self, timeout_seconds: float, *, at_exit: bool) -> bool:
        with self._lock:
            if self._closing:
                return True
            self._closing = True
        if at_exit and self._flusher.breaker.doubtful:
            timeout_seconds = min(timeout_seconds, DOUBTFUL_SECONDS)
        ends = self._plan.clock() + timeout_seconds
        try:
            safe = self._reach("bus", timeout_seconds, at_exit=at_exit)
            safe = safe or (self._plan.spool is not None and self._reach("spool", 0.1))
        except BaseException:  # Ctrl-C while it waited: who asks again waits again
            self._closing = False
            raise
        self._late_until = ends if at_exit and safe else float("-inf")
        self._closed = True
        self._flusher.ending = not at_exit
        self._join(ends if at_exit else max(ends, self._plan.clock() + _JOIN_SECONDS))
        if at_exit:
            safe = safe and self._sweep()
        elif self._stepping.acquire(timeout=0.1):  # else it hangs in the network, and so would we
            try:
                self._flusher.close()
            finally:
                self._stepping.release()
        return safe and self._clean()

    def _join(self, until: float) -> None:
        """Have the threads end, and wait for them so long."""
        self._rouse()
        threads, self._thread, self._talker = (self._thread, self._talker), None, None
        for thread in threads:
            if thread is not None and thread is not threading.current_thread():
                thread.join(max(0.0, until - self._plan.clock()))

    # after `finish`

    def _add_late(self, event: Event) -> bool:
        """Closed already: send the event at once, if the process is ending; whether it is on the bus, or saved.

        Only the main thread is heard: it runs what `atexit` calls, and the others would have no end.
        """
        if sys.is_finalizing():
            return False  # nothing can be imported any more, and what the other threads had locked stays locked
        if self._plan.clock() > self._late_until or threading.get_ident() != threading.main_thread().ident:
            return self._refuse(1)
        return self._buffer.add(event) and self._sweep()

    def _sweep(self) -> bool:
        """Send what is left, and what a signal handler adds meanwhile, until nothing is; whether it came to that."""
        while self._stepping.acquire(blocking=False):  # else this thread is at it already, or a hanging one
            try:
                if not self._send_late():
                    return False
            finally:
                self._stepping.release()
            if not self._buffer.count:
                return True
        return False

    def _send_late(self) -> bool:
        """Send what there is, or save it where there is a spool, and say goodbye; whether it came to that."""
        spooled = self._plan.spool is not None
        with own_threads.within():
            while not self._flusher.has_reached(barrier := Barrier(self._buffer.mark(), "spool" if spooled else "bus")):
                self._flusher.barriers.append(barrier)
                while pause := self._work_for(barrier, self._flusher.seal_step if spooled else self._flusher.step):
                    if self.trouble or self._plan.clock() > self._late_until:
                        self._late_until = float("-inf")
                        return False
                    time.sleep(pause)
            self._guarded(self._flusher.leave)
        return True

    def _refuse(self, number: int) -> bool:
        self._buffer.refuse("closed", number)
        return False

    # the thread

    def _rouse(self) -> None:
        self._wake.wake()

    def _start(self) -> bool:
        """Have the threads running; False where the publisher is closed. Where no thread can be started any more
        (the interpreter ends), or none may run yet, events wait in the buffer for `flush` or `close`."""
        forks.check()
        if self._thread is None and self._made_of is not threading.Lock:
            self._equip()
        with self._lock:
            if self._closed:
                return False
            if self._thread is None and not forks.awaited():
                self._start_threads()
        return True

    def _start_threads(self) -> None:
        alone = self._plan.spool is None
        # Known before it runs: a signal handler that logs while it is being started must not start another.
        self._thread = own_threads.thread("monitoring-publisher", self._do_all if alone else self._seal)
        try:
            if not alone and self._talker is None:
                talker = own_threads.thread("monitoring-publisher-talk", self._talk)
                talker.start()
                self._talker = talker
            self._thread.start()
        except RuntimeError as error:
            self._thread = None
            if "shutdown" not in str(error):  # else it is the end, and nothing is wrong
                self._plan.on_trouble(f"no thread can be started, so events wait in memory: {error}")
        else:
            self._on_start()

    def _do_all(self) -> None:
        while not self._closed:
            with self._stepping:
                pause = self._guarded(self._flusher.step)
            self._rest(pause)
        self._say_goodbye()

    def _seal(self) -> None:
        while not self._closed:
            pause = self._guarded(self._flusher.seal_step)
            if self._flusher.talk_is_due:
                self._talk_wake.wake()
            self._rest(pause)
        self._talk_wake.wake()

    def _talk(self) -> None:
        while not self._closed:
            with self._stepping:
                pause = self._guarded(self._flusher.talk_step)
            if self._flusher.reopened:
                self._rouse()
            self._talk_wake.wait(pause)
        self._say_goodbye()

    def _say_goodbye(self) -> None:
        """By the thread that has talked: a connection may belong to its thread, where gevent has made the socket."""
        with self._stepping:
            self._guarded(self._flusher.leave)

    def _guarded(self, step: Callable[[], float]) -> float:
        """The edge of the threads: a fault of ours must not end publishing, and `trouble` shows it."""
        try:
            return step()
        except Exception as error:
            self._flusher.trouble = f"{type(error).__name__}: {error}"
            return _BUG_PAUSE_SECONDS

    def _rest(self, seconds: float) -> None:
        """Until it is time, or enough events are there to seal earlier."""
        if seconds > 0 and not self._buffer.arm(self._flusher.rouse_at):
            self._wake.wait(seconds)

    def _await(self, barrier: Barrier, timeout_seconds: float) -> bool:
        """Wait for the flusher, or do its work where there is no thread for it."""
        ends = self._plan.clock() + timeout_seconds
        if threading.get_ident() in own_threads.idents:
            return False  # a signal handler, amid the very work that it would wait for
        try:
            while self._thread is None and self._plan.clock() < ends:
                with self._stepping, own_threads.within():
                    pause = self._work_for(barrier, self._flusher.step)
                if not pause:
                    break
                time.sleep(pause)
            return barrier.done.wait(max(0.0, ends - self._plan.clock())) and not barrier.in_vain
        finally:
            barrier.given_up = True

    def _work_for(self, barrier: Barrier, step: Callable[[], float]) -> float:
        """Do a step of the flusher's; seconds until the next one is due, 0 where the barrier is done."""
        pause = self._guarded(step)
        return 0.0 if barrier.done.is_set() else min(max(pause, 0.001), 0.05)

    # `required`

    def _add_or_raise(self, event: Event) -> bool:
        self._check_spool()
        if self._buffer.add(event):
            return True
        try:
            if text_bytes((event,)) > MAX_EVENT_BYTES:
                raise IngestRefused(f"an event is larger than {MAX_EVENT_BYTES} bytes")
        except (TypeError, IndexError) as error:
            raise IngestRefused(f"not an event: {error}") from error
        raise self._refusal()

    def _check_spool(self) -> None:
        if self._plan.required and self._flusher.spool_trouble:
            raise StoreFull(self._flusher.spool_trouble)

    def _refusal(self) -> MonitoringError:
        if self._flusher.spool_trouble:
            return StoreFull(self._flusher.spool_trouble)
        return BusFull(f"the buffer is full: {self._flusher.trouble or 'events come faster than they are sent'}")


_live: weakref.WeakSet[Publisher] = weakref.WeakSet()
_hooked = False


def _remember(publisher: Publisher) -> None:
    """Have the publisher renewed in forked children and flushed at exit."""
    global _hooked
    _live.add(publisher)
    if not _hooked:
        _hooked = True
        forks.in_every_child(_renew_all)
        atexit.register(_finish_all)


def _renew_all() -> None:
    own_threads.idents.clear()
    for publisher in list(_live):
        publisher._renew()


def _finish_all() -> None:
    ends = time.monotonic() + EXIT_SECONDS
    for publisher in list(_live):
        publisher.finish(max(0.0, ends - time.monotonic()))

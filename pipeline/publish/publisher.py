"""The publisher: what a process puts its events into, and a thread that brings them to the store.

emit -> buffer -> [flusher: seal -> spool -> publish -> watermark -> release]
"""

from __future__ import annotations

import atexit
import os
import queue
import threading
import time
import uuid
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from monitoring.pipeline.bus.streams import Transport
from monitoring.pipeline.clock import NowNs, wall_ns
from monitoring.pipeline.errors import BusFull, IngestRefused, MonitoringError, SettingsError, StoreFull
from monitoring.pipeline.events.event import MAX_EVENT_BYTES, Event, Rejected
from monitoring.pipeline.events.signals import SIGNALS, Row
from monitoring.pipeline.publish import own_threads
from monitoring.pipeline.publish.barrier import Ack, Barrier
from monitoring.pipeline.publish.buffer import Buffer, text_bytes
from monitoring.pipeline.publish.flusher import Flusher, Plan
from monitoring.pipeline.publish.outbox import by_lane

__all__ = ["Counters", "Publisher"]

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
    With `spool_dir` every frame is fsynced there before it is sent; with `required`, moreover, nothing is shed:
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
        spool_dir: Path | None = None,
        spool_bytes: int = 1 << 30,
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
        in the flusher's thread, `on_start` whenever threads are started, after a fork too. Raises SettingsError for
        `required` without a spool, KeyError for a signal that is none.
        """
        if required and spool_dir is None:
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
            spool_dir=spool_dir,
            spool_bytes=spool_bytes,
            required=required,
        )
        self._bounds = (max_events, max_bytes)
        self._on_start = on_start
        self._closing = False
        self._closed = False
        self._inherited: list[Transport | None] = []
        self._reset()
        _remember(self)

    def _reset(self) -> None:
        """Everything that must not cross a fork, new."""
        self._lock = threading.RLock()
        self._stepping = threading.Lock()
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._buffer = Buffer(*self._bounds, self._rouse, shed=not self._plan.required, signal=self._plan.signal)
        self._flusher = Flusher(self._buffer, self._plan)
        self._talk_wake: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._talker: threading.Thread | None = None
        self._add = self._add_or_raise if self._plan.required else self._buffer.add
        self._seen_drops = threading.local()

    def _renew(self) -> None:
        """In a forked child: the parent sends what was buffered, over its own connection.

        That one is kept and never touched again, because closing it could take a lock that nobody will release.
        """
        self._inherited.append(self._flusher.transport)
        self._reset()

    # the caller's side

    def emit(self, event: Event) -> bool:
        """Take over a log event. False where it was dropped, which is counted. Does not block.

        Raises nothing unless durability is `required`: then StoreFull or BusFull where it cannot be kept, and
        IngestRefused where it never could.
        """
        if self._thread is None and not self._start():
            return False
        return self._add(event)

    def reject(self, item: Rejected) -> bool:
        """Take over input that is not an event; it travels with the events to the dead letters. As `emit`."""
        if self._thread is None and not self._start():
            return False
        kept = self._buffer.add_rejected(item)
        if not kept and self._plan.required:
            raise self._refusal()
        return kept

    def emit_all(self, rows: Sequence[Row], rejected: Sequence[Rejected] = ()) -> bool:
        """Take over all of these or none; False, counted, where they do not fit. Raises as `emit`."""
        if self._thread is None and not self._start():
            return False
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
        barrier = Barrier(self._buffer.mark(), ack)
        if self._closed:
            reached = self._flusher.idle and not self._buffer.count
        elif self._buffer.tally().sealed or self._buffer.count:
            self._flusher.barriers.append(barrier)
            self._start()
            self._rouse()
            reached = self._await(barrier, timeout_seconds)
        else:
            reached = True
        dropped = sum(self._buffer.tally().dropped.values())
        clean = dropped == getattr(self._seen_drops, "number", 0)
        self._seen_drops.number = dropped
        return reached and clean

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
        with self._lock:
            if self._closing:
                return True
            self._closing = True
        ends = self._plan.clock() + timeout_seconds
        safe = self.flush(timeout_seconds, "bus") or (self._plan.spool_dir is not None and self.flush(0.1, "spool"))
        self._closed = self._flusher.ending = True
        self._rouse()
        threads, self._thread, self._talker = (self._thread, self._talker), None, None
        for thread in threads:
            if thread is not None and thread is not threading.current_thread():
                thread.join(max(_JOIN_SECONDS, ends - self._plan.clock()))
        if self._stepping.acquire(timeout=0.1):  # else it hangs in the network, and so would we
            try:
                self._flusher.close()
            finally:
                self._stepping.release()
        return safe

    # the thread

    def _rouse(self) -> None:
        self._wake.put(None)

    def _start(self) -> bool:
        """Have the threads running; False where the publisher is closed. Where no thread can be started any more
        (the interpreter ends), events wait in the buffer for `flush` or `close`."""
        with self._lock:
            if self._closed:
                self._buffer.refuse("closed", 1)
                return False
            if self._thread is None:
                alone = self._plan.spool_dir is None
                try:
                    if not alone:
                        self._talker = _started("monitoring-publisher-talk", self._talk)
                    self._thread = _started("monitoring-publisher", self._do_all if alone else self._seal)
                except RuntimeError:
                    return True
                self._on_start()
        return True

    def _do_all(self) -> None:
        while not self._closed:
            with self._stepping:
                pause = self._guarded(self._flusher.step)
            self._rest(pause)

    def _seal(self) -> None:
        while not self._closed:
            pause = self._guarded(self._flusher.seal_step)
            if self._flusher.talk_is_due:
                self._talk_wake.put(None)
            self._rest(pause)
        self._talk_wake.put(None)

    def _talk(self) -> None:
        while not self._closed:
            with self._stepping:
                pause = self._guarded(self._flusher.talk_step)
            if self._flusher.reopened:
                self._rouse()
            _wait(self._talk_wake, pause)

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
            _wait(self._wake, seconds)

    def _await(self, barrier: Barrier, timeout_seconds: float) -> bool:
        """Wait for the flusher, or do its work where no thread could be started."""
        ends = self._plan.clock() + timeout_seconds
        while self._thread is None and not barrier.done.is_set() and self._plan.clock() < ends:
            with self._stepping, own_threads.within():
                pause = self._flusher.step()
            time.sleep(min(pause, 0.05))
        reached = barrier.done.wait(max(0.0, ends - self._plan.clock()))
        barrier.given_up = True
        return reached and not barrier.in_vain

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


def _started(name: str, work: Callable[[], None]) -> threading.Thread:
    def work_silently() -> None:
        with own_threads.within():
            work()

    thread = threading.Thread(target=work_silently, name=name, daemon=True)
    thread.start()
    return thread


def _wait(wake: queue.SimpleQueue[None], seconds: float) -> None:
    """Wait so long, or until something is put into the queue; empties it."""
    try:
        if seconds > 0:
            wake.get(timeout=None if seconds == float("inf") else seconds)
        while True:
            wake.get_nowait()
    except queue.Empty:
        return


_live: weakref.WeakSet[Publisher] = weakref.WeakSet()
_hooked = False


def _remember(publisher: Publisher) -> None:
    """Have the publisher renewed in forked children and flushed at exit."""
    global _hooked
    _live.add(publisher)
    if not _hooked:
        _hooked = True
        os.register_at_fork(after_in_child=_renew_all)
        atexit.register(_close_all)


def _renew_all() -> None:
    own_threads.idents.clear()
    for publisher in list(_live):
        publisher._renew()


def _close_all() -> None:
    ends = time.monotonic() + EXIT_SECONDS
    for publisher in list(_live):
        publisher.close(max(0.0, ends - time.monotonic()))

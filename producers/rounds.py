"""Work that comes round: one thread that calls each of several functions at its interval."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from monitoring.pipeline.clock import NowNs, wall_ns
from monitoring.pipeline.publish import forks, own_threads
from monitoring.pipeline.publish.waker import Waker
from monitoring.producers.shipping import seconds_until_next
from monitoring.producers.trouble import Trouble

__all__ = ["Rounds"]


@dataclass(slots=True)
class _Round:
    name: str
    interval_seconds: float
    work: Callable[[], None]
    aligned: bool
    due: float = field(default=float("-inf"))


class Rounds:
    """Calls each function at its interval, in one daemon thread; one that raises is told, and called again next time.

    Nothing runs before `begin`, which may be called at any time and from any thread, again and again. After a fork
    the child has no thread until it calls `begin`, and where a fork is awaited it does nothing. An interval that was
    missed is not made up for.
    """

    def __init__(
        self, trouble: Trouble, *, clock: Callable[[], float] = time.monotonic, now_ns: NowNs = wall_ns
    ) -> None:
        self._trouble = trouble
        self._clock = clock
        self._now_ns = now_ns
        self._rounds: list[_Round] = []
        self._renew()

    def _renew(self) -> None:
        self._lock = threading.RLock()
        self._ended = False
        self._waker = Waker()
        self._thread: threading.Thread | None = None
        for each in self._rounds:
            each.due = self._first(each)

    def renew_after_fork(self) -> None:
        """In a forked child: everything anew, the thread not started."""
        self._renew()

    def add(self, name: str, interval_seconds: float, work: Callable[[], None], *, aligned: bool = False) -> None:
        """Have `work` called every so many seconds; the name is for the report of its failure.

        `aligned`: at whole multiples of the interval on the wall clock, which are the same in all processes.
        """
        made = _Round(name, interval_seconds, work, aligned)
        made.due = self._first(made)
        self._rounds.append(made)

    def _first(self, each: _Round) -> float:
        """Not all processes of a host at the same moment; a first sample soon, for somebody waits to see it."""
        if each.aligned:
            return self._next(each)
        return self._clock() + min(each.interval_seconds, 1.0) * (0.5 + random.random() / 2)  # nosec B311  # noqa: S311 - no secret

    def _next(self, each: _Round) -> float:
        pause = seconds_until_next(self._now_ns(), each.interval_seconds) if each.aligned else each.interval_seconds
        return self._clock() + pause

    def begin(self) -> None:
        """Have the thread running."""
        if self._thread is not None or self._ended or not self._rounds or forks.awaited():
            return
        with self._lock:
            if self._thread is None:
                self._waker = Waker()  # of the kind that waits now: gevent may have patched since
                self._thread = own_threads.thread("monitoring-rounds", self._run)
                try:
                    self._thread.start()
                except RuntimeError:  # the interpreter ends, or it may work the next time
                    self._thread = None

    def end(self, timeout_seconds: float = 1.0) -> None:
        """No more rounds; waits for the one that is on its way."""
        self._ended = True
        self._waker.wake()
        thread = self._thread
        if thread is not None and thread.ident is not None and thread is not threading.current_thread():
            thread.join(timeout_seconds)

    def step(self) -> float:
        """Call what is due; seconds until the next is."""
        for each in self._rounds:
            if self._clock() >= each.due:
                each.due = self._next(each)
                try:
                    each.work()
                except Exception as error:
                    self._trouble.bug(f"{each.name} failed", error)
        return max(0.0, min(each.due for each in self._rounds) - self._clock())

    def _run(self) -> None:
        waker = self._waker
        while not self._ended:
            waker.wait(self.step())

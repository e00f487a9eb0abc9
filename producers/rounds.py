"""Work that comes round: one thread that calls each of several functions at its interval."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from monitoring.pipeline.publish import own_threads
from monitoring.pipeline.publish.waker import Waker
from monitoring.producers.trouble import Trouble

__all__ = ["Rounds"]


@dataclass(slots=True)
class _Round:
    name: str
    interval_seconds: float
    work: Callable[[], None]
    due: float = field(default=float("-inf"))


class Rounds:
    """Calls each function at its interval, in one daemon thread; one that raises is told, and called again next time.

    Nothing runs before `begin`, which may be called at any time and from any thread, again and again. After a fork
    the child has no thread until it calls `begin`. An interval that was missed is not made up for.
    """

    def __init__(self, trouble: Trouble, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._trouble = trouble
        self._clock = clock
        self._rounds: list[_Round] = []
        self._renew()

    def _renew(self) -> None:
        self._lock = threading.RLock()
        self._ended = False
        self._waker = Waker()
        self._thread: threading.Thread | None = None
        for each in self._rounds:
            each.due = self._first(each.interval_seconds)

    def renew_after_fork(self) -> None:
        """In a forked child: everything anew, the thread not started."""
        self._renew()

    def add(self, name: str, interval_seconds: float, work: Callable[[], None]) -> None:
        """Have `work` called every so many seconds; the name is for the report of its failure."""
        self._rounds.append(_Round(name, interval_seconds, work, self._first(interval_seconds)))

    def _first(self, interval_seconds: float) -> float:
        """Not all processes of a host at the same moment; a first sample soon, for somebody waits to see it."""
        return self._clock() + min(interval_seconds, 1.0) * (0.5 + random.random() / 2)  # noqa: S311 - not a secret

    def begin(self) -> None:
        """Have the thread running."""
        if self._thread is not None or self._ended or not self._rounds:
            return
        with self._lock:
            if self._thread is None:
                self._waker = Waker()  # of the kind that waits now: gevent may have patched since
                self._thread = threading.Thread(target=self._run, name="monitoring-rounds", daemon=True)
                try:
                    self._thread.start()
                except RuntimeError:  # the interpreter ends: no more rounds
                    self._ended = True

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
                each.due = self._clock() + each.interval_seconds
                try:
                    each.work()
                except Exception as error:
                    self._trouble.bug(f"{each.name} failed", error)
        return max(0.0, min(each.due for each in self._rounds) - self._clock())

    def _run(self) -> None:
        waker = self._waker
        with own_threads.within():
            while not self._ended:
                waker.wait(self.step())

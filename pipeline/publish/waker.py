"""Waking a thread that waits."""

from __future__ import annotations

import threading

__all__ = ["Waker"]


class Waker:
    """`wake` ends the wait that is on, or else the next one; several before it count as one.

    A lock that is let go of, not a queue: a signal handler may wake in the middle of another wake, and where gevent
    stands in for threads when it is made it is a greenlet that waits.
    """

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def wake(self) -> None:
        """Never waits, never raises."""
        try:
            self._lock.release()
        except RuntimeError:  # it is awake already
            return

    def wait(self, seconds: float) -> None:
        """Wait so long, infinity included, or until woken."""
        self._lock.acquire(timeout=-1 if seconds == float("inf") else max(0.0, seconds))

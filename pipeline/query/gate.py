"""How many queries run at once: a few, the others wait their turn, and beyond that they are told to come back.

Queries share the machine with ingest. Past a handful they only slow each other down; a queue without an end would take
every thread there is.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from monitoring.pipeline.errors import RetryableError

__all__ = ["Gate", "TooBusy"]


class TooBusy(RetryableError):
    """So many queries run and wait that this one must come back later."""


class Gate:
    """Lets `places` in at a time, in the order in which they came; `waiting` more may wait, for `wait_seconds`."""

    def __init__(self, places: int, waiting: int, wait_seconds: float) -> None:
        self._free = places
        self._waiting, self._wait_seconds = waiting, wait_seconds
        self._lock = threading.Lock()
        self._queue: deque[threading.Event] = deque()

    @contextmanager
    def entered(self) -> Iterator[None]:
        """A place, for the length of the block. Raises TooBusy."""
        self._enter()
        try:
            yield
        finally:
            self._leave()

    def _enter(self) -> None:
        with self._lock:
            if self._free and not self._queue:
                self._free -= 1
                return
            if len(self._queue) >= self._waiting:
                raise TooBusy("too many queries at once")
            turn = threading.Event()
            self._queue.append(turn)
        if turn.wait(self._wait_seconds):
            return
        with self._lock:
            if not turn.is_set():
                self._queue.remove(turn)
                raise TooBusy(f"too many queries at once: no turn within {self._wait_seconds:g} s")

    def _leave(self) -> None:
        with self._lock:
            if self._queue:
                self._queue.popleft().set()  # the place goes on to who waited longest
            else:
                self._free += 1

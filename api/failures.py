"""Which failed attempts to prove who one is go into the audit log."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

__all__ = ["Failures"]

_MINUTE_SECONDS = 60.0
_ADDRESSES = 1024


class Failures:
    """Which failed attempts are written down: ten a minute of an address, a hundred of all. Safe between threads.

    Whoever floods the API with bad keys must not fill the disk, nor keep others from control.db.
    """

    EACH, ALL = 10, 100

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._window = 0.0
        self._counts: dict[str, int] = {}
        self._written = 0
        self._left_out = 0

    def admit(self, address: str) -> int | None:
        """How many were left out since the last one that was written; None: leave this one out, too."""
        with self._lock:
            if self._clock() - self._window >= _MINUTE_SECONDS:
                self._window, self._written = self._clock(), 0
                self._counts.clear()
            count = self._counts.get(address, 0)
            if count >= self.EACH or self._written >= self.ALL or len(self._counts) >= _ADDRESSES:
                self._left_out += 1
                return None
            self._counts[address] = count + 1
            self._written += 1
            left_out, self._left_out = self._left_out, 0
            return left_out

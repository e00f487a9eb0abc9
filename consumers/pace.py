"""How fast a drain may write logs, where MONITORING_DRAIN_RATE says so."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["Pace"]

_CREDIT_SECONDS = 1.0
"""A partition that was not come to in time may catch up so much: a read of the bus waits as long."""


class Pace:
    """When each partition is due again, so that all together are written `rate` events a second; 0 is no limit.

    Each has the same share of it, and what it writes at once it waits for afterwards. Not for several threads.
    """

    def __init__(self, rate: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.rate = rate
        self._clock = clock
        self._due: dict[str, float] = {}

    def wrote(self, key: str, events: int, sharing: int) -> None:
        """Note that so many events of a partition were written, while so many partitions share the rate."""
        if self.rate:
            begins = max(self._due.get(key, 0.0), self._clock() - _CREDIT_SECONDS)
            self._due[key] = begins + events * sharing / self.rate

    def wait(self, key: str) -> float:
        """Seconds until a partition is due; 0 if it is."""
        return max(0.0, self._due.get(key, 0.0) - self._clock())

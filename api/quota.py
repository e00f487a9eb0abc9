"""Quotas: how many events a minute a key may bring. Kept by the process, so of the whole where one serves."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from monitoring.api.problems import Problem
from monitoring.pipeline.store.keys import Key

__all__ = ["Quotas"]

_MINUTE_SECONDS = 60.0


class Quotas:
    """A bucket a key, which holds a minute's worth and fills steadily.

    What a body holds is known only after it was read, so a body is let in while the bucket is not empty and
    charged afterwards; the next one waits until the debt is paid. Safe between threads.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: dict[str, tuple[float, float]] = {}

    def check(self, key: Key) -> None:
        """Raises Problem 429, with the time to come back, where the key's bucket is empty."""
        if key.quota is None:
            return
        with self._lock:
            level = self._level(key.id, key.quota)
        if level <= 0:
            raise Problem(
                429,
                f"the key's quota of {key.quota} events a minute is used up",
                field="Authorization",
                fix="send again later, or ask an administrator for a larger quota",
                retry_after=(1 - level) / (key.quota / _MINUTE_SECONDS),
            )

    def charge(self, key: Key, events: int) -> None:
        """Take so many events out of the key's bucket."""
        if key.quota is None:
            return
        with self._lock:
            level = self._level(key.id, key.quota)
            self._buckets[key.id] = (level - events, self._clock())

    def _level(self, identity: str, quota: int) -> float:
        level, at = self._buckets.get(identity, (float(quota), self._clock()))
        return min(float(quota), level + (self._clock() - at) * quota / _MINUTE_SECONDS)

"""What all processes of the server count together: a hash on the bus that each adds to.

One scrape must show the whole instance, not the process that happened to answer. Counts are best effort: a process
that is killed takes those of its last second with it, and where the bus does not answer they wait, then go with the
bus. What must be exact stands in the store.
"""

from __future__ import annotations

import bisect
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping

import redis

from monitoring.pipeline.bus.streams import exchange
from monitoring.pipeline.errors import MonitoringError

__all__ = ["BOUNDS", "TALLY_KEY", "Tally", "read_tally"]

TALLY_KEY = "monitoring:{tally}"
EVERY_SECONDS = 1.0
AWAY_SECONDS = 5.0
"""Until the next attempt where the bus did not answer: each may wait for its time-out."""
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the buckets of durations, seconds: Prometheus' own default, from an fsync to the query time-out."""
_MOST_FIELDS = 4096
"""Names that wait for a bus that is away; more than all routes and statuses make."""


class Tally:
    """Adds up in memory and sends once a second, with whatever thread adds then. Safe between threads."""

    def __init__(self, client: Callable[[], redis.Redis], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: defaultdict[str, float] = defaultdict(float)
        self._due = clock()

    def add(self, name: str, value: float = 1.0) -> None:
        """Add to the counter of this name, such as `requests|GET|/api/v1/logs|200`."""
        self._add({name: value})

    def observe(self, name: str, seconds: float) -> None:
        """Add a duration to the histogram of this name: its bucket, its sum."""
        bucket = bisect.bisect_left(BOUNDS, seconds)
        self._add({f"{name}|{bucket}": 1.0, f"{name}|sum": seconds})

    def flush(self) -> None:
        """Send what waits. Best effort: what the bus does not take waits on."""
        with self._lock:
            self._due = self._clock() + EVERY_SECONDS
            going, self._waiting = self._waiting, defaultdict(float)
        if not going:
            return
        try:
            pipe = self._client().pipeline(transaction=False)
            for name, value in going.items():
                pipe.hincrbyfloat(TALLY_KEY, name, value)
            exchange(pipe.execute)
        except MonitoringError:
            with self._lock:
                self._due = self._clock() + AWAY_SECONDS
                for name, value in going.items():
                    if name in self._waiting or len(self._waiting) < _MOST_FIELDS:
                        self._waiting[name] += value

    def _add(self, values: Mapping[str, float]) -> None:
        with self._lock:
            for name, value in values.items():
                self._waiting[name] += value
            if self._clock() < self._due:
                return
        self.flush()


def read_tally(client: redis.Redis) -> dict[str, float]:
    """What was counted since the bus began. Raises as Transport does."""
    found = exchange(lambda: client.hgetall(TALLY_KEY))
    return {name.decode(): float(value) for name, value in found.items()}

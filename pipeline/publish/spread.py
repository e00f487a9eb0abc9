"""Several lanes of one process and signal, each on a partition of its own, so that several drains share its events."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from monitoring.pipeline.publish.outbox import ChoosePartition, by_lane
from monitoring.pipeline.publish.publisher import Publisher

__all__ = ["MOST_LANES", "Spread"]

MOST_LANES = 2
"""One process of threads reads a hundred thousand events a second at most (10 us each), and one drain writes about
eighty thousand: two are enough for it. Each lane has a buffer, two threads and a connection of its own."""


class Spread:
    """Publishers of one signal; a caller takes the one that the fewest others are busy with. Safe between threads.

    While callers come one at a time, all go over the first lane, and the drains commit as seldom as with one. A lane
    is opened when it is first needed. Does not cross a fork: make it anew.
    """

    def __init__(
        self,
        make: Callable[[ChoosePartition], Publisher],
        partitions: Callable[[], int],
        *,
        mint: Callable[[], str] = lambda: uuid.uuid4().hex,
    ) -> None:
        """`make` is given how its publisher chooses its partition; `partitions` says how many there are now."""
        self._make = make
        self._partitions = partitions
        self._first = mint()
        self._lock = threading.Lock()
        self._publishers: list[Publisher] = []
        self._busy: list[int] = []

    @property
    def publishers(self) -> tuple[Publisher, ...]:
        """Those that were needed so far."""
        return tuple(self._publishers)

    @contextmanager
    def taken(self) -> Iterator[Publisher]:
        """A publisher, for as long as the block runs. Raises what making one does."""
        number = self._enter()
        try:
            yield self._publishers[number]
        finally:
            with self._lock:
                self._busy[number] -= 1

    def close(self, timeout_seconds: float) -> None:
        """Close all of them, together in this time; see Publisher.close."""
        closing = [threading.Thread(target=one.close, args=(timeout_seconds,)) for one in self._publishers]
        for thread in closing:
            thread.start()
        for thread in closing:
            thread.join()

    def _enter(self) -> int:
        with self._lock:
            number = min(range(len(self._busy)), key=self._busy.__getitem__, default=0)
            if self._may_open(number):
                number = len(self._publishers)
                self._publishers.append(self._make(self._choosing(number)))
                self._busy.append(0)
            self._busy[number] += 1
            return number

    def _may_open(self, least_busy: int) -> bool:
        if not self._publishers:
            return True
        opened = len(self._publishers)
        return self._busy[least_busy] > 0 and opened < MOST_LANES and opened < self._partitions()

    def _choosing(self, number: int) -> ChoosePartition:
        return lambda _, count: (by_lane(self._first, count) + number) % count

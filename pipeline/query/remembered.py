"""Counts of segments, remembered: a sealed one never changes, so neither do its counts; an active one only grows.

A chart that is drawn again as time goes on counts what is new, and looks the rest up.
"""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Hashable, Mapping
from typing import NamedTuple

__all__ = ["MAX_COUNTS", "Known", "Remembered"]

MAX_COUNTS = 50_000
"""Numbers that are kept, with their labels some 5 MB: a chart of sixty bars with four levels over ten segments is a
few hundred of them."""

Counts = Mapping[int, Mapping[str, int]]
"""By the place of a bucket and the label; not to be changed."""


class Known(NamedTuple):
    """Counts of a segment when it had so many `rows`, the last of them with the id `through`."""

    counts: Counts
    through: int
    rows: int


class Remembered:
    """The counts that were asked for last. Safe between threads."""

    def __init__(self, *, max_counts: int = MAX_COUNTS) -> None:
        self._max_counts = max_counts
        self._lock = threading.Lock()
        self._known: OrderedDict[Hashable, Known] = OrderedDict()
        self._counts = 0

    def get(self, key: Hashable) -> Known | None:
        """What is remembered under this key."""
        with self._lock:
            found = self._known.get(key)
            if found is not None:
                self._known.move_to_end(key)
            return found

    def put(self, key: Hashable, counts: Mapping[int, Counter[str]], *, through: int = 0, rows: int = 0) -> None:
        """Remember it, and forget what was not asked for in the longest time."""
        kept = {bucket: dict(labels) for bucket, labels in counts.items()}
        with self._lock:
            self._forget(key)
            self._known[key] = Known(kept, through, rows)
            self._counts += _size(kept)
            while self._counts > self._max_counts and len(self._known) > 1:
                self._forget(next(iter(self._known)))

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._known.clear()
            self._counts = 0

    def _forget(self, key: Hashable) -> None:
        gone = self._known.pop(key, None)
        if gone is not None:
            self._counts -= _size(gone.counts)


def _size(counts: Counts) -> int:
    return 1 + sum(1 + len(labels) for labels in counts.values())

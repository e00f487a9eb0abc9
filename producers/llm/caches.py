"""Caches: hits, misses, evictions, size, and the time that hits save. Metrics only: a look-up is no event."""

from __future__ import annotations

import time
from collections.abc import Callable, MutableMapping
from typing import TypeVar

from monitoring.producers.llm import families
from monitoring.producers.llm.recording import amount, counted, guarded, label
from monitoring.producers.llm.runs import Clock

__all__ = ["Cache"]

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")
_WEIGHT = 0.1
"""Of the newest miss in the mean of what a miss takes: after 20 of them the old ones weigh an eighth."""


class _Absent:
    """What is not in the store; None may be."""


_ABSENT = _Absent()


class Cache:
    """What a cache does, by its name: `prompt-cache`. Make it once and keep it; thread-safe.

    Caches of one name in several processes add up. Where processes share one, let one of them tell its size.
    """

    def __init__(self, name: str, *, capacity: int | None = None, clock: Clock = time.perf_counter) -> None:
        """`capacity` is the entries that it has room for."""
        self.name = label(name)
        self._clock = clock
        self._miss_seconds: float | None = None
        self._hits = families.cache_requests().labels(cache=self.name, result="hit")
        self._misses = families.cache_requests().labels(cache=self.name, result="miss")
        self._evictions = families.cache_evictions().labels(cache=self.name)
        self._saved_seconds = families.cache_saved_seconds().labels(cache=self.name)
        self._saved_tokens = families.cache_saved_tokens().labels(cache=self.name)
        if capacity is not None:
            families.cache_capacity().set(counted(capacity, "capacity"), cache=self.name)

    @guarded
    def hit(self, *, saved_seconds: float | None = None, tokens: int | None = None) -> None:
        """It was there; that saved so many seconds, and so many tokens that need not be read or written."""
        self._hits.inc(1)
        if saved_seconds is not None:
            self._saved_seconds.inc(amount(saved_seconds, "saved_seconds") or 0.0)
        if tokens is not None:
            self._saved_tokens.inc(counted(tokens, "tokens"))

    @guarded
    def miss(self) -> None:
        """It was not there."""
        self._misses.inc(1)

    @guarded
    def eviction(self, count: int = 1) -> None:
        """So many entries made room for others, or were too old."""
        self._evictions.inc(counted(count, "count"))

    @guarded
    def size(self, *, entries: int | None = None, size_bytes: int | None = None) -> None:
        """How large it is now."""
        if entries is not None:
            families.cache_entries().set(counted(entries, "entries"), cache=self.name)
        if size_bytes is not None:
            families.cache_size().set(counted(size_bytes, "size_bytes"), cache=self.name)

    def lookup(self, store: MutableMapping[_Key, _Value], key: _Key, make: Callable[[], _Value]) -> _Value:
        """The value of this key in the store; where there is none, what `make` returns, which is stored.

        Counts the hit or the miss. What a hit saves is taken to be what misses took on average. Whatever `make` and
        the store raise is raised.
        """
        began = self._clock()
        value = store.get(key, _ABSENT)
        if isinstance(value, _Absent):
            self.miss()
            made = store[key] = make()
            self._learn(self._clock() - began)
            return made
        took = self._clock() - began
        self.hit(saved_seconds=max(0.0, (self._miss_seconds or 0.0) - took))
        return value

    def _learn(self, seconds: float) -> None:
        known = self._miss_seconds
        self._miss_seconds = seconds if known is None else known + _WEIGHT * (seconds - known)

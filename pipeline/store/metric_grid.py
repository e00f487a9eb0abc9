"""From increments and gauges by window to samples in time, as arrays. Pure.

A grid is a run of windows of 10 s. A sample of a window stands at its end. Of a counter it is the total through that
window: what the windows before the grid came to, and what was gained since. Windows in which a series gained nothing
are filled for five minutes, as long as the store has heard of later ones. Where a series appears, for the first time
or after a gap, a sample at the start of that window says what it stood at before: 0 at its birth. So what it gained
there is seen by `rate` and `increase` like everything else, and none of it twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from monitoring.pipeline.query.promql.source import STALE, Floats, Mask, Times
from monitoring.pipeline.store.deltas import WINDOW_NS
from monitoring.pipeline.store.metric_points import ALIVE_WINDOWS

__all__ = ["WINDOW_MS", "Counting", "Grid", "Lanes"]

WINDOW_MS = WINDOW_NS // 1_000_000
_NEVER = -(1 << 40)


class Grid:
    """The windows whose ends lie in [start_ms, end_ms], with those before that reach into them and one after.

    `first` to `last` are all of them, numbered since 1970; `known` are the first and last that the store has heard of.
    """

    def __init__(self, start_ms: int, end_ms: int, known: tuple[int, int]) -> None:
        oldest, newest = known
        self._from, self._through = max(oldest - 1, -(-start_ms // WINDOW_MS) - 1), end_ms // WINDOW_MS - 1
        self.first, self.last = max(0, self._from - ALIVE_WINDOWS + 1), min(self._through, newest) + 1
        self.count = max(0, self.last - self.first + 1)
        self._windows = np.arange(self.first, self.first + self.count, dtype=np.int64)
        self._ends = (self._windows + 1) * WINDOW_MS
        shown = min(self._through, self.last)
        low = max(0, self._from - self.first)
        self._cut = slice(low, max(low, shown + 1 - self.first))
        self._known = self._windows <= newest
        self._all = self._ends[self._cut]

    @property
    def empty(self) -> bool:
        """Whether no sample can lie here."""
        return self.count == 0 or not len(self._all)

    def times(self, has: Mask) -> tuple[Times, Mask | None]:
        """When a series with increments in these windows has samples, and which windows of `cut` they are.

        None means all of them.
        """
        covered = has
        if not has.all():
            places = np.arange(self.count)
            since = places - np.maximum.accumulate(np.where(has, places, _NEVER))
            covered = has | ((since < ALIVE_WINDOWS) & self._known)
            covered[:-1] |= has[1:]
        chosen = covered[self._cut]
        if chosen.all():
            return self._all, None
        return self._all[chosen], chosen

    def cut(self, totals: Floats, chosen: Mask | None) -> Floats:
        """The totals at those times."""
        shown = totals[self._cut]
        return shown if chosen is None else shown[chosen]

    def gauge(self, lanes: Mapping[str, Lanes], across: str) -> tuple[Times, Floats]:
        """Samples of a gauge that these lanes said, each alive for five minutes; a stale marker where none is left."""
        alive, values = self._combined([self._filled(said) for said in lanes.values()], across)
        ended = np.zeros(self.count, dtype=np.bool_)
        ended[1:] = alive[:-1] & ~alive[1:] & self._known[1:]
        values[ended] = STALE
        chosen = (alive | ended)[self._cut]
        return self._all[chosen], values[self._cut][chosen]

    def _filled(self, said: Lanes) -> tuple[Mask, Times, Floats]:
        """In which windows a lane is alive, when it said what counts there, and that value."""
        windows, at, values = said.newest()
        place = np.full(self.count, _NEVER, dtype=np.int64)
        inside = (windows >= self.first) & (windows <= self.last)
        place[windows[inside] - self.first] = np.flatnonzero(inside)
        index = np.maximum.accumulate(place)
        known = np.maximum(index, 0)
        alive = (index >= 0) & (self._windows - windows[known] < ALIVE_WINDOWS) & self._known
        return alive, at[known], values[known]

    def _combined(self, filled: list[tuple[Mask, Times, Floats]], across: str) -> tuple[Mask, Floats]:
        alive, at, values = filled[0][0].copy(), filled[0][1].copy(), filled[0][2].copy()
        if across == "sum":
            values[~alive] = 0.0
        for living, said, value in filled[1:]:
            if across == "sum":
                values += np.where(living, value, 0.0)
            else:
                better = living & (~alive | _BETTER[across](said, value, at, values))
                at[better], values[better] = said[better], value[better]
            alive |= living
        return alive, values


def _later(said: Times, value: Floats, at: Times, before: Floats) -> Mask:
    later: Mask = (said > at) | ((said == at) & (value > before))
    return later


def _greater(said: Times, value: Floats, at: Times, before: Floats) -> Mask:
    greater: Mask = value > before
    return greater


def _less(said: Times, value: Floats, at: Times, before: Floats) -> Mask:
    less: Mask = value < before
    return less


_BETTER = {"last": _later, "max": _greater, "min": _less}


class Counting:
    """What a counter (one row) or a histogram (one row a bucket, then the sum) gained in each window of a grid.

    `base` is what it gained before.
    """

    __slots__ = ("base", "gained", "has")

    def __init__(self, rows: int, count: int) -> None:
        self.base: Floats = np.zeros(rows)
        self.gained: Floats = np.zeros((rows, count))
        self.has: Mask = np.zeros(count, dtype=np.bool_)

    def stack(self) -> None:
        """Let each bucket of a histogram hold those below it, too, as Prometheus does. Once, when all is added."""
        if len(self.base) > 1:
            np.cumsum(self.gained[:-1], axis=0, out=self.gained[:-1])
            np.cumsum(self.base[:-1], out=self.base[:-1])

    def add(self, first: int, windows: Times, gained: Floats | Times, row: int = 0) -> None:
        """Add what was gained in these windows, rising, from this row on; the grid begins at window `first`."""
        low, high = np.searchsorted(windows, (first, first + len(self.has)))
        rows = slice(row, row + len(gained))
        if low:
            self.base[rows] += gained[:, :low].sum(axis=1)
        if high <= low:
            return
        start, end, count = int(windows[low]) - first, int(windows[high - 1]) - first, high - low
        if end - start + 1 == count:
            self.gained[rows, start : end + 1] += gained[:, low:high]
            self.has[start : end + 1] = True
        else:
            places = windows[low:high] - first
            self.gained[rows, places] += gained[:, low:high]
            self.has[places] = True

    def totals(self, row: int) -> Floats:
        """The running total of one row at each window's end."""
        total: Floats = np.cumsum(self.gained[row])
        total += self.base[row]
        return total


class _Said(NamedTuple):
    windows: Times
    at: Times
    values: Floats


class Lanes:
    """What one lane said of a gauge, from any number of segments and in any order."""

    __slots__ = ("_parts",)

    def __init__(self) -> None:
        self._parts: list[_Said] = []

    def add(self, windows: Times, at: Times, values: Floats) -> None:
        """Values said in these windows, at these times (nanoseconds since 1970)."""
        self._parts.append(_Said(windows, at, values))

    def newest(self) -> tuple[Times, Times, Floats]:
        """By window, rising: what was said last in each."""
        windows, at, values = (np.concatenate(column) for column in zip(*self._parts, strict=True))
        order = np.lexsort((values, at, windows))
        windows = windows[order]
        last = np.ones(len(windows), dtype=np.bool_)
        last[:-1] = windows[1:] != windows[:-1]
        return windows[last], at[order][last], values[order][last]

"""From increments and gauges by window to samples in time, as arrays. Pure.

A grid is a run of windows of 10 s. A sample of a window stands at its end. Of a counter it is the total through that
window: what the windows before the grid came to, and what was gained since. Windows in which a series gained nothing
are filled for five minutes, as long as the store has heard of later ones. Where a series appears, for the first time
or after a gap, a sample at the start of that window says what it stood at before: 0 at its birth. So what it gained
there is seen by `rate` and `increase` like everything else, and none of it twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np

from monitoring.pipeline.query.promql.source import STALE, STALE_BITS, Floats, Mask, Times
from monitoring.pipeline.store.deltas import WINDOW_NS
from monitoring.pipeline.store.metric_points import ALIVE_WINDOWS
from monitoring.pipeline.store.metric_sheet import Placed

__all__ = ["WINDOW_MS", "Grid", "Lanes", "Summary", "stale"]

WINDOW_MS = WINDOW_NS // 1_000_000
_NEVER = -(1 << 40)


def stale(values: Floats) -> Mask:
    """Where a series says that it has ended."""
    marks: Mask = np.ascontiguousarray(values).view(np.uint64) == np.uint64(STALE_BITS)
    return marks


class Grid:
    """The windows whose ends lie in [start_ms, end_ms], with those before that reach into them and one after.

    A window is `scale` times 10 s long; `first` to `last` are all of them, numbered since 1970. `known` are the first
    and last window of 10 s that the store has heard of. Windows of a roll-up are shown as so many samples as `spread`
    says, see `rolled`.
    """

    def __init__(self, start_ms: int, end_ms: int, known: tuple[int, int], *, scale: int = 1, spread: int = 1) -> None:
        self.start_ms, self.end_ms, self.scale, self._spread = start_ms, end_ms, scale, spread
        self._fill = max(2, spread)  # of a gauge one more than three is needed to have its average
        self._length_ms = scale * WINDOW_MS
        oldest, newest = (window // scale for window in known)
        self._newest_ms = (known[1] + 1) * WINDOW_MS
        self._alive = max(1, ALIVE_WINDOWS // scale)
        self._from = max(oldest - 1, -(-start_ms // self._length_ms) - 1)
        self._through = (end_ms + self._length_ms - 1) // self._length_ms - 1 if scale > 1 else end_ms // WINDOW_MS - 1
        self.first, self.last = max(0, self._from - self._alive + 1), min(self._through, newest) + 1
        self.count = max(0, self.last - self.first + 1)
        self._windows = np.arange(self.first, self.first + self.count, dtype=np.int64)
        self._ends = (self._windows + 1) * self._length_ms
        shown = min(self._through, self.last)
        low = max(0, self._from - self.first)
        self._cut = slice(low, max(low, shown + 1 - self.first))
        self._known = self._windows <= newest
        self._heard = int(self._known.sum())
        self._all = self._ends[self._cut]
        self._shown: dict[bytes, tuple[Times, int]] = {}

    def placed(self, windows: Times) -> Placed:
        """Where these windows, which rise, lie in the grid."""
        low, high = 0, len(windows)
        if windows[0] < self.first or windows[-1] > self.last:
            low, high = (int(place) for place in windows.searchsorted((self.first, self.last + 1)))
        if low == high:
            return Placed(low, high, slice(0, 0))
        start, end = int(windows[low]) - self.first, int(windows[high - 1]) - self.first + 1
        dense = end - start == high - low
        return Placed(low, high, slice(start, end) if dense else windows[low:high] - self.first)

    @property
    def empty(self) -> bool:
        """Whether no sample can lie here."""
        return self.count == 0 or not len(self._all)

    def samples(self, has: Mask, totals: Floats) -> tuple[Times, Floats]:
        """The samples of a series with increments in these windows that stands at these totals at their ends."""
        if has[: self._heard].all():  # it gained something in every window, as most do
            covered = shown = self._known
            if self.scale == 1:
                return self._heard_of, totals[self._cut][: len(self._heard_of)]
        else:
            places = np.arange(self.count)
            since = places - np.maximum.accumulate(np.where(has, places, _NEVER))
            covered = has | ((since < self._alive) & self._known)
            shown = covered.copy()
            shown[:-1] |= has[1:]
        if self.scale > 1:
            return self._between(covered, shown, totals)
        return self._chosen(shown, totals)

    def _chosen(self, shown: Mask, values: Floats) -> tuple[Times, Floats]:
        """The samples of the windows that are shown; series that have them all have one and the same array of times."""
        chosen, values = shown[self._cut], values[self._cut]
        number = len(self._heard_of)
        if chosen[:number].all() and not chosen[number:].any():
            return self._heard_of, values[:number]
        return self._all[chosen], values[chosen]

    @cached_property
    def _heard_of(self) -> Times:
        """The ends of windows that samples are asked of and that the store has heard of."""
        return self._all[: max(0, min(self._cut.stop, self._heard) - self._cut.start)]

    def _between(self, covered: Mask, shown: Mask, totals: Floats) -> tuple[Times, Floats]:
        """Some samples a window, on the line from one total to the next; the last window ends where the store does."""
        times, share, possible = self._line
        before = np.concatenate((totals[:1], totals[:-1]))
        values = share * (totals - before)[:, None]
        values += before[:, None]
        values[:, -1] = totals
        if shown is self._known and self._stretch is not None:
            low, high, whole = self._stretch
            return whole, values.reshape(-1)[low:high]
        wanted = possible & covered[:, None]
        wanted[:, -1] = possible[:, -1] & shown
        return times[wanted], values[wanted]

    @cached_property
    def _stretch(self) -> tuple[int, int, Times] | None:
        """Of a series that is there in all windows: its samples, from one place to another, if nothing is between."""
        times, _, possible = self._line
        flat = (possible & self._known[:, None]).reshape(-1)
        if not flat.any():
            return None
        low, high = int(flat.argmax()), len(flat) - int(flat[::-1].argmax())
        return (low, high, times.reshape(-1)[low:high]) if flat[low:high].all() else None

    @cached_property
    def _line(self) -> tuple[Times, Floats, Mask]:
        """Of each window: the times of its samples, how much of its gain they have, and whether they can be shown."""
        parts = np.arange(1, self._spread + 1)
        starts = self._ends - self._length_ms
        ends = np.maximum(np.minimum(self._ends, self._newest_ms), starts)
        times = np.minimum(starts[:, None] + self._length_ms * parts // self._spread, ends[:, None])
        share = (times - starts[:, None]) / np.maximum(ends - starts, 1)[:, None]
        possible = (times >= self.start_ms) & (times <= self.end_ms) & (ends > starts)[:, None]
        possible[:, 1:] &= times[:, 1:] > times[:, :-1]
        return times, share, possible

    def rolled(self, summary: Summary) -> tuple[Times, Floats]:
        """Samples of a gauge of a roll-up: what it was last at the end of each window, the least and the greatest just
        before, and others such that all together have the average that it had.
        """
        windows = np.flatnonzero((summary.count > 0) & self._known)
        last, least, most = summary.last[windows], summary.least[windows], summary.most[windows]
        number = self._fill + 2
        others = (number * summary.sum[windows] / summary.count[windows] - least - most - last) / (number - 3)
        shown = np.empty((len(windows), number))
        shown[:, :-3] = np.clip(others, least, most)[:, None]
        shown[:, -3], shown[:, -2], shown[:, -1] = least, most, last
        times, kept = self._moments(windows.tobytes())
        values = shown.reshape(-1)[:kept]
        if kept < shown.size:  # of a window that goes on, what was said last is said now
            values = values if len(values) == len(times) else np.append(values, 0.0)
            values[-1] = last[-1]
        low, high = np.searchsorted(times, (self.start_ms, self.end_ms + 1))
        return times[low:high], values[low:high]

    def _moments(self, windows: bytes) -> tuple[Times, int]:
        """When a gauge is shown that was heard of in these windows; and how many of those are not yet to come.

        One more is now, where none of them is.
        """
        if windows not in self._shown:
            ends = self._ends[np.frombuffer(windows, dtype=np.int64)]
            parts = [ends - self._length_ms + self._length_ms * part // self._fill for part in range(1, self._fill)]
            times = np.stack([*parts, ends - 2, ends - 1, ends], axis=1).reshape(-1)
            kept = int(np.searchsorted(times, self._newest_ms, side="right"))
            over = kept < len(times)
            times = times[:kept]
            if over and (not kept or times[-1] < self._newest_ms):
                times = np.append(times, self._newest_ms)
            self._shown[windows] = times, kept
        return self._shown[windows]

    def gauge(self, lanes: Mapping[str, Lanes], across: str) -> tuple[Times, Floats]:
        """Samples of a gauge that these lanes said, each alive for five minutes; a stale marker where none is left."""
        alive, values = self._combined(list(lanes.values()), across)
        ended = np.zeros(self.count, dtype=np.bool_)
        ended[1:] = alive[:-1] & ~alive[1:] & self._known[1:]
        values[ended] = STALE
        return self._chosen(alive | ended, values)

    def _filled(self, said: Lanes) -> tuple[Mask, Times, Floats]:
        """In which windows a lane is alive, which of what it said counts there, and that value."""
        windows, values = said.newest()
        low, high = np.searchsorted(windows, (self.first, self.last + 1))
        if high - low == self.count:  # in every window
            return self._known, np.arange(low, high), values[low:high].copy()
        place = np.full(self.count, _NEVER, dtype=np.int64)
        place[windows[low:high] - self.first] = np.arange(low, high)
        index = np.maximum.accumulate(place)
        known = np.maximum(index, 0)
        alive = (index >= 0) & (self._windows - windows[known] < self._alive) & self._known
        return alive, known, values[known]

    def _combined(self, lanes: list[Lanes], across: str) -> tuple[Mask, Floats]:
        if len(lanes) == 1:
            alive, _, values = self._filled(lanes[0])
            return alive, values
        filled = [(alive, lane.at()[known], values) for lane in lanes for alive, known, values in [self._filled(lane)]]
        alive, at, values = filled[0][0].copy(), filled[0][1], filled[0][2]
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


class Summary:
    """What a gauge said in each window of a grid of a roll-up, from any number of files."""

    __slots__ = ("count", "last", "least", "most", "sum")

    def __init__(self, count: int) -> None:
        self.last, self.sum, self.count = np.zeros(count), np.zeros(count), np.zeros(count)
        self.least, self.most = np.full(count, np.inf), np.full(count, -np.inf)

    def add(self, placed: Placed, columns: Sequence[Floats | Times]) -> None:
        """Add what a later file says: last, least, greatest, sum and count of these windows."""
        places, inside = placed.places, slice(placed.low, placed.high)
        last, least, most, total, count = (column[0][inside] for column in columns)
        self.last[places] = last
        self.least[places] = np.minimum(self.least[places], least)
        self.most[places] = np.maximum(self.most[places], most)
        self.sum[places] += total
        self.count[places] += count


class _Said(NamedTuple):
    windows: Times
    at: Callable[[], Times]
    values: Floats


class Lanes:
    """What one lane said of a gauge, from any number of segments and in any order."""

    __slots__ = ("_newest", "_parts")

    def __init__(self) -> None:
        self._parts: list[_Said] = []
        self._newest: _Said | None = None

    def add(self, windows: Times, at: Callable[[], Times], values: Floats) -> None:
        """Values said in these windows, which rise; `at` tells at which times (nanoseconds since 1970), if asked."""
        self._parts.append(_Said(windows, at, values))

    def newest(self) -> tuple[Times, Floats]:
        """By window, rising: what was said last in each."""
        if self._newest is None:
            self._newest = self._chosen()
        return self._newest.windows, self._newest.values

    def at(self) -> Times:
        """When those were said."""
        self.newest()
        return self._newest.at() if self._newest is not None else np.zeros(0, dtype=np.int64)

    def _chosen(self) -> _Said:
        parts = sorted(self._parts, key=lambda part: int(part.windows[0]))
        windows = np.concatenate([part.windows for part in parts])
        values = np.concatenate([part.values for part in parts])
        if (windows[1:] > windows[:-1]).all():
            return _Said(windows, lambda: np.concatenate([part.at() for part in parts]), values)
        at = np.concatenate([part.at() for part in parts])
        order = np.lexsort((values, at, windows))
        windows = windows[order]
        last = np.ones(len(windows), dtype=np.bool_)
        last[:-1] = windows[1:] != windows[:-1]
        at = at[order][last]
        return _Said(windows[last], lambda: at, values[order][last])

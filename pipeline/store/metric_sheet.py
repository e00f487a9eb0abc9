"""What counters and histograms gained in the windows of a grid: sheets of many series, which are added up at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from monitoring.pipeline.query.promql.source import Floats, Mask, Times

__all__ = ["Counting", "Placed", "Sheet", "add_all"]


class Placed(NamedTuple):
    """Where points lie in a grid: those before `low` are older, those from `high` on later, the rest at `places`."""

    low: int
    high: int
    places: slice | Times


class Counting:
    """What a counter (one row) or a histogram (one row a bucket, then the sum) gained in each window of a grid.

    `base` is what it gained before. All three are rows of the matrices of its sheet, the first of which is `row`.
    """

    __slots__ = ("base", "gained", "has", "number", "row", "sheet")

    def __init__(self, sheet: Sheet, row: int, rows: int, number: int) -> None:
        self.sheet, self.row, self.number = sheet, row, number
        self.base, self.gained = sheet.base[row : row + rows], sheet.gained[row : row + rows]
        self.has: Mask = sheet.has[number]


def add_all(series: Sequence[Counting], placed: Placed, gained: Floats | Times, row: int = 0) -> None:
    """Add what each of the series gained at these places, series by rows by windows, from this row of each on."""
    parts = gained.astype(np.float64, copy=False)
    if parts.shape[1] > 1 or len(series[0].gained) > 1:
        for each, part in zip(series, parts, strict=True):
            rows = slice(each.row + row, each.row + row + len(part))
            each.sheet.add(rows, slice(each.number, each.number + 1), placed, part)
        return
    start = 0
    while start < len(series):  # counters mostly lie one behind the other, as they do on disk
        first, end = series[start], start + 1
        while end < len(series) and series[end].row == first.row + end - start and series[end].sheet is first.sheet:
            end += 1
        number = end - start
        rows, numbers = slice(first.row, first.row + number), slice(first.number, first.number + number)
        first.sheet.add(rows, numbers, placed, parts[start:end, 0])
        start = end


class Sheet:
    """Room for what many series gained, in one piece: one call then adds all of it up."""

    def __init__(self, rows: int, count: int) -> None:
        self.base, self.gained = np.zeros(rows), np.zeros((rows, count))
        self.has = np.zeros((rows, count), dtype=np.bool_)
        self._used = self._series = 0
        self._histograms: list[slice] = []

    def room(self, rows: int) -> Counting | None:
        """So many rows; None where there are not."""
        if self._used + rows > len(self.gained):
            return None
        made = Counting(self, self._used, rows, self._series)
        if rows > 1:
            self._histograms.append(slice(self._used, self._used + rows - 1))
        self._used, self._series = self._used + rows, self._series + 1
        return made

    def add(self, rows: slice, series: slice, placed: Placed, gained: Floats) -> None:
        """Add what these rows, of these series, gained at these places."""
        if placed.low:
            self.base[rows] += gained[:, : placed.low].sum(axis=1)
        if placed.low < placed.high:
            if placed.high - placed.low < gained.shape[1]:
                gained = gained[:, placed.low : placed.high]
            self.gained[rows, placed.places] += gained
            self.has[series, placed.places] = True

    def add_up(self) -> None:
        """Make running totals at each window's end of what was gained. Once, when all is added.

        Each bucket of a histogram holds those below it, too, as Prometheus has it.
        """
        for buckets in self._histograms:
            np.cumsum(self.gained[buckets], axis=0, out=self.gained[buckets])
            np.cumsum(self.base[buckets], out=self.base[buckets])
        gained = self.gained[: self._used]
        if gained.size:
            gained[:, 0] += self.base[: self._used]
            np.cumsum(gained, axis=1, out=gained)

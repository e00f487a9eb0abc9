"""Sums that lose nothing, and quantiles: Prometheus' arithmetic, over whole rows at a time.

Rows run along the first axis: of `rows[0], rows[1], …` each element is one computation of its own.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from monitoring.pipeline.query.promql.source import Floats, Mask

__all__ = ["kahan_add", "kahan_mean", "kahan_sum", "quantile"]


def kahan_add(increment: Floats, total: Floats, lost: Floats) -> tuple[Floats, Floats]:
    """The sum and what rounding has taken from it so far: Neumaier's form of Kahan summation (1974)."""
    new = total + increment
    rest = np.where(np.abs(total) >= np.abs(increment), (total - new) + increment, (increment - new) + total)
    return new, np.where(np.isinf(new), 0.0, lost + rest)


def kahan_sum(rows: Iterable[Floats], shape: tuple[int, ...]) -> Floats:
    """The sum of all rows."""
    total, lost = np.zeros(shape), np.zeros(shape)
    for row in rows:
        total, lost = kahan_add(row, total, lost)
    return np.where(np.isinf(total), total, total + lost)


class _Mean:
    """The mean of what was added so far: by the sum, and where that overflows by the running mean."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.total, self.lost = np.zeros(shape), np.zeros(shape)
        self.count = np.zeros(shape)
        self.running = np.zeros(shape, dtype=bool)

    def add(self, row: Floats, here: Mask) -> None:
        """Add a row where it is `here`."""
        count = self.count + here
        new, lost = kahan_add(row, self.total, self.lost)
        overflow = here & ~self.running & np.isinf(new) & (count > 1)
        if overflow.any():
            self.total = np.where(overflow, self.total / self.count, self.total)
            self.lost = np.where(overflow, self.lost / self.count, self.lost)
            self.running |= overflow
        if self.running.any():
            new, lost = self._run(row, count, new, lost)
        self.total, self.lost = np.where(here, new, self.total), np.where(here, lost, self.lost)
        self.count = count

    def _run(self, row: Floats, count: Floats, new: Floats, lost: Floats) -> tuple[Floats, Floats]:
        share = (count - 1) / count
        mean, rest = kahan_add(row / count, share * self.total, share * self.lost)
        infinite = np.isinf(self.total)
        stays = infinite & (np.isfinite(row) | (row == self.total))
        mean, rest = np.where(stays, self.total, mean), np.where(stays, self.lost, rest)
        return np.where(self.running, mean, new), np.where(self.running, rest, lost)

    def result(self) -> Floats:
        """The mean; NaN of nothing."""
        by_sum = self.total / self.count + np.where(np.isinf(self.total), 0.0, self.lost / self.count)
        return np.where(self.running, self.total + self.lost, by_sum)


def kahan_mean(rows: Iterable[tuple[Floats, Mask]], shape: tuple[int, ...]) -> Floats:
    """The mean of those of the rows that are there."""
    mean = _Mean(shape)
    for row, here in rows:
        mean.add(row, here)
    return mean.result()


def quantile(q: Floats | float, values: Floats, counts: Floats | float | None = None) -> Floats:
    """The q-quantile along the first axis of `values`, interpolated; NaN counts as the smallest.

    `counts`: how many of each column count, those to leave out being +Inf-padded behind them by the caller; None: all.
    Beyond 0 and 1 it is -Inf and +Inf, of nothing NaN.
    """
    steps = values.shape[1]
    q = np.broadcast_to(np.asarray(q, dtype=np.float64), (steps,))
    count = np.broadcast_to(np.asarray(len(values) if counts is None else counts, dtype=np.float64), (steps,))
    if not len(values):
        return np.full(steps, np.nan)
    rank = q * (count - 1)
    whole = np.floor(np.where(np.isfinite(rank), rank, 0.0))
    lower = np.clip(whole, 0, np.maximum(count - 1, 0)).astype(np.int64)
    upper = np.clip(lower + 1, 0, np.maximum(count - 1, 0)).astype(np.int64)
    weight = rank - whole
    column = np.arange(steps)
    found = values[lower, column] * (1 - weight) + values[upper, column] * weight
    found = np.where(q < 0, -np.inf, np.where(q > 1, np.inf, found))
    return np.where(np.isnan(q) | (count == 0), np.nan, found)

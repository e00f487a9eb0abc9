"""Functions of all samples of a window: the …_over_time family. Each is given windows of one length as a matrix."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from monitoring.pipeline.query.promql.numerics import kahan_add, kahan_mean, kahan_sum, quantile
from monitoring.pipeline.query.promql.source import Floats, Times
from monitoring.pipeline.query.promql.window import Dense

__all__ = ["OVER_TIME", "deviation_from_median", "quantile_of"]


_WHOLE = 2.0**53
"""From here on a float no longer holds every whole number."""


def _exact(values: Floats) -> bool:
    """Whether all values, and so every sum of them in any order, are whole numbers that a float holds."""
    return bool((np.floor(values) == values).all() and np.abs(values).sum() < _WHOLE)


def _total(values: Floats) -> Floats:
    total: Floats = np.add.reduce(values, axis=0, initial=0.0)
    return total


def _sum(window: Dense) -> Floats:
    if _exact(window.values):
        return _total(window.values)
    return kahan_sum(window.values, window.values.shape[1:])


def _average(window: Dense) -> Floats:
    if _exact(window.values):
        return _total(window.values) / len(window.values)
    always = np.ones(window.values.shape[1], dtype=bool)
    return kahan_mean(((row, always) for row in window.values), window.values.shape[1:])


def _variance(window: Dense) -> Floats:
    """Welford's running variance, both of its sums compensated."""
    width = window.values.shape[1]
    mean, mean_lost, squares, squares_lost = (np.zeros(width) for _ in range(4))
    for count, row in enumerate(window.values, start=1):
        delta = row - (mean + mean_lost)
        mean, mean_lost = kahan_add(delta / count, mean, mean_lost)
        squares, squares_lost = kahan_add(delta * (row - (mean + mean_lost)), squares, squares_lost)
    return (squares + squares_lost) / len(window.values)


def _deviation(window: Dense) -> Floats:
    return np.sqrt(_variance(window))


def _min(window: Dense) -> Floats:
    least: Floats = np.fmin.reduce(window.values, axis=0)
    return least


def _max(window: Dense) -> Floats:
    most: Floats = np.fmax.reduce(window.values, axis=0)
    return most


def _when(window: Dense, wanted: Floats) -> Floats:
    """The time of the last sample that has the wanted value; of only NaN, the last of all."""
    same = (window.values == wanted) | np.isnan(wanted)
    last: Times = len(same) - 1 - np.argmax(same[::-1], axis=0)
    return window.all_times[window.places[last, np.arange(same.shape[1])]] / 1000


def _sorted(values: Floats) -> Floats:
    """Each column in order, NaN first (numpy has it last)."""
    if not np.isnan(values).any():
        return np.sort(np.ascontiguousarray(values.T), axis=1).T  # along memory: twice as fast as across it
    order = np.lexsort((values, ~np.isnan(values)), axis=0)
    return np.take_along_axis(values, order, axis=0)


def quantile_of(q: Floats) -> Callable[[Dense], Floats]:
    """quantile_over_time: q is a scalar, of which one value goes for each window."""

    def compute(window: Dense) -> Floats:
        return quantile(q, _sorted(window.values))

    return compute


def deviation_from_median(window: Dense) -> Floats:
    """mad_over_time: the median of how far each sample is from the median."""
    median = quantile(0.5, _sorted(window.values))
    return quantile(0.5, _sorted(np.abs(window.values - median)))


OVER_TIME: dict[str, Callable[[Dense], Floats]] = {
    "avg_over_time": _average,
    "count_over_time": lambda window: np.full(window.values.shape[1], float(len(window.values))),
    "first_over_time": lambda window: window.values[0],
    "last_over_time": lambda window: window.values[-1],
    "mad_over_time": deviation_from_median,
    "max_over_time": _max,
    "min_over_time": _min,
    "present_over_time": lambda window: np.ones(window.values.shape[1]),
    "stddev_over_time": _deviation,
    "stdvar_over_time": _variance,
    "sum_over_time": _sum,
    "ts_of_first_over_time": lambda window: window.all_times[window.places[0]] / 1000,
    "ts_of_last_over_time": lambda window: window.all_times[window.places[-1]] / 1000,
    "ts_of_max_over_time": lambda window: _when(window, _max(window)),
    "ts_of_min_over_time": lambda window: _when(window, _min(window)),
}

"""Samples in a window before every step: the argument of rate(), max_over_time() and their like."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from monitoring.pipeline.query.promql.query import Query
from monitoring.pipeline.query.promql.source import Floats, Mask, Samples, Times
from monitoring.pipeline.query.promql.vector import Metric

__all__ = ["Dense", "Windows", "over", "positions", "windows"]

_CELLS = 1 << 19
"""Samples of windows that are computed together: 4 MB of floats, which stay in the processor's cache."""


class Windows(NamedTuple):
    """All samples end to end, and for each series (row) and step (column) the places of the first and after the last.

    A window is open at its start and closed at its end (as in Prometheus 3): `starts` < time <= `ends`.
    """

    metrics: list[Metric]
    times: Times
    values: Floats
    low: Times
    high: Times
    starts: Times
    ends: Times
    steps: Times
    """The time of each step, which offset and @ do not move."""
    bounds: Times
    """For each series, the places of its first sample and after its last."""

    @property
    def counts(self) -> Times:
        """How many samples each window has."""
        return self.high - self.low

    @property
    def range_seconds(self) -> float:
        """How long a window is."""
        return float(self.ends[0] - self.starts[0]) / 1000


class Dense(NamedTuple):
    """Windows of one length as a matrix: a row for the first sample of each, one for the second, and so on."""

    values: Floats
    steps: Times
    """The time of the step that each window belongs to."""
    places: Times
    all_times: Times

    @property
    def times(self) -> Times:
        """When the samples were taken; few functions ask."""
        return self.all_times[self.places]


def positions(series: Sequence[Samples], needles: Sequence[Times]) -> list[Times]:
    """For each of the needles, after which sample of each series it is: a matrix, series by needles.

    Series that were sampled at the same times, as those of one store mostly are, are looked through once.
    """
    found = [np.empty((len(series), len(needle)), dtype=np.int64) for needle in needles]
    previous: Times | None = None
    for row, (_, times, _) in enumerate(series):
        if previous is not None and len(previous) == len(times) and np.array_equal(previous, times):
            for matrix in found:
                matrix[row] = matrix[row - 1]
        else:
            for matrix, needle in zip(found, needles, strict=True):
                matrix[row] = np.searchsorted(times, needle, side="right")
        previous = times
    return found


def windows(series: Sequence[Samples], ends: Times, range_ms: int, steps: Times) -> Windows:
    """The windows of `range_ms` that end at `ends`."""
    low, high = positions(series, (ends - range_ms, ends))
    lengths = [len(times) for _, times, _ in series]
    ends_of = np.cumsum(lengths, dtype=np.int64)
    bounds = np.stack([ends_of - lengths, ends_of], axis=1) if series else np.zeros((0, 2), dtype=np.int64)
    offsets = bounds[:, :1]
    times = np.concatenate([times for _, times, _ in series]) if series else np.zeros(0, dtype=np.int64)
    values = np.concatenate([values for _, _, values in series]) if series else np.zeros(0)
    metrics = [labels if isinstance(labels, Metric) else Metric(labels) for labels, _, _ in series]
    return Windows(metrics, times, values, low + offsets, high + offsets, ends - range_ms, ends, steps, bounds)


def _dense(query: Query, found: Windows, least: int) -> Iterator[tuple[Times, Dense]]:
    counts, low = found.counts.ravel(), found.low.ravel()
    order = np.argsort(counts, kind="stable")
    bounds = np.flatnonzero(np.diff(counts[order])) + 1
    for group in np.split(order, bounds):
        length = int(counts[group[0]]) if len(group) else 0
        if length < least:
            continue
        for chunk in range(0, len(group), max(1, _CELLS // length)):
            query.check()
            some = group[chunk : chunk + max(1, _CELLS // length)]
            places = low[some] + np.arange(length)[:, None]
            yield some, Dense(found.values[places], found.steps[some % len(found.steps)], places, found.times)


def over(query: Query, found: Windows, compute: Callable[[Dense], Floats], least: int = 1) -> tuple[Floats, Mask]:
    """What `compute` says of every window that has `least` samples, and where there are such."""
    values = np.full(found.low.shape, np.nan)
    flat = values.reshape(-1)
    for some, dense in _dense(query, found, max(1, least)):
        flat[some] = compute(dense)
    return values, found.counts >= max(1, least)

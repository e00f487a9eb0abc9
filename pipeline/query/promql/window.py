"""Samples in a window before every step: the argument of rate(), max_over_time() and their like."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from monitoring.pipeline.query.promql.query import Query
from monitoring.pipeline.query.promql.source import Floats, Mask, Samples, Times
from monitoring.pipeline.query.promql.vector import Metric

__all__ = ["Clock", "Dense", "Windows", "over", "positions", "windows"]

_CELLS = 1 << 19
"""Samples of windows that are computed together: 4 MB of floats, which stay in the processor's cache."""


class Clock(NamedTuple):
    """The times of samples, and in them for each series and step the places of the first and after the last.

    Of series that were sampled at the same times there is one row for all of them.
    """

    times: Times
    low: Times
    high: Times


@dataclass(frozen=True)
class Windows:
    """All samples end to end, and for each series (row) and step (column) the places of the first and after the last.

    A window is open at its start and closed at its end (as in Prometheus 3): `starts` < time <= `ends`.
    """

    metrics: list[Metric]
    series: Sequence[Samples]
    low: Times
    high: Times
    starts: Times
    ends: Times
    steps: Times
    """The time of each step, which offset and @ do not move."""
    bounds: Times
    """For each series, the places of its first sample and after its last."""
    alike: bool
    """Whether all series were sampled at the same times."""

    @cached_property
    def times(self) -> Times:
        """When each sample was taken."""
        return np.concatenate([times for _, times, _ in self.series]) if self.series else np.zeros(0, dtype=np.int64)

    @cached_property
    def values(self) -> Floats:
        """What each sample says."""
        return np.concatenate([values for _, _, values in self.series]) if self.series else np.zeros(0)

    @property
    def clock(self) -> Clock:
        """Where windows begin and end in time."""
        if self.alike and self.series:
            return Clock(self.series[0].times, self.low[:1], self.high[:1])
        return Clock(self.times, self.low, self.high)

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


def _same_times(series: Sequence[Samples]) -> bool:
    """Whether all were sampled at the same times, as those of one store mostly are."""
    first = series[0].times if series else None
    return all(
        times is first or (len(times) == len(series[0].times) and np.array_equal(times, series[0].times))
        for _, times, _ in series
    )


def positions(series: Sequence[Samples], needles: Sequence[Times], alike: bool | None = None) -> list[Times]:
    """For each of the needles, after which sample of each series it is: a matrix, series by needles.

    `alike`: whether all were sampled at the same times, if that is known. They are looked through once.
    """
    if series and (_same_times(series) if alike is None else alike):
        rows = (np.searchsorted(series[0].times, needle, side="right").astype(np.int64) for needle in needles)
        return [np.broadcast_to(row, (len(series), len(row))) for row in rows]
    found = [np.empty((len(series), len(needle)), dtype=np.int64) for needle in needles]
    for row, (_, times, _) in enumerate(series):
        for matrix, needle in zip(found, needles, strict=True):
            matrix[row] = np.searchsorted(times, needle, side="right")
    return found


def windows(series: Sequence[Samples], ends: Times, range_ms: int, steps: Times) -> Windows:
    """The windows of `range_ms` that end at `ends`."""
    alike = _same_times(series)
    low, high = positions(series, (ends - range_ms, ends), alike)
    lengths = [len(times) for _, times, _ in series]
    ends_of = np.cumsum(lengths, dtype=np.int64)
    bounds = np.stack([ends_of - lengths, ends_of], axis=1) if series else np.zeros((0, 2), dtype=np.int64)
    offsets = bounds[:, :1]
    metrics = [labels if isinstance(labels, Metric) else Metric(labels) for labels, _, _ in series]
    return Windows(metrics, series, low + offsets, high + offsets, ends - range_ms, ends, steps, bounds, alike)


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

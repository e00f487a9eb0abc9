"""Functions of classic histograms, whose buckets are series with the label `le`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from monitoring.pipeline.query.promql.grouping import signature
from monitoring.pipeline.query.promql.query import Query
from monitoring.pipeline.query.promql.source import NAME, Floats, Mask
from monitoring.pipeline.query.promql.vector import Metric, Vector, merged, nameless, present_only

__all__ = ["fractions", "histogram_quantile"]

_SMALL = 1e-12
"""Relative difference of neighbouring buckets that is rounding and no observation (Prometheus' smallDeltaTolerance)."""
_TINIEST = 2.2250738585072014e-308
_LABEL = "le"
_Compute = Callable[["_Buckets"], tuple[Floats, Mask]]
"""Of columns of buckets: the value of each, and where they had to be made monotonic."""


class _Buckets(NamedTuple):
    """Columns of cumulative counts with the same upper `bounds`, which rise to +Inf; `steps`: which step each is of."""

    bounds: Floats
    counts: Floats
    steps: Sequence[int] | np.ndarray[tuple[int], np.dtype[np.int64]]


class _Histogram(NamedTuple):
    metric: Metric
    name: str
    bounds: tuple[float, ...]
    rows: list[int]


def _bound(text: str) -> float | None:
    try:
        return float(text) if "_" not in text and text == text.strip() else None
    except ValueError:
        return None


def _histograms(query: Query, vector: Vector) -> list[_Histogram]:
    """The buckets that belong together, by rising bound. Warns of those whose bound is no number."""
    key = signature(False, [_LABEL])
    found: dict[object, list[tuple[float, int]]] = {}
    for row, metric in enumerate(vector.metrics):
        bound = _bound(metric.get(_LABEL, ""))
        if bound is None:
            query.notes.bucket(metric.get(_LABEL, ""), metric.get(NAME, ""))
            continue
        found.setdefault(key(metric), []).append((bound, row))
    made = []
    for buckets in found.values():
        buckets.sort(key=lambda bucket: bucket[0])
        first = vector.metrics[buckets[0][1]]
        (metric,) = nameless([Metric(item for item in first.items() if item[0] != _LABEL)], query.delayed_names)
        bounds = tuple(bound for bound, _ in buckets)
        made.append(_Histogram(metric, first.get(NAME, ""), bounds, [row for _, row in buckets]))
    return made


def _patterns(present: Mask) -> Iterator[tuple[Mask, np.ndarray[tuple[int], np.dtype[np.int64]]]]:
    """Which buckets are there together, and in which columns; those in which none is are left out."""
    if present.all():
        yield np.ones(len(present), dtype=bool), np.arange(present.shape[1])
        return
    kinds, which = np.unique(present, axis=1, return_inverse=True)
    for number in range(kinds.shape[1]):
        if kinds[:, number].any():
            yield kinds[:, number], np.flatnonzero(which.ravel() == number)


def _coalesced(bounds: Floats, counts: Floats) -> tuple[Floats, Floats]:
    """Buckets of the same bound (`1` and `1.0`) become one."""
    firsts = np.flatnonzero(np.r_[True, np.diff(bounds) != 0]) if len(bounds) > 1 else np.zeros(1, dtype=np.int64)
    if len(firsts) == len(bounds):
        return bounds, counts
    return bounds[firsts], np.add.reduceat(counts, firsts, axis=0)


def _each(query: Query, vector: Vector, compute: _Compute) -> Vector:
    """`compute` for every histogram and step; histograms of the same bounds go together, as wide matrices."""
    vector = present_only(vector)
    histograms = _histograms(query, vector)
    steps = vector.values.shape[1]
    values = np.full((len(histograms), steps), np.nan)
    present = np.zeros(values.shape, dtype=bool)
    alike: dict[tuple[float, ...], list[int]] = {}
    for number, histogram in enumerate(histograms):
        alike.setdefault(histogram.bounds, []).append(number)
    for bounds, numbers in alike.items():
        query.check()
        rows = np.array([histograms[number].rows for number in numbers]).T
        counts, here = (matrix[rows].reshape(len(bounds), -1) for matrix in vector[1:])
        found, there = np.full(counts.shape[1], np.nan), here.any(axis=0)
        fixed = np.zeros(counts.shape[1], dtype=bool)
        for buckets, columns in _patterns(here):
            merged_bounds, merged_counts = _coalesced(np.array(bounds)[buckets], counts[buckets][:, columns])
            found[columns], fixed[columns] = compute(_Buckets(merged_bounds, merged_counts, columns % steps))
        values[numbers], present[numbers] = found.reshape(-1, steps), there.reshape(-1, steps)
        for number, forced in zip(numbers, fixed.reshape(-1, steps), strict=True):
            if forced.any():
                query.notes.monotonicity(histograms[number].name)
    return merged(Vector([histogram.metric for histogram in histograms], values, present))


def _monotonic(counts: Floats) -> tuple[Floats, Mask]:
    """Counts that never fall: each bucket has at least what the one below has. And where that had to be made so."""
    fixed, forced, below = counts.copy(), np.zeros(counts.shape[1], dtype=bool), counts[0]
    for row in fixed[1:]:
        size = np.abs(below) + np.abs(row)
        tiny = (below == 0) | (row == 0) | (size < _TINIEST)
        difference = np.abs(below - row)
        near = np.where(
            tiny, difference < _SMALL * _TINIEST, difference / np.minimum(size, np.finfo(float).max) < _SMALL
        )
        less = ~near & (row < below)
        forced |= less
        row[...] = np.where(near | less, below, row)
        below = row
    return fixed, forced


def _quantile(q: Floats, buckets: _Buckets) -> tuple[Floats, Mask]:
    """bucketQuantile of Prometheus: linear within the bucket in which the quantile lies."""
    q, bounds = q[buckets.steps], buckets.bounds
    beyond = np.where(np.isnan(q), np.nan, np.where(q < 0, -np.inf, np.inf))
    outside = ~((q >= 0) & (q <= 1))
    if bounds[-1] != np.inf:
        return np.where(outside, beyond, np.nan), np.zeros(len(q), dtype=bool)
    counts, forced = _monotonic(buckets.counts)
    if len(bounds) < 2:
        return np.where(outside, beyond, np.nan), forced & ~outside
    observations = counts[-1]
    rank = q * observations
    place = (counts[:-1] < rank).sum(axis=0)
    inner = np.minimum(place, len(bounds) - 2)
    column = np.arange(len(q))
    below = np.where(inner > 0, counts[inner - 1, column], 0.0)
    start = np.where(inner > 0, bounds[inner - 1], 0.0)
    end = bounds[inner]
    found = start + (end - start) * ((rank - below) / (counts[inner, column] - below))
    found = np.where((inner == 0) & (bounds[0] <= 0), bounds[0], found)
    found = np.where(place == len(bounds) - 1, bounds[-2], found)
    found = np.where((observations == 0) | np.isnan(observations), np.nan, found)
    return np.where(outside, beyond, found), forced & ~outside


def histogram_quantile(query: Query, q: Floats, vector: Vector) -> Vector:
    """The q-quantile of each histogram at each step."""
    for value in np.unique(q):
        query.notes.quantile(float(value))
    return _each(query, vector, lambda buckets: _quantile(q, buckets))


def _rank(limit: Floats, buckets: _Buckets) -> Floats:
    """How many observations are no larger than the limit, linear within its bucket; the first bucket begins at 0."""
    bounds, counts = buckets.bounds, buckets.counts
    place = np.minimum(np.searchsorted(bounds, limit, side="left"), len(bounds) - 1)
    column = np.arange(len(limit))
    first_start = 0.0 if bounds[0] > 0 else -np.inf
    start = np.where(place > 0, bounds[place - 1], first_start)
    below = np.where(place > 0, counts[place - 1, column], 0.0)
    end, upto = bounds[place], counts[place, column]
    inside = below + (upto - below) * (limit - start) / (end - start)
    found = np.where(limit >= end, upto, np.where(limit <= start, below, inside))
    capped: Floats = np.minimum(found, counts[-1])
    return capped


def fractions(query: Query, lower: Floats, upper: Floats, vector: Vector) -> Vector:
    """histogram_fraction: which part of the observations lies between two values."""

    def compute(buckets: _Buckets) -> tuple[Floats, Mask]:
        low, high = lower[buckets.steps], upper[buckets.steps]
        never = np.zeros(len(low), dtype=bool)
        if buckets.bounds[-1] != np.inf:
            return np.full(len(low), np.nan), never
        total = buckets.counts[-1]
        share = (_rank(high, buckets) - _rank(low, buckets)) / total
        share = np.where(low >= high, 0.0, share)
        return np.where((total == 0) | np.isnan(total) | np.isnan(low) | np.isnan(high), np.nan, share), never

    return _each(query, vector, compute)

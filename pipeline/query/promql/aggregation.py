"""Aggregations that make one series of a group: sum, avg, min, max, count, stddev, quantile and the like."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from monitoring.pipeline.query.promql.errors import fail
from monitoring.pipeline.query.promql.grouping import groups, kept_labels
from monitoring.pipeline.query.promql.numerics import kahan_mean, kahan_sum, quantile
from monitoring.pipeline.query.promql.query import Query
from monitoring.pipeline.query.promql.source import Floats, Mask, Times
from monitoring.pipeline.query.promql.vector import Metric, Vector, merged, present_only

__all__ = ["AGGREGATIONS", "aggregate", "count_values", "decimal", "quantiles"]


def _members(vector: Vector, rows: Sequence[Times]) -> Iterator[tuple[Times, Floats, Mask]]:
    """The first series of every group, then the second of those that have one, and so on: whose groups they are first.

    All groups advance together, so that the order of additions is that of the series and work is done in few calls.
    """
    order = np.argsort([-len(row) for row in rows], kind="stable")
    sizes = np.array([len(rows[index]) for index in order])
    for place in range(int(sizes[0]) if len(sizes) else 0):
        some = order[: int(np.searchsorted(-sizes, -place, side="left"))]
        series = [rows[index][place] for index in some]
        yield some, vector.values[series], vector.present[series]


def _wide(vector: Vector, rows: Sequence[Times]) -> Iterator[tuple[Floats, Mask]]:
    """The same with a row for every group each time, absent where the group has no more series."""
    shape = (len(rows), vector.values.shape[1])
    for some, values, present in _members(vector, rows):
        if len(some) == len(rows) and present.all():
            wide, here = np.empty(shape), np.ones(shape, dtype=bool)
            wide[some] = values
        else:
            wide, here = np.zeros(shape), np.zeros(shape, dtype=bool)
            wide[some], here[some] = np.where(present, values, 0.0), present
        yield wide, here


def _sum(vector: Vector, rows: Sequence[Times]) -> Floats:
    return kahan_sum((values for values, _ in _wide(vector, rows)), (len(rows), vector.values.shape[1]))


def _average(vector: Vector, rows: Sequence[Times]) -> Floats:
    return kahan_mean(_wide(vector, rows), (len(rows), vector.values.shape[1]))


def _variance(vector: Vector, rows: Sequence[Times]) -> Floats:
    """Welford's running variance (1962), as Prometheus computes it."""
    shape = (len(rows), vector.values.shape[1])
    count, mean, squares = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    for values, here in _wide(vector, rows):
        count = count + here
        delta = values - mean
        next_mean = mean + delta / count
        squares = np.where(here, squares + delta * (values - next_mean), squares)
        mean = np.where(here, next_mean, mean)
    return squares / count


def _deviation(vector: Vector, rows: Sequence[Times]) -> Floats:
    return np.sqrt(_variance(vector, rows))


def _reduced(reduce: np.ufunc) -> Callable[[Vector, Sequence[Times]], Floats]:
    def compute(vector: Vector, rows: Sequence[Times]) -> Floats:
        values = np.where(vector.present, vector.values, np.nan)
        return np.array([reduce.reduce(values[row], axis=0) for row in rows])

    return compute


def _count(vector: Vector, rows: Sequence[Times]) -> Floats:
    return np.array([vector.present[row].sum(axis=0) for row in rows], dtype=np.float64)


def _group(vector: Vector, rows: Sequence[Times]) -> Floats:
    return np.ones((len(rows), vector.values.shape[1]))


AGGREGATIONS: dict[str, Callable[[Vector, Sequence[Times]], Floats]] = {
    "sum": _sum,
    "avg": _average,
    "min": _reduced(np.fmin),
    "max": _reduced(np.fmax),
    "count": _count,
    "group": _group,
    "stddev": _deviation,
    "stdvar": _variance,
}


def _present(vector: Vector, rows: Sequence[Times]) -> Mask:
    return np.array([vector.present[row].any(axis=0) for row in rows], dtype=bool)


def aggregate(operator: str, vector: Vector, by: bool, labels: Sequence[str]) -> Vector:
    """One series for each group, where any of its series has a value."""
    vector = present_only(vector)
    if not vector.metrics:
        return vector
    metrics, rows = groups(vector.metrics, by, labels)
    return merged(Vector(metrics, AGGREGATIONS[operator](vector, rows), _present(vector, rows)))


def quantiles(query: Query, q: Floats, vector: Vector, by: bool, labels: Sequence[str]) -> Vector:
    """quantile(): interpolated between the values of a group."""
    vector = present_only(vector)
    if not vector.metrics:
        return vector
    for value in np.unique(q):
        query.notes.quantile(float(value))
    metrics, rows = groups(vector.metrics, by, labels)
    keys = np.where(np.isnan(vector.values), -np.inf, vector.values)
    found = []
    for row in rows:
        here = vector.present[row]
        order = np.lexsort((keys[row], ~np.isnan(vector.values[row]), ~here), axis=0)
        found.append(quantile(q, np.take_along_axis(vector.values[row], order, axis=0), here.sum(axis=0)))
    return merged(Vector(metrics, np.array(found), _present(vector, rows)))


def decimal(value: float) -> str:
    """A number as Go's FormatFloat(value, 'f', -1, 64) writes it: the shortest that reads back, without exponent."""
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "+Inf" if value > 0 else "-Inf"
    return np.format_float_positional(value, unique=True, trim="-")


def count_values(query: Query, label: str, vector: Vector, by: bool, labels: Sequence[str]) -> Vector:
    """count_values(): of every group and value, how many series have it; the value becomes a label."""
    if not label:
        fail(f'invalid label name "{label}"')
    vector = present_only(vector)
    steps = vector.values.shape[1]
    kept = [*labels, label] if by else [name for name in labels if name != label]
    counts: dict[frozenset[tuple[str, str]], tuple[Metric, Floats]] = {}
    for metric, values, here in zip(vector.metrics, vector.values, vector.present, strict=True):
        query.check()
        for value in np.unique(values[here]):
            query.reserve(len(counts) * steps)
            group = _valued(metric, label, decimal(float(value)), by, kept)
            places = here & (np.isnan(values) if np.isnan(value) else values == value)
            _, count = counts.setdefault(frozenset(group.items()), (group, np.zeros(steps)))
            count += places
    if not counts:
        return Vector([], np.zeros((0, steps)), np.zeros((0, steps), dtype=bool))
    found = np.array([count for _, count in counts.values()])
    return Vector([group for group, _ in counts.values()], found, found > 0)


def _valued(metric: Metric, label: str, value: str, by: bool, kept: Sequence[str]) -> Metric:
    return kept_labels(Metric({**metric, label: value}, metric.drops), by, kept)

"""Selectors and subqueries: series out of the source, or out of an expression that is evaluated for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from monitoring.pipeline.query.promql.query import DEFAULT_SUBQUERY_STEP_MS, Grid, Query
from monitoring.pipeline.query.promql.source import STALE_BITS, Floats, Mask, Samples, Times
from monitoring.pipeline.query.promql.tree import Node, Selector, Subquery
from monitoring.pipeline.query.promql.vector import Metric, Value, Vector, empty
from monitoring.pipeline.query.promql.window import Windows, positions, windows

__all__ = ["instant", "ranges", "sampled_at", "stale"]


_BLOCK_CELLS = 1 << 18
"""Windows that a function is given at once: 2 MB for each of its matrices, which is what a processor's cache holds; and
what a query over many series and steps has in memory beside its result."""


def stale(values: Floats) -> Mask:
    """Where a series says that it has ended."""
    marks: Mask = np.ascontiguousarray(values).view(np.uint64) == np.uint64(STALE_BITS)
    return marks


def _newest(query: Query, node: Selector, grid: Grid) -> tuple[list[Metric], Floats, Times, Mask]:
    """The series, and of the newest sample of each at each step: its value, its time, whether it counts."""
    moments = query.moments(grid, node.at, node.offset_ms)
    lookback = query.lookback_ms
    start, end = int(moments.min()) - lookback + 1, int(moments.max())
    found = query.select(node.matchers, start, end, min(grid.step, lookback))
    if not found:
        none = empty(grid.steps)
        return [], none.values, none.values.astype(np.int64), none.present
    query.reserve(len(found) * grid.steps)
    lengths = np.array([len(series.times) for series in found])
    offsets = (np.cumsum(lengths) - lengths)[:, None]
    last = positions(found, (moments,))[0] - 1
    places = np.maximum(last, 0) + offsets
    times = np.concatenate([series.times for series in found])[places]
    values = np.concatenate([series.values for series in found])[places]
    present = (last >= 0) & (times > moments - lookback) & ~stale(values)
    return [Metric(series.labels) for series in found], values, times, present


def instant(query: Query, node: Selector, grid: Grid) -> Vector:
    """The newest value of each series at each step, no older than the lookback and not ended since."""
    if node.extension:
        return _smoothed(query, node, grid)
    metrics, values, _, present = _newest(query, node, grid)
    query.use(int(present.sum()))
    return Vector(metrics, values, present)


def _smoothed(query: Query, node: Selector, grid: Grid) -> Vector:
    """The value of each series between its samples on either side of a step, or the newest where none follows."""
    moments = query.moments(grid, node.at, node.offset_ms)
    lookback = query.lookback_ms
    found = _unended(
        query.select(
            node.matchers, int(moments.min()) - lookback + 1, int(moments.max()) + lookback, min(grid.step, lookback)
        )
    )
    query.reserve(len(found) * grid.steps)
    vector = empty(grid.steps)
    values, present = np.zeros((len(found), grid.steps)), np.zeros((len(found), grid.steps), dtype=bool)
    for row, (_, times, said) in enumerate(found):
        last = np.searchsorted(times, moments, side="right") - 1
        left, right = np.maximum(last, 0), np.minimum(last + 1, len(times) - 1)
        there = (last >= 0) & (times[left] > moments - lookback)
        between = (right > left) & (times[right] <= moments + lookback) & (times[left] < moments)
        share = (moments - times[left]) / np.where(between, times[right] - times[left], 1)
        values[row] = np.where(between, said[left] + (said[right] - said[left]) * share, said[left])
        present[row] = there
    query.use(int(present.sum()))
    return Vector([Metric(series.labels) for series in found], values, present) if found else vector


def sampled_at(query: Query, node: Selector, grid: Grid) -> Vector:
    """When that value was sampled, in seconds since 1970: timestamp() of a selector."""
    metrics, _, times, present = _newest(query, node, grid)
    return Vector(metrics, times / 1000, present)


def ranges(
    query: Query, node: Selector | Subquery, grid: Grid, evaluate: Callable[[Query, Node, Grid], Value]
) -> Iterator[Windows]:
    """The windows of a range selector or a subquery, whose inner expression `evaluate` evaluates.

    At least one; where there are many windows, some of the series at a time.
    """
    ends = query.moments(grid, node.at, node.offset_ms)
    start, end = int(ends.min()) - node.range_ms + 1, int(ends.max())
    if isinstance(node, Selector):
        start -= query.lookback_ms if node.extension else 0
        end += query.lookback_ms if node.extension == "smoothed" else 0
        series = query.select(node.matchers, start, end, min(grid.step, node.range_ms))
    else:
        series = _evaluated(query, node, start, end, evaluate)
    query.reserve(len(series) * grid.steps)
    block = max(1, _BLOCK_CELLS // grid.steps)
    for first in range(0, len(series), block) or (0,):
        query.check()
        found = windows(series[first : first + block], ends, node.range_ms, grid.times)
        if isinstance(node, Selector) and stale(found.values).any():
            found = windows(_unended(found.series), ends, node.range_ms, grid.times)
        yield found


def _unended(found: Sequence[Samples]) -> list[Samples]:
    """Without the marks of an end, which are no samples of a range."""
    kept = []
    for series in found:
        marks = stale(series.values)
        some = series if not marks.any() else Samples(series.labels, series.times[~marks], series.values[~marks])
        if len(some.times):
            kept.append(some)
    return kept


def _evaluated(
    query: Query, node: Subquery, start: int, end: int, evaluate: Callable[[Query, Node, Grid], Value]
) -> list[Samples]:
    """The inner expression at the multiples of the step since 1970 between two times."""
    step = node.step_ms or DEFAULT_SUBQUERY_STEP_MS
    grid = Grid(-(-start // step) * step, end, step)
    if not grid.steps:
        return []
    value = evaluate(query, node.inner, grid)
    if isinstance(value, np.ndarray):
        value = Vector([Metric()], value[None, :], np.ones((1, grid.steps), dtype=bool))
    if isinstance(value, str):
        value = empty(grid.steps)  # the parser lets no string in here
    times = grid.times
    rows = zip(value.metrics, value.values, value.present, strict=True)
    return [Samples(metric, times[here], row[here]) for metric, row, here in rows if here.any()]

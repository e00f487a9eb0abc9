"""Points made coarser: increments add up, gauges are summed up, of raw samples some stand for all. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from monitoring.pipeline.query.promql.source import Floats, Times
from monitoring.pipeline.store.deltas import WINDOW_NS
from monitoring.pipeline.store.metric_codec import Column
from monitoring.pipeline.store.metric_grid import stale

__all__ = ["coarse", "held", "summary", "thinned"]

_SAFE = 1 << 62
_STRIDE_MS = 150_000
"""Two in the five minutes that a query looks back."""
_LONGEST_MS = 2 * 3600_000
"""Samples that are kept of each hour are less than two hours apart."""


def coarse(windows: Times, columns: Sequence[Column], scale: int) -> tuple[Times, list[Column]]:
    """Points by longer windows, each the sum of what it is made of. Points run along the last axis."""
    if scale == 1:
        return windows, list(columns)
    longer = windows // scale
    starts = np.flatnonzero(np.diff(longer, prepend=longer[0] - 1))
    return longer[starts], [np.add.reduceat(_safe(column), starts, axis=-1) for column in columns]


def _safe(column: Column) -> Column:
    """The column, as floats where its sums could be beyond 64 bits."""
    if column.dtype == np.int64 and float(np.abs(column).max(initial=0)) * column.shape[-1] >= _SAFE:
        return column.astype(np.float64)
    return column


def summary(samples: tuple[Times, Floats], scale: int) -> tuple[Times, list[Column]]:
    """Of samples at the ends of windows: last, least, greatest and sum by longer window, and how many."""
    times, values = samples
    living = ~stale(values)
    times, values = times[living], values[living]
    if not len(times):
        return times, []
    longer = (times * 1_000_000 // WINDOW_NS - 1) // scale
    starts = np.flatnonzero(np.diff(longer, prepend=longer[0] - 1))
    ends = np.append(starts[1:], len(times)) - 1
    counts = np.diff(np.append(starts, len(times)))
    rows = [values[ends], *(each.reduceat(values, starts) for each in (np.minimum, np.maximum, np.add))]
    return longer[starts], [np.array([row]) for row in rows] + [counts[None].astype(np.int64)]


def thinned(times: Times, values: Floats, length_ms: int) -> tuple[Times, Floats]:
    """The samples that stand for all in each stretch of this length: last, least, greatest, both sides of a fall."""
    kept = np.zeros(len(times), dtype=np.bool_)
    stretch = times // length_ms
    starts = np.flatnonzero(np.diff(stretch, prepend=stretch[0] - 1))
    ends = [*(starts[1:] - 1), len(times) - 1]
    kept[ends] = True
    for start, end in zip(starts, ends, strict=True):
        part = values[start : end + 1]
        if not np.isnan(part).all():
            kept[start + np.nanargmin(part)] = kept[start + np.nanargmax(part)] = True
    fall = np.flatnonzero(values[1:] < values[:-1])
    kept[fall] = kept[fall + 1] = True
    kept |= stale(values)
    return times[kept], values[kept]


def held(times: Times, values: Floats) -> tuple[Times, Floats]:
    """Samples of a roll-up of hours, repeated between two of them, so that a query that looks back finds one."""
    if not len(times):
        return times, values
    gaps = np.append(np.diff(times), 0)
    gaps[(gaps > _LONGEST_MS) | stale(values)] = 0
    repeats = 1 + np.maximum(0, gaps - 1) // _STRIDE_MS
    index = np.repeat(np.arange(len(times)), repeats)
    nth = np.arange(len(index)) - np.repeat(np.cumsum(repeats) - repeats, repeats)
    return times[index] + nth * _STRIDE_MS, values[index]

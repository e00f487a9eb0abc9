"""Functions of how fast a series changes: rate, increase, delta, irate, idelta, resets, changes."""

from __future__ import annotations

import numpy as np

from monitoring.pipeline.query.promql.source import Floats, Mask, Times
from monitoring.pipeline.query.promql.window import Windows

__all__ = ["add_resets", "changes", "extrapolated", "last_two", "resets"]

_FAR = 1.1
"""A window's end that is further from the next sample than this many times their usual distance: the series is taken
to begin or end there, half such a distance away (Prometheus' extrapolatedRate)."""


def _before(flags: Mask) -> Times:
    """How many of the flags are set before each place; one place more than there are flags."""
    return np.concatenate([[0], np.cumsum(flags)])


def _counted(found: Windows, flags: Mask) -> Floats:
    """How many flags are set in each window but for its first sample: they are about a sample and the one before."""
    before = _before(flags)
    low = np.minimum(found.low + 1, found.high)
    return (before[found.high] - before[low]).astype(np.float64)


def _fell(found: Windows) -> Mask:
    """Where a value is smaller than the one before it of its series."""
    values = found.values
    fell = np.zeros(len(values), dtype=bool)
    np.less(values[1:], values[:-1], out=fell[1:])
    fell[found.bounds[found.bounds[:, 0] < len(fell), 0]] = False
    return fell


def resets(found: Windows) -> Floats:
    """How often a counter began anew in each window."""
    return _counted(found, _fell(found))


def changes(found: Windows) -> Floats:
    """How often the value changed in each window; NaN after NaN is no change."""
    values = found.values
    differs = (values[1:] != values[:-1]) & ~(np.isnan(values[1:]) & np.isnan(values[:-1]))
    return _counted(found, np.concatenate([np.zeros(min(1, len(values)), dtype=bool), differs]))


def add_resets(found: Windows, rise: Floats, enough: Mask) -> Floats:
    """Add what a counter had reached each time it began anew, one after the other as Prometheus does."""
    fell = _fell(found)
    if not fell.any():
        return rise
    lost = found.values[np.flatnonzero(fell) - 1]
    before = _before(fell)
    next_place = np.where(enough, before[np.minimum(found.low + 1, found.high)], 0)
    last_place = np.where(enough, before[found.high], 0)
    while (more := next_place < last_place).any():
        rise = np.where(more, rise + lost[np.minimum(next_place, len(lost) - 1)], rise)
        next_place += more
    return rise


def extrapolated(found: Windows, counter: bool, per_second: bool) -> tuple[Floats, Mask]:
    """rate, increase and delta: the change between first and last sample, stretched to the whole window.

    Not further than half a sample's distance where the series seems to begin or end within, and for a counter not
    further back than where it would have been 0.
    """
    clock = found.clock
    counts = clock.high - clock.low
    enough: Mask = np.broadcast_to(counts >= 2, found.low.shape)
    if not len(found.values):
        return np.zeros(enough.shape), enough
    first_time = clock.times[np.minimum(clock.low, len(clock.times) - 1)]
    last_time = clock.times[np.maximum(clock.high - 1, 0)]
    first_value = found.values[np.minimum(found.low, len(found.values) - 1)]
    rise = found.values[np.maximum(found.high - 1, 0)] - first_value
    if counter:
        rise = add_resets(found, rise, enough)
    sampled = (last_time - first_time) / 1000
    distance = sampled / (counts - 1)
    to_start, to_end = (first_time - found.starts) / 1000, (found.ends - last_time) / 1000
    to_start = np.where(to_start >= distance * _FAR, distance / 2, to_start)
    if counter:
        to_zero = sampled * (first_value / rise)
        nearer = (to_zero < to_start) & (rise > 0) & (first_value >= 0)
        to_start = np.where(nearer, to_zero, to_start)
    to_end = np.where(to_end >= distance * _FAR, distance / 2, to_end)
    factor = (sampled + to_start + to_end) / sampled
    if per_second:
        factor = factor / found.range_seconds
    return rise * factor, enough


def last_two(found: Windows, counter: bool) -> tuple[Floats, Mask]:
    """irate and idelta: the change between the last two samples, for a counter by the second."""
    enough = found.counts >= 2
    if not len(found.values):
        return np.zeros(enough.shape), enough
    last = np.maximum(found.high - 1, 0)
    before = np.maximum(found.high - 2, 0)
    change = found.values[last] - found.values[before]
    if not counter:
        return change, enough
    change = np.where(found.values[last] < found.values[before], found.values[last], change)
    seconds = (found.times[last] - found.times[before]) / 1000
    return change / seconds, enough & (seconds > 0)

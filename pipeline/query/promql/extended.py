"""Ranges that look beyond their ends: `x[5m] anchored` and `x[5m] smoothed`, whose change is not extrapolated.

anchored: the value at the start is that of the newest sample before it, no older than the lookback; the first within
where there is none. smoothed: the values at both ends are interpolated between the samples on either side of them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from monitoring.pipeline.query.promql.errors import fail
from monitoring.pipeline.query.promql.rates import add_resets
from monitoring.pipeline.query.promql.source import Floats, Mask, Times
from monitoring.pipeline.query.promql.tree import Node, Selector
from monitoring.pipeline.query.promql.window import Windows

__all__ = ["anchored", "anchored_change", "check_use", "smoothed_change"]

_USES = {
    "anchored": ("changes", "delta", "increase", "rate", "resets"),
    "smoothed": ("delta", "increase", "rate"),
}


def check_use(function: str, argument: Node) -> None:
    """Raises PromqlError where the argument is extended and the function cannot do with samples beyond the range."""
    if isinstance(argument, Selector) and argument.extension and function not in _USES[argument.extension]:
        names = ", ".join(_USES[argument.extension])
        fail(f"{argument.extension} modifier can only be used with: {names} - not with {function}")


def _before(found: Windows, lookback_ms: int) -> Mask:
    """Whether a series has a sample at or before the start of the window, no older than the lookback."""
    if not len(found.times):
        return np.zeros(found.low.shape, dtype=bool)
    recent: Mask = found.times[np.maximum(found.low - 1, 0)] > found.starts - lookback_ms
    return recent & (found.low > found.bounds[:, :1])


def anchored(found: Windows, lookback_ms: int) -> Windows:
    """The windows, each with the sample before it where there is one."""
    return replace(found, low=np.where(_before(found, lookback_ms) & (found.counts > 0), found.low - 1, found.low))


def anchored_change(found: Windows, lookback_ms: int, counter: bool, per_second: bool) -> tuple[Floats, Mask]:
    """rate, increase and delta of what is known: the last value less the value at the start."""
    present: Mask = found.counts > 0
    wide = anchored(found, lookback_ms)
    if not len(found.values):
        return np.zeros(present.shape), present
    first, last = np.minimum(wide.low, len(found.values) - 1), np.maximum(wide.high - 1, 0)
    rise = found.values[last] - found.values[first]
    if counter:
        rise = add_resets(wide, rise, present)
    return rise / found.range_seconds if per_second else rise, present


def _between(found: Windows, left: Times, moments: Times, counter_from_zero: bool | None) -> Floats:
    """The value at a moment between the sample at the place `left` and the next one.

    Where a counter began anew in between it rose from 0 (True), or went on from where it was (False).
    """
    right = np.minimum(left + 1, len(found.times) - 1)
    left = np.maximum(left, 0)
    before, after = found.values[left], found.values[right]
    fell = after < before
    if counter_from_zero is True:
        before = np.where(fell, 0.0, before)
    elif counter_from_zero is False:
        after = np.where(fell, before + after, after)
    share = (moments - found.times[left]) / (found.times[right] - found.times[left])
    return before + (after - before) * share


def smoothed_change(found: Windows, lookback_ms: int, counter: bool, per_second: bool) -> tuple[Floats, Mask]:
    """rate, increase and delta between the interpolated values at both ends."""
    if not len(found.values):
        return np.zeros(found.low.shape), np.zeros(found.low.shape, dtype=bool)
    places = len(found.times) - 1
    before = _before(found, lookback_ms)
    recent = found.times[np.minimum(found.high, places)] <= found.ends + lookback_ms
    after = recent & (found.high < found.bounds[:, 1:])
    inside = found.counts > 0
    present = inside | (before & after)
    last = np.maximum(found.high - 1, 0)
    left = np.where(before, _between(found, found.low - 1, found.starts, True if counter else None), 0.0)
    left = np.where(before, left, found.values[np.minimum(found.low, places)])
    at_end = found.times[last] == found.ends
    right = np.where(after & ~at_end, _between(found, last, found.ends, False if counter else None), found.values[last])
    rise = right - left
    if counter:
        rise = add_resets(found, rise, inside)
    return rise / found.range_seconds if per_second else rise, present

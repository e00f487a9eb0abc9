"""Functions that fit a line or a curve to a window: deriv, predict_linear, double_exponential_smoothing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from monitoring.pipeline.query.promql.errors import fail
from monitoring.pipeline.query.promql.numerics import kahan_add
from monitoring.pipeline.query.promql.source import Floats, Times
from monitoring.pipeline.query.promql.window import Dense

__all__ = ["line", "predicted", "slope", "smoothed"]


def line(window: Dense, origin: Times) -> tuple[Floats, Floats]:
    """Slope by the second, and value at `origin`, of the least-squares line through each window."""
    width = window.values.shape[1]
    sums = [(np.zeros(width), np.zeros(width)) for _ in range(4)]
    for times, values in zip(window.times, window.values, strict=True):
        x = (times - origin) / 1000
        sums = [kahan_add(term, *done) for term, done in zip((x, values, x * values, x * x), sums, strict=True)]
    x_sum, y_sum, xy_sum, xx_sum = (total + lost for total, lost in sums)
    count = len(window.values)
    steepness = (xy_sum - x_sum * y_sum / count) / (xx_sum - x_sum * x_sum / count)
    height = y_sum / count - steepness * x_sum / count
    level = (window.values == window.values[0]).all(axis=0)
    steady = np.where(np.isinf(window.values[0]), np.nan, 0.0)
    return (
        np.where(level, steady, steepness),
        np.where(level, np.where(np.isinf(window.values[0]), np.nan, window.values[0]), height),
    )


def slope(window: Dense) -> Floats:
    """deriv(): the slope; the times count from the first sample, which keeps them small."""
    return line(window, window.all_times[window.places[0]])[0]


def predicted(seconds: Floats, steps: Times) -> Callable[[Dense], Floats]:
    """predict_linear(): where the line will be, `seconds` after each of the `steps`."""

    def compute(window: Dense) -> Floats:
        steepness, height = line(window, window.steps)
        return steepness * seconds[np.searchsorted(steps, window.steps)] + height

    return compute


def smoothed(smoothing: Floats, trend: Floats) -> Callable[[Dense], Floats]:
    """double_exponential_smoothing(): Holt's linear method (1957).

    Raises PromqlError where a factor is not between 0 and 1.
    """
    for name, factors in (("smoothing", smoothing), ("trend", trend)):
        wrong = factors[(factors <= 0) | (factors >= 1)]
        if len(wrong):
            fail(f"invalid {name} factor. Expected: 0 < {name[0]}f < 1, got: {wrong[0]:f}")
    first, second = float(smoothing[0]), float(trend[0])

    def compute(window: Dense) -> Floats:
        before: Floats = np.zeros(window.values.shape[1])
        level: Floats = window.values[0]
        rise = window.values[1] - window.values[0]
        for place, row in enumerate(window.values[1:]):
            if place:
                rise = second * (level - before) + (1 - second) * rise
            before, level = level, first * row + (1 - first) * (level + rise)
        return level

    return compute

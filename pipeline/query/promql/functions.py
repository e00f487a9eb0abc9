"""Every function by its name. What it computes stands in the module of its family."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from monitoring.pipeline.query.promql import (
    dates,
    extended,
    histograms,
    info,
    maths,
    order,
    over_time,
    rates,
    relabel,
    trends,
)
from monitoring.pipeline.query.promql.notes import number_text
from monitoring.pipeline.query.promql.query import Grid, Query
from monitoring.pipeline.query.promql.source import NAME, Floats, Mask
from monitoring.pipeline.query.promql.tree import Call, Extension, Selector
from monitoring.pipeline.query.promql.vector import (
    Metric,
    Value,
    Vector,
    distinct,
    empty,
    merged,
    nameless,
    present_only,
)
from monitoring.pipeline.query.promql.window import Dense, Windows, over

__all__ = ["FUNCTIONS", "Frame"]


class Frame(NamedTuple):
    """Where a function is called."""

    query: Query
    grid: Grid
    call: Call

    @property
    def seconds(self) -> Floats:
        """The time of each step, in seconds since 1970."""
        return self.grid.times / 1000


Function = Callable[..., Value]
"""Takes the frame and the values of its arguments: Vector, Windows, Floats (a scalar) or str."""


def _of_values(compute: Callable[..., Floats]) -> Function:
    """A function of each value of a vector, and of scalars beside it."""

    def call(frame: Frame, vector: Vector, *scalars: Floats) -> Vector:
        vector = present_only(vector)
        values = compute(vector.values, *scalars)
        metrics = nameless(vector.metrics, frame.query.delayed_names)
        return merged(Vector(metrics, values, vector.present))

    return call


def _of_dates(compute: Callable[[Floats], Floats]) -> Function:
    """A function of a time; without an argument, of the time of the step."""
    of_values = _of_values(compute)

    def call(frame: Frame, *arguments: Vector) -> Value:
        return of_values(frame, *(arguments or (_vector(frame, frame.seconds),)))

    return call


def _ranged(frame: Frame, found: Windows, values: Floats, present: Mask, keeps_name: bool = False) -> Vector:
    """What was computed of windows, as a vector."""
    metrics = found.metrics if keeps_name else nameless(found.metrics, frame.query.delayed_names)
    frame.query.use(int(present.sum()))
    return distinct(Vector(metrics, values, present))


def _over_time(name: str) -> Function:
    keeps_name = name in ("last_over_time", "first_over_time")

    def call(frame: Frame, found: Windows) -> Vector:
        return _ranged(frame, found, *over(frame.query, found, over_time.OVER_TIME[name]), keeps_name)

    return call


def _by_step(found: Windows, compute: Callable[[Dense, Floats], Floats], scalar: Floats) -> Callable[[Dense], Floats]:
    """`compute` of each window and the scalar's value at its step."""
    return lambda window: compute(window, scalar[np.searchsorted(found.steps, window.steps)])


def _quantile_over_time(frame: Frame, q: Floats, found: Windows) -> Vector:
    for value in np.unique(q) if found.metrics else ():
        frame.query.notes.quantile(float(value))
    compute = _by_step(found, lambda window, here: over_time.quantile_of(here)(window), q)
    return _ranged(frame, found, *over(frame.query, found, compute))


def _extension(frame: Frame) -> Extension:
    """Whether the argument is a range selector that is anchored or smoothed."""
    argument = frame.call.arguments[0]
    return argument.extension if isinstance(argument, Selector) else ""


def _extrapolated(counter: bool, per_second: bool) -> Function:
    def call(frame: Frame, found: Windows) -> Vector:
        lookback, kind = frame.query.lookback_ms, _extension(frame)
        if kind == "anchored":
            values, present = extended.anchored_change(found, lookback, counter, per_second)
        elif kind == "smoothed":
            values, present = extended.smoothed_change(found, lookback, counter, per_second)
        else:
            values, present = rates.extrapolated(found, counter, per_second)
        if counter:
            for row in np.flatnonzero(present.any(axis=1)):
                frame.query.notes.counter(found.metrics[row].get(NAME, ""))
        return _ranged(frame, found, values, present)

    return call


def _last_two(counter: bool) -> Function:
    def call(frame: Frame, found: Windows) -> Vector:
        return _ranged(frame, found, *rates.last_two(found, counter))

    return call


def _counted(compute: Callable[[Windows], Floats]) -> Function:
    def call(frame: Frame, found: Windows) -> Vector:
        present = found.counts > 0
        if _extension(frame):
            found = extended.anchored(found, frame.query.lookback_ms)
        return _ranged(frame, found, compute(found), present)

    return call


def _deriv(frame: Frame, found: Windows) -> Vector:
    return _ranged(frame, found, *over(frame.query, found, trends.slope, least=2))


def _predict_linear(frame: Frame, found: Windows, seconds: Floats) -> Vector:
    return _ranged(frame, found, *over(frame.query, found, trends.predicted(seconds, found.steps), least=2))


def _smoothing(frame: Frame, found: Windows, smoothing: Floats, trend: Floats) -> Vector:
    return _ranged(frame, found, *over(frame.query, found, trends.smoothed(smoothing, trend), least=2))


def _vector(frame: Frame, scalar: Floats) -> Vector:
    return Vector([Metric()], scalar[None, :], np.ones((1, frame.grid.steps), dtype=bool))


def _scalar(frame: Frame, vector: Vector) -> Floats:
    one = vector.present.sum(axis=0) == 1
    return np.where(one, np.where(vector.present, vector.values, 0.0).sum(axis=0), np.nan)


def _number(value: Callable[[Frame], Floats | float]) -> Function:
    return lambda frame: np.broadcast_to(np.asarray(value(frame), dtype=np.float64), (frame.grid.steps,))


def _clamp(frame: Frame, vector: Vector, least: Floats, most: Floats) -> Value:
    found = _of_values(maths.clamped)(frame, vector, least, most)
    assert isinstance(found, Vector)  # noqa: S101  # for the type checker: of values comes a vector
    return present_only(found._replace(present=found.present & ~(most < least)))


def _absent_labels(selector: Selector) -> Metric:
    """The labels that a series would have that a selector asks for: those asked for once, and by `=`."""
    names = [matcher.label for matcher in selector.matchers]
    wanted = (matcher for matcher in selector.matchers if matcher.operator == "=" and names.count(matcher.label) == 1)
    return Metric((matcher.label, matcher.value) for matcher in wanted if matcher.label != NAME and matcher.value)


def _missing(frame: Frame, there: Mask) -> Vector:
    argument = frame.call.arguments[0]
    metric = _absent_labels(argument) if isinstance(argument, Selector) else Metric()
    missing: Mask = ~np.any(there, axis=0, keepdims=True)
    return present_only(Vector([metric], np.ones((1, frame.grid.steps)), missing))


def _absent(frame: Frame, vector: Vector) -> Vector:
    return _missing(frame, vector.present)


def _absent_over_time(frame: Frame, found: Windows) -> Vector:
    return _missing(frame, found.counts > 0)


def _timestamp(frame: Frame, vector: Vector) -> Value:
    """Of a selector the engine gives the times of its samples; of any other vector it is the time of the step."""
    if isinstance(frame.call.arguments[0], Selector):
        return _of_values(lambda values: values)(frame, vector)
    return _of_values(lambda values: np.broadcast_to(frame.seconds, values.shape))(frame, vector)


def _sort(descending: bool) -> Function:
    return lambda frame, vector: order.by_value(vector, descending) if frame.query.instant else vector


def _sort_by_label(descending: bool) -> Function:
    def call(frame: Frame, vector: Vector, *labels: str) -> Vector:
        return order.by_labels(vector, labels, descending) if frame.query.instant else vector

    return call


def _histogram_quantiles(frame: Frame, vector: Vector, label: str, *quantiles: Floats) -> Vector:
    """Several quantiles at once, which a label tells apart."""
    found = [histograms.histogram_quantile(frame.query, q, vector) for q in quantiles]
    metrics = [
        Metric({**metric, label: number_text(float(q[0]))}, metric.drops)
        for q, part in zip(quantiles, found, strict=True)
        for metric in part.metrics
    ]
    values, present = (np.concatenate(parts) for parts in zip(*(part[1:] for part in found), strict=True))
    return merged(Vector(metrics, values, present))


def _no_floats(frame: Frame, *_: Any) -> Vector:
    """Functions of native histograms, which this store does not have: of floats they make nothing."""
    return empty(frame.grid.steps)


def _label_join(_: Frame, vector: Vector, target: str, separator: str, *sources: str) -> Vector:
    return relabel.label_join(vector, target, separator, sources)


def _info(frame: Frame, vector: Vector, *_: Vector) -> Vector:
    arguments: Sequence[Any] = frame.call.arguments
    return info.enriched(frame.query, frame.grid, vector, arguments[1] if len(arguments) > 1 else None)


FUNCTIONS: dict[str, Function] = {
    **{name: _of_values(compute) for name, compute in maths.MATHS.items()},
    **{name: _of_dates(compute) for name, compute in dates.CALENDAR.items()},
    **{name: _over_time(name) for name in over_time.OVER_TIME},
    **dict.fromkeys(
        ("histogram_avg", "histogram_count", "histogram_stddev", "histogram_stdvar", "histogram_sum"), _no_floats
    ),
    "absent": _absent,
    "absent_over_time": _absent_over_time,
    "changes": _counted(rates.changes),
    "clamp": _clamp,
    "clamp_max": _of_values(lambda values, most: np.minimum(most, values)),
    "clamp_min": _of_values(lambda values, least: np.maximum(least, values)),
    "delta": _extrapolated(counter=False, per_second=False),
    "deriv": _deriv,
    "double_exponential_smoothing": _smoothing,
    "end": _number(lambda frame: frame.query.grid.end / 1000),
    "histogram_fraction": lambda frame, lower, upper, vector: histograms.fractions(frame.query, lower, upper, vector),
    "histogram_quantile": lambda frame, q, vector: histograms.histogram_quantile(frame.query, q, vector),
    "histogram_quantiles": _histogram_quantiles,
    "idelta": _last_two(counter=False),
    "increase": _extrapolated(counter=True, per_second=False),
    "info": _info,
    "irate": _last_two(counter=True),
    "label_join": _label_join,
    "label_replace": lambda _, *arguments: relabel.label_replace(*arguments),
    "max_of": lambda _, left, right: np.maximum(left, right),
    "min_of": lambda _, left, right: np.minimum(left, right),
    "pi": _number(lambda _: np.pi),
    "predict_linear": _predict_linear,
    "quantile_over_time": _quantile_over_time,
    "range": _number(lambda frame: (frame.query.grid.end - frame.query.grid.start) / 1000),
    "rate": _extrapolated(counter=True, per_second=True),
    "resets": _counted(rates.resets),
    "round": _of_values(maths.rounded),
    "scalar": _scalar,
    "sort": _sort(descending=False),
    "sort_by_label": _sort_by_label(descending=False),
    "sort_by_label_desc": _sort_by_label(descending=True),
    "sort_desc": _sort(descending=True),
    "start": _number(lambda frame: frame.query.grid.start / 1000),
    "step": _number(lambda frame: 0.0 if frame.query.instant else frame.query.grid.step / 1000),
    "time": _number(lambda frame: frame.seconds),
    "timestamp": _timestamp,
    "vector": _vector,
}

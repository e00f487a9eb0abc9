"""The engine: the value of a tree at every step, and the two kinds of query that ask for it.

    text -> parse -> tree -> evaluate(node, grid): a matrix for each node, series by steps -> Answer

Each node is evaluated once, for all steps together, in numpy. Semantics are those of Prometheus 3.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from monitoring.pipeline.query.limits import Deadline
from monitoring.pipeline.query.promql.aggregation import aggregate, count_values, quantiles
from monitoring.pipeline.query.promql.binary import of_scalars, of_vector_and_scalar, of_vectors
from monitoring.pipeline.query.promql.errors import PromqlError, fail
from monitoring.pipeline.query.promql.extended import check_use
from monitoring.pipeline.query.promql.functions import FUNCTIONS, Frame
from monitoring.pipeline.query.promql.parse import parse
from monitoring.pipeline.query.promql.query import Grid, Query
from monitoring.pipeline.query.promql.ranking import RANKINGS, choose
from monitoring.pipeline.query.promql.selectors import instant as select_instant
from monitoring.pipeline.query.promql.selectors import ranges, sampled_at
from monitoring.pipeline.query.promql.sets import combine
from monitoring.pipeline.query.promql.source import Floats, Samples, Source
from monitoring.pipeline.query.promql.tree import (
    Aggregation,
    Binary,
    Call,
    Negation,
    Node,
    Number,
    Selector,
    Subquery,
    Text,
    constant,
    shape,
)
from monitoring.pipeline.query.promql.vector import (
    Metric,
    Value,
    Vector,
    distinct,
    in_all,
    joined,
    merged,
    nameless,
    ordered,
    present_only,
)
from monitoring.pipeline.query.promql.window import Windows

__all__ = ["DEFAULT_LOOKBACK_MS", "Answer", "Point", "instant", "ranged"]

DEFAULT_LOOKBACK_MS = 300_000
"""How old the newest sample of a series may be: Prometheus' `--query.lookback-delta`."""

Point = tuple[dict[str, str], int, float]
"""Labels, milliseconds since 1970, value."""


@dataclass(frozen=True)
class Answer:
    """The value of a query: a vector's points, a matrix's series, one float, or a text."""

    type: Literal["vector", "matrix", "scalar", "string"]
    value: list[Point] | list[Samples] | float | str
    warnings: list[str] = field(default_factory=list)
    infos: list[str] = field(default_factory=list)


def instant(
    source: Source,
    expr: str,
    time_ms: int,
    *,
    deadline: Deadline,
    lookback_ms: int = DEFAULT_LOOKBACK_MS,
    delayed_names: bool = False,
) -> Answer:
    """The value of an expression at one time, in milliseconds since 1970.

    `delayed_names`: remove `__name__` only at the end, as Prometheus does with its flag promql-delayed-name-removal.
    Raises PromqlError.
    """
    grid = Grid(time_ms, time_ms, 1)
    query = Query(source, grid, lookback_ms, deadline, True, delayed_names)
    with _guarded():
        node = parse(expr)
        if isinstance(node, Selector | Subquery) and shape(node) == "matrix":
            check_use("", node)
            found = [series for part in ranges(query, node, grid, evaluate) for series in _samples(part)]
            return _answer(query, "matrix", sorted(found, key=lambda one: sorted(one.labels.items())))
        value = evaluate(query, node, grid)
        if isinstance(value, str):
            return _answer(query, "string", value)
        if not isinstance(value, Vector):
            return _answer(query, "scalar", float(value[0]))
        value = present_only(_without_names(value, query))
    points = [(dict(metric), time_ms, float(row[0])) for metric, row in zip(value.metrics, value.values, strict=True)]
    return _answer(query, "vector", points)


def ranged(
    source: Source,
    expr: str,
    start_ms: int,
    end_ms: int,
    step_ms: int,
    *,
    deadline: Deadline,
    lookback_ms: int = DEFAULT_LOOKBACK_MS,
    delayed_names: bool = False,
) -> Answer:
    """The values of an expression from one time to another, both included, every `step_ms`. Raises PromqlError."""
    if step_ms <= 0 or end_ms < start_ms:
        raise PromqlError("a range query needs a step above 0 and an end that is not before its start", "bad_data")
    grid = Grid(start_ms, end_ms, step_ms)
    query = Query(source, grid, lookback_ms, deadline, False, delayed_names)
    with _guarded():
        node = parse(expr, step_ms, end_ms - start_ms)
        _refuse_ranges(node)
        value = evaluate(query, node, grid)
        if isinstance(value, np.ndarray):
            value = Vector([Metric()], value[None, :], np.ones((1, grid.steps), dtype=bool))
        if isinstance(value, str):
            fail("a string has no values over time")
        value = ordered(present_only(_without_names(value, query)))
    times = grid.times
    rows = zip(value.metrics, value.values, value.present, strict=True)
    found = [
        Samples(dict(metric), times, row) if here.all() else Samples(dict(metric), times[here], row[here])
        for metric, row, here in rows
    ]
    return _answer(query, "matrix", found)


@contextmanager
def _guarded() -> Iterator[None]:
    """NaN and Inf are values here; and an expression that is too deep for the stack is the asker's to change."""
    try:
        with np.errstate(all="ignore"):
            yield
    except RecursionError:
        raise PromqlError("parse error: expression is nested too deeply", "bad_data") from None


def _refuse_ranges(node: Node) -> None:
    """Raises PromqlError where a node has no value at each step that could be drawn."""
    kind = shape(node)
    if kind in ("matrix", "string"):
        name = "range vector" if kind == "matrix" else kind
        raise PromqlError(
            f'invalid expression type "{name}" for range query, must be Scalar or instant Vector', "bad_data"
        )


def _answer(
    query: Query,
    kind: Literal["vector", "matrix", "scalar", "string"],
    value: list[Point] | list[Samples] | float | str,
) -> Answer:
    return Answer(kind, value, query.notes.warnings, query.notes.infos)


def _without_names(vector: Vector, query: Query) -> Vector:
    """Take the names away that were to go in the end."""
    if not query.delayed_names:
        return vector
    metrics = [nameless([metric])[0] if metric.drops else Metric(metric) for metric in vector.metrics]
    return merged(vector._replace(metrics=metrics))


def _samples(found: Windows) -> list[Samples]:
    """The samples of the only window of each series."""
    rows = zip(found.metrics, found.low[:, 0], found.high[:, 0], strict=True)
    return [
        Samples(dict(metric), found.times[low:high], found.values[low:high]) for metric, low, high in rows if low < high
    ]


def evaluate(query: Query, node: Node, grid: Grid) -> Value:
    """The value of a node at every step of the grid. What is the same at all of them is evaluated once."""
    query.check()
    query.reserve(grid.steps)
    if grid.steps > 1 and not isinstance(node, Number | Text) and constant(node):
        value = _evaluate(query, node, grid.first())
        if isinstance(value, Vector):
            return value._replace(
                values=np.repeat(value.values, grid.steps, axis=1), present=np.repeat(value.present, grid.steps, axis=1)
            )
        return value if isinstance(value, str) else np.repeat(value, grid.steps)
    return _evaluate(query, node, grid)


def _evaluate(query: Query, node: Node, grid: Grid) -> Value:
    match node:
        case Number(value=value):
            return np.full(grid.steps, value)
        case Text(value=text):
            return text
        case Selector():
            return select_instant(query, node, grid)
        case Negation():
            return _negated(query, node, grid)
        case Binary():
            return _binary(query, node, grid)
        case Aggregation():
            return _aggregation(query, node, grid)
        case Call():
            return _call(query, node, grid)
        case _:  # a subquery that no function takes: the parser lets none in here
            return fail("a range of samples is no value by itself")


def _vector(value: Value) -> Vector:
    if not isinstance(value, Vector):
        fail("an instant vector was expected")
    return value


def _negated(query: Query, node: Negation, grid: Grid) -> Value:
    value = evaluate(query, node.inner, grid)
    if not isinstance(value, Vector):
        return -_scalar(value)
    return distinct(Vector(nameless(value.metrics, query.delayed_names), -value.values, value.present))


def _scalar(value: Value) -> Floats:
    if isinstance(value, Vector | str):
        fail("a scalar was expected")
    return value


def _binary(query: Query, node: Binary, grid: Grid) -> Value:
    left, right = evaluate(query, node.left, grid), evaluate(query, node.right, grid)
    if isinstance(left, Vector) and isinstance(right, Vector):
        query.use(int(left.present.sum() + right.present.sum()))
        if node.operator in ("and", "or", "unless"):
            return combine(node.operator, left, right, node.matching)
        return of_vectors(query, node, left, right)
    if isinstance(left, Vector):
        return of_vector_and_scalar(query, node, left, _scalar(right), swapped=False)
    if isinstance(right, Vector):
        return of_vector_and_scalar(query, node, right, _scalar(left), swapped=True)
    return of_scalars(node.operator, _scalar(left), _scalar(right))


def _aggregation(query: Query, node: Aggregation, grid: Grid) -> Vector:
    parameter = None if node.parameter is None else evaluate(query, node.parameter, grid)
    vector = _vector(evaluate(query, node.inner, grid))
    query.check()
    if isinstance(parameter, str):
        return count_values(query, parameter, vector, node.by, node.labels)
    if parameter is None:
        return aggregate(node.operator, vector, node.by, node.labels)
    if node.operator in RANKINGS:
        return choose(query, node.operator, _scalar(parameter), vector, node.by, node.labels)
    return quantiles(query, _scalar(parameter), vector, node.by, node.labels)


def _call(query: Query, node: Call, grid: Grid) -> Value:
    function = FUNCTIONS.get(node.name)
    if function is None:
        raise PromqlError(f"function {node.name}() needs native histograms, which are not stored here", "bad_data")
    frame, arguments = Frame(query, grid, node), list[Value | Iterator[Windows]]()
    for place, argument in enumerate(node.arguments):
        if isinstance(argument, Selector | Subquery) and shape(argument) == "matrix":
            check_use(node.name, argument)
            arguments.append(ranges(query, argument, grid, evaluate))
        elif node.name == "timestamp" and isinstance(argument, Selector):
            arguments.append(sampled_at(query, argument, grid))
        elif node.name != "info" or not place:
            arguments.append(evaluate(query, argument, grid))
    query.check()
    for place, value in enumerate(arguments):
        if isinstance(value, Iterator):
            before, after = arguments[:place], arguments[place + 1 :]
            parts = [_vector(function(frame, *before, windows, *after)) for windows in value]
            return in_all(parts) if node.name == "absent_over_time" else joined(parts)
    return function(frame, *arguments)

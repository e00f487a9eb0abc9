"""The tree of an expression, as the engine walks it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from monitoring.pipeline.query.promql.source import Matcher

__all__ = [
    "Aggregation",
    "At",
    "Binary",
    "Call",
    "Cardinality",
    "Extension",
    "Matching",
    "Negation",
    "Node",
    "Number",
    "Selector",
    "Shape",
    "Subquery",
    "Text",
    "constant",
    "shape",
]

At = int | Literal["start", "end"] | None
"""The `@` of a selector: milliseconds since 1970, or an end of the query's range."""
Cardinality = Literal["one-to-one", "many-to-one", "one-to-many", "many-to-many"]
Extension = Literal["", "anchored", "smoothed"]
"""What a range does with the samples around it: nothing, take the one before, or interpolate at its ends."""
Shape = Literal["scalar", "vector", "matrix", "string"]

SCALAR_FUNCTIONS = frozenset({"time", "scalar", "pi", "step", "range", "start", "end", "min_of", "max_of"})
_BY_THE_CLOCK = frozenset(
    {
        "day_of_month",
        "day_of_week",
        "day_of_year",
        "days_in_month",
        "hour",
        "minute",
        "month",
        "predict_linear",
        "time",
        "timestamp",
        "year",
    }
)
"""Functions that look at the time they are evaluated for, whatever `@` their argument has."""


@dataclass(frozen=True, slots=True)
class Number:
    """A number; a duration is its seconds."""

    value: float


@dataclass(frozen=True, slots=True)
class Text:
    """A string."""

    value: str


@dataclass(frozen=True, slots=True)
class Selector:
    """Series by their labels: their newest value, or (`range_ms` above 0) all samples of a range."""

    matchers: tuple[Matcher, ...]
    offset_ms: int = 0
    at: At = None
    range_ms: int = 0
    extension: Extension = ""


@dataclass(frozen=True, slots=True)
class Subquery:
    """An expression evaluated every `step_ms` (0: the default) of a range, as if its results were samples."""

    inner: Node
    range_ms: int
    step_ms: int = 0
    offset_ms: int = 0
    at: At = None


@dataclass(frozen=True, slots=True)
class Negation:
    """Unary minus."""

    inner: Node


@dataclass(frozen=True, slots=True)
class Matching:
    """Which series of two vectors belong together: by the `labels` (`on`), or by all others (`ignoring`)."""

    on: bool = False
    labels: tuple[str, ...] = ()
    cardinality: Cardinality = "one-to-one"
    include: tuple[str, ...] = ()
    """Labels that group_left or group_right copy from the side of which there is one."""
    fill: tuple[float | None, float | None] = (None, None)
    """What stands for a series that the left, or the right side lacks; None: nothing does."""


@dataclass(frozen=True, slots=True)
class Binary:
    """Two operands. `returns_bool`: a comparison says 0 or 1 instead of leaving out."""

    operator: str
    left: Node
    right: Node
    matching: Matching = Matching()
    returns_bool: bool = False


@dataclass(frozen=True, slots=True)
class Aggregation:
    """Many series into one for each group: `by` the labels, or by all but these."""

    operator: str
    inner: Node
    parameter: Node | None
    by: bool
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Call:
    """A function and its arguments."""

    name: str
    arguments: tuple[Node, ...]


Node = Number | Text | Selector | Subquery | Negation | Binary | Aggregation | Call


def shape(node: Node) -> Shape:
    """What kind of value a node has. The parser has seen to it that operands fit."""
    match node:
        case Number():
            return "scalar"
        case Text():
            return "string"
        case Selector(range_ms=range_ms):
            return "matrix" if range_ms else "vector"
        case Subquery():
            return "matrix"
        case Negation(inner=inner):
            return shape(inner)
        case Binary(left=left, right=right):
            return "scalar" if shape(left) == shape(right) == "scalar" else "vector"
        case Call(name=name):
            return "scalar" if name in SCALAR_FUNCTIONS else "vector"
        case _:
            return "vector"


def constant(node: Node) -> bool:
    """Whether a node has the same value at every step of a range, so that one evaluation serves all (as upstream)."""
    match node:
        case Number() | Text():
            return True
        case Selector(at=at):
            return at is not None
        case Subquery(at=at):
            return at is not None
        case Negation(inner=inner):
            return constant(inner)
        case Binary(left=left, right=right):
            return constant(left) and constant(right)
        case Aggregation(inner=inner, parameter=parameter):
            return constant(inner) and (parameter is None or constant(parameter))
        case Call(name=name, arguments=arguments):
            return bool(arguments) and name not in _BY_THE_CLOCK and all(map(constant, arguments))

"""Asking the engine: answers as a test writes them down."""

from __future__ import annotations

from typing import cast

from monitoring.pipeline.query.limits import Deadline
from monitoring.pipeline.query.promql.engine import Answer, Point, instant, ranged
from monitoring.pipeline.query.promql.source import NAME, Samples, Source

MINUTE = 60_000


def text(labels: dict[str, str]) -> str:
    """`name{a="b"}`, with labels in order."""
    inner = ",".join(f'{name}="{value}"' for name, value in sorted(labels.items()) if name != NAME)
    return labels.get(NAME, "") + ("{" + inner + "}" if inner or NAME not in labels else "")


def at(source: Source, expr: str, seconds: float = 0, *, delayed_names: bool = False) -> Answer:
    """An instant query."""
    return instant(source, expr, round(seconds * 1000), deadline=Deadline(60), delayed_names=delayed_names)


def points(answer: Answer) -> list[Point]:
    """The points of a vector."""
    assert answer.type == "vector"
    return cast("list[Point]", answer.value)


def matrix(answer: Answer) -> list[Samples]:
    """The series of a matrix."""
    assert answer.type == "matrix"
    return cast("list[Samples]", answer.value)


def values(source: Source, expr: str, seconds: float = 0) -> dict[str, float]:
    """The answer of an instant query by its labels; a scalar has the labels `scalar`."""
    answer = at(source, expr, seconds)
    if isinstance(answer.value, float):
        return {"scalar": answer.value}
    found = {text(labels): value for labels, _, value in points(answer)}
    assert len(found) == len(points(answer)), "two series of the same labels"
    return found


def over(source: Source, expr: str, end: float, step: float = 60, start: float = 0) -> dict[str, dict[int, float]]:
    """The answer of a range query: by its labels, the value at each second."""
    answer = ranged(source, expr, round(start * 1000), round(end * 1000), round(step * 1000), deadline=Deadline(60))
    found: dict[str, dict[int, float]] = {}
    for series in matrix(answer):
        found[text(series.labels)] = dict(zip((series.times // 1000).tolist(), series.values.tolist(), strict=True))
    return found

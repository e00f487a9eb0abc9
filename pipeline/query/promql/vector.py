"""Values of nodes: a vector at every step is one matrix, series by steps, and a mask of where a series has a value."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from monitoring.pipeline.query.promql.errors import fail
from monitoring.pipeline.query.promql.source import NAMING, Floats, Labels, Mask, Times

__all__ = [
    "DUPLICATE",
    "Metric",
    "Value",
    "Vector",
    "distinct",
    "empty",
    "in_all",
    "joined",
    "merged",
    "named",
    "nameless",
    "ordered",
    "present_only",
]

DUPLICATE = "vector cannot contain metrics with the same labelset"


class Metric(dict[str, str]):
    """Labels of a series within a query. `drops`: its name goes at the end (only where names are removed late)."""

    __slots__ = ("drops",)

    def __init__(self, labels: Labels | Iterable[tuple[str, str]] = (), drops: bool = False) -> None:
        super().__init__(labels)
        self.drops = drops


class Vector(NamedTuple):
    """`values` and `present` have a row for each of `metrics` and a column for each step."""

    metrics: list[Metric]
    values: Floats
    present: Mask


Value = Vector | Floats | str
"""A vector, a scalar (one float for each step) or a string."""


def empty(steps: int) -> Vector:
    """No series."""
    return Vector([], np.zeros((0, steps)), np.zeros((0, steps), dtype=bool))


def named(metric: Labels) -> tuple[tuple[str, str], ...]:
    """What series are ordered by."""
    return tuple(sorted(metric.items()))


def nameless(metrics: Iterable[Metric], late: bool = False) -> list[Metric]:
    """The same without `__name__`, or marked to lose it in the end where that is `late`."""
    if late:
        return [Metric(metric, drops=True) for metric in metrics]
    return [Metric((name, value) for name, value in metric.items() if name not in NAMING) for metric in metrics]


def present_only(vector: Vector) -> Vector:
    """Without series that have no value at any step."""
    some = vector.present.any(axis=1)
    if some.all():
        return vector
    kept: Times = np.flatnonzero(some)
    return Vector([vector.metrics[index] for index in kept], vector.values[kept], vector.present[kept])


def _places(metrics: Sequence[Metric]) -> dict[tuple[frozenset[tuple[str, str]], bool], list[int]]:
    places: dict[tuple[frozenset[tuple[str, str]], bool], list[int]] = {}
    for index, metric in enumerate(metrics):
        places.setdefault((frozenset(metric.items()), metric.drops), []).append(index)
    return places


def merged(vector: Vector) -> Vector:
    """Series of the same labels become one. Raises PromqlError where two of them have a value at the same step."""
    vector = present_only(vector)
    places = _places(vector.metrics)
    if len(places) == len(vector.metrics):
        return vector
    rows = list(places.values())
    values, present = vector.values[[row[0] for row in rows]], vector.present[[row[0] for row in rows]]
    for index, (first, *others) in enumerate(rows):
        if others and (vector.present[[first, *others]].sum(axis=0) > 1).any():
            fail(DUPLICATE)
        for other in others:
            values[index] = np.where(vector.present[other], vector.values[other], values[index])
            present[index] |= vector.present[other]
    return Vector([vector.metrics[row[0]] for row in rows], values, present)


def distinct(vector: Vector) -> Vector:
    """Raises PromqlError where two series have the same labels, be it at different steps."""
    vector = present_only(vector)
    if len(_places(vector.metrics)) < len(vector.metrics):
        fail(DUPLICATE)
    return vector


def joined(parts: Sequence[Vector]) -> Vector:
    """The series of all parts. Raises PromqlError where two have the same labels."""
    if len(parts) == 1:
        return parts[0]
    metrics = [metric for part in parts for metric in part.metrics]
    values, present = (np.concatenate(matrices) for matrices in zip(*(part[1:] for part in parts), strict=True))
    return distinct(Vector(metrics, values, present))


def in_all(parts: Sequence[Vector]) -> Vector:
    """The one series that parts have, where all of them have it: what is missing in each is missing in all."""
    if any(not part.metrics for part in parts):
        return empty(parts[0].values.shape[1])
    present: Mask = np.logical_and.reduce([part.present for part in parts])
    return present_only(parts[0]._replace(present=present))


def ordered(vector: Vector) -> Vector:
    """In the order of labels, as answers over a range are."""
    order = sorted(range(len(vector.metrics)), key=lambda index: named(vector.metrics[index]))
    return Vector([vector.metrics[index] for index in order], vector.values[order], vector.present[order])

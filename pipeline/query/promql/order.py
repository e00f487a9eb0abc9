"""The order of an instant query's answer: by value, or by labels as people order them."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from monitoring.pipeline.query.promql.vector import Metric, Vector, named, present_only

__all__ = ["by_labels", "by_value"]

_DIGITS = re.compile(r"(\d+)", re.ASCII)


def _arranged(vector: Vector, order: Sequence[int]) -> Vector:
    places = list(order)
    return Vector([vector.metrics[place] for place in places], vector.values[places], vector.present[places])


def by_value(vector: Vector, descending: bool) -> Vector:
    """By the value at the first step; NaN comes last either way."""
    vector = present_only(vector)
    sign = -1.0 if descending else 1.0

    def key(place: int) -> tuple[bool, float]:
        value = float(vector.values[place, 0])
        return (True, 0.0) if math.isnan(value) else (False, sign * value)

    return _arranged(vector, sorted(range(len(vector.metrics)), key=key))


def _natural(text: str) -> list[tuple[int, int, str]]:
    """Digits count as numbers: node2 before node10."""
    parts = _DIGITS.split(text)
    return [(0, int(part), part) if place % 2 else (1, 0, part) for place, part in enumerate(parts) if part]


def by_labels(vector: Vector, labels: Sequence[str], descending: bool) -> Vector:
    """By the values of the labels, then by all labels."""
    vector = present_only(vector)

    def key(metric: Metric) -> tuple[list[list[tuple[int, int, str]]], tuple[tuple[str, str], ...]]:
        return [_natural(metric.get(label, "")) for label in labels], named(metric)

    order = sorted(range(len(vector.metrics)), key=lambda place: key(vector.metrics[place]), reverse=descending)
    return _arranged(vector, order)

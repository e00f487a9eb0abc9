"""Set operators: and, or, unless."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np

from monitoring.pipeline.query.promql.grouping import numbered, signature
from monitoring.pipeline.query.promql.source import Mask
from monitoring.pipeline.query.promql.tree import Matching
from monitoring.pipeline.query.promql.vector import Vector, merged, present_only

__all__ = ["combine"]


def _with_signature(vector: Vector, other: Vector, matching: Matching) -> Mask:
    """For each series of `vector`, at which steps `other` has one of the same signature."""
    key = signature(matching.on, matching.labels)
    known: dict[Hashable, int] = {}
    keys = numbered(map(key, other.metrics), known)
    wanted = numbered(map(key, vector.metrics), known)
    there = np.zeros((len(known), vector.present.shape[1]), dtype=bool)
    for row, number in enumerate(keys):
        there[number] |= other.present[row]
    return there[wanted]


def combine(operator: str, left: Vector, right: Vector, matching: Matching) -> Vector:
    """Series of the left side that the right side has too (and), or lacks (unless); or those of both (or)."""
    left, right = present_only(left), present_only(right)
    if operator == "or":
        more = right.present & ~_with_signature(right, left, matching)
        both = zip(left[1:], (right.values, more), strict=True)
        values, present = (np.concatenate(parts) for parts in both)
        return merged(Vector([*left.metrics, *right.metrics], values, present))
    there = _with_signature(left, right, matching)
    return present_only(left._replace(present=left.present & (there if operator == "and" else ~there)))

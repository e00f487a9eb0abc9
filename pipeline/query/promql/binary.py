"""Binary operators: of scalars, of a vector and a scalar, and of two vectors whose series are matched by labels."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np

from monitoring.pipeline.query.promql.errors import fail
from monitoring.pipeline.query.promql.grouping import kept_labels, numbered, signature
from monitoring.pipeline.query.promql.operators import ARITHMETIC, COMPARISONS
from monitoring.pipeline.query.promql.query import Query
from monitoring.pipeline.query.promql.source import NAME, Floats, Mask, Times
from monitoring.pipeline.query.promql.tree import Binary, Matching
from monitoring.pipeline.query.promql.vector import Metric, Vector, merged, named, nameless, present_only

__all__ = ["of_scalars", "of_vector_and_scalar", "of_vectors"]


def of_scalars(operator: str, left: Floats, right: Floats) -> Floats:
    """Two scalars; a comparison is 0 or 1."""
    if operator in ARITHMETIC:
        return ARITHMETIC[operator](left, right)
    return COMPARISONS[operator](left, right).astype(np.float64)


def of_vector_and_scalar(query: Query, node: Binary, vector: Vector, scalar: Floats, swapped: bool) -> Vector:
    """A vector and a scalar, which is the left operand where they are `swapped`."""
    vector = present_only(vector)
    values = vector.values
    operands = (scalar[None, :], values) if swapped else (values, scalar[None, :])
    if node.operator in ARITHMETIC:
        found = Vector(vector.metrics, ARITHMETIC[node.operator](*operands), vector.present)
    else:
        true = COMPARISONS[node.operator](*operands)
        if not node.returns_bool:
            return present_only(vector._replace(present=vector.present & true))
        found = Vector(vector.metrics, true.astype(np.float64), vector.present)
    return merged(found._replace(metrics=nameless(found.metrics, query.delayed_names)))


class _Pairs(NamedTuple):
    """Series that belong together: row `many[i]` of the one side and row `one[i]` of the other, -1 where it has none.

    `keys` says by what signature; `present` where both are there.
    """

    many: Times
    one: Times
    keys: Times
    present: Mask


def _text(metric: Metric) -> str:
    """Labels as Prometheus writes them in its errors."""
    inner = ", ".join(f'{name}="{value}"' for name, value in named(metric))
    return "{" + inner + "}"


def _matched_labels(metric: Metric, matching: Matching) -> Metric:
    if matching.on:
        return kept_labels(metric, True, matching.labels)
    return kept_labels(metric, False, matching.labels)


def _refuse_duplicates(one: Vector, keys: Times, active: Mask, matching: Matching) -> None:
    """Of each signature the side of which there is one has at most one series at a time."""
    order = np.argsort(keys, kind="stable")
    firsts = np.flatnonzero(np.r_[True, np.diff(keys[order]) != 0]) if len(keys) else np.zeros(0, dtype=np.int64)
    if len(firsts) == len(keys):
        return
    counts = np.add.reduceat(one.present[order], firsts, axis=0, dtype=np.int64)
    twice = np.argwhere((counts > 1) & active)
    if not len(twice):
        return
    group, step = twice[0]
    rows = [row for row in order if keys[row] == keys[order[firsts[group]]] and one.present[row, step]]
    side = "left" if matching.cardinality == "one-to-many" else "right"
    fail(
        f"found duplicate series for the match group {_text(_matched_labels(one.metrics[rows[0]], matching))} on the "
        f"{side} hand-side of the operation: [{_text(one.metrics[rows[1]])}, {_text(one.metrics[rows[0]])}]"
        ";many-to-many matching not allowed: matching labels must be unique on one side"
    )


def _pairs(query: Query, many: Vector, one: Vector, matching: Matching) -> _Pairs:
    key = signature(matching.on, matching.labels)
    known: dict[Hashable, int] = {}
    one_keys = numbered(map(key, one.metrics), known)
    active: Mask = np.logical_or.reduce(many.present, axis=0)
    _refuse_duplicates(one, one_keys, active, matching)
    rows: dict[int, list[int]] = {}
    for row, number in enumerate(one_keys):
        rows.setdefault(int(number), []).append(row)
    many_keys = numbered(map(key, many.metrics), known)
    query.reserve(sum(len(rows.get(int(number), ())) for number in many_keys) * many.present.shape[1])
    found = [(left, right, int(number)) for left, number in enumerate(many_keys) for right in rows.get(int(number), ())]
    columns = np.array(found, dtype=np.int64).reshape(-1, 3).T
    present = many.present[columns[0]] & one.present[columns[1]]
    return _Pairs(columns[0], columns[1], columns[2], present)


def _result_metric(query: Query, node: Binary, many: Metric, one: Metric | None) -> Metric:
    """The labels of a result: those of the side of which there are many, but for what the operator takes away."""
    matching = node.matching
    metric, late = Metric(many, many.drops), query.delayed_names
    changes = node.operator in ARITHMETIC or node.returns_bool
    if node.operator in ARITHMETIC and not late:
        metric = _unnamed(metric)
    if matching.cardinality == "one-to-one":
        if matching.on:
            metric = Metric(((name, metric[name]) for name in matching.labels if name in metric), metric.drops)
        else:
            metric = Metric(((n, value) for n, value in metric.items() if n not in matching.labels), metric.drops)
    for name in matching.include:
        value = "" if one is None else one.get(name, "")
        if value:
            metric[name] = value
        else:
            metric.pop(name, None)
    if changes and late:
        metric.drops = True
    elif changes and NAME not in matching.include:
        metric = _unnamed(metric)
    return metric


def _unnamed(metric: Metric) -> Metric:
    return nameless([metric])[0]


def _computed(node: Binary, left: Floats, right: Floats) -> tuple[Floats, Mask | None]:
    """The values, and where a comparison keeps them."""
    if node.operator in ARITHMETIC:
        return ARITHMETIC[node.operator](left, right), None
    true = COMPARISONS[node.operator](left, right)
    return (true.astype(np.float64), None) if node.returns_bool else (left, true)


def _refuse_many(pairs: _Pairs, present: Mask, metrics: Sequence[Metric], matching: Matching) -> None:
    """Each signature has one result at a time; or, where many may share it, each has labels of its own."""
    if matching.cardinality == "one-to-one":
        keys: Times = pairs.keys
        reason = "many-to-one matching must be explicit (group_left/group_right)"
    else:
        labels = numbered(frozenset(metric.items()) for metric in metrics)
        keys = pairs.keys * (int(labels.max()) + 1 if len(labels) else 1) + labels
        reason = "grouping labels must ensure unique matches"
    order = np.argsort(keys, kind="stable")
    firsts = np.flatnonzero(np.r_[True, np.diff(keys[order]) != 0]) if len(keys) else np.zeros(0, dtype=np.int64)
    if len(firsts) < len(keys) and (np.add.reduceat(present[order], firsts, axis=0, dtype=np.int64) > 1).any():
        fail(f"multiple matches for labels: {reason}")


def _missing(there: Vector, lacking: Vector, value: float | None, matching: Matching) -> Vector:
    """`lacking` with a series of the value for each signature that `there` has and it lacks, at these steps."""
    if value is None:
        return lacking
    key = signature(matching.on, matching.labels)
    known: dict[Hashable, int] = {}
    theirs, ours = numbered(map(key, there.metrics), known), numbered(map(key, lacking.metrics), known)
    wanted = np.zeros((len(known), there.present.shape[1]), dtype=bool)
    for row, number in enumerate(theirs):
        wanted[number] |= there.present[row]
    for row, number in enumerate(ours):
        wanted[number] &= ~lacking.present[row]
    firsts = dict(zip(theirs[::-1].tolist(), range(len(theirs) - 1, -1, -1), strict=True))
    metrics = [kept_labels(there.metrics[row], matching.on, matching.labels) for row in firsts.values()]
    present = wanted[list(firsts)]
    values = np.concatenate([lacking.values, np.full(present.shape, value)])
    return Vector([*lacking.metrics, *metrics], values, np.concatenate([lacking.present, present]))


def _filled(left: Vector, right: Vector, matching: Matching) -> tuple[Vector, Vector]:
    """Both sides with what the fill modifiers put in place of series that one of them lacks."""
    fill_left, fill_right = matching.fill
    return _missing(right, left, fill_left, matching), _missing(left, right, fill_right, matching)


def of_vectors(query: Query, node: Binary, left: Vector, right: Vector) -> Vector:
    """Two vectors: each series with the one on the other side that has the same labels."""
    matching = node.matching
    left, right = _filled(left, right, matching)
    swapped = matching.cardinality == "one-to-many"
    many, one = (present_only(right), present_only(left)) if swapped else (present_only(left), present_only(right))
    pairs = _pairs(query, many, one, matching)
    operands = many.values[pairs.many], one.values[pairs.one]
    values, kept = _computed(node, *(operands[::-1] if swapped else operands))
    present = pairs.present if kept is None else pairs.present & kept
    metrics = [
        _result_metric(query, node, many.metrics[row], one.metrics[other])
        for row, other in zip(pairs.many, pairs.one, strict=True)
    ]
    _refuse_many(pairs, present, metrics, matching)
    return merged(Vector(metrics, values, present))

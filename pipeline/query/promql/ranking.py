"""Aggregations that choose series of a group and leave them as they are: topk, bottomk, limitk, limit_ratio."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from monitoring.pipeline.query.promql.errors import fail
from monitoring.pipeline.query.promql.grouping import groups
from monitoring.pipeline.query.promql.notes import number_text
from monitoring.pipeline.query.promql.query import Query
from monitoring.pipeline.query.promql.source import Floats, Mask
from monitoring.pipeline.query.promql.vector import Metric, Vector, named, present_only

__all__ = ["RANKINGS", "choose"]

RANKINGS = frozenset({"topk", "bottomk", "limitk", "limit_ratio"})
_LARGEST = float(1 << 63)


def _sizes(k: Floats) -> Floats:
    """How many to choose at each step. Raises PromqlError where that is no number that fits."""
    if np.isnan(k).any():
        fail("Parameter value is NaN")
    too_large = (k >= _LARGEST) | (k <= -_LARGEST)
    if too_large.any():
        way = "overflows" if float(k[too_large][0]) > 0 else "underflows"
        fail(f"Scalar value {number_text(float(k[too_large][0]))} {way} int64")
    return np.trunc(k)


def _ranks(keys: Floats, here: Mask) -> Floats:
    """The place of each series at each step: the smallest key first, NaN last, equal ones in order."""
    order = np.lexsort((np.where(np.isnan(keys), 0.0, keys), np.isnan(keys), ~here), axis=0)
    ranks = np.empty(keys.shape)
    np.put_along_axis(ranks, order, np.broadcast_to(np.arange(len(keys), dtype=float)[:, None], keys.shape), axis=0)
    return ranks


def _share(metric: Metric) -> float:
    """Where a series stands between 0 and 1: the same for the same labels, spread evenly.

    Prometheus takes its own hash, so that it chooses other series, as many of them.
    """
    digest = hashlib.blake2b(repr(named(metric)).encode(errors="surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def _ratio(query: Query, ratio: Floats, vector: Vector) -> Mask:
    if np.isnan(ratio).any():
        fail("Ratio value is NaN")
    capped = np.clip(ratio, -1.0, 1.0)
    for value, to in zip(ratio[ratio != capped], capped[ratio != capped], strict=True):
        query.notes.ratio(float(value), float(to))
    shares = np.array([_share(metric) for metric in vector.metrics])[:, None]
    return np.where(capped >= 0, shares < capped, shares >= 1 + capped)


def choose(query: Query, operator: str, parameter: Floats, vector: Vector, by: bool, labels: Sequence[str]) -> Vector:
    """The chosen series, each at the steps where it was chosen; the best come first where there is one step."""
    sizes = None if operator == "limit_ratio" else _sizes(parameter)
    vector = present_only(vector)
    if not vector.metrics:
        return vector
    if sizes is None:
        return present_only(vector._replace(present=vector.present & _ratio(query, parameter, vector)))
    signs = {"topk": -1.0, "bottomk": 1.0, "limitk": 0.0}
    keys = signs[operator] * vector.values if operator != "limitk" else np.zeros(vector.values.shape)
    chosen, order = np.zeros(vector.present.shape, dtype=bool), []
    for row in groups(vector.metrics, by, labels)[1]:
        ranks = _ranks(keys[row], vector.present[row])
        chosen[row] = vector.present[row] & (ranks < sizes)
        order += [row[place] for place in np.argsort(ranks[:, 0], kind="stable")]
    metrics = [vector.metrics[place] for place in order]
    return present_only(Vector(metrics, vector.values[order], chosen[order]))

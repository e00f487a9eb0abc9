"""info(): the labels of info metrics, which stand for the same `instance` and `job`, added to other series."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from monitoring.pipeline.query.promql.errors import fail
from monitoring.pipeline.query.promql.query import Grid, Query
from monitoring.pipeline.query.promql.selectors import instant
from monitoring.pipeline.query.promql.source import NAME, Mask, Matcher
from monitoring.pipeline.query.promql.tree import Selector
from monitoring.pipeline.query.promql.vector import Metric, Vector, merged, present_only

__all__ = ["enriched"]

_IDENTIFYING = ("instance", "job")
_DEFAULT = "target_info"


def _wanted(selector: Selector | None) -> tuple[list[Matcher], list[Matcher]]:
    """Conditions on the names of info metrics, and on their labels."""
    matchers = () if selector is None else selector.matchers
    names = [matcher for matcher in matchers if matcher.label == NAME] or [Matcher(NAME, "=", _DEFAULT)]
    return names, [matcher for matcher in matchers if matcher.label != NAME]


def _added(metric: Metric, info: Metric, labels: Sequence[Matcher]) -> dict[str, str]:
    """The labels that an info series adds: those asked for, or all; never one that the series has."""
    names = {matcher.label for matcher in labels} or set(info)
    return {name: info[name] for name in names if name in info and name != NAME and name not in metric}


def enriched(query: Query, grid: Grid, vector: Vector, selector: Selector | None) -> Vector:
    """The vector with the labels that info metrics (target_info, or those selected) have for its series.

    A series for which there is none stays as it is, unless labels were asked for that must not be empty.
    """
    names, labels = _wanted(selector)
    infos = present_only(instant(query, Selector((*names, *labels)), grid))
    optional = all(matcher.test()("") for matcher in labels)
    is_info = [all(matcher.test()(metric.get(NAME, "")) for matcher in names) for metric in vector.metrics]
    by_target: dict[tuple[str, ...], list[int]] = {}
    for row, info in enumerate(infos.metrics):
        by_target.setdefault(tuple(info.get(name, "") for name in _IDENTIFYING), []).append(row)
    metrics: list[Metric] = []
    rows: list[int] = []
    masks: list[Mask] = []
    for row, metric in enumerate(vector.metrics):
        found = by_target.get(tuple(metric.get(name, "") for name in _IDENTIFYING), [])
        if is_info[row] or (not found and optional):
            variants = [(metric, vector.present[row])]
        else:
            variants = _variants(metric, vector.present[row], infos, found, labels, optional)
        for variant, present in variants:
            metrics.append(variant)
            rows.append(row)
            masks.append(present)
    if not rows:
        return Vector([], vector.values[:0], vector.present[:0])
    return merged(Vector(metrics, vector.values[rows], np.array(masks)))


def _variants(
    metric: Metric, present: Mask, infos: Vector, found: Sequence[int], labels: Sequence[Matcher], optional: bool
) -> list[tuple[Metric, Mask]]:
    """The labels that a series has at different steps, as info series come and go."""
    by_name: dict[str, list[int]] = {}
    for row in found:
        by_name.setdefault(infos.metrics[row].get(NAME, ""), []).append(row)
    variants = [(Metric(metric, metric.drops), present, False)]
    for rows in by_name.values():
        if (infos.present[rows].sum(axis=0) > 1)[present].any():
            fail("found duplicate series for info metric")
        grown = []
        for base, here, matched in variants:
            for row in rows:
                more = Metric({**base, **_added(metric, infos.metrics[row], labels)}, base.drops)
                grown.append((more, here & infos.present[row], True))
            grown.append((base, here & ~infos.present[rows].any(axis=0), matched))
        variants = grown
    return [(labelled, here) for labelled, here, matched in variants if (matched or optional) and here.any()]

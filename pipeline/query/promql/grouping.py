"""Which series belong together: by some of their labels, or by all but some."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence

import numpy as np

from monitoring.pipeline.query.promql.source import NAME, NAMING, Times
from monitoring.pipeline.query.promql.vector import Metric

__all__ = ["groups", "kept_labels", "numbered", "signature"]


def signature(by: bool, labels: Sequence[str]) -> Callable[[Metric], Hashable]:
    """What series that belong together have in common; a label that is not there is the empty text."""
    if by:
        wanted = tuple(sorted(set(labels)))
        return lambda metric: tuple(metric.get(name, "") for name in wanted)
    ignored = {*labels, *NAMING}
    return lambda metric: frozenset(item for item in metric.items() if item[0] not in ignored)


def kept_labels(metric: Metric, by: bool, labels: Sequence[str]) -> Metric:
    """The labels that a group has."""
    if by:
        return Metric(
            ((name, metric[name]) for name in labels if name in metric), drops=metric.drops and NAME in labels
        )
    return Metric((name, value) for name, value in metric.items() if name not in labels and name not in NAMING)


def numbered(keys: Iterable[Hashable], known: dict[Hashable, int] | None = None) -> Times:
    """The number of each key, in the order in which they first appear; `known` ones keep theirs."""
    numbers: dict[Hashable, int] = {} if known is None else known
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)


def groups(metrics: Sequence[Metric], by: bool, labels: Sequence[str]) -> tuple[list[Metric], list[Times]]:
    """The labels of each group and the places of its series, in their order."""
    key = signature(by, labels)
    places: dict[Hashable, list[int]] = {}
    for index, metric in enumerate(metrics):
        places.setdefault(key(metric), []).append(index)
    rows = [np.array(row, dtype=np.int64) for row in places.values()]
    return [kept_labels(metrics[row[0]], by, labels) for row in rows], rows

"""Functions that change labels: label_replace and label_join."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from monitoring.pipeline.query.promql.errors import fail
from monitoring.pipeline.query.promql.source import NAME
from monitoring.pipeline.query.promql.vector import Metric, Vector, distinct

__all__ = ["label_join", "label_replace"]

_REFERENCE = re.compile(r"\$(?:(\$)|(\w+)|\{(\w+)\})", re.ASCII)
"""`$1`, `${1}`, `$name`, `${name}` and `$$` in a replacement, as Go's regexp.Expand reads them."""


def _compiled(expression: str) -> Any:
    import re2

    options = re2.Options()
    options.log_errors = False
    options.dot_nl = True
    try:
        return re2.compile(expression, options)
    except re2.error:
        fail(f"invalid regular expression in label_replace(): {expression}")


def _expanded(replacement: str, found: Any, names: dict[str, int]) -> str:
    """The replacement with what groups have matched in place of their references; unknown ones are empty."""

    def group(reference: re.Match[str]) -> str:
        if reference[1]:
            return "$"
        wanted = reference[2] or reference[3]
        number = int(wanted) if wanted.isdigit() else names.get(wanted, -1)
        return (found.group(number) or "") if 0 <= number <= found.re.groups else ""

    return _REFERENCE.sub(group, replacement)


def _relabelled(vector: Vector, target: str, value: Callable[[Metric], str | None]) -> Vector:
    metrics = []
    for metric in vector.metrics:
        new = value(metric)
        changed = Metric(metric, metric.drops and not (target == NAME and new is not None))
        if new:
            changed[target] = new
        elif new is not None:
            changed.pop(target, None)
        metrics.append(changed)
    return distinct(vector._replace(metrics=metrics))


def label_replace(vector: Vector, target: str, replacement: str, source: str, expression: str) -> Vector:
    """Set the label `target` of series whose label `source` matches; an empty value takes it away."""
    compiled = _compiled(expression)
    if not target:
        fail(f"invalid destination label name in label_replace(): {target}")
    names = dict(compiled.groupindex)

    def value(metric: Metric) -> str | None:
        found = compiled.fullmatch(metric.get(source, ""))
        return None if found is None else _expanded(replacement, found, names)

    return _relabelled(vector, target, value)


def label_join(vector: Vector, target: str, separator: str, sources: Sequence[str]) -> Vector:
    """Set the label `target` to the values of the sources, joined."""
    for source in sources:
        if not source:
            fail(f"invalid source label name in label_join(): {source}")
    if not target:
        fail(f"invalid destination label name in label_join(): {target}")
    return _relabelled(vector, target, lambda metric: separator.join(metric.get(source, "") for source in sources))

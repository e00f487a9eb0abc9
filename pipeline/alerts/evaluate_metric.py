"""Rules on metrics: each series that a PromQL expression answers is a group."""

from __future__ import annotations

import math
from collections.abc import Mapping

from monitoring.pipeline.alerts.evaluate import Evaluation, Looking, Sources, kept, observed
from monitoring.pipeline.alerts.rule import fingerprint

__all__ = ["evaluate"]

_SECOND = 1_000_000_000


def evaluate(looking: Looking, sources: Sources) -> Evaluation:
    """The series of a rule. Raises PermanentError, RetryableError."""
    rule = looking.rule
    found = groups(sources.metrics.vector(rule.expr, looking.at, looking.deadline))
    if not rule.remembers:
        return Evaluation(observed(looking, found))
    seen = sources.seen(rule.name)
    there = {fingerprint(rule.name, labels): labels for labels, _ in found}
    since = looking.at - rule.lookback_seconds * _SECOND
    gone = [(group.labels, None) for mark, group in seen.items() if mark not in there and group.last >= since]
    if not there and not gone:
        gone = [({}, None)]  # nothing was ever there: that is no data, too
    return Evaluation(observed(looking, [*found, *gone]), kept(rule, seen, there, looking.at))


def groups(vector: list[tuple[Mapping[str, str], float]]) -> list[tuple[Mapping[str, str], float | None]]:
    """Series as groups: without the metric's name; what is no number is no value."""
    found: list[tuple[Mapping[str, str], float | None]] = []
    for labels, value in vector:
        named = {name: text for name, text in labels.items() if name != "__name__" and text}
        found.append((named, value if math.isfinite(value) else None))
    return found

"""Heartbeats: a service or host that was there, in logs or metrics, and has sent nothing for a window."""

from __future__ import annotations

from collections.abc import Mapping

from monitoring.pipeline.alerts.evaluate import Evaluation, Looking, Sources, observed
from monitoring.pipeline.alerts.evaluate_logs import COUNT, counted, labels_of
from monitoring.pipeline.alerts.rule import Rule, fingerprint
from monitoring.pipeline.errors import RetryableError
from monitoring.pipeline.query.statistics import MAX_ROWS
from monitoring.pipeline.store.seen import Seen

__all__ = ["by_origin", "evaluate"]

_SECOND = 1_000_000_000
_LOOKED = "-"
"""Stands for having looked back: a group that somebody resolved by hand is forgotten, and must not be found again."""
_BUCKETS = 288
"""Pieces of the past in which groups are looked for at first: 5 minutes each of a day."""
_OF_METRICS = ("service", "environment", "release", "host")
"""What every series says of where it comes from."""


def evaluate(looking: Looking, sources: Sources) -> Evaluation:
    """Seconds of silence of each group that was there, 0 where it sent something. Raises RetryableError."""
    rule, at = looking.rule, looking.at
    seen = sources.seen(rule.name) or _earlier(looking, sources)
    present = _present(looking, sources)
    memory = dict(seen)
    memory[_LOOKED] = Seen({}, at, at)
    for mark, labels in present.items():
        memory[mark] = Seen(labels, seen[mark].first if mark in seen else at, at)
    groups = []
    for mark, group in memory.items():
        if mark == _LOOKED:
            continue
        if mark in present:
            groups.append((group.labels, 0.0))
        elif _counts(looking, group):
            groups.append((group.labels, max(rule.window_seconds, (at - group.last) / _SECOND)))
    return Evaluation(observed(looking, groups), memory)


def _counts(looking: Looking, group: Seen) -> bool:
    """Whether the silence of a group means something: it was there for long enough, and not too long ago."""
    rule = looking.rule
    recent = group.last >= looking.at - rule.lookback_seconds * _SECOND
    return recent and group.last - group.first >= rule.established_seconds * _SECOND


def _present(looking: Looking, sources: Sources) -> dict[str, Mapping[str, str]]:
    """The groups that sent something in the window."""
    rule = looking.rule
    start = looking.at - rule.window_seconds * _SECOND
    found = [labels for labels, _ in counted(looking, sources, start, looking.at)]
    if by_origin(rule):
        found += [labels_of(rule.group_by, key) for key in sources.present(rule.group_by, start, looking.at)]
    return {fingerprint(rule.name, labels): labels for labels in found if labels}


def _earlier(looking: Looking, sources: Sources) -> dict[str, Seen]:
    """At the first evaluation: groups of the time that is remembered, by when they were there first and last."""
    rule, start = looking.rule, looking.at - looking.rule.lookback_seconds * _SECOND
    answer = sources.logs.statistics(
        rule.query, start, looking.at, group_by=(*rule.group_by, "time"), wanted=COUNT, buckets=_BUCKETS,
        limit=MAX_ROWS, deadline=looking.deadline,
    )  # fmt: skip
    if answer.partial_reason is not None:
        raise RetryableError(f"looking back did not end in time ({answer.partial_reason}): make lookback shorter")
    moments: dict[tuple[str, ...], tuple[int, int]] = {}
    for row in answer.rows:
        begin = answer.grid.first + row.group[-1] * answer.grid.interval
        key = row.group[:-1]
        first, last = moments.get(key, (begin, begin))
        moments[key] = (min(first, begin), min(looking.at, max(last, begin + answer.grid.interval)))
    if by_origin(rule):
        for key, (first, last) in sources.present(rule.group_by, start, looking.at).items():
            known = moments.get(key, (first, last))
            moments[key] = (min(known[0], first), max(known[1], last))
    found = {key: labels_of(rule.group_by, key) for key in moments}
    return {
        fingerprint(rule.name, labels): Seen(labels, *moments[key]) for key, labels in found.items() if labels
    }  # fmt: skip


def by_origin(rule: Rule) -> bool:
    """Whether metrics can be asked as well: without a query, by what every series says."""
    return not rule.query and all(name in _OF_METRICS for name in rule.group_by)

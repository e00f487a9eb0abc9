"""Rules on logs: how many events of a window match, by groups; messages of a kind that was never seen before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from monitoring.pipeline.alerts.evaluate import Evaluation, Looking, Sources, kept, observed
from monitoring.pipeline.alerts.rule import fingerprint
from monitoring.pipeline.errors import RetryableError
from monitoring.pipeline.query.aggregate import Aggregate
from monitoring.pipeline.query.statistics import MAX_ROWS
from monitoring.pipeline.query.templates import Template, Templates
from monitoring.pipeline.store.seen import MAX_SEEN, Seen

__all__ = ["COUNT", "counted", "evaluate", "labels_of"]

_SECOND = 1_000_000_000
COUNT = (Aggregate("count", "count"),)
_MOST_PATTERNS = 500
_LONGEST_LABEL = 300
"""Characters of a template as a label."""


def evaluate(looking: Looking, sources: Sources) -> Evaluation:
    """The groups of a rule on logs. Raises QuerySyntaxError, RetryableError where the time did not do."""
    rule = looking.rule
    if rule.condition == "new_pattern":
        return _patterns(looking, sources)
    start = looking.at - rule.window_seconds * _SECOND
    found = counted(looking, sources, start, looking.at)
    if not rule.group_by:
        return Evaluation(observed(looking, found or [({}, 0.0)], 0.0))
    if not rule.remembers:
        return Evaluation(observed(looking, found, 0.0))
    seen = sources.seen(rule.name) or _earlier(looking, sources)
    there = {fingerprint(rule.name, labels): labels for labels, _ in found}
    gone = [(group.labels, 0.0) for mark, group in seen.items() if mark not in there and _recent(looking, group)]
    return Evaluation(observed(looking, [*found, *gone], 0.0), {**seen, **kept(rule, seen, there, looking.at)})


def counted(looking: Looking, sources: Sources, start: int, end: int) -> list[tuple[Mapping[str, str], float]]:
    """How many events of [start, end) match, by group. Raises RetryableError where only a part was counted."""
    rule = looking.rule
    if looking.deadline.expired():
        raise RetryableError("there was no time left to evaluate it")
    answer = sources.logs.statistics(
        rule.query, start, end, group_by=rule.group_by, wanted=COUNT, buckets=1, limit=MAX_ROWS,
        deadline=looking.deadline,
    )  # fmt: skip
    if answer.partial_reason is not None:
        raise RetryableError(f"counting did not end in time ({answer.partial_reason}): narrow the query or the window")
    return [(labels_of(rule.group_by, row.group), float(row.values["count"] or 0)) for row in answer.rows]


def labels_of(names: tuple[str, ...], values: tuple[Any, ...]) -> dict[str, str]:
    """A group's labels; what events lack is no label."""
    return {
        name: (value if isinstance(value, str) else str(value))[:_LONGEST_LABEL]
        for name, value in zip(names, values, strict=True) if value is not None and value != ""
    }  # fmt: skip


def _earlier(looking: Looking, sources: Sources) -> dict[str, Seen]:
    """At the first evaluation: the groups that there were in the time that is remembered."""
    rule = looking.rule
    start = looking.at - rule.lookback_seconds * _SECOND
    groups = (labels for labels, _ in counted(looking, sources, start, looking.at))
    return {fingerprint(rule.name, labels): Seen(labels, start, looking.at) for labels in groups}


def _recent(looking: Looking, group: Seen) -> bool:
    return group.last >= looking.at - looking.rule.lookback_seconds * _SECOND


def _patterns(looking: Looking, sources: Sources) -> Evaluation:
    """Kinds of messages that the rule has not seen in its lookback; each is new for the length of a window."""
    rule, window = looking.rule, looking.rule.window_seconds * _SECOND
    seen = sources.seen(rule.name)
    first_time = not seen
    start = looking.at - (rule.lookback_seconds * _SECOND if first_time else window)
    known = _Known(seen)
    found = sources.logs.patterns(rule.query, start, looking.at, limit=_MOST_PATTERNS, deadline=looking.deadline)
    groups, memory = [], {}
    for pattern in found.patterns:
        mark, labels = known.find(pattern.template.text, pattern.example["message"], rule.name)
        before = seen.get(mark)
        began = before.first if before is not None else looking.at - (window if first_time else 0)
        memory[mark] = Seen(labels, began, looking.at)
        fresh = looking.at - began < window
        groups.append((labels, float(pattern.count) if fresh else 0.0))
    memory["-"] = Seen({}, looking.at - window, looking.at)  # there has been a look: from now on, the first is new
    return Evaluation(observed(looking, [group for group in groups if group[1]], 0.0), memory)


class _Known:
    """Templates that were seen before; a message belongs to one if folding says so, however the template grew since."""

    def __init__(self, seen: Mapping[str, Seen]) -> None:
        self._templates = Templates()
        self._marks: dict[Template, tuple[str, Mapping[str, str]]] = {}
        for mark, group in list(seen.items())[:MAX_SEEN]:
            if "pattern" in group.labels:
                self._marks.setdefault(self._templates.fold(group.labels["pattern"]), (mark, group.labels))

    def find(self, text: str, example: str, rule: str) -> tuple[str, Mapping[str, str]]:
        """The mark and labels of the template that a message belongs to, a new one where there is none."""
        for each in (text, example):
            template = self._templates.fold(each)
            if template in self._marks:
                return self._marks[template]
        labels = {"pattern": text[:_LONGEST_LABEL]}
        found = (fingerprint(rule, labels), labels)
        self._marks[self._templates.fold(text)] = found
        return found

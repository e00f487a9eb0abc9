"""Backtest: when a rule would have fired over stored history, by the same lifecycle that runs it live."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from monitoring.pipeline.alerts.alert import Alert
from monitoring.pipeline.alerts.evaluate import Sources
from monitoring.pipeline.alerts.evaluate_heartbeat import by_origin
from monitoring.pipeline.alerts.evaluate_logs import COUNT, labels_of
from monitoring.pipeline.alerts.evaluate_metric import groups
from monitoring.pipeline.alerts.moving import Moved, moved
from monitoring.pipeline.alerts.observation import Finding, Observation
from monitoring.pipeline.alerts.rule import BUILT_IN, Rule, fingerprint
from monitoring.pipeline.clock import rfc3339
from monitoring.pipeline.errors import PermanentError
from monitoring.pipeline.query.limits import Deadline
from monitoring.pipeline.query.ranges import moment

__all__ = ["LONGEST_NS", "MOST_STEPS", "Backtest", "Firing", "backtest"]

_SECOND = 1_000_000_000
LONGEST_NS = 31 * 86_400 * _SECOND
MOST_STEPS = 11_000
"""A week by the minute; also what a PromQL range answers at most."""
_MOST_CELLS = 18_000
"""Groups times steps that statistics keep for rules with groups."""
MOST_FIRINGS = 1000
_MOST_ROWS = 1_000_000
_MOST_PATTERNS = 1000


@dataclass(slots=True)
class Firing:
    """One time that the rule would have been active; times are nanoseconds since 1970."""

    labels: Mapping[str, str]
    started: int
    active: int
    resolved: int | None = None
    peak: float | None = None

    def describe(self) -> dict[str, Any]:
        """As JSON members."""
        return {
            "labels": dict(self.labels),
            "started_at": rfc3339(self.started),
            "active_at": rfc3339(self.active),
            "resolved_at": rfc3339(self.resolved) if self.resolved is not None else None,
            "peak": self.peak,
        }


@dataclass(slots=True)
class Backtest:
    """What a backtest found. `step` is the resolution in nanoseconds; `notes` say where it differs from living."""

    rule: Rule
    start: int
    end: int
    step: int
    evaluations: int = 0
    firings: list[Firing] = field(default_factory=list)
    partial: str | None = None
    notes: list[str] = field(default_factory=list)

    def describe(self) -> dict[str, Any]:
        """As JSON members."""
        return {
            "rule": self.rule.name,
            "start": rfc3339(self.start),
            "end": rfc3339(self.end),
            "step_seconds": self.step / _SECOND,
            "evaluations": self.evaluations,
            "fired": len(self.firings),
            "firings": [firing.describe() for firing in self.firings[:MOST_FIRINGS]],
            "notes": self.notes,
        }


def backtest(rule: Rule, sources: Sources, start: int, end: int, deadline: Deadline) -> Backtest:
    """When the rule would have fired in [start, end), nanoseconds since 1970. Raises PermanentError."""
    if not 0 < end - start <= LONGEST_NS:
        raise PermanentError(f"since: from a moment ago to {LONGEST_NS // (86_400 * _SECOND)} days back, like -7d")
    if rule.kind in BUILT_IN:
        raise PermanentError("rule: what the product does itself is no history of events")
    step = max(rule.interval_seconds * _SECOND, -(-(end - start) // MOST_STEPS))
    made = Backtest(rule, start, end, step)
    if rule.kind == "metric":
        seen: Iterator[Observation] = _metric(made, sources, deadline)
    elif rule.condition == "new_pattern":
        return _patterns(made, sources, deadline)
    else:
        seen = _counts(made, sources, deadline)
    _simulate(made, seen)
    return made


def _simulate(made: Backtest, observations: Iterator[Observation]) -> None:
    known: dict[str, Alert] = {}
    open_now: dict[str, Firing] = {}
    for observation in observations:
        made.evaluations += 1
        for step in moved(made.rule, known, observation):
            known[step.after.fingerprint] = step.after
            _record(made, open_now, step, observation.at)


def _record(made: Backtest, open_now: dict[str, Firing], step: Moved, at: int) -> None:
    alert = step.after
    firing = open_now.get(alert.fingerprint)
    if firing is None and alert.state == "active":
        firing = open_now[alert.fingerprint] = Firing(alert.labels, alert.started, at)
        made.firings.append(firing)
    if firing is None:
        return
    if not alert.open:
        firing.resolved = at
        del open_now[alert.fingerprint]
    elif alert.value is not None:
        worse = min if made.rule.operator in ("<", "<=") else max
        firing.peak = alert.value if firing.peak is None else worse(firing.peak, alert.value)


def _metric(made: Backtest, sources: Sources, deadline: Deadline) -> Iterator[Observation]:
    rule = made.rule
    step = made.step = math.ceil(made.step / 1e6) * 1_000_000
    series = sources.metrics.matrix(rule.expr, made.start, made.end, step, deadline)
    marked = [(fingerprint(rule.name, labels), labels, values)
              for (labels, _), values in zip(groups([(each, 0.0) for each, _ in series]), (v for _, v in series),
                                             strict=True)]  # fmt: skip
    for at in range(made.start, made.end + 1, step):
        found = {
            mark: Finding(labels, values[at] if math.isfinite(values[at]) else None)
            for mark, labels, values in marked if at in values
        }  # fmt: skip
        if rule.remembers:
            found |= {mark: Finding(labels, None) for mark, labels, _ in marked if mark not in found}
        yield Observation(at, found)


def _counts(made: Backtest, sources: Sources, deadline: Deadline) -> Iterator[Observation]:
    """Counts by steps, added up over the window that ends with each."""
    rule = made.rule
    window = rule.window_seconds * _SECOND
    begin = made.start - window
    buckets = -(-(made.end - begin) // made.step)
    if rule.group_by:
        buckets = min(buckets, max(50, _MOST_CELLS // max(1, _groups(made, sources, begin, deadline))))
    answer = sources.logs.statistics(
        rule.query, begin, made.end, group_by=(*rule.group_by, "time"), wanted=COUNT, buckets=buckets,
        limit=_MOST_ROWS, deadline=deadline,
    )  # fmt: skip
    made.partial, made.step = answer.partial_reason, answer.grid.interval
    cells: dict[tuple[Any, ...], dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for row in answer.rows:
        cells[row.group[:-1]][row.group[-1]] += int(row.values["count"] or 0)
    if not rule.group_by:
        cells.setdefault((), {})
    length = max(1, round(window / made.step))
    if length * made.step != window:
        made.notes.append(f"the window counts as {length * made.step / _SECOND:g} s: whole steps")
    if rule.kind == "heartbeat" and by_origin(rule):
        _add_metrics(made, sources, cells, answer.grid.first)
    labels = {key: labels_of(rule.group_by, key) for key in cells}
    marks = {key: fingerprint(rule.name, each) for key, each in labels.items()}
    sums, last, first = dict.fromkeys(cells, 0), dict.fromkeys(cells, -1), dict.fromkeys(cells, -1)
    for number in range(answer.grid.size):
        found = {}
        for key, counts in cells.items():
            sums[key] += counts.get(number, 0) - counts.get(number - length, 0)
            if counts.get(number):
                last[key] = number
                first[key] = number if first[key] < 0 else first[key]
            value = _value(made, sums[key], number, first[key], last[key])
            if value is not None:
                found[marks[key]] = Finding(labels[key], value)
        at = answer.grid.first + (number + 1) * made.step
        if at >= made.start:
            yield Observation(min(at, made.end), found, 0.0)


def _add_metrics(
    made: Backtest, sources: Sources, cells: dict[tuple[Any, ...], dict[int, int]], first: int
) -> None:  # fmt: skip
    """Signs of life in metrics, beside those in logs; metrics may be kept for a shorter time."""
    earliest = -1
    for key, steps in sources.moments(made.rule.group_by, first, made.end, made.step).items():
        for number in steps:
            cells[key][number] += 1
        earliest = min(steps) if earliest < 0 else min(earliest, *steps)
    if earliest > 0:
        since = rfc3339(first + earliest * made.step)
        made.notes.append(f"there are metrics since {since}; before that only logs are signs of life")


def _value(made: Backtest, total: int, number: int, first: int, last: int) -> float | None:
    """The value of a group at a step; None where it was not known yet, or not any more."""
    rule = made.rule
    if rule.group_by and (rule.kind == "heartbeat" or rule.remembers):
        gone = last < 0 or (number - last) * made.step > rule.lookback_seconds * _SECOND
        if gone:
            return None
    if rule.kind != "heartbeat":
        return float(total)
    if total:
        return 0.0
    established = (last - first) * made.step >= rule.established_seconds * _SECOND
    return max(float(rule.window_seconds), (number - last) * made.step / _SECOND) if established else None


def _groups(made: Backtest, sources: Sources, begin: int, deadline: Deadline) -> int:
    answer = sources.logs.statistics(
        made.rule.query, begin, made.end, group_by=made.rule.group_by, wanted=COUNT, buckets=1, limit=1,
        deadline=deadline,
    )  # fmt: skip
    return int(answer.groups)


def _patterns(made: Backtest, sources: Sources, deadline: Deadline) -> Backtest:
    """Kinds of messages that came up first in the range; each is an alert for the length of a window."""
    rule = made.rule
    begin = made.start - rule.lookback_seconds * _SECOND
    found = sources.logs.patterns(rule.query, begin, made.end, limit=_MOST_PATTERNS, deadline=deadline)
    made.partial, made.evaluations = found.partial_reason, (made.end - made.start) // made.step
    if found.sampled:
        made.notes.append(f"only the newest {found.events} events were looked at")
    for pattern in found.patterns:
        first = moment(pattern.first_seen, made.end)
        if first >= made.start:
            ends = first + rule.window_seconds * _SECOND
            labels = {"pattern": pattern.template.text}
            made.firings.append(
                Firing(labels, first, first, ends if ends < made.end else None, float(pattern.count))
            )  # fmt: skip
    made.firings.sort(key=lambda firing: firing.active)
    return made

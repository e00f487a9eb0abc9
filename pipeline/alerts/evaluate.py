"""Evaluating a rule: from what is stored to an observation. One module for each kind does the work.

Data are looked at as they were at the last moment up to which they are complete. Where that moment is too long ago,
the observation is stale: what is beyond a threshold was so, what is not may be by now.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from monitoring.pipeline.alerts.observation import Finding, Observation
from monitoring.pipeline.alerts.rule import Rule, fingerprint
from monitoring.pipeline.query.limits import Deadline
from monitoring.pipeline.store.seen import Seen

__all__ = ["LATE_NS", "Evaluation", "Looking", "MetricEngine", "Sources", "horizon", "kept", "observed"]

_SECOND = 1_000_000_000
LATE_NS = 30 * _SECOND
"""Data this far behind are late: at ordinary load they are a second behind, and a drain that was killed is replaced
within 15 s."""


class MetricEngine(Protocol):
    """What answers PromQL."""

    def vector(self, expr: str, at_ns: int, deadline: Deadline) -> list[tuple[Mapping[str, str], float]]:
        """Labels and value of each series at a moment. Raises PermanentError for what cannot be answered."""
        ...

    def matrix(
        self, expr: str, start_ns: int, end_ns: int, step_ns: int, deadline: Deadline
    ) -> list[tuple[Mapping[str, str], dict[int, float]]]:
        """The same at every step, by nanoseconds since 1970."""
        ...

    def close(self) -> None:
        """Close what is open."""
        ...


class Sources(Protocol):
    """What evaluations read. Each property opens what it needs."""

    @property
    def logs(self) -> Any:
        """The log store (`store.interface.LogStore`)."""
        ...

    @property
    def metrics(self) -> MetricEngine:
        """What answers PromQL."""
        ...

    def complete(self, signal: str) -> int:
        """The moment up to which a signal is complete. Raises what the bus raises."""
        ...

    def present(self, names: Sequence[str], start_ns: int, end_ns: int) -> Mapping[tuple[str, ...], tuple[int, int]]:
        """Groups, by these labels, that sent metrics in a range: when first, and when last."""
        ...

    def moments(
        self, names: Sequence[str], start_ns: int, end_ns: int, step_ns: int
    ) -> Mapping[tuple[str, ...], set[int]]:  # fmt: skip
        """The same groups: in which steps from `start_ns` on each sent metrics."""
        ...

    def undelivered(self, since_ns: int) -> Mapping[str, int]:
        """Channels with notices that failed since a moment, and how many."""
        ...

    def own(self, fact: str, now_ns: int) -> Sequence[tuple[Mapping[str, str], float | None]]:
        """How the product itself is doing, by its own books: the groups of one of `rule.FACTS`."""
        ...

    def seen(self, rule: str) -> dict[str, Seen]:
        """Groups that a rule remembers."""
        ...


class Looking(NamedTuple):
    """One evaluation: the rule, the moment it looks at, why that is late, and how long it may take."""

    rule: Rule
    at: int
    stale: str
    deadline: Deadline


class Evaluation(NamedTuple):
    """What was found, and the groups to remember."""

    observation: Observation
    seen: Mapping[str, Seen] = {}


def horizon(sources: Sources, signals: Iterable[str], now: int) -> tuple[int, str]:
    """The last moment up to which these signals are complete, and why that is late, or ""."""
    at = min(sources.complete(signal) for signal in signals)
    behind = now - at
    if behind <= LATE_NS:
        return at, ""
    return at, f"the data are {behind // _SECOND} s behind: nothing can be said of the time since"


def observed(
    looking: Looking, groups: Iterable[tuple[Mapping[str, str], float | None]], missing: float | None = None
) -> Observation:
    """The observation of these groups."""
    rule = looking.rule
    found = {fingerprint(rule.name, labels): Finding(dict(labels), value) for labels, value in groups}
    return Observation(looking.at, found, missing, looking.stale)


def kept(rule: Rule, seen: Mapping[str, Seen], now: Mapping[str, Mapping[str, str]], at: int) -> dict[str, Seen]:
    """What is remembered once these groups, by fingerprint, were there at a moment."""
    return {mark: Seen(labels, seen[mark].first if mark in seen else at, at) for mark, labels in now.items()}


Evaluator = Callable[[Looking, Sources], Evaluation]

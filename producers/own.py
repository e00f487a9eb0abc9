"""What the SDK counts of itself, as metrics like any other."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from monitoring.pipeline.publish.publisher import Publisher
from monitoring.producers.instruments import Counter
from monitoring.producers.registry import Registry

__all__ = ["OwnMetrics"]


class OwnMetrics:
    """Brings the running counts of a process's publisher, redactor and troubles into its registry."""

    def __init__(
        self,
        registry: Registry,
        logs: Publisher,
        *,
        redactions: Callable[[], Mapping[str, int]],
        troubles: Callable[[], Mapping[str, int]],
    ) -> None:
        self._registry = registry
        self._logs = logs
        self._redactions = redactions
        self._troubles = troubles
        self._events = registry.counter("monitoring_sdk_events_total", "Events that the process logged")
        self._dropped = registry.counter(
            "monitoring_sdk_dropped_total", "Events and values that were dropped", labels=("signal", "reason")
        )
        self._redacted = registry.counter("monitoring_sdk_redactions_total", "Secrets hidden", labels=("kind",))
        self._troubled = registry.counter("monitoring_sdk_troubles_total", "Faults of the SDK", labels=("reason",))
        self._told: dict[tuple[str, str], int] = {}

    def update(self) -> None:
        """Count what came since the last time."""
        counters = self._logs.counters()
        if counters.emitted:  # a forked child that says nothing has nothing to send
            self._events.inc(self._new("events", "", counters.emitted))
        for reason, number in counters.dropped.items():
            self._dropped.inc(self._new("logs", reason, number), signal="logs", reason=reason)
        for reason, number in self._registry.dropped.items():
            self._dropped.inc(self._new("metrics", reason, number), signal="metrics", reason=reason)
        self._each(self._redacted, "kind", self._redactions())
        self._each(self._troubled, "reason", self._troubles())

    def renew_after_fork(self) -> None:
        """In a forked child, where all counts begin anew but those of the redactor."""
        self._told = {("kind", kind): number for kind, number in self._redactions().items()}

    def _each(self, counter: Counter, label: str, counts: Mapping[str, int]) -> None:
        for value, number in dict(counts).items():
            counter.inc(self._new(label, value, number), **{label: value})

    def _new(self, what: str, which: str, number: int) -> int:
        before = self._told.get((what, which), 0)
        self._told[what, which] = number
        return max(0, number - before)

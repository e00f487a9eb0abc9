"""PromQL over the metric store, as rules ask it. Imported when the first rule on metrics is evaluated."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from monitoring.pipeline.errors import PermanentError
from monitoring.pipeline.query.limits import Deadline
from monitoring.pipeline.settings import Settings
from monitoring.pipeline.store.metrics import SqliteMetricStore, open_metrics

__all__ = ["PromqlEngine", "open_engine"]

_MS = 1_000_000
_KEPT = 512
"""Answers of one moment that are kept: rules on the same expression with other thresholds ask for it once."""


def open_engine(chosen: Settings) -> PromqlEngine:
    """The engine over the metric store of these settings."""
    return PromqlEngine(open_metrics(chosen))


class PromqlEngine:
    """Implements `evaluate.MetricEngine`. Not for several threads; `close` closes the store."""

    def __init__(self, store: SqliteMetricStore) -> None:
        self._store = store
        self._engine = import_module("monitoring.pipeline.query.promql.engine")
        self._source: Any = import_module("monitoring.pipeline.store.metric_source").MetricSource
        self._answers: dict[tuple[str, int], list[tuple[Mapping[str, str], float]]] = {}

    def vector(self, expr: str, at_ns: int, deadline: Deadline) -> list[tuple[Mapping[str, str], float]]:
        """See MetricEngine."""
        key = (expr, at_ns // _MS)
        if key not in self._answers:
            if len(self._answers) >= _KEPT:
                self._answers.clear()
            self._answers[key] = self._vector(*key, deadline)
        return self._answers[key]

    def _vector(self, expr: str, at_ms: int, deadline: Deadline) -> list[tuple[Mapping[str, str], float]]:
        source = self._source(self._store, deadline=deadline)
        answer = self._engine.instant(source, expr, at_ms, deadline=deadline)
        if answer.type == "scalar":
            return [({}, float(answer.value[-1] if isinstance(answer.value, tuple) else answer.value))]
        if answer.type != "vector":
            raise PermanentError(f"expr: answers a {answer.type}; a rule needs an instant vector or a scalar")
        return [(dict(labels), float(value)) for labels, _, value in answer.value]

    def matrix(
        self, expr: str, start_ns: int, end_ns: int, step_ns: int, deadline: Deadline
    ) -> list[tuple[Mapping[str, str], dict[int, float]]]:
        """See MetricEngine."""
        source = self._source(self._store, deadline=deadline)
        answer = self._engine.ranged(
            source, expr, start_ns // _MS, end_ns // _MS, max(1, step_ns // _MS), deadline=deadline
        )
        return [
            (
                dict(series.labels),
                {int(at) * _MS: float(value) for at, value in zip(series.times, series.values, strict=True)},
            )
            for series in answer.value
        ]

    def close(self) -> None:
        """Close the store."""
        self._store.close()

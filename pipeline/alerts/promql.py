"""PromQL over the metric store, as rules ask it. Imported when the first rule on metrics is evaluated."""

from __future__ import annotations

from collections.abc import Mapping

from monitoring.pipeline.errors import PermanentError
from monitoring.pipeline.query.limits import Deadline
from monitoring.pipeline.query.promql.engine import instant, ranged
from monitoring.pipeline.query.promql.source import Samples
from monitoring.pipeline.settings import Settings
from monitoring.pipeline.store.metric_source import MetricSource
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
        answer = instant(MetricSource(self._store, deadline=deadline), expr, at_ms, deadline=deadline)
        if isinstance(answer.value, float):
            return [({}, answer.value)]
        if answer.type != "vector" or isinstance(answer.value, str):
            raise PermanentError(f"expr: answers a {answer.type}; a rule needs an instant vector or a scalar")
        return [(dict(point[0]), float(point[2])) for point in answer.value if not isinstance(point, Samples)]

    def matrix(
        self, expr: str, start_ns: int, end_ns: int, step_ns: int, deadline: Deadline
    ) -> list[tuple[Mapping[str, str], dict[int, float]]]:
        """See MetricEngine."""
        source, step_ms = MetricSource(self._store, deadline=deadline), max(1, step_ns // _MS)
        answer = ranged(source, expr, start_ns // _MS, end_ns // _MS, step_ms, deadline=deadline)
        offset = start_ns % _MS
        found: list[tuple[Mapping[str, str], dict[int, float]]] = []
        for series in answer.value if isinstance(answer.value, list) else ():
            if isinstance(series, Samples):
                times = (int(at) * _MS + offset for at in series.times)
                found.append((dict(series.labels), dict(zip(times, map(float, series.values), strict=True))))
        return found

    def close(self) -> None:
        """Close the store."""
        self._store.close()

"""Which evaluation belongs to which kind of rule, and what an error in one means: that rule's error, nobody else's."""

from __future__ import annotations

from monitoring.pipeline.alerts import evaluate_heartbeat, evaluate_logs, evaluate_metric
from monitoring.pipeline.alerts.evaluate import Evaluation, Evaluator, Looking, Sources, horizon, observed
from monitoring.pipeline.alerts.observation import Observation
from monitoring.pipeline.alerts.rule import Rule
from monitoring.pipeline.errors import MonitoringError
from monitoring.pipeline.query.limits import Deadline

__all__ = ["evaluate"]

_SECOND = 1_000_000_000
_UNDELIVERED_NS = 3600 * _SECOND
"""How long a channel counts as broken after a notice of it failed for good."""


def _delivery(looking: Looking, sources: Sources) -> Evaluation:
    """Channels whose notices could not be delivered in the last hour."""
    failed = sources.undelivered(looking.at - _UNDELIVERED_NS)
    return Evaluation(observed(looking, [({"channel": name}, float(count)) for name, count in failed.items()], 0.0))


def _status(looking: Looking, sources: Sources) -> Evaluation:
    """How the product itself is doing now: what is wrong with ingest must not wait for ingest to be told."""
    return Evaluation(observed(looking, sources.own(looking.rule.expr, looking.at)))


_KINDS: dict[str, tuple[Evaluator, tuple[str, ...]]] = {
    "metric": (evaluate_metric.evaluate, ("metrics",)),
    "logs": (evaluate_logs.evaluate, ("logs",)),
    "heartbeat": (evaluate_heartbeat.evaluate, ("logs", "metrics")),
    "delivery": (_delivery, ()),
    "status": (_status, ()),
}


def evaluate(rule: Rule, sources: Sources, now: int, *, seconds: float) -> Evaluation:
    """What a rule finds at a time, within so many seconds. Never raises for what a rule or its data can cause."""
    try:
        evaluator, signals = _KINDS[rule.kind]
        at, stale = horizon(sources, signals, now) if signals else (now, "")
        return evaluator(Looking(rule, at, stale, Deadline(seconds)), sources)
    except MonitoringError as error:
        return Evaluation(Observation(now, error=str(error)[:1000]))

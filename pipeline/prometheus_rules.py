"""Our rules and alerts as Prometheus' API shows its own, for what asks a Prometheus: Grafana's list of alerts.

Source: "Rules" and "Alerts" of Prometheus' documentation of its HTTP API. A rule that asks for no PromQL shows what it
asks for in its own words in the place of the expression.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from monitoring.pipeline.alerts.alert import Alert
from monitoring.pipeline.alerts.durations import duration
from monitoring.pipeline.alerts.rule import Rule
from monitoring.pipeline.clock import rfc3339
from monitoring.pipeline.store.rules import Stored

__all__ = ["alerts_of", "groups_of"]

_NEVER = "0001-01-01T00:00:00Z"
"""How Prometheus, whose times are Go's, writes that something has not happened."""
_STATES = {"pending": "pending", "active": "firing", "acknowledged": "firing"}
_HEALTH = {"new": "unknown", "error": "err", "stale": "err"}


def alerts_of(alerts: Iterable[Alert]) -> list[dict[str, Any]]:
    """Open alerts; an acknowledged one still fires."""
    return [
        {
            "labels": {**alert.labels, "alertname": alert.rule, "severity": alert.severity},
            "annotations": {name: text for name, text in alert.texts.items() if text},
            "state": _STATES[alert.state],
            "activeAt": rfc3339(alert.started),
            "value": "" if alert.value is None else f"{alert.value:e}",
        }
        for alert in alerts
        if alert.state in _STATES
    ]


def groups_of(rules: Iterable[Stored], alerts: Iterable[Alert]) -> list[dict[str, Any]]:
    """Rules by where they come from, each with its alerts; those that are switched off are left out, as not there."""
    by_rule: defaultdict[str, list[Alert]] = defaultdict(list)
    for alert in alerts:
        by_rule[alert.rule].append(alert)
    groups: defaultdict[tuple[str, str], list[Stored]] = defaultdict(list)
    for stored in rules:
        if stored.rule.enabled:
            groups[stored.file or stored.source, stored.file].append(stored)
    return [_group(name, file, members, by_rule) for (name, file), members in sorted(groups.items())]


def _group(name: str, file: str, members: Sequence[Stored], alerts: Mapping[str, Sequence[Alert]]) -> dict[str, Any]:
    evaluated = [stored.evaluated for stored in members if stored.evaluated is not None]
    return {
        "name": PurePath(name).stem if file else name,
        "file": file,
        "rules": [_rule(stored, alerts.get(stored.rule.name, ())) for stored in members],
        "interval": min(stored.rule.interval_seconds for stored in members),
        "limit": 0,
        "evaluationTime": sum(stored.took_ms or 0.0 for stored in members) / 1000,
        "lastEvaluation": rfc3339(max(evaluated)) if evaluated else _NEVER,
    }


def _rule(stored: Stored, alerts: Sequence[Alert]) -> dict[str, Any]:
    rule, shown = stored.rule, alerts_of(alerts)
    states = {alert["state"] for alert in shown}
    return {
        "state": "firing" if "firing" in states else "pending" if states else "inactive",
        "name": rule.name,
        "query": _query(rule),
        "duration": rule.hold_seconds,
        "keepFiringFor": 0,
        "labels": {**rule.labels, "severity": rule.severity},
        "annotations": dict(rule.annotations),
        "alerts": shown,
        "health": _HEALTH.get(stored.status, "ok"),
        **({"lastError": stored.note} if stored.status in ("error", "stale") else {}),
        "evaluationTime": (stored.took_ms or 0.0) / 1000,
        "lastEvaluation": rfc3339(stored.evaluated) if stored.evaluated is not None else _NEVER,
        "type": "alerting",
    }


def _query(rule: Rule) -> str:
    limit = "" if rule.threshold is None else f" {rule.operator} {rule.threshold:g}"
    if rule.kind == "metric":
        return f"{rule.expr}{limit}"
    by = f" by {', '.join(rule.group_by)}" if rule.group_by else ""
    return f"{rule.kind}: {rule.query or '*'}{by} over {duration(rule.window_seconds)}{limit}"

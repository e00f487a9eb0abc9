"""What a notification says of an alert, and the texts of an alert itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import orjson

from monitoring.pipeline.alerts.alert import Alert
from monitoring.pipeline.alerts.rule import OPERATORS, Rule
from monitoring.pipeline.alerts.template import Context, fill
from monitoring.pipeline.clock import rfc3339

__all__ = ["MOST_SAMPLES", "body", "default_summary", "links", "sample_query", "with_texts"]

MOST_SAMPLES = 5
"""Log lines in a notification: what fits a phone's screen."""
_LONGEST_SAMPLE = 500
_LONGEST_RUN = 100
_SECOND = 1_000_000_000
_SHOWN = ("id", "timestamp", "level", "service", "host", "message", "trace_id", "request_id")


def links(base: str, alert: Alert, rule: Rule) -> dict[str, str]:
    """Addresses of the alert, of what lies behind it, and where to acknowledge it."""
    found = {"alert": f"{base}/alerts/{alert.id}", "acknowledge": f"{base}/alerts/{alert.id}?acknowledge"}
    start = rfc3339(alert.started - max(rule.window_seconds, 300) * _SECOND)
    span = {"start": start, "end": rfc3339(alert.updated)}
    found["logs"] = f"{base}/logs?{urlencode({'query': sample_query(alert, rule), **span})}"
    if rule.kind == "metric":
        found["metric"] = f"{base}/explore?{urlencode({'expr': rule.expr, **span})}"
    return found


def sample_query(alert: Alert, rule: Rule) -> str:
    """The search for log lines that tell more about an alert."""
    if rule.kind == "logs":
        parts = [f"({rule.query})"] if rule.query else []
        names = rule.group_by
    else:
        parts = ["level:>=warning"]
        names = ("service", "host")
    parts += [f'{name}:"{_quoted(alert.labels[name])}"' for name in names if alert.labels.get(name)]
    return " ".join(parts)


def with_texts(alert: Alert, rule: Rule, found: Mapping[str, str], samples: Sequence[Mapping[str, Any]]) -> Alert:
    """The alert with its texts written out."""
    lines = [f"{each['timestamp']} {each['level']} {each['service']} {each['message']}" for each in samples]
    values = {
        "rule": rule.name, "severity": alert.severity, "state": alert.state, "value": alert.value,
        "threshold": alert.threshold, "since": rfc3339(alert.started), "samples": lines,
        "runbook": rule.annotations.get("runbook", ""),
    }  # fmt: skip
    context = Context(values, alert.labels, found)
    texts = {name: fill(text, context) for name, text in rule.annotations.items()}
    texts.setdefault("summary", default_summary(alert, rule))
    return replace(alert, texts=texts)


def default_summary(alert: Alert, rule: Rule) -> str:
    """What an alert says whose rule has no summary."""
    group = ", ".join(f"{name}={value}" for name, value in alert.labels.items() if name not in rule.labels)
    where = f" ({group})" if group else ""
    if alert.value is None:
        return f"{rule.name}{where}: no data"
    limit = (
        f" {rule.operator} {rule.threshold:.6g}" if rule.threshold is not None and rule.operator in OPERATORS else ""
    )
    return f"{rule.name}{where}: {alert.value:.6g}{limit}"


def body(alert: Alert, event: str, found: Mapping[str, str], samples: Sequence[Mapping[str, Any]]) -> bytes:
    """The JSON of a notice: the alert as the API shows it, with log lines and links."""
    shown = [_cut(each) for each in samples[:MOST_SAMPLES]]
    return orjson.dumps({**alert.describe(), "event": event, "samples": shown, "links": dict(found)})


def _cut(event: Mapping[str, Any]) -> dict[str, Any]:
    known = {name: event[name] for name in _SHOWN if event.get(name)}
    if run := (event.get("attributes") or {}).get("run_id"):
        known["attributes"] = {"run_id": str(run)[:_LONGEST_RUN]}
    return {**known, "message": str(event.get("message", ""))[:_LONGEST_SAMPLE]}


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')

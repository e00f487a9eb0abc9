"""What else a Prometheus tells under `/prometheus/api/v1/`: rules and alerts, its settings, an expression set well.

Clients probe for these to learn what they may ask for; what we do not have (targets, exemplars) is an empty success.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask import request

from monitoring.api.params import Form, Repeated, Text
from monitoring.api.prometheus import END, QUERY, START, answering
from monitoring.api.routes import ASKING, Call, Route
from monitoring.pipeline.alerts.durations import duration
from monitoring.pipeline.clock import rfc3339
from monitoring.pipeline.prometheus_rules import alerts_of, groups_of
from monitoring.pipeline.query.promql import engine, wire
from monitoring.pipeline.query.promql.errors import PromqlError
from monitoring.pipeline.query.promql.parse import formatted, parse

__all__ = ["ROUTES", "alerts", "exemplars", "flags", "format_query", "rules", "runtimeinfo", "targets"]

_KINDS = ("", "alert", "record")


@answering
def rules(call: Call) -> bytes:
    """Our rules in Prometheus' shape, grouped by where they come from."""
    kind = request.values.get("type", "")
    if kind not in _KINDS:
        raise PromqlError(f'invalid parameter "type": not supported value "{kind[:60]}"', "bad_data")
    found = [] if kind == "record" else groups_of(call.runtime.rules.all(), call.runtime.alerts.all())
    groups = _named(_named(found, "rule_group[]", "name"), "file[]", "file")
    for group in groups:
        group["rules"] = _named(group["rules"], "rule_name[]", "name")
        if request.values.get("exclude_alerts") == "true":
            for rule in group["rules"]:
                del rule["alerts"]
    return wire.encode({"groups": [group for group in groups if group["rules"]]})


@answering
def alerts(call: Call) -> bytes:
    """Our open alerts in Prometheus' shape."""
    return wire.encode({"alerts": alerts_of(call.runtime.alerts.all())})


@answering
def exemplars(call: Call) -> bytes:
    """None: metrics here have no exemplars. The expression is checked all the same."""
    parse(request.values.get("query", ""))
    return wire.encode([])


@answering
def format_query(call: Call) -> bytes:
    """The expression, set in lines as Prometheus does."""
    return wire.encode(formatted(request.values.get("query", "")))


@answering
def runtimeinfo(call: Call) -> bytes:
    """Since when this process answers, and how long metrics are kept; of the machine nothing."""
    began = rfc3339(call.runtime.began)
    return wire.encode(
        {
            "startTime": began,
            "CWD": "",
            "hostname": "",
            "serverTime": rfc3339(call.runtime.now_ns()),
            "reloadConfigSuccess": True,
            "lastConfigTime": began,
            "corruptionCount": 0,
            "goroutineCount": 0,
            "GOMAXPROCS": 0,
            "GOMEMLIMIT": 0,
            "GOGC": "",
            "GODEBUG": "",
            "storageRetention": _retention(call),
        }
    )


@answering
def flags(call: Call) -> bytes:
    """The settings that Prometheus has flags for, by those flags' names."""
    timeout = call.runtime.settings.number("query_timeout")
    return wire.encode(
        {
            "query.lookback-delta": duration(engine.DEFAULT_LOOKBACK_MS // 1000),
            "query.timeout": f"{timeout:g}s",
            "storage.tsdb.retention.time": _retention(call),
            "web.enable-remote-write-receiver": "true",
            "web.enable-admin-api": "false",
        }
    )


@answering
def targets(call: Call) -> bytes:
    """None: nothing is scraped here, what is measured is sent."""
    return wire.encode({"activeTargets": [], "droppedTargets": [], "droppedTargetCounts": {}})


def _retention(call: Call) -> str:
    """Of the coarsest roll-up, which outlives the others."""
    kept = int(call.runtime.settings.number("metrics_retention_age_1h"))
    return duration(kept) if kept else "0s"


def _named(found: Sequence[dict[str, Any]], parameter: str, member: str) -> list[dict[str, Any]]:
    """Those whose member is one of the parameter's values; all where it is not given."""
    wanted = request.values.getlist(parameter)
    return [each for each in found if not wanted or each[member] in wanted]


_CHOICE = (
    Text("type", "alert, or record: of which there are none", longest=16),
    Repeated("rule_name[]", "only rules of these names"),
    Repeated("rule_group[]", "only groups of these names: default, api, or a file's"),
    Repeated("file[]", "only rules of these files"),
    Text("exclude_alerts", "true: rules without their alerts", longest=8),
)
_FORMED = (QUERY, START, END)


def _told(path: str, endpoint: Any, params: tuple[Any, ...] = ()) -> Route:
    return Route("GET", f"/prometheus/api/v1/{path}", "viewer", endpoint, params, free=True)


def _asked(path: str, endpoint: Any, params: tuple[Any, ...]) -> tuple[Route, Route]:
    form = Route("POST", f"/prometheus/api/v1/{path}", "viewer", endpoint, free=True, audit=ASKING, body=Form(params))
    return _told(path, endpoint, params), form


ROUTES = (
    _told("rules", rules, _CHOICE),
    _told("alerts", alerts),
    *_asked("query_exemplars", exemplars, _FORMED),
    *_asked("format_query", format_query, (QUERY,)),
    _told("status/runtimeinfo", runtimeinfo),
    _told("status/flags", flags),
    _told("targets", targets),
)

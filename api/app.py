"""The Flask application, and the table of everything it answers."""

from __future__ import annotations

from flask import Blueprint, Flask, request
from werkzeug.exceptions import HTTPException

from monitoring.api import (
    alerts,
    analytics,
    audit,
    channels,
    dashboard,
    derived_metrics,
    explorer,
    export,
    frames,
    health,
    ingest,
    keys,
    letters,
    logs,
    loki,
    maintenance,
    metrics,
    openapi,
    otlp,
    otlp_metrics,
    prometheus,
    raw,
    remote_write,
    rules,
    scrape,
    searches,
    session,
    silences,
    tail,
)
from monitoring.api.asking import ORDER, QUERY, RANGE
from monitoring.api.auth import Authorize
from monitoring.api.routes import ASKING, DATA, Route, answer_error, mount
from monitoring.api.runtime import Runtime
from monitoring.pipeline import settings as settings_table
from monitoring.pipeline.settings import Settings

__all__ = ["ROUTES", "blueprint", "create_app"]

_SELECTION = ("match[]", "start", "end", "limit")
RECORDS, JSON, LINES = (
    ("application/octet-stream",),
    ("application/json",),
    ("application/x-ndjson", "application/json"),
)

ROUTES: tuple[Route, ...] = (
    # method, path, least role, endpoint, query parameters, what the audit log calls a change
    Route("GET", "/", None, dashboard.index, free=True),
    Route("GET", "/<name>", None, dashboard.named, free=True),
    Route("GET", "/alerts/<alert_id>", None, dashboard.alert, free=True),
    Route("GET", "/assets/<name>", None, dashboard.asset),
    Route("GET", "/explorer", None, explorer.page),
    Route("GET", "/explorer.js", None, explorer.script),
    Route("GET", "/explorer.css", None, explorer.style),
    Route("GET", "/openapi.json", None, openapi.document),
    Route("GET", "/login", None, session.login, (session.TOKEN,), audit="session.begin"),
    Route("POST", "/api/v1/session", None, session.begin, audit="session.begin", body=session.BEGIN),
    Route("GET", "/api/v1/session", "viewer", session.show),
    Route("DELETE", "/api/v1/session", "viewer", session.end, audit="session.end"),
    Route("GET", "/healthz", None, health.live),
    Route("GET", "/readyz", None, health.ready),
    Route("GET", "/metrics", "viewer", scrape.metrics),
    Route("GET", "/api/v1/status", "viewer", health.status),
    Route("POST", "/api/v1/metrics", "ingest", metrics.post_metrics, audit=DATA),
    Route("POST", "/v1/metrics", "ingest", otlp_metrics.post_metrics, audit=DATA),
    Route("POST", "/prometheus/api/v1/write", "ingest", remote_write.post_samples, audit=DATA),
    Route("POST", "/v1/logs", "ingest", otlp.post_logs, audit=DATA),
    Route("POST", "/v1/traces", "ingest", otlp.post_traces, audit=DATA),
    Route("GET", "/api/v1/overview", "viewer", health.overview),
    Route("POST", "/api/v1/logs", "ingest", ingest.post_logs, audit=DATA, body=LINES),
    Route("POST", "/loki/api/v1/push", "ingest", loki.push, audit=DATA),
    Route("POST", "/api/v1/ingest/raw", "ingest", raw.post_lines, ("service", "format"), audit=DATA),
    Route("GET", "/api/v1/logs", "viewer", logs.search, (*RANGE, logs.LIMIT, logs.CURSOR, ORDER)),
    Route("GET", "/api/v1/logs/histogram", "viewer", analytics.histogram, (*RANGE, analytics.BUCKETS)),
    Route("GET", "/api/v1/logs/facets", "viewer", analytics.facets, (*RANGE, analytics.FIELDS, analytics.VALUES)),
    Route(
        "GET",
        "/api/v1/logs/stats",
        "viewer",
        analytics.stats,
        (*RANGE, analytics.GROUP_BY, analytics.AGGREGATE, analytics.BUCKETS, analytics.ROWS),
    ),
    Route("GET", "/api/v1/logs/patterns", "viewer", analytics.patterns, (*RANGE, analytics.PATTERNS)),
    Route("GET", "/api/v1/logs/tail", "viewer", tail.logs, (QUERY, tail.RECENT)),
    Route("GET", "/api/v1/logs/export", "viewer", export.logs, (*RANGE, export.FORMAT, ORDER)),
    Route("GET", "/api/v1/logs/<event_id>", "viewer", logs.one),
    Route("GET", "/api/v1/logs/<event_id>/context", "viewer", logs.context, (logs.BEFORE, logs.AFTER)),
    Route("GET", "/api/v1/searches", "viewer", searches.listing),
    Route("PUT", "/api/v1/searches/<name>", "operator", searches.save, audit="search.save", body=searches.SAVE),
    Route("DELETE", "/api/v1/searches/<name>", "operator", searches.remove, audit="search.remove"),
    Route("GET", "/api/v1/derived-metrics", "viewer", derived_metrics.listing),
    Route("POST", "/api/v1/derived-metrics", "operator", derived_metrics.create, audit="derived-metric.create"),
    Route("GET", "/api/v1/derived-metrics/<name>", "viewer", derived_metrics.one),
    Route("PUT", "/api/v1/derived-metrics/<name>", "operator", derived_metrics.save, audit="derived-metric.save"),
    Route(
        "DELETE", "/api/v1/derived-metrics/<name>", "operator", derived_metrics.remove, audit="derived-metric.remove"
    ),
    Route("GET", "/api/v1/frames", "ingest", frames.ask, (*frames.LANE_OF, frames.ENTRY_ID)),
    Route("POST", "/api/v1/frames", "ingest", frames.publish, frames.LANE_OF, audit=DATA, body=RECORDS),
    Route("PUT", "/api/v1/frames", "ingest", frames.report, frames.LANE_OF, audit=DATA, body=JSON),
    Route("GET", "/api/v1/alerts", "viewer", alerts.listing, ("state", "rule", "limit")),
    Route("GET", "/api/v1/alerts/<identity>", "viewer", alerts.one),
    Route("GET", "/api/v1/alerts/<identity>/history", "viewer", alerts.history),
    Route("POST", "/api/v1/alerts/<identity>/acknowledge", "operator", alerts.acknowledge, audit="alert.acknowledge"),
    Route("POST", "/api/v1/alerts/<identity>/resolve", "operator", alerts.resolve, audit="alert.resolve"),
    Route("POST", "/api/v1/alerts/<identity>/comments", "operator", alerts.comment, audit="alert.comment"),
    Route("GET", "/api/v1/rules", "viewer", rules.listing),
    Route("POST", "/api/v1/rules", "operator", rules.create, audit="rule.create"),
    Route("POST", "/api/v1/rules/test", "viewer", rules.test, audit=ASKING),
    Route("GET", "/api/v1/rules/export", "viewer", rules.export),
    Route("GET", "/api/v1/rules/<name>", "viewer", rules.one),
    Route("PUT", "/api/v1/rules/<name>", "operator", rules.replace, audit="rule.save"),
    Route("DELETE", "/api/v1/rules/<name>", "operator", rules.remove, audit="rule.remove"),
    Route("POST", "/api/v1/rules/<name>/enable", "operator", rules.enable, audit="rule.enable"),
    Route("POST", "/api/v1/rules/<name>/disable", "operator", rules.disable, audit="rule.disable"),
    Route("GET", "/api/v1/silences", "viewer", silences.listing),
    Route("POST", "/api/v1/silences", "operator", silences.create, audit="silence.create"),
    Route("GET", "/api/v1/silences/<identity>", "viewer", silences.one),
    Route("PUT", "/api/v1/silences/<identity>", "operator", silences.change, audit="silence.change"),
    Route("DELETE", "/api/v1/silences/<identity>", "operator", silences.expire, audit="silence.expire"),
    Route("GET", "/api/v1/maintenance-windows", "viewer", silences.windows),
    Route("PUT", "/api/v1/maintenance-windows/<name>", "operator", silences.window_save, audit="window.save"),
    Route("DELETE", "/api/v1/maintenance-windows/<name>", "operator", silences.window_remove, audit="window.remove"),
    Route("GET", "/api/v1/keys", "admin", keys.listing),
    Route("POST", "/api/v1/keys", "admin", keys.create, audit="key.create", body=keys.CREATE),
    Route("DELETE", "/api/v1/keys/<identity>", "admin", keys.revoke, audit="key.revoke"),
    Route("GET", "/api/v1/dead-letters", "admin", letters.listing, (letters.LIMIT, letters.KIND)),
    Route("GET", "/api/v1/dead-letters/<letter_id>", "admin", letters.one),
    Route(
        "GET",
        "/prometheus/api/v1/query",
        "viewer",
        prometheus.query,
        ("query", "time", "timeout", "lookback_delta"),
        free=True,
    ),
    Route(
        "POST",
        "/prometheus/api/v1/query",
        "viewer",
        prometheus.query,
        ("query", "time", "timeout", "lookback_delta"),
        free=True,
        audit=ASKING,
    ),
    Route(
        "GET",
        "/prometheus/api/v1/query_range",
        "viewer",
        prometheus.query_range,
        ("query", "start", "end", "step", "timeout", "lookback_delta"),
        free=True,
    ),
    Route(
        "POST",
        "/prometheus/api/v1/query_range",
        "viewer",
        prometheus.query_range,
        ("query", "start", "end", "step", "timeout", "lookback_delta"),
        free=True,
        audit=ASKING,
    ),
    Route("GET", "/prometheus/api/v1/series", "viewer", prometheus.series, _SELECTION, free=True),
    Route("POST", "/prometheus/api/v1/series", "viewer", prometheus.series, _SELECTION, free=True, audit=ASKING),
    Route("GET", "/prometheus/api/v1/labels", "viewer", prometheus.label_names, _SELECTION, free=True),
    Route("POST", "/prometheus/api/v1/labels", "viewer", prometheus.label_names, _SELECTION, free=True, audit=ASKING),
    Route("GET", "/prometheus/api/v1/label/<name>/values", "viewer", prometheus.label_values, _SELECTION, free=True),
    Route("GET", "/prometheus/api/v1/metadata", "viewer", prometheus.metadata, ("metric", "limit"), free=True),
    Route("GET", "/prometheus/api/v1/status/buildinfo", "viewer", prometheus.buildinfo, free=True),
    Route("POST", "/api/v1/dead-letters/<letter_id>/replay", "admin", letters.replay, audit="dead-letter.replay"),
    Route(
        "POST",
        "/api/v1/maintenance/retention",
        "admin",
        maintenance.retention,
        audit="retention.run",
        body=maintenance.RETENTION,
    ),
    Route("GET", "/api/v1/audit", "admin", audit.listing, (*audit.FILTERS, audit.LIMIT, audit.BEFORE)),
    Route("GET", "/api/v1/audit/export", "admin", audit.export, audit.FILTERS),
    Route("GET", "/api/v1/channels", "viewer", channels.listing),
    Route("POST", "/api/v1/channels", "admin", channels.create, audit="channel.create"),
    Route("GET", "/api/v1/channels/<name>", "viewer", channels.one),
    Route("PUT", "/api/v1/channels/<name>", "admin", channels.save, audit="channel.save"),
    Route("DELETE", "/api/v1/channels/<name>", "admin", channels.remove, audit="channel.remove"),
    Route("POST", "/api/v1/channels/<name>/test", "admin", channels.test, audit="channel.test"),
)


def blueprint(settings: Settings | None = None, *, authorize: Authorize | None = None) -> Blueprint:
    """All routes, to be mounted in a Flask application under any prefix; settings: the environment's.

    `authorize` says whom the application itself knows a request to be of: the user's name and role, None for nobody.
    Keys and sessions go on being understood.
    """
    found = Blueprint("monitoring", __name__)
    runtime = Runtime(settings_table.load() if settings is None else settings)
    if authorize is not None:
        runtime.authorize = lambda: authorize(request)
    mount(found, ROUTES, runtime)
    found.record_once(lambda state: state.app.extensions.__setitem__("monitoring", runtime))
    return found


def create_app(settings: Settings | None = None) -> Flask:
    """The application that `monitoring api` serves. Opens nothing before the first request."""
    app = Flask("monitoring.api", static_folder=None)
    app.register_blueprint(blueprint(settings))
    app.register_error_handler(HTTPException, answer_error)
    return app

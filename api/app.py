"""The Flask application, and the table of everything it answers."""

from __future__ import annotations

from flask import Blueprint, Flask
from werkzeug.exceptions import HTTPException

from monitoring.api import (
    alerts,
    analytics,
    channels,
    export,
    frames,
    health,
    ingest,
    keys,
    letters,
    logs,
    maintenance,
    metrics,
    otlp,
    otlp_metrics,
    prometheus,
    remote_write,
    rules,
    searches,
    silences,
    start,
    tail,
)
from monitoring.api.routes import Route, answer_error, mount
from monitoring.api.runtime import Runtime
from monitoring.pipeline import settings as settings_table
from monitoring.pipeline.settings import Settings

__all__ = ["ROUTES", "blueprint", "create_app"]

_SELECTION = ("match[]", "start", "end", "limit")

ROUTES: tuple[Route, ...] = (
    # method, path, least role, endpoint, query parameters
    Route("GET", "/", None, start.page),
    Route("GET", "/start.css", None, start.style),
    Route("GET", "/healthz", None, health.live),
    Route("GET", "/readyz", None, health.ready),
    Route("GET", "/api/v1/status", "viewer", health.status),
    Route("POST", "/api/v1/logs", "ingest", ingest.post_logs),
    Route("POST", "/api/v1/metrics", "ingest", metrics.post_metrics),
    Route("POST", "/v1/metrics", "ingest", otlp_metrics.post_metrics),
    Route("POST", "/prometheus/api/v1/write", "ingest", remote_write.post_samples),
    Route("POST", "/v1/logs", "ingest", otlp.post_logs),
    Route("POST", "/v1/traces", "ingest", otlp.post_traces),
    Route("GET", "/api/v1/logs", "viewer", logs.search, ("query", "start", "end", "limit", "cursor", "order")),
    Route("GET", "/api/v1/logs/histogram", "viewer", analytics.histogram, ("query", "start", "end", "buckets")),
    Route("GET", "/api/v1/logs/facets", "viewer", analytics.facets, ("query", "start", "end", "fields", "limit")),
    Route(
        "GET",
        "/api/v1/logs/stats",
        "viewer",
        analytics.stats,
        ("query", "start", "end", "group_by", "aggregate", "buckets", "limit"),
    ),
    Route("GET", "/api/v1/logs/patterns", "viewer", analytics.patterns, ("query", "start", "end", "limit")),
    Route("GET", "/api/v1/logs/tail", "viewer", tail.logs, ("query", "limit")),
    Route("GET", "/api/v1/logs/export", "viewer", export.logs, ("query", "start", "end", "format", "order")),
    Route("GET", "/api/v1/logs/<event_id>", "viewer", logs.one),
    Route("GET", "/api/v1/logs/<event_id>/context", "viewer", logs.context, ("before", "after")),
    Route("GET", "/api/v1/searches", "viewer", searches.listing),
    Route("PUT", "/api/v1/searches/<name>", "operator", searches.save),
    Route("DELETE", "/api/v1/searches/<name>", "operator", searches.remove),
    Route("GET", "/api/v1/alerts", "viewer", alerts.listing, ("state", "rule", "limit")),
    Route("GET", "/api/v1/alerts/<identity>", "viewer", alerts.one),
    Route("GET", "/api/v1/alerts/<identity>/history", "viewer", alerts.history),
    Route("POST", "/api/v1/alerts/<identity>/acknowledge", "operator", alerts.acknowledge),
    Route("POST", "/api/v1/alerts/<identity>/resolve", "operator", alerts.resolve),
    Route("POST", "/api/v1/alerts/<identity>/comments", "operator", alerts.comment),
    Route("GET", "/api/v1/rules", "viewer", rules.listing),
    Route("POST", "/api/v1/rules", "operator", rules.create),
    Route("POST", "/api/v1/rules/test", "viewer", rules.test),
    Route("GET", "/api/v1/rules/export", "viewer", rules.export),
    Route("GET", "/api/v1/rules/<name>", "viewer", rules.one),
    Route("PUT", "/api/v1/rules/<name>", "operator", rules.replace),
    Route("DELETE", "/api/v1/rules/<name>", "operator", rules.remove),
    Route("POST", "/api/v1/rules/<name>/enable", "operator", rules.enable),
    Route("POST", "/api/v1/rules/<name>/disable", "operator", rules.disable),
    Route("GET", "/api/v1/silences", "viewer", silences.listing),
    Route("POST", "/api/v1/silences", "operator", silences.create),
    Route("GET", "/api/v1/silences/<identity>", "viewer", silences.one),
    Route("PUT", "/api/v1/silences/<identity>", "operator", silences.change),
    Route("DELETE", "/api/v1/silences/<identity>", "operator", silences.expire),
    Route("GET", "/api/v1/maintenance-windows", "viewer", silences.windows),
    Route("PUT", "/api/v1/maintenance-windows/<name>", "operator", silences.window_save),
    Route("DELETE", "/api/v1/maintenance-windows/<name>", "operator", silences.window_remove),
    Route("GET", "/api/v1/frames", "ingest", frames.ask, ("signal", "partition", "lane", "id")),
    Route("POST", "/api/v1/frames", "ingest", frames.publish, ("signal", "partition", "lane")),
    Route("PUT", "/api/v1/frames", "ingest", frames.report, ("signal", "partition", "lane")),
    Route("GET", "/api/v1/keys", "admin", keys.listing),
    Route("POST", "/api/v1/keys", "admin", keys.create),
    Route("DELETE", "/api/v1/keys/<identity>", "admin", keys.revoke),
    Route("GET", "/api/v1/dead-letters", "admin", letters.listing, ("limit", "kind")),
    Route("GET", "/api/v1/dead-letters/<letter_id>", "admin", letters.one),
    Route("POST", "/api/v1/dead-letters/<letter_id>/replay", "admin", letters.replay),
    Route("GET", "/api/v1/channels", "viewer", channels.listing),
    Route("POST", "/api/v1/channels", "admin", channels.create),
    Route("GET", "/api/v1/channels/<name>", "viewer", channels.one),
    Route("PUT", "/api/v1/channels/<name>", "admin", channels.save),
    Route("DELETE", "/api/v1/channels/<name>", "admin", channels.remove),
    Route("POST", "/api/v1/channels/<name>/test", "admin", channels.test),
    Route("POST", "/api/v1/maintenance/retention", "admin", maintenance.retention),
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
    ),
    Route("GET", "/prometheus/api/v1/series", "viewer", prometheus.series, _SELECTION, free=True),
    Route("POST", "/prometheus/api/v1/series", "viewer", prometheus.series, _SELECTION, free=True),
    Route("GET", "/prometheus/api/v1/labels", "viewer", prometheus.label_names, _SELECTION, free=True),
    Route("POST", "/prometheus/api/v1/labels", "viewer", prometheus.label_names, _SELECTION, free=True),
    Route("GET", "/prometheus/api/v1/label/<name>/values", "viewer", prometheus.label_values, _SELECTION, free=True),
    Route("GET", "/prometheus/api/v1/metadata", "viewer", prometheus.metadata, ("metric", "limit"), free=True),
    Route("GET", "/prometheus/api/v1/status/buildinfo", "viewer", prometheus.buildinfo, free=True),
)


def blueprint(settings: Settings | None = None) -> Blueprint:
    """All routes, to be mounted in a Flask application under any prefix; settings: the environment's."""
    found = Blueprint("monitoring", __name__)
    runtime = Runtime(settings_table.load() if settings is None else settings)
    mount(found, ROUTES, runtime)
    found.record_once(lambda state: state.app.extensions.__setitem__("monitoring", runtime))
    return found


def create_app(settings: Settings | None = None) -> Flask:
    """The application that `monitoring api` serves. Opens nothing before the first request."""
    app = Flask("monitoring.api", static_folder=None)
    app.register_blueprint(blueprint(settings))
    app.register_error_handler(HTTPException, answer_error)
    return app

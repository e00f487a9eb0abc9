"""The Flask application, and the table of everything it answers."""

from __future__ import annotations

from flask import Blueprint, Flask
from werkzeug.exceptions import HTTPException

from monitoring.api import (
    analytics,
    dashboard,
    export,
    frames,
    health,
    ingest,
    keys,
    letters,
    logs,
    maintenance,
    searches,
    tail,
)
from monitoring.api.routes import Route, answer_error, mount
from monitoring.api.runtime import Runtime
from monitoring.pipeline import settings as settings_table
from monitoring.pipeline.settings import Settings

__all__ = ["ROUTES", "blueprint", "create_app"]

ROUTES: tuple[Route, ...] = (
    # method, path, least role, endpoint, query parameters
    Route("GET", "/", None, dashboard.index, page=True),
    Route("GET", "/<name>", None, dashboard.named, page=True),
    Route("GET", "/alerts/<alert_id>", None, dashboard.alert, page=True),
    Route("GET", "/assets/<name>", None, dashboard.asset),
    Route("GET", "/healthz", None, health.live),
    Route("GET", "/readyz", None, health.ready),
    Route("GET", "/api/v1/status", "viewer", health.status),
    Route("POST", "/api/v1/logs", "ingest", ingest.post_logs),
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
    Route("GET", "/api/v1/frames", "ingest", frames.ask, ("signal", "partition", "lane", "id")),
    Route("POST", "/api/v1/frames", "ingest", frames.publish, ("signal", "partition", "lane")),
    Route("PUT", "/api/v1/frames", "ingest", frames.report, ("signal", "partition", "lane")),
    Route("GET", "/api/v1/keys", "admin", keys.listing),
    Route("POST", "/api/v1/keys", "admin", keys.create),
    Route("DELETE", "/api/v1/keys/<identity>", "admin", keys.revoke),
    Route("GET", "/api/v1/dead-letters", "admin", letters.listing, ("limit", "kind")),
    Route("GET", "/api/v1/dead-letters/<letter_id>", "admin", letters.one),
    Route("POST", "/api/v1/dead-letters/<letter_id>/replay", "admin", letters.replay),
    Route("POST", "/api/v1/maintenance/retention", "admin", maintenance.retention),
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

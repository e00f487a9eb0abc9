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
    prometheus_facts,
    questions,
    raw,
    remote_write,
    rules,
    scrape,
    searches,
    session,
    silences,
    tail,
)
from monitoring.api.auth import Authorize
from monitoring.api.routes import Route, answer_error, mount, nothing_at
from monitoring.api.runtime import Runtime
from monitoring.pipeline import settings as settings_table
from monitoring.pipeline.settings import Settings

__all__ = ["ROUTES", "blueprint", "create_app"]

ROUTES: tuple[Route, ...] = (
    # what people see
    *dashboard.ROUTES,
    *explorer.ROUTES,
    *openapi.ROUTES,
    *session.ROUTES,
    # how it is doing
    *health.ROUTES,
    *scrape.ROUTES,
    # in
    *ingest.ROUTES,
    *raw.ROUTES,
    *metrics.ROUTES,
    *otlp.ROUTES,
    *otlp_metrics.ROUTES,
    *loki.ROUTES,
    *remote_write.ROUTES,
    *frames.ROUTES,
    # out
    *logs.ROUTES,
    *analytics.ROUTES,
    *tail.ROUTES,
    *export.ROUTES,
    *searches.ROUTES,
    *questions.ROUTES,
    *prometheus.ROUTES,
    *prometheus_facts.ROUTES,
    # what is wrong, and who is told
    *alerts.ROUTES,
    *rules.ROUTES,
    *silences.ROUTES,
    *channels.ROUTES,
    # administration
    *derived_metrics.ROUTES,
    *keys.ROUTES,
    *letters.ROUTES,
    *maintenance.ROUTES,
    *audit.ROUTES,
)
"""All there is. Each module has the rows of its endpoints."""


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
    app.register_error_handler(404, lambda _: answer_error(nothing_at(request.path, ROUTES)))
    return app

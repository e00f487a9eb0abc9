"""Requests of a Flask application, recorded.

    from monitoring.producers.flask import FlaskMonitoring
    FlaskMonitoring(app)

It stands in front of `app.wsgi_app`, so that the whole body counts, and learns the rule and the exception from Flask.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from flask import Flask, got_request_exception

from monitoring.producers.context import current
from monitoring.producers.request_policy import Options
from monitoring.producers.route import NO_ROUTE, folded
from monitoring.producers.wsgi import ROUTE_KEY, Exchange, MonitoringWSGI

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

__all__ = ["FlaskExchange", "FlaskMonitoring", "FlaskWSGI"]

_EXTENSION = "monitoring_requests"
_FLASK_FILE = Flask.log_exception.__code__.co_filename
"""Where Flask logs an exception by itself."""


class FlaskExchange(Exchange):
    """A request of a Flask application."""

    __slots__ = ()

    def keep_route(self) -> None:
        """The rule, which Flask knows as long as it answers."""
        if not self.named:
            self.named = _rule(self.environ)


class FlaskWSGI(MonitoringWSGI):
    """A Flask application's WSGI side, recorded; use FlaskMonitoring."""

    EXCHANGE = FlaskExchange

    def _naming(self, environ: WSGIEnvironment, start_response: StartResponse) -> StartResponse:
        def named(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            environ.setdefault(ROUTE_KEY, _rule(environ))
            return start_response(status, headers, *exc_info)

        return named


class FlaskMonitoring:
    """Records the requests of Flask applications. Options win over the settings.

    `FlaskMonitoring(app)`, or `init_app(app)` where applications are made by a function. An application that has it
    already is left as it is.
    """

    def __init__(self, app: Flask | None = None, **options: Unpack[Options]) -> None:
        self._options = options
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Record the requests of this application."""
        if _EXTENSION in app.extensions:
            return
        app.extensions[_EXTENSION] = self
        app.wsgi_app = FlaskWSGI(app.wsgi_app, **self._options)  # type: ignore[method-assign]  # as Flask's docs say
        got_request_exception.connect(_see_exception, app)


def _rule(environ: WSGIEnvironment) -> str:
    """The rule that matched, in Flask's own notation, behind the path that the application is mounted at."""
    request = environ.get("werkzeug.request")
    rule = getattr(request, "url_rule", None)
    if rule is None:
        return NO_ROUTE
    mounted = environ.get("SCRIPT_NAME", "")
    return f"{folded(mounted)}{rule.rule}" if mounted else str(rule.rule)


def _see_exception(sender: Flask, exception: BaseException, **_: Any) -> None:
    """An exception that nobody handled: Flask is about to log it and to answer, or in debug mode to let it through."""
    work = current.get().work
    if isinstance(work, Exchange):
        work.keep_route()
        work.report(exception, _FLASK_FILE)

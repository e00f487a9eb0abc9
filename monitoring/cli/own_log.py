"""The API's own log, through our own SDK: what it logs, and its requests, as events of the service `monitoring-api`.

    request -> Recorder -> verdict: failed, slow, a change?  -> client -> redaction -> a lane of its own -> the bus
    logging -> capture  ---------------------------------------^

It must not feed on itself. Ingest is recorded only where it fails or is slow, and a 503 never: it tells its client to
come back, and the news of a full bus must not fill it. What the threads of the lanes log goes to standard
error alone. Events are kept in a small memory, never in the spool, which belongs to what was answered for.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from math import inf
from typing import TYPE_CHECKING, ClassVar

from flask import Flask

from monitoring.api.app import ROUTES
from monitoring.api.routes import Route, usable_request_id
from monitoring.pipeline.events.defaults import host_name
from monitoring.pipeline.publish.connect import publisher_from
from monitoring.pipeline.redact import redactor_from
from monitoring.pipeline.settings import Settings
from monitoring.producers import client as clients
from monitoring.producers import handler
from monitoring.producers.client import Client, Resource
from monitoring.producers.flask import FlaskExchange, FlaskWSGI
from monitoring.producers.logger import ERROR, INFO, WARNING
from monitoring.producers.trouble import Trouble

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

__all__ = ["SERVICE", "OwnLog", "record"]

SERVICE = "monitoring-api"
SLOW_PART = 0.5
"""Of the time that a query may take: a request that took so long is on its way to one that is cut off."""
_STREAMED = frozenset({"/api/v1/logs/tail", "/api/v1/logs/export"})
"""Answers that last as long as somebody reads them: their duration says nothing."""
_COME_BACK = 503
_BUFFER_EVENTS, _BUFFER_BYTES = 5_000, 4 << 20
"""More than the API says while a bus is away for a minute; it is not what the memory of the API is for."""
_CLOSE_SECONDS = 0.5
"""Everything stops within five seconds, and a bus that is away has had its time already."""


class _Kept(FlaskExchange):
    """A request of the API."""

    __slots__ = ()
    WANTED: ClassVar[frozenset[tuple[str, str]]] = frozenset()
    """Methods and routes that are recorded even if all is well."""

    def verdict(self, status: int, route: str) -> tuple[int, float]:
        """See Request."""
        if status == _COME_BACK:
            return 0, 1.0
        if status >= 500 or self.error is not None:
            return ERROR, 1.0
        if self.took >= self.policy.slow_seconds and route not in _STREAMED:
            return WARNING, 1.0
        return (INFO if (self.method, route) in self.WANTED else 0), 1.0


class _Recorder(FlaskWSGI):
    """Before it, each request is given an id, so that record and answer tell the same one."""

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve a request."""
        if not usable_request_id(environ.get("HTTP_X_REQUEST_ID", "")):
            environ["HTTP_X_REQUEST_ID"] = uuid.uuid4().hex
        return super().__call__(environ, start_response)


def _is_wanted(choice: str, route: Route) -> bool:
    if choice == "all":
        return route.role != "ingest"
    return choice == "changes" and bool(route.action)


def record(app: Flask, chosen: Settings) -> None:
    """Have the application's requests recorded, as MONITORING_API_LOG says, once an OwnLog has begun."""
    wanted = frozenset((route.method, route.path) for route in ROUTES if _is_wanted(chosen.text("api_log"), route))
    kept = type("_Kept", (_Kept,), {"__slots__": (), "WANTED": wanted})
    recorder = type("_Recorder", (_Recorder,), {"EXCHANGE": kept})
    slow = max(chosen.number("slow_request"), chosen.number("query_timeout") * SLOW_PART) or inf
    # excluded: counted nowhere, for the requests of the API have metrics of their own (/metrics)
    app.wsgi_app = recorder(app.wsgi_app, slow_seconds=slow, exclude=["*"])  # type: ignore[method-assign]  # as Flask's docs say


class OwnLog:
    """What this process logs is published, from now until `close`. Made in the process that serves, after its fork."""

    def __init__(self, chosen: Settings) -> None:
        redactor = redactor_from(chosen)
        trouble = Trouble()
        small = chosen.replace(
            durability="memory", spool_dir=None, buffer_events=_BUFFER_EVENTS, buffer_bytes=_BUFFER_BYTES
        )
        self._publisher = publisher_from(small, refine=redactor.events, on_trouble=trouble.say)
        who = Resource(SERVICE, chosen.text("environment"), chosen.text("release"), host_name())
        clients.install(Client(self._publisher, who, trouble=trouble))
        handler.capture()

    def close(self) -> None:
        """Send what there is."""
        handler.release()
        clients.install(None)
        self._publisher.close(_CLOSE_SECONDS)

"""One Flask application, bare and with each thing that watches it."""

from __future__ import annotations

import io
import logging
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from flask import Flask, g, request

from bench.sdk.own import delivered, settle_ours, start
from bench.sdk.peers import devnull

__all__ = ["APPS", "App", "requester"]


def _nothing() -> None:
    return


class App(NamedTuple):
    """An application set up. `settle` returns when the background has nothing left to do; `delivered` is how many
    records of ours have left through it so far."""

    app: Flask
    settle: Callable[[], object] = _nothing
    delivered: Callable[[], int] = int


def _app() -> Flask:
    app = Flask("bench")

    @app.get("/items/<int:item_id>")
    def item(item_id: int) -> dict[str, Any]:
        return {"id": item_id, "name": "lamp", "price": 19.5, "tags": ["new", "sale"]}

    return app


def bare(url: str) -> App:
    """Flask as it comes."""
    return App(_app())


def json_line(url: str) -> App:
    """With what people write by hand: a line of JSON a request, to /dev/null."""
    import json

    app = _app()
    log = logging.getLogger("requests")
    log.addHandler(logging.StreamHandler(devnull()))
    log.setLevel(logging.INFO)
    log.propagate = False

    @app.before_request
    def begin() -> None:
        g.began = time.perf_counter()

    @app.after_request
    def end(response: Any) -> Any:
        line = {
            "time": time.time(),
            "level": "INFO",
            "message": "request",
            "method": request.method,
            "path": request.path,
            "status": response.status_code,
            "duration_ms": round((time.perf_counter() - g.began) * 1000, 3),
            "client": request.remote_addr,
        }
        log.info(json.dumps(line))
        return response

    return App(app)


def ours(url: str) -> App:
    """FlaskMonitoring as it is by default: a record a request, ids, metrics; published to a real server."""
    from monitoring.producers.flask import FlaskMonitoring

    app = _app()
    start(url)
    FlaskMonitoring(app)
    return App(app, settle_ours, delivered)


def opentelemetry(url: str) -> App:
    """A span a request through the batch processor with its defaults, to an exporter that drops it as it is."""
    from opentelemetry.instrumentation.flask import FlaskInstrumentor
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

    class Dropping(SpanExporter):  # type: ignore[misc]  # it need not be there
        def export(self, spans: Any) -> Any:
            return SpanExportResult.SUCCESS

    provider = TracerProvider(resource=Resource.create({"service.name": "bench"}))
    provider.add_span_processor(BatchSpanProcessor(Dropping()))
    app = _app()
    FlaskInstrumentor().instrument_app(app, tracer_provider=provider)
    return App(app, provider.force_flush)


def sentry(url: str) -> App:
    """A transaction for every request, to a transport that drops it as it is."""
    import sentry_sdk
    from sentry_sdk.envelope import Envelope
    from sentry_sdk.integrations.flask import FlaskIntegration
    from sentry_sdk.transport import Transport

    class Dropping(Transport):  # type: ignore[misc]
        def capture_envelope(self, envelope: Envelope) -> None:
            return

    sentry_sdk.init(
        dsn="http://key@127.0.0.1:9/1", transport=Dropping(), traces_sample_rate=1.0, integrations=[FlaskIntegration()]
    )
    return App(_app(), sentry_sdk.flush)


def prometheus(url: str) -> App:
    """The exporter's own counter and histogram of requests; no log, no ids."""
    from prometheus_client import CollectorRegistry
    from prometheus_flask_exporter import PrometheusMetrics

    app = _app()
    PrometheusMetrics(app, registry=CollectorRegistry())
    return App(app)


APPS: dict[str, Callable[[str], App]] = {
    "bare": bare,
    "json_line": json_line,
    "ours": ours,
    "opentelemetry": opentelemetry,
    "sentry": sentry,
    "prometheus": prometheus,
}


def requester(app: Flask) -> Callable[[], None]:
    """A function that makes one request as a WSGI server would: calls, reads the body, closes.

    Through `app(...)`, not `app.wsgi_app(...)`, because that is where Sentry stands.
    """
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/items/42",
        "QUERY_STRING": "verbose=1",
        "REMOTE_ADDR": "192.0.2.7",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "shop.example",
        "HTTP_USER_AGENT": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        "HTTP_ACCEPT": "application/json",
        "HTTP_X_FORWARDED_FOR": "203.0.113.9",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }

    def write(data: bytes) -> None:
        return

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], None]:
        if not status.startswith("200"):
            raise RuntimeError(f"the request was answered with {status}")
        return write

    def call() -> None:
        body = app(environ.copy(), start_response)
        try:
            for _ in body:
                pass
        finally:
            if (close := getattr(body, "close", None)) is not None:
                close()

    return call

"""What a request or job costs more when it is recorded: microseconds of CPU in the thread that serves it.

python -m bench.middleware                  a table, about a minute
python -m bench.middleware --json           the figures for a program

Everything is real but the server: the whole SDK is started and publishes to an embedded bus, and the application is
called as a server calls it. Bare and recorded applications take turns in short blocks, so that what else the machine
does hits both; the figures are medians over the blocks.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flask import Flask
from rq.job import Job
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from bench.machine import describe
from monitoring.pipeline.bus.embedded import EmbeddedBus
from monitoring.pipeline.bus.streams import Streams
from monitoring.pipeline.bus.streams import connect as redis_client
from monitoring.producers.asgi import MonitoringMiddleware
from monitoring.producers.flask import FlaskMonitoring
from monitoring.producers.propagate import headers, instrument, uninstrument
from monitoring.producers.work import Work
from monitoring.producers.wsgi import MonitoringWSGI
from monitoring.startup import start_monitoring_with_config, stop_monitoring

__all__ = ["main", "measure"]

Block = Callable[[int], float]
_AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
_REQUEST_ID, _TRACEPARENT = "9b2c4a1e-5d5f-4a8e-9a55-2f0f3e9a1c11", f"00-{'4bf92f35' * 4}-00f067aa0ba902b7-01"


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--blocks", type=int, default=100, help="of 200 requests, for each application")
    options = parser.parse_args()
    found = {"machine": describe(), "us": measure(options.blocks, 200)}
    print(json.dumps(found, indent=2) if options.json else _report(found))


def measure(blocks: int, requests: int) -> dict[str, dict[str, float]]:
    """Microseconds a request by framework: bare, and added."""
    with tempfile.TemporaryDirectory(prefix="mon-") as folder:
        bus = EmbeddedBus(Path(folder), memory_bytes=256 << 20, say=lambda line: print(line, file=sys.stderr))
        url = bus.start()
        Streams(redis_client(url)).announce({"logs": 1, "metrics": 1}, "bench")
        start_monitoring_with_config(
            bus_url=url, data_dir=folder, service="bench", collectors="none", console="off", capture_logging=False
        )
        try:
            found = {name: _compared(*pair, blocks, requests) for name, pair in _pairs().items()}
            return found | {"RQ job": _jobs(redis_client(url), blocks, requests), "outgoing": _outgoing()}
        finally:
            stop_monitoring()
            bus.stop(timeout_seconds=10.0)


def _pairs() -> dict[str, tuple[Block, Block]]:
    """For each framework an application, bare and recorded."""
    bare, recorded = _flask(), _flask()
    FlaskMonitoring(recorded)
    starlette, watched = _starlette(), _starlette()
    watched.add_middleware(MonitoringMiddleware)
    return {
        "Flask": (_by_wsgi(bare), _by_wsgi(recorded)),
        "WSGI": (_by_wsgi(_plain), _by_wsgi(MonitoringWSGI(_plain))),
        "Starlette": (_by_asgi(starlette), _by_asgi(watched)),
    }


def _compared(bare: Block, recorded: Block, blocks: int, requests: int) -> dict[str, float]:
    for block in (bare, recorded):
        block(2 * requests)  # caches are warm
    pairs = [(bare(requests), recorded(requests)) for _ in range(blocks)]
    return {
        "bare": statistics.median(one for one, _ in pairs),
        "added": statistics.median(other - one for one, other in pairs),
    }


def _jobs(connection: Any, blocks: int, requests: int) -> dict[str, float]:
    """Running a job that does nothing, without what a worker does around it."""

    def block(turn: Callable[[], None]) -> float:
        turn()
        job = Job.create(time.monotonic, connection=connection)
        began = time.thread_time()
        for _ in range(requests):
            job.perform()
        return (time.thread_time() - began) / requests * 1e6

    return _compared(lambda _: block(uninstrument), lambda _: block(instrument), blocks, requests)


def _outgoing() -> dict[str, float]:
    """Making the headers of an outgoing request."""
    work = Work(_REQUEST_ID, _TRACEPARENT, "")
    token = work.enter()
    began = time.thread_time()
    for _ in range(100_000):
        headers()
    took = time.thread_time() - began
    work.leave(token)
    return {"added": took * 10}


def _flask() -> Flask:
    app = Flask("bench")

    @app.get("/users/<int:user>")
    def show(user: int) -> dict[str, int]:
        return {"id": user}

    return app


def _plain(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", "9")])
    return [b'{"id": 7}']


def _starlette() -> Starlette:
    async def show(request: Request) -> JSONResponse:
        return JSONResponse({"id": request.path_params["user"]})

    return Starlette(routes=[Route("/users/{user:int}", show)])


def _by_wsgi(app: Any) -> Block:
    given = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/users/42",
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "10.0.0.7",
        "HTTP_HOST": "localhost",
        "HTTP_ACCEPT": "*/*",
        "HTTP_USER_AGENT": _AGENT,
        "HTTP_X_REQUEST_ID": _REQUEST_ID,
        "HTTP_TRACEPARENT": _TRACEPARENT,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }

    def start_response(status: str, sent: list[tuple[str, str]], exc_info: Any = None) -> None: ...

    def block(requests: int) -> float:
        began = time.thread_time()
        for _ in range(requests):
            body = app(given.copy(), start_response)
            for _ in body:
                pass
            if hasattr(body, "close"):
                body.close()
        return (time.thread_time() - began) / requests * 1e6

    return block


def _by_asgi(app: Any) -> Block:
    given = {
        "type": "http",
        "method": "GET",
        "path": "/users/42",
        "root_path": "",
        "query_string": b"",
        "http_version": "1.1",
        "client": ("10.0.0.7", 50_000),
        "headers": [
            (b"host", b"localhost"),
            (b"accept", b"*/*"),
            (b"user-agent", _AGENT.encode()),
            (b"x-request-id", _REQUEST_ID.encode()),
            (b"traceparent", _TRACEPARENT.encode()),
        ],
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None: ...

    async def many(requests: int) -> float:
        began = time.thread_time()
        for _ in range(requests):
            await app(given.copy(), receive, send)
        return (time.thread_time() - began) / requests * 1e6

    return lambda requests: asyncio.run(many(requests))


def _report(found: dict[str, Any]) -> str:
    lines = [str(found["machine"]), "", f"{'us of CPU':<14}{'bare':>8}{'added':>8}"]
    for name, row in found["us"].items():
        bare = f"{row['bare']:8.1f}" if "bare" in row else " " * 8
        lines.append(f"{name:<14}{bare}{row['added']:8.1f}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()

"""Real servers in threads, what they serve, and conditions to wait for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from werkzeug.serving import make_server

from monitoring.producers.testing import Capture, CapturedEvent

SECONDS = 20.0
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{SPAN}-01"


def wait_for(condition: Callable[[], Any]) -> Any:
    """What the condition gives once it is true."""
    ends = time.monotonic() + SECONDS
    while not (found := condition()):
        assert time.monotonic() < ends, "it did not come to that"
        time.sleep(0.005)
    return found


def records(captured: Capture, count: int = 1, logger: str = "monitoring.request") -> list[CapturedEvent]:
    """The records of requests, once there are so many; then no more may be there."""

    def found() -> list[CapturedEvent]:
        return [event for event in captured.events if event.logger == logger]

    wait_for(lambda: len(found()) >= count)
    assert len(found()) == count, [event.message for event in found()]
    return found()


@contextmanager
def serving_wsgi(app: Any) -> Iterator[str]:
    """The address of a threaded server of werkzeug."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def serving_asgi(app: Any, **options: Any) -> Iterator[str]:
    """The address of a uvicorn with a loop of its own."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, **options))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_for(lambda: server.started or not thread.is_alive())
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()

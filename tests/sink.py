"""A local HTTP server for webhooks that can fail, hang, answer 429 or die between accept and reply."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import orjson


class Received(NamedTuple):
    """A request that came in whole, and what was done about it."""

    path: str
    headers: dict[str, str]
    body: bytes
    behaviour: str

    @property
    def key(self) -> str:
        return self.headers["Idempotency-Key"]

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


class Sink:
    """`behave` says what to do with each request: "ok", a status ("503", "429 7" with Retry-After), "hang", "die"."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.behave: Callable[[int, str], str] = lambda number, path: "ok"
        self.released = threading.Event()
        self._lock = threading.Lock()
        sink = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                sink._answer(self, body)

            do_GET = do_POST  # noqa: N815 - the name that http.server looks for

            def log_message(self, *arguments: Any) -> None:
                pass

        self._handler, self._port = Handler, 0
        self.start()

    def start(self) -> None:
        """Listen, on the same port as before."""
        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), self._handler)
        self._server.daemon_threads = True
        self._port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def stop(self) -> None:
        """Refuse connections from now on."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def _answer(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        with self._lock:
            behaviour = self.behave(len(self.received), handler.path)
            self.received.append(Received(handler.path, dict(handler.headers), body, behaviour))
        if behaviour == "hang":
            self.released.wait(30)
            return
        if behaviour == "die":
            handler.close_connection = True
            return
        status, _, after = behaviour.replace("ok", "200").partition(" ")
        handler.send_response(int(status))
        if after:
            handler.send_header("Location" if status.startswith("3") else "Retry-After", after)
        text = b"thanks" if status == "200" else b"no"
        handler.send_header("Content-Length", str(len(text)))
        handler.end_headers()
        handler.wfile.write(text)

    def taken(self) -> list[Received]:
        """What was answered with a success, or taken without an answer."""
        return [each for each in self.received if each.behaviour in ("ok", "die")]

    def wait(self, count: int, seconds: float = 30) -> list[Received]:
        """The requests, once there are so many."""
        ends = time.monotonic() + seconds
        while len(self.received) < count:
            assert time.monotonic() < ends, f"{len(self.received)} of {count} requests came"
            time.sleep(0.01)
        return self.received

    def close(self) -> None:
        self.released.set()
        self.stop()


@contextmanager
def sinking() -> Iterator[Sink]:
    sink = Sink()
    try:
        yield sink
    finally:
        sink.close()

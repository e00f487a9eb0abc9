"""gunicorn's worker of threads, with an end to clients that send a request byte by byte.

A thread serves a request from its first byte on, and each byte that trickles in keeps it from timing out: forty such
clients would hold all threads for good. Here the reading side of a connection is closed when its header is not whole
in time, or its body is not; what is being answered goes on.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
import uuid
from typing import Any

from gunicorn import util
from gunicorn.workers import gthread
from werkzeug.http import HTTP_STATUS_CODES

from monitoring.api.problems import MEDIA_TYPE, Problem, respond
from monitoring.api.routes import SECURITY_HEADERS

__all__ = ["Worker"]

HEADER_SECONDS = 5.0
"""A header comes in one packet or two; a phone in a tunnel takes a second."""
BODY_SECONDS = 180.0
"""The largest body, 32 MiB, at 2 Mbit/s takes 134 s."""
RELOAD_SECONDS = 15
"""How long requests in progress may go on when a reload replaces this worker: longer than any query may take."""


_SAID_CHARS = 200
_FIXES = {
    414: "send a long query as a body: POST /prometheus/api/v1/query takes a form",
    431: "send fewer or shorter headers: a browser's cookies of other programs on this host, for one",
}


class Worker(gthread.ThreadWorker):  # type: ignore[misc]  # gunicorn has no annotations
    """The worker that `monitoring api` runs."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._due: dict[Any, float] = {}
        self._due_lock = threading.Lock()

    def handle(self, conn: Any) -> Any:
        """Read a request and answer it; called in a thread."""
        self._set_due(conn, HEADER_SECONDS)
        try:
            return super().handle(conn)
        finally:
            with self._due_lock:
                self._due.pop(conn, None)

    def handle_request(self, req: Any, conn: Any) -> Any:
        """Answer a request whose header is whole."""
        self._set_due(conn, BODY_SECONDS)
        return super().handle_request(req, conn)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Answer what is no request, or too large a head, as everything else: gunicorn's own answer is HTML."""
        answer = _Taken()
        super().handle_error(req, answer, addr, exc)
        status = answer.status
        if status is not None:
            with contextlib.suppress(OSError):  # the client has gone
                util.write_nonblock(client, _document(status, str(exc)))

    def notify(self) -> None:
        """Called by the main thread once a second at least."""
        super().notify()
        now = time.monotonic()
        with self._due_lock:
            late = [conn for conn, due in self._due.items() if due < now]
            for conn in late:
                del self._due[conn]
                with contextlib.suppress(OSError):  # it has just ended by itself
                    conn.sock.shutdown(socket.SHUT_RD)

    def _set_due(self, conn: Any, seconds: float) -> None:
        with self._due_lock:
            self._due[conn] = time.monotonic() + seconds


class _Taken:
    """Stands in for a client's socket, and keeps what gunicorn would have sent."""

    def __init__(self) -> None:
        self._data = b""

    def gettimeout(self) -> float:
        """As a socket that does not block."""
        return 0.0

    def sendall(self, data: bytes) -> None:
        """Keep it."""
        self._data += data

    @property
    def status(self) -> int | None:
        """Of the answer that was meant; None where there was none."""
        words = self._data[:20].split()
        return int(words[1]) if len(words) > 1 and words[1].isdigit() else None


def _document(status: int, said: str) -> bytes:
    """The whole answer: a problem document with the headers that every answer has."""
    request_id = uuid.uuid4().hex
    detail = said[:_SAID_CHARS] if status < 500 else "an error was logged"
    body = respond(Problem(status, detail, fix=_FIXES.get(status, "")), request_id).get_data()
    headers = {
        **SECURITY_HEADERS, "Connection": "close", "Content-Type": MEDIA_TYPE, "Content-Length": len(body),
        "X-Request-Id": request_id,
    }  # fmt: skip
    phrase = HTTP_STATUS_CODES.get(status, "Error")
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} {phrase}\r\n{head}\r\n".encode("latin-1") + body

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
from typing import Any

from gunicorn.workers import gthread

__all__ = ["Worker"]

HEADER_SECONDS = 5.0
"""A header comes in one packet or two; a phone in a tunnel takes a second."""
BODY_SECONDS = 180.0
"""The largest body, 32 MiB, at 2 Mbit/s takes 134 s."""
RELOAD_SECONDS = 15
"""How long requests in progress may go on when a reload replaces this worker: longer than any query may take."""


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

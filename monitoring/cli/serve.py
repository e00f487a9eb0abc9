"""The HTTP API under gunicorn: one process with threads.

SIGTERM stops it within two seconds. SIGHUP to gunicorn's own process replaces the process of threads by a new one:
the socket stays open meanwhile, requests in progress are answered to their end, streams end and their clients return.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication

from monitoring.api.app import create_app
from monitoring.cli.own_log import OwnLog, record
from monitoring.cli.webworker import RELOAD_SECONDS, Worker  # with gthread, whose memory is shared over the fork
from monitoring.pipeline.process import die_with_parent, prepare
from monitoring.pipeline.query.parse import parse
from monitoring.pipeline.settings import Settings

__all__ = ["serve"]

_THREADS = 40
"""Ten queries run, ten wait, ten answers are streamed (`query.limits`), and ingest still has ten. What was never
needed is never started; a thread costs its stack and a few open files."""
_GRACE_SECONDS = 2
"""Requests in progress may take so long to end: everything stops within five."""
_KEEPALIVE_SECONDS = 15
_LINE_BYTES = 8190
"""The most that gunicorn allows, and what Apache does: a list of 200 ids to search for fits."""


def serve(settings: Settings, listener: socket.socket) -> None:
    """Serve until SIGTERM on this socket, which is gunicorn's from now on. Ends the process (SystemExit)."""
    prepare()
    _Server(settings, listener.detach()).run()


class _Server(BaseApplication):  # type: ignore[misc]  # gunicorn has no annotations
    """gunicorn with our settings instead of its command line."""

    def __init__(self, settings: Settings, listener: int) -> None:
        self._settings = settings
        self._own_log: OwnLog | None = None
        self._options: dict[str, Any] = {
            "bind": f"fd://{listener}",
            "worker_class": Worker,
            "workers": 1,
            "threads": _THREADS,
            "preload_app": True,
            "graceful_timeout": _GRACE_SECONDS,
            "keepalive": _KEEPALIVE_SECONDS,
            "limit_request_line": _LINE_BYTES,
            "loglevel": "warning",
            "proc_name": "monitoring",
            "post_fork": self._post_fork,
            "worker_exit": self._worker_exit,
            "worker_tmp_dir": _memory_dir(),
            "control_socket_disable": True,  # it would open a socket through which others could steer it
        }
        super().__init__()

    def load_config(self) -> None:
        """Hand over our options; older releases do not know all of them."""
        for name, value in self._options.items():
            if name in self.cfg.settings:
                self.cfg.set(name, value)

    def load(self) -> Flask:
        """The application, made before the fork; the search grammar with it, or the first query takes half a second."""
        parse("*")
        app = create_app(self._settings)
        if self._logs:
            record(app, self._settings)
        return app

    @property
    def _logs(self) -> bool:
        return self._settings.text("api_log") != "off"

    def _post_fork(self, arbiter: Any, worker: Any) -> None:
        die_with_parent(arbiter.pid)
        worker.cfg.set("graceful_timeout", RELOAD_SECONDS)  # of a reload: a stop is the arbiter's, which has its own
        worker.app.wsgi().extensions["monitoring"].stopping = lambda: not worker.alive
        if self._logs:
            self._own_log = OwnLog(self._settings)

    def _worker_exit(self, arbiter: Any, worker: Any) -> None:
        if self._own_log is not None:
            self._own_log.close()


def _memory_dir() -> str | None:
    """Where the worker's heartbeat file costs no disk write."""
    shared = Path("/dev/shm")  # nosec B108  # noqa: S108  gunicorn makes an unnamed temporary file in it
    return str(shared) if shared.is_dir() and os.access(shared, os.W_OK) else None

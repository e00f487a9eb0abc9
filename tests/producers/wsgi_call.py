"""A WSGI application called as a server calls it."""

from __future__ import annotations

import wsgiref.util
from typing import Any

from monitoring import get_logger

__all__ = ["Answer", "Environ", "answer", "environ_of"]

Environ = dict[str, Any]


def answer(environ: Environ, start_response: Any) -> list[bytes]:
    """A whole small response."""
    get_logger("shop").info("answering")
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    return [b"hello"]


def environ_of(path: str = "/", **more: Any) -> Environ:
    """What a server would give."""
    environ: Environ = {"PATH_INFO": path, "REMOTE_ADDR": "10.0.0.7", **more}
    wsgiref.util.setup_testing_defaults(environ)
    return environ


class Answer:
    """A call of an application as a server makes it, step by step."""

    def __init__(self, app: Any, environ: Environ | None = None) -> None:
        self.status = ""
        self.headers: dict[str, str] = {}
        self.written: list[bytes] = []
        self.body = app(environ_of() if environ is None else environ, self._start)

    def _start(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        self.status, self.headers = status, dict(headers)
        return self.written.append

    def read(self) -> bytes:
        """Take all of it, and close it as servers do."""
        try:
            return b"".join(self.body)
        finally:
            self.close()

    def close(self) -> None:
        """The end of the response, whether it was read or not."""
        if hasattr(self.body, "close"):
            self.body.close()

"""`GET /explorer`: the API's description to read and try out in a browser; everything is served from here."""

from __future__ import annotations

from pathlib import Path

from flask import Response

from monitoring.api.routes import Answer, Call, Route

__all__ = ["ROUTES", "page", "script", "style"]

_FILES = Path(__file__).with_name("pages")
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; frame-ancestors 'none'; "
    "base-uri 'none'; form-action 'none'"
)
"""No code in the page itself: what an answer holds is shown as text and cannot run."""


def page(call: Call) -> Answer:
    """The API's description, to read and try out."""
    response = _file("explorer.html", "text/html")
    response.headers["Content-Security-Policy"] = _POLICY
    return response


def script(call: Call) -> Answer:
    """The explorer's script."""
    return _file("explorer.js", "text/javascript")


def style(call: Call) -> Answer:
    """The explorer's style sheet."""
    return _file("explorer.css", "text/css")


def _file(name: str, media: str) -> Response:
    return Response((_FILES / name).read_bytes(), mimetype=media)


ROUTES = (
    Route("GET", "/explorer", None, page),
    Route("GET", "/explorer.js", None, script),
    Route("GET", "/explorer.css", None, style),
)

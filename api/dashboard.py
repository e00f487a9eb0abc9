"""The dashboard: the files that `make dashboard` builds from api/dashboard/ into api/static/.

Every page is the same document, which shows what its address says. Files below assets/ have a hash of their
content in their name and may be kept for ever; the document is asked for anew each time. Scripts and styles
come from files of this origin only: text that got into a log line is never run, even where it were shown wrongly.
"""

from __future__ import annotations

import functools
import gzip
import mimetypes
from pathlib import Path

from flask import Response, request, url_for

from monitoring.api.problems import Problem
from monitoring.api.routes import Answer, Call, Route, nothing_at

__all__ = ["FILES", "PAGES", "ROUTES", "STATIC", "alert", "asset", "index", "named"]

STATIC = Path(__file__).parent / "static"
PAGES = ("logs", "explore", "runs", "alerts", "pipeline", "admin")
"""Addresses of the document beside `/`; the document's own router knows the same ones."""
FILES = ("icon.svg", "icon-192.png", "icon-512.png", "manifest.webmanifest")
"""What browsers ask for at fixed addresses."""

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; manifest-src 'self'; worker-src 'self'; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'none'"
)
_FOR_EVER = "public, max-age=31536000, immutable"
_FOR_A_DAY = "public, max-age=86400"
_TYPES = {".js": "text/javascript", ".webmanifest": "application/manifest+json"}
"""Said here, for mimetypes reads the host's tables, which may say otherwise or nothing."""
_COMPRESSED = ("text/", "application/manifest+json", "image/svg+xml")


def index(call: Call) -> Answer:
    """The dashboard."""
    base = url_for(".get_dashboard_index")
    document = _read("index.html").replace(b'"./', b'"' + base.encode())
    response = Response(document, mimetype="text/html")
    response.headers["Content-Security-Policy"] = _POLICY
    response.headers["Cache-Control"] = "no-cache"
    return response


def named(call: Call, name: str) -> Answer:
    """A page of the dashboard by its address, or one of its icons."""
    if name in PAGES:
        return index(call)
    if name in FILES:
        return _file(name, _FOR_A_DAY)
    raise nothing_at(request.path, call.routes)


def alert(call: Call, alert_id: str) -> Answer:
    """The dashboard's page of one alert: where notifications link to."""
    return index(call)


def asset(call: Call, name: str) -> Answer:
    """A script or style of the dashboard; its name changes with its content."""
    if name not in _assets():
        raise nothing_at(request.path, call.routes)
    return _file(f"assets/{name}", _FOR_EVER)


def _file(name: str, cache: str) -> Response:
    kind = _TYPES.get(Path(name).suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    response = Response(mimetype=kind)
    if kind.startswith(_COMPRESSED):
        response.vary.add("Accept-Encoding")
    if kind.startswith(_COMPRESSED) and request.accept_encodings["gzip"] > 0:
        response.headers["Content-Encoding"] = "gzip"
        response.set_data(_packed(name))
    else:
        response.set_data(_read(name))
    response.headers["Cache-Control"] = cache
    return response


def _assets() -> frozenset[str]:
    """The files that there are: nothing else of the disk can be named."""
    return frozenset(path.name for path in (STATIC / "assets").glob("*"))


@functools.lru_cache
def _packed(name: str) -> bytes:
    """Compressed once in a process: all of it is below a megabyte."""
    return gzip.compress(_read(name), mtime=0)


def _read(name: str) -> bytes:
    try:
        return (STATIC / name).read_bytes()
    except FileNotFoundError as error:
        raise Problem(404, "the dashboard is not built", fix="run `make dashboard` in the source tree") from error


ROUTES = (
    Route("GET", "/", None, index, free=True),
    Route("GET", "/<name>", None, named, free=True),
    Route("GET", "/alerts/<alert_id>", None, alert, free=True),
    Route("GET", "/assets/<name>", None, asset),
)

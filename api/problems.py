"""Errors as the caller sees them: RFC 9457 problem documents that name the field and the fix.

Whatever else goes wrong is logged with its traceback and the request's id; the caller is told the id only.
"""

from __future__ import annotations

import logging
import math

import orjson
from flask import Response
from werkzeug.exceptions import ClientDisconnected, HTTPException, MethodNotAllowed

from monitoring.pipeline.errors import (
    BusFull,
    BusRefused,
    BusUnavailable,
    FrameCorrupt,
    IngestRefused,
    QuerySyntaxError,
    RetryableError,
    StoreFull,
    StoreUnreachable,
)
from monitoring.pipeline.query.gate import TooBusy

__all__ = ["MEDIA_TYPE", "TITLES", "Problem", "problem_of", "respond"]

_log = logging.getLogger("monitoring.api")

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = 2.0
"""A drain that was killed is replaced within 15 s, a full bus drains within seconds: ask again soon, not at once."""

TITLES = {
    400: ("bad-request", "The request cannot be understood"),
    401: ("unauthenticated", "A key is needed"),
    403: ("forbidden", "This key may not do that"),
    404: ("not-found", "There is no such thing"),
    405: ("method-not-allowed", "This address takes other methods"),
    409: ("conflict", "Another request is in the way"),
    413: ("too-large", "The body is too large"),
    414: ("too-long", "The address is too long"),
    415: ("unsupported-encoding", "The body's type or encoding is not supported"),
    422: ("unprocessable", "The request contradicts an earlier one"),
    429: ("too-many-requests", "Too many requests"),
    431: ("headers-too-large", "The header is too large"),
    500: ("internal", "The server failed"),
    503: ("unavailable", "The server cannot do this now"),
}


class Problem(Exception):
    """A problem document to be; raise it from anywhere below an endpoint.

    `field` names what is wrong (a parameter, a header, "body"), `fix` says what to send instead, `column`
    counts from 1 within the field, `retry_after` is in seconds.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        field: str = "",
        fix: str = "",
        column: int = 0,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.field = field
        self.fix = fix
        self.column = column
        self.retry_after = retry_after

    def document(self, request_id: str) -> dict[str, object]:
        """The members of the document; those without a value are absent."""
        slug, title = TITLES.get(self.status, ("error", "The request failed"))
        members: dict[str, object] = {
            "type": f"urn:monitoring:problem:{slug}",
            "title": title,
            "status": self.status,
            "detail": self.detail,
            "field": self.field,
            "column": self.column,
            "fix": self.fix,
            "request_id": request_id,
        }
        return {name: value for name, value in members.items() if value not in ("", 0)}


def respond(problem: Problem, request_id: str) -> Response:
    """The response that carries a problem."""
    body = orjson.dumps(problem.document(request_id), option=orjson.OPT_APPEND_NEWLINE)
    response = Response(body, status=problem.status, mimetype=MEDIA_TYPE)
    if problem.status == 401:
        response.headers["WWW-Authenticate"] = 'Bearer realm="monitoring"'
    if problem.retry_after is not None:
        response.headers["Retry-After"] = str(max(1, math.ceil(problem.retry_after)))
    return response


def problem_of(error: Exception, request_id: str) -> Problem:
    """What to tell the caller about an error; one that nobody foresaw is logged and hidden."""
    match error:
        case Problem():
            return error
        case QuerySyntaxError():
            return Problem(400, str(error), field="query", column=error.column, fix=error.hint)
        case FrameCorrupt():
            return Problem(400, str(error), field="body", fix="send the frame again from its source")
        case IngestRefused():
            return Problem(400, str(error), field="body")
        case RetryableError() | BusRefused():
            return _unavailable(error, request_id)
        case ClientDisconnected():
            return Problem(400, "the body ended before its announced length", field="body")
        case MethodNotAllowed():
            return Problem(405, "this address does not take that method", fix=_method_fix(error))
        case HTTPException(code=int(code)):
            return Problem(code, error.description or "", fix=_method_fix(error))
    _log.error("request %s failed", request_id, exc_info=error)
    return Problem(500, "an error was logged under this request id", fix="report it with the server's log")


def _unavailable(error: RetryableError | BusRefused, request_id: str) -> Problem:
    if isinstance(error, BusFull):
        return _later("the bus is full", "wait until the drains have caught up")
    if isinstance(error, StoreFull | BusRefused):
        _log.error("request %s: %s", request_id, error)
        return _unusable(error)
    if isinstance(error, BusUnavailable):
        return _later("the bus does not answer", "try again; /readyz tells more")
    if isinstance(error, TooBusy):
        return _later(str(error), "try again, or ask for less")
    _log.warning("request %s: %s", request_id, error)
    return _later("the server is busy", "try again")


def _unusable(error: StoreFull | BusRefused) -> Problem:
    """What somebody has to see to, and the log tells more of."""
    if isinstance(error, StoreUnreachable):
        return _later("the server of the store does not answer", "try again; the server's log tells why")
    if isinstance(error, StoreFull):
        return _later("the server has no room to keep it", "wait for its drains; its log names the full directory")
    return _later("the bus is not ready for use", "the server's log tells why")


def _later(detail: str, fix: str) -> Problem:
    return Problem(503, detail, fix=fix, retry_after=RETRY_SECONDS)


def _method_fix(error: HTTPException) -> str:
    methods = getattr(error, "valid_methods", None)
    return f"use {', '.join(sorted(methods))}" if methods else ""

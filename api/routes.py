"""What every endpoint goes through: request id, key, role, known parameters, problem documents, headers.

A `Route` says all of an endpoint that is not its work; the list of them in app.py is the API's table of
contents, and tests compare it with the documentation and the role matrix.
"""

from __future__ import annotations

import difflib
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson
from flask import Blueprint, Response, g, request
from werkzeug.exceptions import HTTPException
from werkzeug.routing import RequestRedirect

from monitoring.api.auth import authorize
from monitoring.api.problems import Problem, problem_of, respond
from monitoring.api.runtime import Runtime
from monitoring.pipeline.store.keys import Key

__all__ = ["Answer", "Call", "Route", "answer_error", "json_response", "mount", "secure", "whole_number"]

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_JSON_OPTIONS = orjson.OPT_NON_STR_KEYS | orjson.OPT_APPEND_NEWLINE  # a prompt must not follow what curl prints

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; frame-ancestors 'none'; "
    "base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}

Answer = Response | dict[str, Any] | tuple[dict[str, Any], int]
"""What an endpoint returns: JSON members, those with a status, or a whole response."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request as its endpoint sees it. `params` holds the known query parameters that were given."""

    runtime: Runtime
    caller: Key | None
    params: dict[str, str]
    request_id: str

    @property
    def key(self) -> Key:
        """The key that asks; only for routes with a role."""
        if self.caller is None:
            raise AssertionError("a route without a role has no key")
        return self.caller


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one address. `role` is the least one needed, None: open to all.

    `page`: a document for people, whose query parameters are read by its script and not by the endpoint.
    """

    method: str
    path: str
    role: str | None
    endpoint: Callable[..., Answer]
    params: tuple[str, ...] = ()
    page: bool = False

    @property
    def name(self) -> str:
        """Unique name for Flask."""
        return f"{self.method.lower()}_{self.endpoint.__module__.rpartition('.')[2]}_{self.endpoint.__name__}"


def mount(blueprint: Blueprint, routes: tuple[Route, ...], runtime: Runtime) -> None:
    """Add the routes to a blueprint."""
    for route in routes:
        blueprint.add_url_rule(
            route.path,
            route.name,
            _view(route, runtime),
            methods=[route.method],
            provide_automatic_options=False,
        )


def _view(route: Route, runtime: Runtime) -> Callable[..., Response]:
    def view(**arguments: Any) -> Response:
        try:
            caller = None
            if route.role is not None:
                caller = authorize(runtime.verifier, request.headers.get("Authorization"), route.role)
            call = Call(runtime, caller, {} if route.page else _params(route), request_id())
            return secure(json_response(route.endpoint(call, **arguments)))
        except Exception as error:  # the edge: every error becomes a document or a logged 500
            return answer_error(error)

    return view


def request_id() -> str:
    """Identity of the request: what the caller sent if it is harmless, else a new one."""
    if "request_id" not in g:
        sent = request.headers.get("X-Request-Id", "")
        g.request_id = sent if _REQUEST_ID.fullmatch(sent) else uuid.uuid4().hex
    return str(g.request_id)


def answer_error(error: Exception) -> Response:
    """The problem document for an error; a redirect (`//healthz`) stays one."""
    if isinstance(error, RequestRedirect):
        return secure(Response(status=error.code, headers={"Location": error.new_url}))
    response = respond(problem_of(error, request_id()), request_id())
    if isinstance(error, HTTPException):
        allowed = getattr(error, "valid_methods", None)
        if allowed:
            response.headers["Allow"] = ", ".join(sorted(allowed))
    return secure(response)


def json_response(answer: Answer, status: int = 200) -> Response:
    """The response for what an endpoint returned."""
    if isinstance(answer, Response):
        return answer
    if isinstance(answer, tuple):
        answer, status = answer
    return Response(orjson.dumps(answer, option=_JSON_OPTIONS), status=status, mimetype="application/json")


def secure(response: Response) -> Response:
    """Add the headers that every response carries."""
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers["X-Request-Id"] = request_id()
    return response


def _params(route: Route) -> dict[str, str]:
    """The query parameters. Raises Problem for one that the route does not know, or that is given twice."""
    found: dict[str, str] = {}
    for name, values in request.args.lists():
        if name not in route.params:
            near = difflib.get_close_matches(name, route.params, 1, 0.6)
            known = f"known are {', '.join(route.params)}" if route.params else "this address takes none"
            raise Problem(
                400,
                f"there is no query parameter {name[:60]!r}",
                field=name[:60],
                fix=f"did you mean {near[0]}? ({known})" if near else known,
            )
        if len(values) > 1:
            raise Problem(400, "the parameter is given more than once", field=name, fix="give it once")
        found[name] = values[0]
    return found


def whole_number(text: str | None, *, field: str, default: int, most: int, least: int = 1) -> int:
    """A count from `least` to `most` out of a query parameter. Raises Problem."""
    if text is None:
        return default
    if not text.isascii() or not text.isdecimal() or len(text) > 9 or not least <= int(text) <= most:
        raise Problem(400, "not a usable number", field=field, fix=f"a whole number from {least} to {most}")
    return int(text)

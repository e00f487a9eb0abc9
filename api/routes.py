"""What every endpoint goes through: request id, key, role, known parameters, problem documents, headers.

A `Route` says all of an endpoint that is not its work; the list of them in app.py is the API's table of
contents, and tests compare it with the documentation and the role matrix.
"""

from __future__ import annotations

import difflib
import re
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
from flask import Blueprint, Response, g, request
from werkzeug.exceptions import HTTPException
from werkzeug.routing import RequestRedirect

from monitoring.api.auth import SAFE_METHODS, Caller, Credentials, authenticate, permit, present
from monitoring.api.params import Fields, Form, Param
from monitoring.api.problems import Problem, problem_of, respond
from monitoring.api.runtime import Runtime
from monitoring.api.trail import Trail, note, note_failure
from monitoring.pipeline.errors import MonitoringError
from monitoring.pipeline.store.keys import Key

__all__ = [
    "ASKING",
    "DATA",
    "SECURITY_HEADERS",
    "Answer",
    "Body",
    "Call",
    "Route",
    "answer_error",
    "json_response",
    "mount",
    "nothing_at",
    "refused",
    "secure",
    "usable_request_id",
]

_PREFIX = re.compile(r"[0-9a-f]{1,32}")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_LOOK_CHARS = 100
"""Of an address that does not exist: comparing costs its square."""
_JSON_OPTIONS = orjson.OPT_NON_STR_KEYS | orjson.OPT_APPEND_NEWLINE  # a prompt must not follow what curl prints

SECURITY_HEADERS = {
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


DATA = "data"
"""`Route.audit` of what writes events, metrics or frames: those are the data, not a change of the instance."""
ASKING = "asking"
"""`Route.audit` of what only asks and takes its question as a body."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request as its endpoint sees it. `params` holds the known query parameters that were given.

    `base` is the path of the start page, `/` or the prefix of a blueprint; `address` is the client's; `routes` are all
    there are.
    """

    runtime: Runtime
    caller: Caller | None
    params: dict[str, str]
    request_id: str
    credentials: Credentials
    base: str = "/"
    trail: Trail = field(default_factory=Trail)
    routes: tuple[Route, ...] = ()

    @property
    def key(self) -> Key:
        """The key that asks; only for routes with a role."""
        if self.caller is None:
            raise AssertionError("a route without a role has no key")
        return self.caller.key

    @property
    def actor(self) -> str:
        """Who asks, as the audit log names them."""
        return self.caller.label if self.caller else "nobody"

    @property
    def address(self) -> str:
        """Where the request comes from."""
        return self.credentials.address

    def changed(self, what: str = "", *, before: Any = None, after: Any = None) -> None:
        """What the audit log says of this change where address and answer do not say it; never a secret."""
        self.trail.object = what or self.trail.object
        self.trail.before = before if before is not None else self.trail.before
        self.trail.after = after if after is not None else self.trail.after

    def unchanged(self) -> None:
        """This request changes nothing, though others of its address do."""
        self.trail.nothing = True

    def still_allowed(self, needed: str) -> bool:
        """Whether who asked still may: a key may be revoked while its answer is streamed."""
        if self.caller is None or self.caller.via not in ("key", "session"):
            return True
        try:
            permit(_caller(self.runtime, self.credentials), self.credentials, needed)
        except Problem:
            return False
        return True


Body = Fields | Form | tuple[str, ...]
"""What a request carries: the members of a JSON object, a form, or media types of what is data."""


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one address. `role` is the least one needed, None: open to all.

    `free`: the endpoint reads its parameters itself, and passes over those that it does not know.
    `audit` is the action that the audit log calls a change by, like `key.create`, or `DATA` or `ASKING`; every route
    that changes something has one. `before` is the endpoint that tells the state before the change; without it, that of
    the GET of the same address, if there is one. `params` are names, or declarations that
    are names: see params.py.
    """

    method: str
    path: str
    role: str | None
    endpoint: Callable[..., Answer]
    params: tuple[str, ...] = ()
    free: bool = False
    audit: str = ""
    body: Body | None = None
    before: Callable[..., Answer] | None = None

    @property
    def name(self) -> str:
        """Unique name for Flask."""
        return f"{self.method.lower()}_{self.endpoint.__module__.rpartition('.')[2]}_{self.endpoint.__name__}"

    @property
    def action(self) -> str:
        """What the audit log calls it: "" for what is not written down."""
        if self.audit or self.method in SAFE_METHODS or self.role == "ingest":
            return "" if self.audit in (DATA, ASKING) else self.audit
        return f"{self.method} {self.path}"


def mount(blueprint: Blueprint, routes: tuple[Route, ...], runtime: Runtime) -> None:
    """Add the routes to a blueprint."""
    readers = {route.path: route.endpoint for route in routes if route.method == "GET"}
    for route in routes:
        blueprint.add_url_rule(
            route.path,
            route.name,
            _view(route, routes, runtime, route.before or readers.get(route.path)),
            methods=[route.method],
            provide_automatic_options=False,
        )
    if runtime.origins:
        _mount_preflights(blueprint, routes, runtime)


def _mount_preflights(blueprint: Blueprint, routes: tuple[Route, ...], runtime: Runtime) -> None:
    """Answer browsers that ask whether a page of another site may send a request."""
    methods: dict[str, list[str]] = {}
    for route in routes:
        methods.setdefault(route.path, []).append(route.method)
    for number, (path, names) in enumerate(methods.items()):

        def preflight(allowed: str = ", ".join(names), **arguments: Any) -> Response:
            return secure(runtime.origins.answer(allowed))

        blueprint.add_url_rule(
            path, f"preflight_{number}", preflight, methods=["OPTIONS"], provide_automatic_options=False
        )


def _view(
    route: Route, routes: tuple[Route, ...], runtime: Runtime, reader: Callable[..., Answer] | None
) -> Callable[..., Response]:
    def view(**arguments: Any) -> Response:
        response = answer(arguments)
        if route.role is not None:  # probes and pages must not depend on the bus
            runtime.tally.add(f"requests|{route.method}|{route.path}|{response.status_code}")
        return runtime.origins.allow(response)

    def answer(arguments: dict[str, Any]) -> Response:
        try:
            credentials = present(request, runtime.proxies)
            caller = _admitted(route, runtime, credentials)
            call = Call(runtime, caller, _params(route), request_id(), credentials, _base(route), routes=routes)
            if not route.action:
                return secure(json_response(route.endpoint(call, **arguments)))
            return secure(_audited(route, call, reader, arguments))
        except Exception as error:  # the edge: every error becomes a document or a logged 500
            return answer_error(error)

    return view


def _base(route: Route) -> str:
    rule = request.url_rule.rule if request.url_rule is not None else route.path
    return f"{request.root_path.rstrip('/')}{rule.removesuffix(route.path)}/"


def _admitted(route: Route, runtime: Runtime, credentials: Credentials) -> Caller | None:
    """Who asks, if they may and not too often; None for a route that is open to all. Raises Problem."""
    if route.role is None:
        return None
    runtime.limits.count("address", credentials.address)
    what = f"{request.method} {request.path}"
    caller = None
    try:
        caller = _caller(runtime, credentials)
        permit(caller, credentials, route.role)
    except Problem as problem:
        if problem.status == 403:
            refused(runtime, "auth.denied", caller.label if caller else credentials.user, credentials, what)
        elif credentials.any:
            refused(runtime, "auth.failed", _claimed(credentials), credentials, what)
            runtime.limits.count("failed", credentials.address)
        raise
    runtime.limits.count("key", caller.key.id)
    return caller


def refused(runtime: Runtime, action: str, actor: str, credentials: Credentials, what: str) -> None:
    """Write down that somebody was refused."""
    note_failure(
        runtime, action, actor=actor, address=credentials.address, what=what, request_id=request_id()
    )  # fmt: skip


def _caller(runtime: Runtime, credentials: Credentials) -> Caller:
    return authenticate(
        credentials,
        keys=runtime.verifier,
        sessions=runtime.session_verifier,
        proxies=runtime.proxies,
        hook=runtime.authorize,
    )


def _claimed(credentials: Credentials) -> str:
    """Whom a failed attempt claims to be, as far as that is no secret: the prefix of a key."""
    parts = credentials.bearer.split("_")
    if len(parts) == 3 and _PREFIX.fullmatch(parts[1]):
        return f"key:?/{parts[1]}"
    return "key:?" if credentials.authorization else "session:?"


def _audited(route: Route, call: Call, reader: Callable[..., Answer] | None, arguments: dict[str, Any]) -> Response:
    """The answer to a change, which the audit log knows of before anybody else does."""
    trail = call.trail
    trail.actor = call.actor
    trail.object = "/".join(map(str, arguments.values()))
    # without arguments the GET is of a collection, and lists all there are
    if reader is not None and arguments and route.method not in SAFE_METHODS:
        trail.before = _state(reader, call, arguments)
    answer = route.endpoint(call, **arguments)
    response = json_response(answer)
    if response.status_code < 400 and not trail.nothing:
        if trail.after is None and route.method != "DELETE":
            trail.after = _members(answer)
        note(call.runtime, route.action, trail, address=call.address, request_id=call.request_id)
    return response


def _state(reader: Callable[..., Answer], call: Call, arguments: dict[str, Any]) -> Any:
    """What is there before a change; None where there is nothing yet, or too much to say."""
    try:
        answer = reader(replace(call, params={}, trail=Trail()), **arguments)
    except (Problem, MonitoringError):
        return None
    return _members(answer)


def _members(answer: Answer) -> Any:
    if isinstance(answer, tuple):
        answer = answer[0]
    return None if isinstance(answer, Response) else answer


def request_id() -> str:
    """Identity of the request: what the caller sent if it is harmless, else a new one."""
    if "request_id" not in g:
        sent = request.headers.get("X-Request-Id", "")
        g.request_id = sent if usable_request_id(sent) else uuid.uuid4().hex
    return str(g.request_id)


def usable_request_id(sent: str) -> bool:
    """Whether a caller's id may be taken over into answers and logs."""
    return _REQUEST_ID.fullmatch(sent) is not None


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


def nothing_at(path: str, routes: Sequence[Route]) -> Problem:
    """There is nothing at this address; the nearest that there is."""
    asked = path[:_LOOK_CHARS].rstrip("/")
    known = sorted({route.path for route in routes if not route.path.startswith("/<")})
    # behind another prefix, as /api/logs or /api/v1/traces, else misspelt
    near = [each for each in known if each.endswith(f"/{asked.rpartition('/')[2]}")]
    near = near or difflib.get_close_matches(asked, known, 1, 0.7)
    hint = f"did you mean {near[0]}? " if near else ""
    return Problem(404, f"there is nothing at {asked}", fix=f"{hint}GET /openapi.json lists all addresses")


def json_response(answer: Answer, status: int = 200) -> Response:
    """The response for what an endpoint returned."""
    if isinstance(answer, Response):
        return answer
    if isinstance(answer, tuple):
        answer, status = answer
    return Response(orjson.dumps(answer, option=_JSON_OPTIONS), status=status, mimetype="application/json")


def secure(response: Response) -> Response:
    """Add the headers that every response carries."""
    for name, value in SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers["X-Request-Id"] = request_id()
    return response


def _params(route: Route) -> dict[str, str]:
    """The query parameters. Raises Problem for one that the route does not know, or that is given twice."""
    found: dict[str, str] = {}
    if route.free:
        return found
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
        declared = route.params[route.params.index(name)]
        if values[0] and isinstance(declared, Param):
            declared.parse(values[0])
        found[name] = values[0]
    return found

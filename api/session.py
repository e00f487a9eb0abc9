"""Browser sessions: `GET /login` with a one-time link, and `/api/v1/session`.

The cookie is out of reach of scripts and of other sites (HttpOnly, SameSite=Strict) and travels by https only where
the browser came by it. A login always begins a new session and ends the one that the browser had.
"""

from __future__ import annotations

from typing import Any

from flask import Response, request

from monitoring.api.auth import COOKIE, refuse_foreign
from monitoring.api.params import Fields, Text
from monitoring.api.problems import Problem
from monitoring.api.routes import Answer, Call, json_response, refused
from monitoring.pipeline.clock import rfc3339
from monitoring.pipeline.store.keys import Key, allows
from monitoring.pipeline.store.sessions import Session, csrf_token

__all__ = ["begin", "end", "login", "show"]

TOKEN = Text("token", "of the link", longest=256)
BEGIN = Fields(Text("key", "an API key that may read, mon_…", required=True, longest=256))

_EXPIRED = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>monitoring</title></head>
<body><main>
<h1>This link is no longer good</h1>
<p>A link logs in once, within ten minutes. <code>monitoring login</code> prints another one.</p>
</main></body>
</html>
"""


def login(call: Call) -> Answer:
    """Log a browser in with the one-time link that `monitoring up` or `monitoring login` has printed."""
    token = call.params.get("token", "")
    if request.method == "HEAD" or not token:  # a HEAD is a preview of a chat program and must not use the link up
        call.unchanged()
        return _to(call.base)
    found = call.runtime.sessions.redeem(token)
    if found is None:
        _count_failure(call, "session:?")
        return Response(_EXPIRED, status=401, mimetype="text/html")
    return _keep(call, _to(call.base), *found)


def begin(call: Call) -> Answer:
    """Log a browser in with an API key; what a session may do is what its key may, for as long as that is good."""
    refuse_foreign(call.credentials)
    key = call.runtime.verifier.verify(BEGIN.read()["key"])
    if key is None:
        _count_failure(call, "key:?")
        raise Problem(401, "the key is unknown, expired or revoked", field="key", fix="check it, or ask for another")
    if not allows(key.role, "viewer"):
        raise Problem(403, "a key with the role ingest can only write", field="key", fix="use one that may read")
    session, cookie = call.runtime.sessions.begin(key.name, key.role, key.id)
    return _keep(call, json_response(_shown(key, cookie, session.expires), 201), session, cookie)


def show(call: Call) -> Answer:
    """Who is logged in, what they may, and the token that a session's changes need."""
    cookie = call.credentials.cookie if call.caller is not None and call.caller.via == "session" else ""
    return _shown(call.key, cookie, call.key.expires)


def end(call: Call) -> Answer:
    """Log out: the session ends, here at once and in other processes of the server within 5 s."""
    cookie = call.credentials.cookie
    _end(call, cookie)
    response = Response(status=204)
    response.delete_cookie(COOKIE, path=call.base, httponly=True, samesite="Strict", secure=_secure(call))
    response.headers["Clear-Site-Data"] = '"cache"'
    return response


def _keep(call: Call, response: Response, session: Session, cookie: str) -> Response:
    """Give the browser its new session, and end the one it had."""
    _end(call, call.credentials.cookie)
    response.set_cookie(
        COOKIE,
        cookie,
        max_age=(session.expires - session.created) // 10**9,
        path=call.base,
        httponly=True,
        samesite="Strict",
        secure=_secure(call),
    )
    key = call.runtime.key_of(session)
    call.trail.actor = f"session:{session.name}" + (f"/{key.prefix}" if key else "")
    call.changed(session.id, after={"role": session.role})
    return response


def _end(call: Call, cookie: str) -> None:
    ended = call.runtime.sessions.end(cookie) if cookie else None
    call.runtime.session_verifier.forget(cookie)
    if ended is not None:
        call.changed(ended.id, before={"role": ended.role})


def _shown(key: Key, cookie: str, expires: int | None) -> dict[str, Any]:
    return {
        "name": key.name,
        "role": key.role,
        "csrf": csrf_token(cookie) if cookie else "",
        "expires": None if expires is None else rfc3339(expires),
    }


def _to(base: str) -> Response:
    return Response(status=303, headers={"Location": base})


def _secure(call: Call) -> bool:
    return call.runtime.proxies.secure(request)


def _count_failure(call: Call, actor: str) -> None:
    refused(call.runtime, "auth.failed", actor, call.credentials, f"{request.method} {request.path}")
    call.runtime.limits.count("failed", call.address)

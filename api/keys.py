"""`/api/v1/keys`: make, list and revoke API keys."""

from __future__ import annotations

from typing import Any

import orjson
from flask import request

from monitoring.api.body import read_body
from monitoring.api.problems import Problem
from monitoring.api.routes import Answer, Call
from monitoring.pipeline.errors import PermanentError
from monitoring.pipeline.store.keys import ROLES

__all__ = ["create", "json_object", "listing", "revoke"]

MAX_BYTES = 1 << 16
_MEMBERS = ("name", "role", "expires_seconds", "quota")
LONGEST_SECONDS = 100 * 365 * 86_400


def listing(call: Call) -> Answer:
    """All keys without their secrets, revoked ones included."""
    now = call.runtime.now_ns()
    return {"keys": [key.describe(now) for key in call.runtime.keys.all()]}


def create(call: Call) -> Answer:
    """A new key; the only time its text is told."""
    body = json_object(_MEMBERS)
    name, role, seconds = body.get("name"), body.get("role"), body.get("expires_seconds")
    if not isinstance(name, str):
        raise Problem(400, "a name is needed", field="name", fix="say which service or person will use the key")
    if role not in ROLES:
        raise Problem(400, "not a role", field="role", fix=f"one of {', '.join(ROLES)}")
    if seconds is not None and not (type(seconds) in (int, float) and 0 < seconds <= LONGEST_SECONDS):
        raise Problem(400, "not a duration", field="expires_seconds", fix="seconds from now, or leave it out")
    quota = body.get("quota")
    if quota is not None and type(quota) is not int:
        raise Problem(400, "not a whole number", field="quota", fix="events a minute, or leave it out")
    now = call.runtime.now_ns()
    expires = None if seconds is None else now + int(seconds * 1e9)
    try:
        key, text = call.runtime.keys.create(name, role, expires=expires, quota=quota)
    except PermanentError as error:
        raise Problem(400, str(error), field=str(error).partition(":")[0]) from error
    call.changed(key.prefix, after=key.describe(now))
    return {"key": text, **key.describe(now)}, 201


def revoke(call: Call, identity: str) -> Answer:
    """Revoke a key by id or prefix; effective everywhere within 5 s."""
    now = call.runtime.now_ns()
    known = call.runtime.keys.get(identity)
    key = call.runtime.keys.revoke(identity)
    if key is None or known is None:
        raise Problem(404, "there is no such key", field="id", fix="GET /api/v1/keys lists them")
    call.changed(key.prefix, before=known.describe(now), after=key.describe(now))
    return key.describe(now)


def json_object(members: tuple[str, ...], *, required: bool = True) -> dict[str, Any]:
    """The body as a JSON object with none but these members; {} for no body where it is not `required`."""
    body = read_body(request.stream, content_encoding="", content_length=request.content_length, limit=MAX_BYTES)
    if not body and not required:
        return {}
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Problem(400, f"not JSON: {error}", field="body", fix="send one JSON object") from error
    if not isinstance(found, dict):
        raise Problem(400, "not a JSON object", field="body", fix="send one JSON object")
    for name in found:
        if name not in members:
            raise Problem(400, f"there is no member {name[:60]!r}", field=name[:60], fix=f"known: {', '.join(members)}")
    return found

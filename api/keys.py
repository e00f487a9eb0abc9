"""`/api/v1/keys`: make, list and revoke API keys."""

from __future__ import annotations

from monitoring.api.params import Fields, Number, OneOf, Text, Whole
from monitoring.api.problems import Problem
from monitoring.api.routes import Answer, Call, Route
from monitoring.pipeline.errors import PermanentError
from monitoring.pipeline.store.keys import ROLES

__all__ = ["ROUTES", "create", "listing", "revoke"]

LONGEST_SECONDS = 100 * 365 * 86_400
CREATE = Fields(
    Text("name", "which service or person will use the key", required=True, longest=100),
    OneOf("role", "what it may", choices=ROLES, required=True),
    Number("expires_seconds", "from now; absent: never", most=LONGEST_SECONDS),
    Whole("quota", "events a minute that it may bring; absent: any number", most=1 << 40),
)


def listing(call: Call) -> Answer:
    """All keys without their secrets, revoked ones included."""
    now = call.runtime.now_ns()
    return {"keys": [key.describe(now) for key in call.runtime.keys.all()]}


def create(call: Call) -> Answer:
    """A new key; the only time its text is told."""
    body = CREATE.read()
    name, role, seconds, quota = (body[str(member)] for member in CREATE)
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


ROUTES = (
    Route("GET", "/api/v1/keys", "admin", listing),
    Route("POST", "/api/v1/keys", "admin", create, audit="key.create", body=CREATE),
    Route("DELETE", "/api/v1/keys/<identity>", "admin", revoke, audit="key.revoke"),
)

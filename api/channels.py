"""`/api/v1/channels`: where notifications go. Secrets come in and never go out."""

from __future__ import annotations

from typing import Any

from monitoring.api.params import Fields, Flag, Json, OneOf, Text
from monitoring.api.problems import Problem
from monitoring.api.routes import Answer, Call, Route
from monitoring.pipeline import jobs
from monitoring.pipeline.addresses import public_url
from monitoring.pipeline.channel_test import outcome, put_test
from monitoring.pipeline.errors import PermanentError
from monitoring.pipeline.store.channel_kinds import KINDS
from monitoring.pipeline.store.channels import Channel, Channels, ReadOnly
from monitoring.pipeline.store.outbox import Outbox

__all__ = ["ROUTES", "create", "listing", "one", "remove", "save", "test"]

TEST_SECONDS = 20.0
"""How long a test waits for the far end: a delivery ends within fifteen."""
KIND = OneOf("kind", "what is at the far end", choices=tuple(KINDS))
_REST = (
    Json("config", 'of its kind, like {"url": "https://…"}', like={"type": "object"}),
    Flag("default", "whether rules without channels go there"),
    Flag("enabled", "whether anything is sent"),
)
CREATE = Fields(
    Text("name", "like ops-mail; rules refer to it", required=True, longest=256),
    OneOf("kind", KIND.help, choices=KIND.choices, required=True),
    *_REST,
)
SAVE = Fields(KIND, *_REST)


def listing(call: Call) -> Answer:
    """All channels, those of the environment included, without their secrets."""
    return {"channels": [channel.describe() for channel in _channels(call).all()]}


def one(call: Call, name: str) -> Answer:
    """One channel, without its secrets."""
    return _found(_channels(call).get(name)).describe()


def create(call: Call) -> Answer:
    """A new channel."""
    body = CREATE.given()
    name = body.pop("name")
    if _channels(call).get(name) is not None:
        raise Problem(
            409, f"there is a channel {name} already", field="name", fix="change it with PUT, or name another"
        )
    return _save(call, name, body, None), 201


def save(call: Call, name: str) -> Answer:
    """Change a channel, or make it; members that are left out stay as they were."""
    return _save(call, name, SAVE.given(), _channels(call).get(name))


def remove(call: Call, name: str) -> Answer:
    """Forget a channel; what waits for it is dropped."""
    try:
        return _found(_channels(call).remove(name)).describe()
    except ReadOnly as error:
        raise Problem(409, str(error), field="name") from error


def test(call: Call, name: str) -> Answer:
    """Send a test message now, once, and tell what the far end said."""
    runtime = call.runtime
    _found(_channels(call).get(name))
    key = put_test(runtime.control, name, public_url(runtime.settings), runtime.now_ns())
    jobs.enqueue(runtime.queue, jobs.NOTIFY)
    found = outcome(Outbox(runtime.control, now_ns=runtime.now_ns), key, TEST_SECONDS)
    return found, 200 if found["delivered"] is not None else 202


def _channels(call: Call) -> Channels:
    return Channels(call.runtime.control, call.runtime.settings, now_ns=call.runtime.now_ns)


def _found(channel: Channel | None) -> Channel:
    if channel is None:
        raise Problem(404, "there is no such channel", field="name", fix="GET /api/v1/channels lists them")
    return channel


def _save(call: Call, name: str, body: dict[str, Any], before: Channel | None) -> dict[str, Any]:
    if not isinstance(body.get("config", {}), dict):
        raise Problem(400, "not an object", field="config", fix='like {"url": "https://…"}')
    wanted = {**(before.restate() if before is not None else {"config": {}}), **body}
    if "kind" not in wanted:
        raise Problem(400, "a kind is needed", field="kind", fix=f"one of {', '.join(KIND.choices)}")
    try:
        return _channels(call).save(name, **wanted).describe()
    except ReadOnly as error:
        raise Problem(409, str(error), field="name") from error
    except PermanentError as error:
        raise Problem(400, str(error), field=str(error).partition(":")[0][:60]) from error


ROUTES = (
    Route("GET", "/api/v1/channels", "viewer", listing),
    Route("POST", "/api/v1/channels", "admin", create, audit="channel.create", body=CREATE),
    Route("GET", "/api/v1/channels/<name>", "viewer", one),
    Route("PUT", "/api/v1/channels/<name>", "admin", save, audit="channel.save", body=SAVE),
    Route("DELETE", "/api/v1/channels/<name>", "admin", remove, audit="channel.remove"),
    Route("POST", "/api/v1/channels/<name>/test", "admin", test, audit="channel.test"),
)

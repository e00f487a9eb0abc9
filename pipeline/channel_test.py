"""A test message through a channel: put into the outbox like any other, tried once, and what came of it."""

from __future__ import annotations

import secrets
import time
from typing import Any

import orjson

from monitoring.pipeline.clock import rfc3339
from monitoring.pipeline.store.control import Control
from monitoring.pipeline.store.outbox import Notice, Outbox, put

__all__ = ["outcome", "put_test", "test_notice"]

_POLL_SECONDS = 0.05


def test_notice(channel: str, public_url: str, now_ns: int) -> Notice:
    """A notice that says that it is a test, with a key of its own."""
    identity = f"test-{secrets.token_hex(6)}"
    body = {
        "id": identity,
        "rule": "channel test",
        "severity": "info",
        "annotations": {
            "summary": "A test message of monitoring",
            "description": f"Somebody wanted to see whether the channel {channel} works. It does.",
        },
        "started_at": rfc3339(now_ns),
        "links": {"alert": f"{public_url}/alerts"},
    }
    return Notice(f"{identity}:1:{channel}", channel, "test", "", orjson.dumps(body), now_ns)


def put_test(control: Control, channel: str, public_url: str, now_ns: int) -> str:
    """Put a test notice into the outbox; its key."""
    notice = test_notice(channel, public_url, now_ns)
    with control.transaction() as connection:
        put(connection, [notice], now_ns)
    return notice.key


def outcome(outbox: Outbox, key: str, timeout_seconds: float) -> dict[str, Any]:
    """What came of it, as JSON members; `delivered` is None where nothing has by then."""
    ends = time.monotonic() + timeout_seconds
    while True:
        found = outbox.find(key)
        if found is None or found.ended is not None or time.monotonic() > ends:
            break
        time.sleep(_POLL_SECONDS)
    if found is None or found.ended is None:
        return {"key": key, "delivered": None, "said": "no worker has taken it yet"}
    said = found.reply or found.error
    return {"key": key, "delivered": found.state == "sent", "said": said}

"""The generic webhook: one JSON document, signed.

    POST <url>
    Content-Type: application/json
    Idempotency-Key: <id of the message, the same in every try>
    X-Monitoring-Timestamp: <seconds since 1970, of this try>
    X-Monitoring-Signature: v1=<hex HMAC-SHA256 of "<timestamp>.<body>" under the channel's secret>

    {"id", "event", "title", "severity", "link", "notices": [{"key", "event", "alert": {…}}]}

A receiver that answers 2xx has taken it. The timestamp is under the signature, so an old message cannot be replayed to
a receiver that looks at it.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import orjson

from monitoring.consumers.channels.http import deliver
from monitoring.consumers.channels.sending import Sending

__all__ = ["document", "send", "sign"]


def send(sending: Sending) -> str:
    """POST a message. Raises Refused or TryLater."""
    body = orjson.dumps(document(sending))
    timestamp = str(sending.now_ns // 1_000_000_000)
    headers = {
        **{str(name): str(value) for name, value in (sending.value("headers") or {}).items()},
        "Content-Type": "application/json",
        "Idempotency-Key": sending.message.id,
        "X-Monitoring-Timestamp": timestamp,
    }
    secret = sending.value("secret")
    if secret:
        headers["X-Monitoring-Signature"] = sign(str(secret), timestamp, body)
    return deliver(str(sending.value("url")), body, headers, allow_private=sending.allow_private)


def sign(secret: str, timestamp: str, body: bytes) -> str:
    """The value of the signature's header."""
    return "v1=" + hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def document(sending: Sending) -> dict[str, Any]:
    """What is sent: every notice with its alert as the API shows it."""
    content = sending.content
    return {
        "id": sending.message.id,
        "event": content.event,
        "title": content.title,
        "severity": content.severity,
        "link": content.link,
        "notices": [
            {"key": notice.key, "event": notice.event, "alert": _alert(notice.body)}
            for notice in sending.message.notices
        ],
    }


def _alert(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None

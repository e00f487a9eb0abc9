"""What stands between an ASGI server and the application for one websocket: it counts, and changes nothing."""

from __future__ import annotations

from typing import Any

from monitoring.producers.asgi_exchange import Connection, Message, Receive, Send
from monitoring.producers.asgi_route import Scope
from monitoring.producers.reported import mark
from monitoring.producers.request_policy import Policy

__all__ = ["Socket"]

_SWITCHED = 101
_REFUSED = 403
"""What a server answers to a websocket that is closed before it was accepted."""


class Socket(Connection):
    """One websocket. Its record is made at the end, and no metric: hours among milliseconds would say nothing.

    The record has `close_code` (who closed first), `received` and `sent` (messages) beside a request's attributes.
    """

    __slots__ = ("close_code", "received", "sent_messages")
    TIMED = False

    def __init__(self, policy: Policy, scope: Scope, receive: Receive, send: Send) -> None:
        """It begins now."""
        super().__init__(policy, scope, receive, send)
        self.received = 0
        self.sent_messages = 0
        self.close_code: int | None = None
        self.receiving = self._receive_counted

    async def _receive_counted(self) -> Message:
        message = await self._receive()
        kind = message["type"]
        if kind == "websocket.receive":
            self.received += 1
            self.request_bytes += _size(message)
        elif kind == "websocket.disconnect" and self.close_code is None:
            self.close_code = message.get("code", 1005)  # the ASGI standard's default: no code was sent
        return message

    async def sending(self, message: Message) -> None:
        """The server's `send`, counted."""
        kind = message["type"]
        await self._pass(message)
        if kind == "websocket.send":
            self.sent_messages += 1
            self.sent += _size(message)
        elif kind == "websocket.accept":
            self.status = _SWITCHED
        elif kind == "websocket.close" and self.close_code is None:
            self.close_code = message.get("code", 1000)
            self.status = self.status or _REFUSED
        elif kind == "websocket.http.response.start":
            self.status = message.get("status", _REFUSED)

    def fail(self, error: BaseException) -> None:
        """See Connection."""
        if self._is_fault(error):
            self.report(error)
        else:
            mark(error)
        self.returned()

    def returned(self) -> None:
        """See Connection."""
        self.end(self.status, self.sent, aborted=self.close_code is None and self.error is None)

    def facts(self, status: int, route: str, response_bytes: int) -> tuple[str, dict[str, Any]]:
        """See Request."""
        _, fields = super().facts(status, route, response_bytes)
        fields |= {"received": self.received, "sent": self.sent_messages}
        if self.close_code is not None:
            fields["close_code"] = self.close_code
        ending = status if self.close_code is None else self.close_code
        return f"{self.method} {route} {ending}", fields


def _size(message: Message) -> int:
    data = message.get("bytes")
    text = message.get("text")
    return len(data) if data is not None else len(text.encode()) if text is not None else 0

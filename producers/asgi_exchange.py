"""What stands between an ASGI server and the application for one HTTP request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from monitoring.producers.asgi_route import Scope, path_of, route_of
from monitoring.producers.client import active
from monitoring.producers.logger import ERROR
from monitoring.producers.reported import mark
from monitoring.producers.request import ABORTED, LOGGER, Request
from monitoring.producers.request_body import BodyCopy, is_text
from monitoring.producers.request_policy import Policy
from monitoring.producers.work import bug

__all__ = ["Connection", "Exchange", "Message", "Receive", "Send"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_WANTED = frozenset({b"x-request-id", b"traceparent", b"tracestate", b"user-agent", b"content-length", b"content-type"})
_WATCHED = frozenset({b"x-request-id", b"traceparent", b"content-type", b"content-encoding"})
_WITHOUT_BODY = frozenset({"GET", "HEAD", "OPTIONS"})
_UNREAD = frozenset({"http.response.pathsend", "http.response.zerocopysend"})
"""Extensions by which the server sends a file of which we see no bytes."""
_LEFT = frozenset({"ClientDisconnect", "ClientDisconnected", "WebSocketDisconnect"})
"""Names of what Starlette and servers raise in an application that waits for a client that has left."""


class Connection(Request):
    """A request or websocket by its scope. `sending` and `receiving` are what the application gets."""

    __slots__ = ("_broken", "_receive", "_root_path", "_send", "found", "receiving", "scope", "sent", "status")

    def __init__(self, policy: Policy, scope: Scope, receive: Receive, send: Send) -> None:
        """It begins now."""
        found: dict[bytes, str] = {}
        for name, value in scope.get("headers", ()):
            if name in _WANTED:
                found[name] = value.decode("latin-1")
        super().__init__(
            policy,
            scope.get("method", "WEBSOCKET"),
            path_of(scope),
            found.get(b"x-request-id", ""),
            found.get(b"traceparent", ""),
            found.get(b"tracestate", ""),
        )
        self.scope = scope
        self.found = found
        self.status = 0
        self.sent = 0
        self._root_path: str = scope.get("root_path", "")
        self._broken = False
        self._receive, self._send = receive, send
        self.receiving: Receive = receive

    def peer(self) -> tuple[str, str]:
        """See Request."""
        client = self.scope.get("client")
        return client[0] if client else "", self.found.get(b"user-agent", "")

    def query(self) -> str:
        """See Request."""
        query: bytes = self.scope.get("query_string", b"")
        return query.decode("latin-1")

    async def sending(self, message: Message) -> None:
        """The server's `send`, watched."""
        raise NotImplementedError

    async def _pass(self, message: Message) -> None:
        try:
            await self._send(message)
        except BaseException:
            self._broken = True  # the client has left, or the server is ending: no fault of the application's
            raise

    def route(self) -> str:
        """See Request."""
        return route_of(self.scope, self._root_path, self.status)

    def fail(self, error: BaseException) -> None:
        """The application raised, or was cancelled."""
        raise NotImplementedError

    def returned(self) -> None:
        """The application has returned."""
        raise NotImplementedError

    def _is_fault(self, error: BaseException) -> bool:
        """Whether it is the application's: not its cancellation, and not that the client has left."""
        return isinstance(error, Exception) and not self._broken and type(error).__name__ not in _LEFT


class Exchange(Connection):
    """One HTTP request and its response."""

    __slots__ = ("_whole",)

    def __init__(self, policy: Policy, scope: Scope, receive: Receive, send: Send) -> None:
        """It begins now."""
        super().__init__(policy, scope, receive, send)
        self._whole = False
        length = self.found.get(b"content-length", "")
        if length.isdecimal():
            self.request_bytes = int(length)
        if policy.capture_bodies and is_text(content_type := self.found.get(b"content-type", "")):
            self.request_body = BodyCopy(content_type, policy.body_bytes)
        if self.request_body is not None or (not length and self.method not in _WITHOUT_BODY):
            self.receiving = self._receive_counted

    async def _receive_counted(self) -> Message:
        message = await self._receive()
        body = message.get("body")
        if body:
            if b"content-length" not in self.found:
                self.request_bytes += len(body)
            if self.request_body is not None:
                self.request_body.add(body)
        return message

    async def sending(self, message: Message) -> None:
        """The server's `send`, with our headers; the last part of the body ends the request."""
        kind = message["type"]
        last = False
        try:
            if kind == "http.response.body":
                last = self._count(message)
            elif kind == "http.response.start":
                message = self._answered(message)
            elif kind in _UNREAD:
                last = not message.get("more_body", False)
        except Exception as error:
            bug("a response could not be looked at", error)
        await self._pass(message)
        if last:
            self._whole = True
            self.stop_clock()
            if self.status < 500:  # else an exception may follow: Starlette lets it through once it has answered
                self._finish()

    def _answered(self, message: Message) -> Message:
        self.status = message["status"]
        found: dict[bytes, bytes] = {}
        headers = list(message.get("headers", ()))
        for name, value in headers:
            lower = name.lower()
            if lower in _WATCHED:
                found[lower] = value
        policy = self.policy
        if policy.capture_bodies and b"content-encoding" not in found:
            content_type = found.get(b"content-type", b"").decode("latin-1")
            if is_text(content_type):
                self.response_body = BodyCopy(content_type, policy.body_bytes)
        request_id, traceparent = self.answer()
        if b"x-request-id" not in found:
            headers.append((b"x-request-id", request_id.encode()))
        if b"traceparent" not in found:
            headers.append((b"traceparent", traceparent.encode()))
        return {**message, "headers": headers}

    def _count(self, message: Message) -> bool:
        body = message.get("body", b"")
        self.sent += len(body)
        if self.response_body is not None:
            self.response_body.add(body)
        return not message.get("more_body", False)

    def returned(self) -> None:
        """See Connection."""
        self._finish()

    def _finish(self) -> None:
        if not self.ended:
            self.end(self.status, self.sent, aborted=not self._whole)

    def fail(self, error: BaseException) -> None:
        """See Connection. After the response it was a background task: that is an event of its own."""
        if self._is_fault(error):
            self.report(error)
            if self.ended:
                self._fail_afterwards(error)
            self._whole = True
        elif type(error).__name__ in _LEFT:
            mark(error)
            self.status, self._whole = ABORTED, False  # whatever was answered, nobody got it
        self._finish()

    def _fail_afterwards(self, error: BaseException) -> None:
        route = self.route()
        client = active()
        if client is not None:
            fields: dict[str, Any] = {"method": self.method, "route": route, "exc_info": error}
            client.log(ERROR, LOGGER, f"{self.method} {route} failed after its response", fields)

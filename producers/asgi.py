"""Requests of an ASGI application, recorded: FastAPI, Starlette, and others.

    from monitoring.producers.asgi import MonitoringMiddleware
    app.add_middleware(MonitoringMiddleware)     # or: app = MonitoringMiddleware(app)

Messages pass as they are, but for the headers `X-Request-ID` and `traceparent` of an HTTP response, where the
application sets none. A response's record is made when its last part has been sent: background tasks do not count.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Unpack

from monitoring.producers.asgi_exchange import Connection, Exchange, Receive, Send
from monitoring.producers.asgi_route import Scope
from monitoring.producers.asgi_socket import Socket
from monitoring.producers.request_policy import Options, Override
from monitoring.producers.work import bug

__all__ = ["MonitoringMiddleware"]

App = Callable[[Scope, Receive, Send], Awaitable[None]]

_KEY = "monitoring.recorded"
_KINDS: dict[str, type[Connection]] = {"http": Exchange, "websocket": Socket}


class MonitoringMiddleware:
    """An ASGI application that records the requests and websockets of another. Options win over the settings.

    Added to a Starlette or FastAPI application it moves to the very front when that starts: the answer to an
    exception that nobody handled is made outside of all middleware that one can add, and would go without its id.
    """

    def __init__(self, app: App, /, **options: Unpack[Options]) -> None:
        self.app = app
        self._options = options
        self._override = Override(**options)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a connection."""
        kind = _KINDS.get(scope["type"])
        if kind is None or _KEY in scope:  # or somebody in front of us records it
            self._move_to_front(scope)
            await self.app(scope, receive, send)
            return
        try:
            self._move_to_front(scope)
            connection = kind(self._override.policy(), scope, receive, send)
            scope[_KEY] = True
        except Exception as error:
            bug("a request could not be looked at", error)
            await self.app(scope, receive, send)
            return
        token = connection.enter()
        try:
            await self.app(scope, connection.receiving, connection.sending)
        except BaseException as error:
            connection.fail(error)
            raise
        else:
            connection.returned()
        finally:
            connection.leave(token)
            connection.forget()

    def _move_to_front(self, scope: Scope) -> None:
        """Once for each application: what it calls is an attribute, made before anything comes here."""
        app: Any = scope.get("app")
        stack = getattr(app, "middleware_stack", None)
        if stack is not None and not isinstance(stack, MonitoringMiddleware):
            app.middleware_stack = MonitoringMiddleware(stack, **self._options)

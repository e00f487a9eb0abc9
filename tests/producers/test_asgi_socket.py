"""Websockets: ids for their life, one record at the end, every message as it was.

By the ASGI interface itself: a server's websockets need one more package.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, MutableMapping
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI, WebSocket
from starlette.websockets import WebSocketDisconnect

from monitoring import get_logger
from monitoring.producers.asgi import MonitoringMiddleware
from tests.producers.support import SPAN, TRACE, TRACEPARENT, records

Message = MutableMapping[str, Any]
log = get_logger("chat")


@pytest.fixture
def app() -> FastAPI:
    app = FastAPI()
    rooms = APIRouter(prefix="/rooms")

    @rooms.websocket("/{room}/echo")
    async def echo(socket: WebSocket, room: str) -> None:
        await socket.accept()
        while (text := await socket.receive_text()) != "bye":
            log.info("said", text=text)
            await socket.send_text(text)
        await socket.close(4001)

    @app.websocket("/careless")
    async def careless(socket: WebSocket) -> None:
        await socket.accept()
        while True:
            await socket.receive_text()

    @app.websocket("/fail")
    async def fail(socket: WebSocket) -> None:
        await socket.accept()
        raise ValueError("no more")

    @app.websocket("/refuse")
    async def refuse(socket: WebSocket) -> None:
        await socket.close()

    app.include_router(rooms, prefix="/api")
    app.add_middleware(MonitoringMiddleware)
    return app


def connect(
    app: Any, path: str, *texts: str, code: int = 1000, headers: Mapping[str, str] | None = None
) -> list[Message]:
    """What the application sends to a client that connects, says these texts, and leaves with this code."""
    incoming: list[Message] = [
        {"type": "websocket.connect"},
        *({"type": "websocket.receive", "text": text} for text in texts),
        {"type": "websocket.disconnect", "code": code},
    ]
    sent: list[Message] = []
    waiting = iter(incoming)

    async def receive() -> Message:
        return next(waiting)

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "websocket",
        "path": path,
        "query_string": b"",
        "client": ("10.0.0.7", 50_000),
        "headers": [(name.encode(), value.encode()) for name, value in (headers or {}).items()],
    }
    asyncio.run(app(scope, receive, send))
    return sent


def test_a_websocket_has_one_record_with_its_close_code_and_counts(captured, app):
    ids = {"x-request-id": "chat-7", "traceparent": TRACEPARENT, "user-agent": "chat/1.2"}
    sent = connect(app, "/api/rooms/lobby/echo", "hello", "wörld", "bye", headers=ids)
    assert [message.get("text") for message in sent] == [None, "hello", "wörld", None]
    (record,) = records(captured)
    assert (record.message, record.level) == ("WEBSOCKET /api/rooms/{room}/echo 4001", "INFO")
    facts = dict(record.attributes)
    assert facts.pop("duration_ms") > 0
    assert facts == {
        "method": "WEBSOCKET",
        "route": "/api/rooms/{room}/echo",
        "status": 101,
        "close_code": 4001,
        "received": 3,
        "sent": 2,
        "request_bytes": 14,
        "response_bytes": 11,
        "client": "10.0.0.7",
        "user_agent": "chat/1.2",
        "parent_span_id": SPAN,
    }
    assert {line.request_id for line in captured.find("said")} == {record.request_id} == {"chat-7"}
    assert record.trace_id == TRACE


def test_a_client_that_leaves_is_no_error_even_where_the_application_does_not_expect_it(captured, app):
    with pytest.raises(WebSocketDisconnect):
        connect(app, "/careless", "x", code=1001)
    (record,) = records(captured)
    assert (record.message, record.level, record.exception) == ("WEBSOCKET /careless 1001", "INFO", None)


def test_an_exception_is_in_the_record(captured, app):
    with pytest.raises(ValueError, match="no more"):
        connect(app, "/fail")
    (record,) = records(captured)
    assert record.level == "ERROR"
    assert record.exception is not None


def test_a_websocket_that_is_refused_says_so(captured, app):
    connect(app, "/refuse")
    assert records(captured)[0].attributes["status"] == 403


def test_messages_pass_as_they_are(captured):
    """Each one is the very object that server and application gave."""
    incoming: list[Message] = [
        {"type": "websocket.connect"},
        {"type": "websocket.receive", "bytes": b"\x00\x01", "text": None},
        {"type": "websocket.disconnect", "code": 1000},
    ]
    outgoing = [
        {"type": "websocket.accept", "headers": [(b"x-own", b"1")]},
        {"type": "websocket.send", "bytes": b"\x02"},
    ]
    sent: list[Message] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for expected in incoming:
            assert await receive() is expected
        for message in outgoing:
            await send(message)

    async def call() -> None:
        waiting = iter(incoming)

        async def receive() -> Message:
            return next(waiting)

        async def send(message: Message) -> None:
            sent.append(message)

        await MonitoringMiddleware(app)({"type": "websocket", "path": "/", "headers": []}, receive, send)

    asyncio.run(call())
    assert all(one is other for one, other in zip(sent, outgoing, strict=True))
    (record,) = records(captured)
    assert (record.attributes["request_bytes"], record.attributes["response_bytes"]) == (2, 1)

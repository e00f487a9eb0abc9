"""An ASGI application's requests: FastAPI and Starlette under a real uvicorn, and by the interface itself."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, HTTPException, Request
from fastapi.responses import StreamingResponse
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import FileResponse, PlainTextResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from monitoring import bind, error_context, get_logger, set_user
from monitoring.producers import request_policy
from monitoring.producers.asgi import MonitoringMiddleware
from monitoring.producers.request_policy import Policy
from tests.producers.support import SPAN, TRACE, TRACEPARENT, records, serving_asgi, wait_for

log = get_logger("shop")


class Shop:
    """A FastAPI service with a bit of everything."""

    def __init__(self, **options: Any) -> None:
        self.app = app = FastAPI()
        self.background = threading.Event()
        self.gate = threading.Event()
        self.gate.set()
        items = APIRouter(prefix="/items")

        @items.get("/{item}/price")
        async def price(item: int) -> dict[str, int]:
            log.info("priced", item=item)
            return {"item": item}

        @app.get("/sync/{item}")
        def in_a_thread(item: int, user: None = Depends(known_user)) -> dict[str, int]:
            log.info("in a thread", item=item)
            return {"item": item}

        @app.post("/orders", status_code=201)
        async def order(request: Request, tasks: BackgroundTasks) -> dict[str, int]:
            bind(tenant="acme")
            body = await request.body()
            tasks.add_task(self._later)
            return {"bytes": len(body)}

        @app.get("/stream")
        async def stream() -> StreamingResponse:
            return StreamingResponse(self._parts(), media_type="text/plain")

        @app.get("/fail/{number}")
        async def fail(number: int) -> None:
            with error_context(order="A-1041"):
                raise ValueError(f"failed {number}")

        @app.get("/refused")
        async def refused() -> None:
            raise HTTPException(409, "no")

        app.include_router(items, prefix="/api")
        sub = FastAPI()
        sub.get("/users/{name}")(self._user)
        app.mount("/admin", sub)
        app.add_middleware(MonitoringMiddleware, **options)

    async def _user(self, name: str) -> dict[str, str]:
        return {"name": name}

    async def _parts(self) -> AsyncIterator[bytes]:
        yield b"a" * 100
        await asyncio.to_thread(self.gate.wait, 20)
        log.info("half way")
        yield b"b" * 100

    def _later(self) -> None:
        self.gate.wait(20)
        log.info("in the background")
        self.background.set()


def known_user() -> None:
    """A dependency that is no coroutine runs in a thread with a copy of the context."""
    set_user("u-7")


def test_a_request_has_one_record_with_what_it_was_and_what_it_took(captured):
    with serving_asgi(Shop().app) as url:
        response = httpx.get(
            f"{url}/api/items/42/price?x=1",
            headers={"X-Request-ID": "order-7", "traceparent": TRACEPARENT, "User-Agent": "shop/1.2"},
        )
        (record,) = records(captured)
    assert response.json() == {"item": 42}
    assert (record.message, record.level) == ("GET /api/items/{item}/price 200", "INFO")
    facts = dict(record.attributes)
    assert facts.pop("duration_ms") > 0
    assert facts == {
        "method": "GET",
        "route": "/api/items/{item}/price",
        "status": 200,
        "request_bytes": 0,
        "response_bytes": len(response.content),
        "client": "127.0.0.1",
        "user_agent": "shop/1.2",
        "parent_span_id": SPAN,
    }
    assert record.request_id == response.headers["x-request-id"] == "order-7"
    assert record.trace_id == TRACE
    assert response.headers["traceparent"] == f"00-{TRACE}-{record.span_id}-01"
    line = captured.one("priced")
    assert (line.request_id, line.trace_id, line.span_id) == (record.request_id, record.trace_id, record.span_id)


def test_what_runs_in_threads_belongs_to_the_request(captured):
    with serving_asgi(Shop().app) as url:
        httpx.get(f"{url}/sync/7")
        (record,) = records(captured)
    assert captured.one("in a thread").request_id == record.request_id
    assert record.attributes["user"] == "u-7"


def test_background_tasks_run_within_the_ids_and_are_not_the_requests_time(captured):
    shop = Shop()
    shop.gate.clear()
    with serving_asgi(shop.app) as url:
        response = httpx.post(f"{url}/orders", content=b"x" * 300)
        (record,) = records(captured)  # while the task waits
        assert not shop.background.is_set()
        shop.gate.set()
        assert shop.background.wait(20)
    assert response.status_code == 201
    assert (record.attributes["request_bytes"], record.attributes["tenant"]) == (300, "acme")
    later = captured.one("in the background")
    assert (later.request_id, later.attributes["tenant"]) == (record.request_id, "acme")
    records(captured)


def test_a_background_task_that_raises_is_an_event_of_the_request(captured):
    app = FastAPI()

    @app.get("/orders/{order}")
    async def order(order: int, tasks: BackgroundTasks) -> dict[str, int]:
        tasks.add_task(boom)
        return {}

    async def boom() -> None:
        raise RuntimeError("too late")

    app.add_middleware(MonitoringMiddleware)
    with serving_asgi(app) as url:
        assert httpx.get(f"{url}/orders/7").status_code == 200
        first, second = records(captured, 2)
    assert (first.message, first.exception) == ("GET /orders/{order} 200", None)
    assert second.message == "GET /orders/{order} failed after its response"
    assert (second.level, second.request_id) == ("ERROR", first.request_id)
    assert second.exception is not None
    assert [event for event in captured.events if event.exception] == [second]


def test_a_stream_passes_part_by_part_and_is_recorded_at_its_end(captured):
    shop = Shop()
    shop.gate.clear()
    with serving_asgi(shop.app) as url, httpx.stream("GET", f"{url}/stream") as response:
        parts = response.iter_raw()
        assert next(parts) == b"a" * 100
        assert not captured.events
        shop.gate.set()
        assert b"".join(parts) == b"b" * 100
        (record,) = records(captured)
    assert record.attributes["response_bytes"] == 200
    assert captured.one("half way").request_id == record.request_id


def test_a_client_that_leaves_in_the_middle_has_one_record_that_says_so(captured):
    async def parts() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * (1 << 16)
            await asyncio.sleep(0)

    async def endless(request: Request) -> StreamingResponse:
        return StreamingResponse(parts())

    app = Starlette(routes=[Route("/endless", endless)])
    app.add_middleware(MonitoringMiddleware)
    with serving_asgi(app) as url:
        with httpx.stream("GET", f"{url}/endless") as response:
            next(response.iter_raw())
        (record,) = records(captured)
    assert record.attributes["aborted"] is True
    assert record.level == "INFO"
    assert record.exception is None


def test_a_stream_that_raises_has_one_record_with_the_exception(captured):
    async def parts() -> AsyncIterator[bytes]:
        yield b"a" * 10
        raise ValueError("no more")

    async def export(request: Request) -> StreamingResponse:
        return StreamingResponse(parts())

    app = Starlette(routes=[Route("/export", export)])
    app.add_middleware(MonitoringMiddleware)
    with serving_asgi(app) as url:
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.get(f"{url}/export")
        (record,) = records(captured)
    assert (record.level, record.attributes["status"], record.attributes["response_bytes"]) == ("ERROR", 200, 10)
    assert record.exception is not None
    assert "aborted" not in record.attributes


def test_an_exception_is_in_the_record_with_its_context_and_told_once(captured):
    with serving_asgi(Shop().app) as url:
        response = httpx.get(f"{url}/fail/7?card=4711")
        (record,) = records(captured)
    assert response.status_code == 500
    assert response.headers["x-request-id"] == record.request_id  # though the answer is made outside of all middleware
    assert (record.message, record.level) == ("GET /fail/{number} 500", "ERROR")
    assert record.exception is not None
    assert record.exception["message"] == "failed 7"
    assert record.attributes["order"] == "A-1041"
    assert record.attributes["path"] == "/fail/7"
    assert record.attributes["query"] == {"card": "4711"}
    assert [event for event in captured.events if event.exception] == [record]


def test_an_exception_that_the_application_answers_itself_is_recorded_too(captured):
    shop = Shop()

    @shop.app.exception_handler(Exception)
    async def sorry(request: Request, error: Exception) -> PlainTextResponse:
        log.error("told support", exc_info=error)
        return PlainTextResponse("sorry", 500)

    with serving_asgi(shop.app) as url:
        assert httpx.get(f"{url}/fail/7").text == "sorry"
        (record,) = records(captured)
    assert record.exception is not None
    assert captured.one("told support").request_id == record.request_id


@pytest.mark.parametrize(
    ("method", "path", "message"),
    [
        ("GET", "/nowhere/7", "GET (no route) 404"),
        ("GET", "/refused", "GET /refused 409"),
        ("GET", "/api/items/seven/price", "GET /api/items/{item}/price 422"),
        ("DELETE", "/orders", "DELETE /orders 405"),
        ("GET", "/admin/users/alice", "GET /admin/users/{name} 200"),
        ("GET", "/openapi.json", "GET /openapi.json 200"),
        ("GET", "/docs/", "GET (no route) 307"),
    ],
)
def test_every_answer_is_a_record_at_info(captured, method, path, message):
    with serving_asgi(Shop().app) as url:
        httpx.request(method, f"{url}{path}")
        (record,) = records(captured)
    assert (record.message, record.level) == (message, "INFO")


@pytest.mark.parametrize(
    ("path", "root_path", "route"),
    [
        ("/users/7", "", "/users/{user:int}"),
        ("/shop/orders/7", "", "/shop/orders/{order}"),
        ("/t/acme/orders/7", "", "/t/{tenant}/orders/{order}"),
        ("/t/42/orders/42", "", "/t/{tenant}/orders/{order}"),
        ("/files/a/b.txt", "", "/files/{path}"),
        ("/users/7", "/eu", "/eu/users/{user:int}"),
        ("/t/acme/orders/7", "/eu", "/eu/t/{tenant}/orders/{order}"),
        ("/files/a/b.txt", "/eu", "/eu/files/{path}"),
    ],
)
def test_routes_of_starlette_stand_behind_their_mounts(captured, tmp_path, path, root_path, route):
    async def hello(request: Request) -> PlainTextResponse:
        return PlainTextResponse("hello")

    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.txt").write_text("x" * 10)
    orders = [Route("/orders/{order}", hello)]
    app = Starlette(
        routes=[
            Route("/users/{user:int}", hello),
            Mount("/shop", routes=orders),
            Mount("/t/{tenant}", app=Starlette(routes=orders)),
            Mount("/files", app=StaticFiles(directory=tmp_path)),
        ]
    )
    app.add_middleware(MonitoringMiddleware)
    with serving_asgi(app, root_path=root_path) as url:
        assert httpx.get(f"{url}{path}").status_code == 200
        (record,) = records(captured)
    assert record.attributes["route"] == route


def test_a_file_is_sent_as_it_is_and_its_size_known(captured, tmp_path):
    (tmp_path / "big").write_bytes(b"x" * 300_000)

    async def download(request: Request) -> FileResponse:
        return FileResponse(tmp_path / "big")

    app = Starlette(routes=[Route("/download", download)])
    app.add_middleware(MonitoringMiddleware)
    with serving_asgi(app) as url:
        assert len(httpx.get(f"{url}/download").content) == 300_000
        assert httpx.head(f"{url}/download").content == b""
        first, second = records(captured, 2)
    assert first.attributes["response_bytes"] == 300_000
    assert (second.message, second.attributes["response_bytes"]) == ("HEAD /download 200", 0)


def test_probes_are_left_out_slow_ones_warn_and_sampling_keeps_errors(captured):
    drawn = iter([0.9, 0.01])
    request_policy.install(Policy(exclude=("/healthz",), sample=(("*", 0.1),), draw=lambda: next(drawn)))
    shop = Shop()
    shop.app.get("/healthz")(lambda: {"ok": True})
    with serving_asgi(shop.app) as url:
        httpx.get(f"{url}/healthz")
        httpx.get(f"{url}/refused")
        httpx.get(f"{url}/refused")
        assert records(captured)[0].attributes["sample_rate"] == 0.1
        httpx.get(f"{url}/fail/7")
        request_policy.install(Policy(slow_seconds=0.0, sample=(("*", 0.0),)))
        httpx.get(f"{url}/refused")
        assert [record.level for record in records(captured, 3)] == ["INFO", "ERROR", "WARNING"]


def test_middleware_of_starlettes_own_kind_and_ours_go_together(captured):
    shop = Shop()

    async def tagged(request: Request, call_next: Any) -> Any:
        log.info("in front")
        response = await call_next(request)
        response.headers["X-Tag"] = "1"
        return response

    shop.app.add_middleware(BaseHTTPMiddleware, dispatch=tagged)  # in front of ours
    with serving_asgi(shop.app) as url:
        response = httpx.get(f"{url}/api/items/42/price")
        (record,) = records(captured)
        assert httpx.get(f"{url}/fail/7").status_code == 500
        assert records(captured, 2)[1].exception is not None
    assert response.headers["x-tag"] == "1"
    assert record.attributes["route"] == "/api/items/{item}/price"
    assert {line.request_id for line in captured.find("in front")[:1]} == {record.request_id}


def test_an_application_wrapped_from_outside_is_recorded_alike(captured):
    shop = Shop()
    with serving_asgi(MonitoringMiddleware(shop.app)) as url:
        httpx.get(f"{url}/api/items/42/price")
        response = httpx.get(f"{url}/fail/7")
        first, second = records(captured, 2)
    assert first.attributes["route"] == "/api/items/{item}/price"
    assert (second.attributes["route"], second.request_id) == ("/fail/{number}", response.headers["x-request-id"])
    assert second.exception is not None


def test_bodies_are_recorded_when_asked_for(captured):
    with serving_asgi(Shop(capture_bodies=True).app) as url:
        httpx.post(f"{url}/orders", json={"item": 7})
        (record,) = records(captured)
    assert record.attributes["request_body"] == {"item": 7}
    assert record.attributes["response_body"] == {"bytes": 10}


def test_a_body_of_unknown_length_is_counted(captured):
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"x" * 100

    async def call(url: str) -> None:
        async with httpx.AsyncClient() as client:
            await client.post(f"{url}/orders", content=parts())

    with serving_asgi(Shop().app) as url:
        asyncio.run(call(url))
        assert records(captured)[0].attributes["request_bytes"] == 300


def test_two_hundred_requests_at_once_keep_their_own_ids(captured):
    everyone = asyncio.Event()
    waiting = 0

    async def meet(request: Request) -> PlainTextResponse:
        nonlocal waiting
        name = request.path_params["name"]
        waiting += 1
        if waiting == 200:
            everyone.set()
        await everyone.wait()
        log.info("met", name=name)
        await asyncio.create_task(child(name))
        return PlainTextResponse(name)

    async def child(name: str) -> None:
        await asyncio.sleep(0)
        log.info("child", name=name)

    async def call_all() -> None:
        app = Starlette(routes=[Route("/meet/{name}", meet)])
        app.add_middleware(MonitoringMiddleware)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            await asyncio.gather(*(client.get(f"/meet/{n}", headers={"X-Request-ID": f"id-{n}"}) for n in range(200)))

    asyncio.run(call_all())
    assert {record.request_id for record in records(captured, 200)} == {f"id-{n}" for n in range(200)}
    lines = captured.find("met") + captured.find("child")
    assert len(lines) == 400
    assert all(line.request_id == f"id-{line.attributes['name']}" for line in lines)
    traces = {(line.request_id, line.trace_id) for line in lines}
    assert len({trace for _, trace in traces}) == len(traces) == 200


def test_a_request_that_is_cancelled_has_one_record_that_says_so(captured):
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.Event().wait()

    async def call() -> None:
        scope = {"type": "http", "method": "GET", "path": "/wait", "headers": []}
        task = asyncio.create_task(MonitoringMiddleware(app)(scope, None, None))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(call())
    (record,) = records(captured)
    assert (record.message, record.level) == ("GET /wait 499", "INFO")
    assert record.attributes["aborted"] is True
    assert record.exception is None


def test_without_a_client_ids_are_returned_and_other_scopes_pass():
    request_policy.install(None)
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body"})

    async def call(scope: dict[str, Any]) -> list[dict[str, Any]]:
        sent: list[dict[str, Any]] = []

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await MonitoringMiddleware(app)(scope, None, send)  # type: ignore[arg-type]
        return sent

    assert asyncio.run(call({"type": "lifespan"})) == []
    start, end = asyncio.run(call({"type": "http", "method": "GET", "path": "/", "headers": [(b"x-request-id", b"7")]}))
    assert dict(start["headers"])[b"x-request-id"] == b"7"
    assert end == {"type": "http.response.body"}
    assert seen == ["lifespan", "http"]


def test_the_servers_access_lines_are_not_published_as_well(captured, caplog):
    with caplog.at_level("INFO", logger="uvicorn.access"), serving_asgi(Shop().app) as url:
        httpx.get(f"{url}/api/items/42/price")
        records(captured)
        wait_for(lambda: "GET /api/items/42/price" in caplog.text)  # where it always was
    assert not [event for event in captured.events if event.logger == "uvicorn.access"]

"""A Flask application's requests: the rule as route, the exception in the record and nowhere else, no other change."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from flask import Blueprint, Flask, Response, abort, redirect, request, stream_with_context
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix

from monitoring import error_context, get_logger, set_user
from monitoring.producers import request_policy
from monitoring.producers.flask import FlaskMonitoring
from monitoring.producers.request_policy import Policy
from monitoring.producers.wsgi import MonitoringWSGI
from tests.producers.support import records, serving_wsgi, wait_for


def shop(**options: Any) -> Flask:
    """A service with a bit of everything."""
    app = Flask("shop")
    items = Blueprint("items", "items", url_prefix="/items/<int:item>")

    @app.get("/")
    def front() -> str:
        return "hello"

    @items.get("/price")
    def price(item: int) -> dict[str, int]:
        set_user("u-7")
        get_logger("shop.items").info("priced", item=item)
        return {"item": item}

    @app.post("/orders")
    def order() -> Response:
        return Response(request.get_data(), status=201)

    @app.get("/stream/<name>")
    def stream(name: str) -> Response:
        def parts() -> Iterator[str]:
            yield "a" * 100
            get_logger("shop").info("half way", where=request.path)
            yield "b" * 100

        return Response(stream_with_context(parts()))

    @app.get("/fail/<int:number>")
    def fail(number: int) -> str:
        with error_context(order="A-1041"):
            raise ValueError(f"failed {number}")

    @app.get("/teapot")
    def teapot() -> str:
        abort(418)

    @app.get("/old")
    def old() -> Any:
        return redirect("/")

    app.register_blueprint(items)
    FlaskMonitoring(app, **options)
    return app


def test_the_route_is_the_rule_in_flasks_notation(captured):
    with serving_wsgi(shop()) as url:
        response = requests.get(f"{url}/items/42/price?x=1", timeout=20)
    assert response.json() == {"item": 42}
    (record,) = records(captured)
    assert record.message == "GET /items/<int:item>/price 200"
    assert record.attributes["route"] == "/items/<int:item>/price"
    assert record.attributes["user"] == "u-7"
    assert record.attributes["response_bytes"] == len(response.content)
    assert record.attributes["client"] == "127.0.0.1"
    line = captured.one("priced")
    assert line.request_id == record.request_id == response.headers["X-Request-ID"]
    assert line.trace_id == record.trace_id == response.headers["traceparent"].split("-")[1]
    assert line.attributes["user"] == "u-7"
    assert "/items/42" not in str(record)


@pytest.mark.parametrize(
    ("method", "path", "message"),
    [
        ("GET", "/nowhere/7", "GET (no route) 404"),
        ("DELETE", "/orders", "DELETE (no route) 405"),
        ("GET", "/teapot", "GET /teapot 418"),
        ("GET", "/old", "GET /old 302"),
        ("HEAD", "/", "HEAD / 200"),
        ("OPTIONS", "/orders", "OPTIONS /orders 200"),
        ("BREW", "/", "BREW (no route) 405"),
    ],
)
def test_every_answer_is_a_record_at_info(captured, method, path, message):
    shop().test_client().open(path, method=method)
    (record,) = records(captured)
    assert (record.message, record.level) == (message, "INFO")


def test_a_stream_is_recorded_at_its_end_with_lines_of_its_own_ids(captured):
    with serving_wsgi(shop()) as url:
        assert len(requests.get(f"{url}/stream/x", timeout=20).content) == 200
    (record,) = records(captured)
    assert record.attributes["response_bytes"] == 200
    assert captured.one("half way").request_id == record.request_id


def test_an_exception_is_in_the_record_with_its_context_and_told_once(captured, capfd):
    app = shop()
    console = logging.StreamHandler()
    app.logger.addHandler(console)
    try:
        with serving_wsgi(app) as url:
            response = requests.get(f"{url}/fail/7?card=4711", timeout=20)
    finally:
        app.logger.removeHandler(console)
    assert response.status_code == 500
    assert response.headers["X-Request-ID"]
    (record,) = records(captured)
    assert (record.message, record.level) == ("GET /fail/<int:number> 500", "ERROR")
    assert record.exception is not None
    assert record.exception["message"] == "failed 7"
    assert "raise ValueError" in record.exception["stacktrace"]
    assert record.attributes["order"] == "A-1041"
    assert record.attributes["path"] == "/fail/7"
    assert record.attributes["query"] == {"card": "4711"}
    assert [event for event in captured.events if event.exception] == [record]
    assert "Exception on /fail/7 [GET]" in capfd.readouterr().err  # Flask's own line, where it always was


def test_lines_that_the_application_logs_about_the_exception_are_its_own(captured):
    app = shop()

    @app.errorhandler(500)
    def sorry(error: Any) -> tuple[str, int]:
        app.logger.error("told support", exc_info=error.original_exception)
        return "sorry", 500

    response = app.test_client().get("/fail/7")
    assert response.text == "sorry"
    (record,) = records(captured)
    assert record.exception is not None
    line = captured.one("told support")
    assert line.request_id == record.request_id
    assert line.exception is not None


def test_an_exception_that_the_application_handles_is_none(captured):
    app = shop()
    app.register_error_handler(ValueError, lambda error: ("no such thing", 400))
    assert app.test_client().get("/fail/7").status_code == 400
    (record,) = records(captured)
    assert (record.level, record.exception) == ("INFO", None)


def test_an_exception_that_is_let_through_is_recorded_with_its_route(captured):
    app = shop()
    app.testing = True
    with pytest.raises(ValueError, match="failed 7"):
        app.test_client().get("/fail/7")
    (record,) = records(captured)
    assert record.message == "GET /fail/<int:number> 500"
    assert record.exception is not None


def test_a_test_client_needs_not_close_its_responses(captured):
    client = shop().test_client()
    response = client.get("/")
    records(captured)
    response.close()
    kept = client.post("/orders", data=b"12345")
    assert kept.status_code == 201
    record = records(captured, 2)[1]
    assert (record.attributes["request_bytes"], record.attributes["response_bytes"]) == (5, 5)


def test_static_files_are_left_out_and_sent_as_they_are(captured, tmp_path):
    (tmp_path / "app.js").write_bytes(b"x" * 50_000)
    app = Flask("shop", static_folder=str(tmp_path), static_url_path="/static")
    FlaskMonitoring(app)
    with serving_wsgi(app) as url:
        assert len(requests.get(f"{url}/static/app.js", timeout=20).content) == 50_000
        assert requests.get(f"{url}/missing", timeout=20).status_code == 404
    assert records(captured)[0].message == "GET (no route) 404"


def test_an_application_made_by_a_function_is_recorded_once(captured):
    monitoring = FlaskMonitoring()
    app = Flask("made")
    app.add_url_rule("/", view_func=lambda: "hello")
    monitoring.init_app(app)
    monitoring.init_app(app)
    FlaskMonitoring(app)
    app.test_client().get("/")
    records(captured)


def test_applications_mounted_in_one_another_have_one_record_behind_their_mount(captured):
    inner, outer = shop(), shop()
    outer.wsgi_app = DispatcherMiddleware(outer.wsgi_app, {"/eu": inner})  # type: ignore[method-assign]
    client = outer.test_client()
    client.get("/eu/items/42/price")
    client.get("/items/42/price")
    assert [record.attributes["route"] for record in records(captured, 2)] == [
        "/eu/items/<int:item>/price",
        "/items/<int:item>/price",
    ]


def test_a_middleware_in_front_learns_the_rule_and_the_exception(captured):
    app = shop()
    app.wsgi_app = MonitoringWSGI(app.wsgi_app)  # type: ignore[method-assign]
    app.test_client().get("/items/42/price")
    app.test_client().get("/fail/7")
    found = records(captured, 2)
    assert [record.attributes["route"] for record in found] == ["/items/<int:item>/price", "/fail/<int:number>"]
    assert found[1].exception is not None


@pytest.mark.parametrize("inside", [True, False])
def test_the_client_is_the_one_that_the_application_makes_out_behind_its_proxies(captured, inside):
    app = Flask("shop")
    app.add_url_rule("/", view_func=lambda: "hello")
    if inside:
        app.wsgi_app = ProxyFix(app.wsgi_app)  # type: ignore[method-assign]
    FlaskMonitoring(app)
    if not inside:
        app.wsgi_app = ProxyFix(app.wsgi_app)  # type: ignore[method-assign]
    app.test_client().get("/", headers={"X-Forwarded-For": "203.0.113.7"})
    assert records(captured)[0].attributes["client"] == "203.0.113.7"


def test_bodies_are_recorded_when_asked_for_bounded_and_by_name(captured):
    client = shop(capture_bodies=True, body_bytes=40).test_client()
    client.post("/orders", json={"item": 7, "note": "ä"})
    client.post("/orders", data={"item": "7", "to": "me"})
    client.post("/orders", data="x" * 100, content_type="text/plain")
    client.post("/orders", data=b"\x00\x01", content_type="application/octet-stream")
    client.post("/orders", data="{broken", content_type="application/json")
    bodies = [record.attributes.get("request_body") for record in records(captured, 5)]
    assert bodies == [
        {"item": 7, "note": "ä"},
        {"item": "7", "to": "me"},
        f"{'x' * 40}… (100 bytes)",
        None,
        "{broken",
    ]


def test_bodies_are_not_recorded_unless_asked_for(captured):
    shop().test_client().post("/orders", json={"secret": 1})
    assert not {"request_body", "response_body"} & set(records(captured)[0].attributes)


@pytest.mark.parametrize("cut", [12, 16, 24])
def test_a_body_that_is_too_long_is_redacted_before_it_is_cut(captured, cut):
    policy = Policy(capture_bodies=True, body_bytes=cut, redact=lambda text: text.replace("hunter2", "[REDACTED:x]"))
    request_policy.install(policy)
    sent = '{"said": "hunter2", "more": 1}'
    shop().test_client().post("/orders", data=sent, content_type="application/json")
    shown = records(captured)[0].attributes["request_body"]
    assert shown == f"{sent.replace('hunter2', '[REDACTED:x]')[:cut]}… (30 bytes)"


def test_the_middleware_follows_settings_that_come_later(captured):
    app = shop()
    app.test_client().get("/")
    request_policy.install(Policy(exclude=("/",)))
    app.test_client().get("/")
    request_policy.install(Policy(slow_seconds=0.0))
    app.test_client().get("/")
    assert wait_for(lambda: [record.level for record in records(captured, 2)]) == ["INFO", "WARNING"]

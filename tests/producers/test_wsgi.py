"""A WSGI application's requests: one record each, at the end of the whole body, and nothing else is changed."""

from __future__ import annotations

import io
import logging
import threading
from collections.abc import Iterator
from typing import Any
from wsgiref.validate import validator

import pytest
import requests

from monitoring import bind, clear, get_logger, set_user
from monitoring.pipeline.events.event import Event
from monitoring.producers import client, request_policy
from monitoring.producers.request_policy import Policy
from monitoring.producers.wsgi import MonitoringWSGI
from tests.producers.support import SPAN, TRACE, TRACEPARENT, records, serving_wsgi, wait_for
from tests.producers.wsgi_call import Answer, Environ, answer, environ_of


def test_a_request_has_one_record_with_what_it_was_and_what_it_took(captured):
    with serving_wsgi(MonitoringWSGI(answer)) as url:
        response = requests.post(
            f"{url}/orders/1041/items?token=abc", data=b"x" * 300, headers={"User-Agent": "shop/1.2"}, timeout=20
        )
    assert response.content == b"hello"
    (record,) = records(captured)
    assert record.message == "POST /orders/{id}/items 200"
    assert record.level == "INFO"
    facts = dict(record.attributes)
    assert facts.pop("duration_ms") > 0
    assert facts == {
        "method": "POST",
        "route": "/orders/{id}/items",
        "status": 200,
        "request_bytes": 300,
        "response_bytes": 5,
        "client": "127.0.0.1",
        "user_agent": "shop/1.2",
    }


def test_ids_are_made_returned_and_on_every_line_within_the_request(captured):
    with serving_wsgi(MonitoringWSGI(answer)) as url:
        response = requests.get(url, timeout=20)
    (record,) = records(captured)
    line = captured.one("answering")
    assert line.request_id == record.request_id == response.headers["X-Request-ID"]
    assert line.trace_id == record.trace_id
    assert response.headers["traceparent"] == f"00-{record.trace_id}-{record.span_id}-01"


def test_ids_of_the_caller_are_continued_in_a_span_of_its_own(captured):
    headers = {"X-Request-ID": "order-7", "traceparent": TRACEPARENT}
    with serving_wsgi(MonitoringWSGI(answer)) as url:
        response = requests.get(url, headers=headers, timeout=20)
    (record,) = records(captured)
    assert record.request_id == response.headers["X-Request-ID"] == "order-7"
    assert record.trace_id == TRACE
    assert record.span_id != SPAN
    assert record.attributes["parent_span_id"] == SPAN


@pytest.mark.parametrize("sent", ["", "a b", "x" * 129, "ä", "<script>"])
def test_an_id_that_is_not_sane_is_not_taken(captured, sent):
    environ = environ_of(HTTP_X_REQUEST_ID=sent, HTTP_TRACEPARENT=f"{TRACEPARENT}0")
    response = Answer(MonitoringWSGI(answer), environ)
    response.read()
    (record,) = records(captured)
    assert record.request_id == response.headers["X-Request-ID"]
    assert record.request_id != sent
    assert record.trace_id != TRACE


def test_headers_that_the_application_sets_itself_stay(captured):
    def app(environ: Environ, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("x-request-id", "mine"), ("Traceparent", "mine too")])
        return [b""]

    response = Answer(MonitoringWSGI(app))
    response.read()
    assert response.headers == {"x-request-id": "mine", "Traceparent": "mine too"}


def test_the_list_of_headers_that_the_application_gives_is_not_changed(captured):
    headers = [("Content-Type", "text/plain")]

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        start_response("200 OK", headers)
        return [b""]

    Answer(MonitoringWSGI(app)).read()
    assert headers == [("Content-Type", "text/plain")]


def test_what_the_application_binds_is_on_the_record_and_gone_afterwards(captured):
    def app(environ: Environ, start_response: Any) -> Iterator[bytes]:
        bind(tenant="acme")
        set_user(42)
        start_response("200 OK", [])
        return stream()

    def stream() -> Iterator[bytes]:
        bind(part="body")
        get_logger("shop").info("streaming")
        yield b"x"

    Answer(MonitoringWSGI(app)).read()
    (record,) = records(captured)
    assert record.attributes["tenant"] == "acme"
    assert record.attributes["part"] == "body"
    assert record.attributes["user"] == "42"
    line = captured.one("streaming")
    assert (line.request_id, line.attributes) == (record.request_id, {"tenant": "acme", "part": "body", "user": "42"})
    get_logger("shop").info("later")
    later = captured.one("later")
    assert (later.request_id, later.attributes) == ("", {})


def test_an_application_that_clears_the_context_does_not_lose_the_record(captured):
    def app(environ: Environ, start_response: Any) -> list[bytes]:
        clear()
        return answer(environ, start_response)

    response = Answer(MonitoringWSGI(app))
    response.read()
    (record,) = records(captured)
    assert record.request_id == response.headers["X-Request-ID"]
    get_logger("shop").info("later")
    assert captured.one("later").request_id == ""


def test_an_application_that_raises_is_recorded_and_the_exception_goes_on(captured):
    def app(environ: Environ, start_response: Any) -> list[bytes]:
        raise KeyError("order")

    with pytest.raises(KeyError):
        Answer(MonitoringWSGI(app))
    (record,) = records(captured)
    assert (record.level, record.attributes["status"]) == ("ERROR", 500)
    assert record.exception is not None
    assert record.exception["type"] == "KeyError"


def test_an_application_may_name_the_route(captured):
    def app(environ: Environ, start_response: Any) -> list[bytes]:
        environ["monitoring.route"] = "/users/:name"
        return answer(environ, start_response)

    Answer(MonitoringWSGI(app), environ_of("/users/alice")).read()
    assert records(captured)[0].attributes["route"] == "/users/:name"


def test_what_is_not_found_shares_one_route(captured):
    def app(environ: Environ, start_response: Any) -> list[bytes]:
        start_response("404 Not Found", [])
        return [b""]

    Answer(MonitoringWSGI(app), environ_of("/wp-login.php")).read()
    record = records(captured)[0]
    assert (record.message, record.level) == ("GET (no route) 404", "INFO")


def test_a_server_error_is_an_error_and_a_slow_request_a_warning(captured):
    def failing(environ: Environ, start_response: Any) -> list[bytes]:
        start_response("503 Service Unavailable", [])
        return [b""]

    Answer(MonitoringWSGI(failing)).read()
    Answer(MonitoringWSGI(answer, slow_seconds=0.0)).read()
    assert [record.level for record in records(captured, 2)] == ["ERROR", "WARNING"]


def test_probes_and_static_files_are_left_out_unless_they_fail(captured):
    status = ["200 OK"]

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        start_response(status[0], [])
        return [b""]

    watched = MonitoringWSGI(app)
    for path in ("/healthz", "/static/app.js", "/favicon.ico"):
        response = Answer(watched, environ_of(path))
        response.read()
        assert response.headers["X-Request-ID"]
    Answer(MonitoringWSGI(app, slow_seconds=0.0), environ_of("/static/big.iso")).read()
    assert captured.events == []
    status[0] = "500 Internal Server Error"
    Answer(watched, environ_of("/healthz")).read()
    assert records(captured)[0].level == "ERROR"


def test_sampling_by_route_keeps_errors_and_slow_ones(captured):
    drawn = iter([0.05, 0.5, 0.95, 0.2])
    status = ["200 OK"]

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        start_response(status[0], [])
        return [b""]

    request_policy.install(Policy(sample=(("/items/*", 0.1), ("/rare", 0.0)), draw=lambda: next(drawn)))
    watched = MonitoringWSGI(app)
    for _ in range(3):
        Answer(watched, environ_of("/items/1")).read()
    Answer(watched, environ_of("/rare")).read()
    Answer(watched, environ_of("/other")).read()
    kept = records(captured, 2)
    assert [record.attributes["route"] for record in kept] == ["/items/{id}", "/other"]
    assert kept[0].attributes["sample_rate"] == 0.1
    assert "sample_rate" not in kept[1].attributes
    status[0] = "500 Oh"
    Answer(watched, environ_of("/rare")).read()
    status[0] = "200 OK"
    Answer(MonitoringWSGI(app, slow_seconds=0.0), environ_of("/rare")).read()
    assert [record.level for record in records(captured, 4)[2:]] == ["ERROR", "WARNING"]


def test_without_a_client_ids_are_returned_and_nothing_else_happens():
    assert client.active() is None
    response = Answer(MonitoringWSGI(answer), environ_of(HTTP_X_REQUEST_ID="order-7"))
    assert response.read() == b"hello"
    assert response.headers["X-Request-ID"] == "order-7"


def test_of_two_middlewares_the_outer_one_records(captured):
    Answer(MonitoringWSGI(MonitoringWSGI(answer))).read()
    records(captured)


def test_the_same_environment_can_be_used_again(captured):
    environ = environ_of()
    for _ in range(3):
        Answer(MonitoringWSGI(answer), environ).read()
    assert len({record.request_id for record in records(captured, 3)}) == 3


def test_an_emitter_that_fails_does_not_fail_the_request(captured, capfd):
    def refuse(event: Event) -> bool:
        raise OSError("broken")

    found = client.active()
    assert found is not None
    found.take = refuse
    assert Answer(MonitoringWSGI(answer)).read() == b"hello"
    assert "broken" in capfd.readouterr().err


def test_a_status_and_headers_that_are_wrong_are_left_to_the_server(captured):
    def app(environ: Environ, start_response: Any) -> list[bytes]:
        start_response("what?", [("Content-Length", "many")])
        return [b"x"]

    response = Answer(MonitoringWSGI(app))
    response.read()
    assert response.status == "what?"
    assert records(captured)[0].attributes["status"] == 500


def test_it_keeps_to_the_standard_towards_server_and_application(captured):
    """The standard library's validator on both sides."""

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [environ["wsgi.input"].read(4)]

    watched = validator(MonitoringWSGI(validator(app), capture_bodies=True))
    environ = environ_of(
        REQUEST_METHOD="POST", QUERY_STRING="", CONTENT_LENGTH="4", CONTENT_TYPE="text/plain", SCRIPT_NAME=""
    )
    environ["wsgi.input"] = io.BytesIO(b"four")
    assert Answer(watched, environ).read() == b"four"
    record = records(captured)[0]
    assert record.attributes["request_body"] == record.attributes["response_body"] == "four"


def test_threads_keep_their_own_ids(captured):
    barrier = threading.Barrier(8)

    def app(environ: Environ, start_response: Any) -> Iterator[bytes]:
        barrier.wait(20)
        logging.getLogger("shop").warning("one of many %s", environ["HTTP_X_REQUEST_ID"])
        start_response("200 OK", [])
        return stream(environ["HTTP_X_REQUEST_ID"])

    def stream(name: str) -> Iterator[bytes]:
        barrier.wait(20)
        get_logger("shop").info("streaming", name=name)
        yield b"x"

    watched = MonitoringWSGI(app)

    def call(number: int) -> None:
        Answer(watched, environ_of(HTTP_X_REQUEST_ID=f"id-{number}")).read()

    for start in (0, 8):
        threads = [threading.Thread(target=call, args=(start + number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert {record.request_id for record in records(captured, 16)} == {f"id-{number}" for number in range(16)}
    assert all(event.message.endswith(f" {event.request_id}") for event in captured.find("one of many"))
    assert all(event.attributes["name"] == event.request_id for event in captured.find("streaming"))


def test_the_servers_access_lines_are_not_published_as_well(captured):
    with serving_wsgi(MonitoringWSGI(answer)) as url:
        requests.get(f"{url}/orders", timeout=20)
        records(captured)
    wait_for(lambda: captured.find("answering"))
    assert {event.logger for event in captured.events} == {"shop", "monitoring.request"}

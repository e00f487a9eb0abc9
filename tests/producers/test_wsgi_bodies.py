"""The body of a WSGI response: whole, streamed, failing in the middle, or left by its client."""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
import requests

from monitoring.producers.wsgi import MonitoringWSGI
from tests.producers.support import records, serving_wsgi
from tests.producers.wsgi_call import Answer, Environ, answer, environ_of


def test_bytes_and_duration_are_those_of_a_whole_stream(captured):
    going = threading.Event()

    def app(environ: Environ, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"a" * 1000
        going.wait(20)
        yield b"b" * 500

    with serving_wsgi(MonitoringWSGI(app)) as url, closing(requests.get(url, stream=True, timeout=20)) as response:
        parts = response.iter_content(1000)
        assert next(parts) == b"a" * 1000
        assert not captured.find("GET")
        going.set()
        assert b"".join(parts) == b"b" * 500
        (record,) = records(captured)
    assert record.attributes["response_bytes"] == 1500
    assert "aborted" not in record.attributes


def test_a_stream_that_raises_has_one_record_with_the_exception(captured):
    def app(environ: Environ, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"a" * 10
        raise ValueError("no more")

    response = Answer(MonitoringWSGI(app), environ_of("/export", QUERY_STRING="page=3&empty="))
    with pytest.raises(ValueError, match="no more"):
        response.read()
    (record,) = records(captured)
    assert record.level == "ERROR"
    assert record.exception is not None
    assert record.exception["type"] == "ValueError"
    assert record.attributes["status"] == 200
    assert record.attributes["response_bytes"] == 10
    assert record.attributes["path"] == "/export"
    assert record.attributes["query"] == {"page": "3", "empty": ""}


def test_a_server_that_ends_the_worker_within_a_request_is_told(captured):
    def app(environ: Environ, start_response: Any) -> list[bytes]:
        raise SystemExit(1)  # gunicorn's, when a worker takes too long

    with pytest.raises(SystemExit):
        Answer(MonitoringWSGI(app))
    (record,) = records(captured)
    assert record.level == "ERROR"
    assert record.exception is not None
    assert record.exception["type"] == "SystemExit"


def test_a_response_that_is_closed_early_has_one_record_that_says_so(captured):
    ended = []

    def app(environ: Environ, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Length", "20")])
        try:
            yield b"a" * 10
            yield b"b" * 10
        finally:
            ended.append(True)

    response = Answer(MonitoringWSGI(app))
    assert next(iter(response.body)) == b"a" * 10
    response.close()
    response.close()
    (record,) = records(captured)
    assert record.attributes["aborted"] is True
    assert record.attributes["response_bytes"] == 10
    assert record.level == "INFO"
    assert ended == [True]


def test_a_client_that_leaves_in_the_middle_has_one_record_that_says_so(captured):
    def app(environ: Environ, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        while True:
            yield b"x" * (1 << 16)

    with serving_wsgi(MonitoringWSGI(app)) as url:
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=20) as client_socket:
            client_socket.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client_socket.recv(1000)
        (record,) = records(captured)
    assert record.attributes["aborted"] is True
    assert record.attributes["response_bytes"] >= 1 << 16


@pytest.mark.parametrize(
    ("method", "status", "length"),
    [("HEAD", "200 OK", "5"), ("GET", "304 Not Modified", "5"), ("GET", "204 No Content", ""), ("GET", "200 OK", "0")],
)
def test_a_response_without_a_body_is_whole(captured, method, status, length):
    def app(environ: Environ, start_response: Any) -> tuple[bytes, ...]:
        start_response(status, [("Content-Length", length)] if length else [])
        return ()

    response = Answer(MonitoringWSGI(app), environ_of(REQUEST_METHOD=method, SERVER_PROTOCOL="HTTP/1.0"))
    assert response.read() == b""
    (record,) = records(captured)
    assert record.message == f"{method} / {status[:3]}"
    assert "aborted" not in record.attributes


def test_the_record_is_there_when_the_announced_length_was_handed_out(captured):
    """Test clients read as much as they need, and do not close what they got."""
    response = Answer(MonitoringWSGI(answer))
    assert next(iter(response.body)) == b"hello"
    records(captured)
    response.close()
    records(captured)


def test_parts_that_are_written_count(captured):
    def app(environ: Environ, start_response: Any) -> list[bytes]:
        write = start_response("200 OK", [])
        write(b"abc")
        return [b"de"]

    response = Answer(MonitoringWSGI(app))
    assert response.read() == b"de"
    assert response.written == [b"abc"]
    assert records(captured)[0].attributes["response_bytes"] == 5


def test_a_list_stays_one_whose_length_a_server_can_ask(captured):
    response = Answer(MonitoringWSGI(answer))
    assert len(response.body) == 1
    generator = Answer(MonitoringWSGI(lambda environ, start_response: iter(answer(environ, start_response))))
    assert not hasattr(generator.body, "__len__")
    assert generator.body  # a body without length is not asked for one


def test_a_file_goes_to_the_server_as_its_own_wrapper(captured):
    class FileWrapper:
        def __init__(self, file: Any, block: int = 8192) -> None:
            self.file = file
            self.close = file.close

    file = io.BytesIO(b"x" * 100)

    def app(environ: Environ, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Length", "100")])
        return environ["wsgi.file_wrapper"](file)

    environ = {**environ_of(), "wsgi.file_wrapper": FileWrapper}
    response = Answer(MonitoringWSGI(app), environ)
    assert type(response.body) is FileWrapper
    assert not captured.find("GET")
    response.close()
    assert file.closed
    assert records(captured)[0].attributes["response_bytes"] == 100


def test_a_body_of_unknown_length_is_counted(captured):
    def app(environ: Environ, start_response: Any) -> list[bytes]:
        read = environ["wsgi.input"].readline() + b"".join(environ["wsgi.input"])
        start_response("200 OK", [])
        return [read]

    environ = environ_of(REQUEST_METHOD="PUT", HTTP_TRANSFER_ENCODING="chunked")
    environ["wsgi.input"] = io.BytesIO(b"one\ntwo\nthree")
    assert Answer(MonitoringWSGI(app), environ).read() == b"one\ntwo\nthree"
    record = records(captured)[0]
    assert record.attributes["request_bytes"] == 13
    assert "request_body" not in record.attributes

"""The transport over HTTP says which trouble it met by the error's type, and keeps its connection.

What it means to the real API is tested in tests/api/test_frames.py.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import orjson
import pytest

from monitoring.pipeline.bus.frame import iter_records
from monitoring.pipeline.bus.streams import Reply
from monitoring.pipeline.errors import (
    BusFull,
    BusRefused,
    BusUnavailable,
    IngestRefused,
    MonitoringError,
    SettingsError,
    SignalUnknown,
)
from monitoring.pipeline.publish.http import HttpTransport
from tests.frames import Sender, event, lane_id


class Scripted(ThreadingHTTPServer):
    """An API that gives the answers it is told: (status, headers, body), the last one for ever."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[tuple[int, dict[str, str], bytes]] = []
        self.requests: list[tuple[str, str, bytes, dict[str, str]]] = []
        self.connections = 0
        self.close_after_answer = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, *_: Any) -> None:
        """Clients that leave in the middle of an answer are part of the tests."""

    def say(self, status: int, body: Any = None, **headers: str) -> None:
        self.answers.append((status, headers, b"" if body is None else orjson.dumps(body)))


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Scripted
    quiet: ClassVar[bool] = True

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.requests.append((self.command, self.path, body, dict(self.headers)))
        answers = self.server.answers
        status, headers, content = answers.pop(0) if len(answers) > 1 else answers[0]
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        self.close_connection = self.server.close_after_answer

    do_GET = do_POST = do_PUT = answer  # noqa: N815 - the names that http.server looks for

    def log_message(self, *_: object) -> None:
        assert self.quiet


@pytest.fixture
def api() -> Iterator[Scripted]:
    with Scripted() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def way(api: Scripted) -> Iterator[HttpTransport]:
    made = HttpTransport(api.url, "the-key", timeout_seconds=5)
    yield made
    made.close()


def test_frames_go_as_records_with_the_key_and_the_lanes_address(api: Scripted, way: HttpTransport) -> None:
    sender = Sender(3)
    frames = [sender.frame([event(number)]) for number in range(3)]
    api.say(202, {"ids": ["1-0", "1-1", "2-0"], "low": 7, "full": True})
    assert way.publish("logs", 1, lane_id(3), frames) == Reply(["1-0", "1-1", "2-0"], 7, True)
    method, path, body, headers = api.requests[0]
    assert method == "POST" and urlsplit(path).path == "/api/v1/frames"
    assert parse_qs(urlsplit(path).query) == {"signal": ["logs"], "partition": ["1"], "lane": [lane_id(3)]}
    assert [frame for frame, _ in iter_records(body)] == frames
    assert headers["Authorization"] == "Bearer the-key"
    assert headers["Content-Type"] == "application/octet-stream"


def test_the_other_questions_have_their_own_requests(api: Scripted, way: HttpTransport) -> None:
    api.say(200, {"partitions": {"logs": 4}})
    api.say(200, {"present": True})
    api.say(204)
    api.say(202, {"ids": [], "low": 9, "full": False})
    assert way.partitions("logs") == 4
    assert way.present("logs", 2, "5-1") is True
    way.report("logs", 2, lane_id(0), {"emitted": 3})
    assert way.publish("logs", 2, lane_id(0), []).low == 9
    assert [request[0] for request in api.requests] == ["GET", "GET", "PUT", "POST"]
    assert parse_qs(urlsplit(api.requests[1][1]).query)["id"] == ["5-1"]
    assert orjson.loads(api.requests[2][2]) == {"emitted": 3}


def test_one_connection_is_kept(api: Scripted, way: HttpTransport) -> None:
    api.say(200, {"partitions": {"logs": 4}})
    for _ in range(5):
        way.partitions("logs")
    assert api.connections == 1


def test_a_connection_that_the_server_closed_meanwhile_is_replaced(api: Scripted, way: HttpTransport) -> None:
    api.say(200, {"partitions": {"logs": 4}})
    api.close_after_answer = True
    for _ in range(5):
        assert way.partitions("logs") == 4
    assert api.connections == 5


def test_a_prefix_and_a_slash_at_the_end_are_understood(api: Scripted) -> None:
    api.say(200, {"partitions": {"logs": 4}})
    HttpTransport(f"{api.url}/monitoring/", "k").partitions("logs")
    assert api.requests[0][1] == "/monitoring/api/v1/frames"


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (401, BusRefused, "MONITORING_API_KEY"),
        (403, BusRefused, "role ingest: not yours"),
        (302, BusRefused, "redirects"),
        (404, BusRefused, "no monitoring API"),
        (413, IngestRefused, "MONITORING_MAX_BODY"),
        (429, BusFull, "not yours"),
        (503, BusFull, "not yours"),
        (500, BusUnavailable, "HTTP 500"),
        (502, BusUnavailable, "HTTP 502"),
        (400, BusRefused, "HTTP 400"),
        (418, BusRefused, "HTTP 418"),
    ],
)
def test_each_refusal_has_its_type_and_says_what_to_do(
    api: Scripted, way: HttpTransport, status: int, error: type[MonitoringError], words: str
) -> None:
    api.say(status, {"detail": "not yours"})
    with pytest.raises(error, match=words):
        way.publish("logs", 0, lane_id(0), [])


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7.0), ("1.5", 1.5), ("-3", 0.0), ("1e9", 300.0), ("Wed, 21 Oct 2026 07:28:00 GMT", 0.0), ("nan", 0.0)],
)
def test_retry_after_is_honoured_within_reason(api: Scripted, way: HttpTransport, header: str, seconds: float) -> None:
    api.say(429, {"detail": "slower"}, Retry_After=header)
    with pytest.raises(BusFull) as caught:
        way.publish("logs", 0, lane_id(0), [])
    assert caught.value.retry_after_seconds == seconds


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"1", b'{"ids": 1}', b'{"ids": ["1-0"], "low": 0, "full": false}', b"x" * (2 << 20)]
)
def test_an_answer_that_is_no_monitoring_apis_is_unavailability(api: Scripted, way: HttpTransport, body: bytes) -> None:
    api.answers.append((202, {}, body))
    with pytest.raises(BusUnavailable):
        way.publish("logs", 0, lane_id(0), [])


def test_a_signal_that_the_other_side_does_not_take_is_told_from_another_api(api: Scripted, way: HttpTransport) -> None:
    api.say(200, {"partitions": {"logs": 2}})
    with pytest.raises(SignalUnknown, match="spans"):
        way.partitions("spans")
    answers: list[Any] = [{"partitions": {"spans": "many"}}, {"partitions": 3}, {}, []]
    for answer in answers:
        api.answers.clear()
        api.say(200, answer)
        with pytest.raises(BusRefused) as caught:
            way.partitions("spans")
        assert not isinstance(caught.value, SignalUnknown)


def test_nobody_there_is_unavailability() -> None:
    with Scripted() as gone:
        url = gone.url
    with pytest.raises(BusUnavailable, match="did not answer"):
        HttpTransport(url, "k").partitions("logs")


def test_silence_is_unavailability_and_the_next_request_has_a_connection_of_its_own(api: Scripted) -> None:
    hold = threading.Event()

    class Silent(Handler):
        def answer(self) -> None:
            if not hold.is_set():
                hold.set()
                threading.Event().wait(2)
            super().answer()

        do_GET = answer  # noqa: N815 - as above

    api.RequestHandlerClass = Silent
    api.say(200, {"partitions": {"logs": 4}})
    way = HttpTransport(api.url, "k", timeout_seconds=0.2)
    with pytest.raises(BusUnavailable, match="timed out"):
        way.partitions("logs")
    assert way.partitions("logs") == 4
    way.close()


@pytest.mark.parametrize("url", ["", "localhost:8321", "ftp://host", "http://", "http://host:port", "http://h:99999"])
def test_an_address_that_cannot_be_is_an_error_of_the_settings(url: str) -> None:
    with pytest.raises(SettingsError, match="MONITORING_URL"):
        HttpTransport(url, "k")

"""GET /api/v1/logs/tail: what arrives, told once, for as long as somebody reads."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from monitoring.pipeline.query import follow
from monitoring.pipeline.query.limits import STREAMS_AT_ONCE
from tests.instance import Instance

TAIL = "/api/v1/logs/tail"


@contextlib.contextmanager
def tail(
    instance: Instance, role: str = "viewer", *, last: str | None = None, **query: str
) -> Iterator[Iterator[bytes]]:
    """The messages of a stream, each as it was sent."""
    headers = {} if last is None else {"Last-Event-ID": last}
    answer = instance.call("GET", TAIL, role, query_string=query, headers=headers, buffered=False)
    assert answer.status_code == 200
    assert answer.mimetype == "text/event-stream"
    try:
        yield (message for piece in answer.response for message in _messages(piece))
    finally:
        answer.close()


def _messages(piece: Any) -> list[bytes]:
    assert isinstance(piece, bytes)
    assert piece.endswith(b"\n\n")
    return piece[:-2].split(b"\n\n")


def event_of(message: bytes) -> dict[str, Any]:
    match = re.fullmatch(rb"id: (\d+)\ndata: (.*)", message)
    assert match, message
    found: dict[str, Any] = orjson.loads(match[2])
    return {**found, "sse_id": match[1].decode()}


def test_what_is_there_is_shown_if_asked_for_and_then_what_arrives_and_matches(instance: Instance) -> None:
    with instance.draining():
        instance.post(b'{"message":"old 1"}\n{"message":"old 2"}')
        instance.messages(2)
        with tail(instance, query="-unwanted", limit="1") as messages:
            assert next(messages) == b"retry: 2000"
            assert event_of(next(messages))["message"].startswith("old")
            for number in range(3):
                instance.post(b'{"message":"unwanted"}\n{"message":"new %d"}' % number)
                assert event_of(next(messages))["message"] == f"new {number}"


def test_a_reader_that_comes_back_is_told_what_it_missed(instance: Instance) -> None:
    with instance.draining():
        with tail(instance) as messages:
            next(messages)
            instance.post(b'{"message":"read"}')
            last = event_of(next(messages))["sse_id"]
        instance.post(b'{"message":"while away"}')
        instance.messages(2)
        with tail(instance, last=last) as messages:
            next(messages)
            shown = [event_of(next(messages))["message"]]
            while shown[-1] != "while away":
                shown.append(event_of(next(messages))["message"])
            assert shown in (["while away"], ["read", "while away"])  # what was read last may come again
            instance.post(b'{"message":"later"}')
            assert event_of(next(messages))["message"] == "later"


def test_a_slow_reader_is_told_how_many_were_left_out(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "MOST_EVENTS", 10)
    with tail(instance) as messages:
        next(messages)
        instance.post(b"\n".join(b'{"message":"m%d"}' % number for number in range(3000)))
        with instance.draining():
            instance.messages(3000)
        shown, missed = 0, 0
        while shown + missed < 3000:
            message = next(messages)
            if message.startswith(b"event: missed\ndata: "):
                missed += orjson.loads(message.partition(b"data: ")[2])["missed"]
            else:
                event_of(message)
                shown += 1
    assert missed > 0


def test_a_stream_ends_when_its_key_is_revoked_or_the_server_stops(instance: Instance) -> None:
    made = instance.call("POST", "/api/v1/keys", json={"name": "x", "role": "viewer"})
    assert made.json is not None
    instance.keys["mine"] = made.json["key"]
    with tail(instance, "mine") as messages:
        next(messages)
        assert instance.call("DELETE", f"/api/v1/keys/{made.json['prefix']}").status_code == 200
        assert list(messages) == []
    with tail(instance) as messages:
        next(messages)
        instance.runtime.stopping = lambda: True
        assert list(messages) == []


@pytest.mark.parametrize(("name", "value"), [("query", "level:"), ("limit", "x"), ("limit", "10001")])
def test_what_cannot_be_followed_is_refused_before_the_stream_begins(instance: Instance, name: str, value: str) -> None:
    answer = instance.call("GET", TAIL, query_string={name: value})
    assert answer.json is not None
    assert (answer.status_code, answer.json["field"]) == (400, name)


@pytest.mark.parametrize("last", ["x", "-1", "9" * 30, "1e3"])
def test_a_last_event_id_that_is_none_of_ours_is_refused(instance: Instance, last: str) -> None:
    answer = instance.call("GET", TAIL, headers={"Last-Event-ID": last})
    assert answer.json is not None
    assert (answer.status_code, answer.json["field"]) == (400, "Last-Event-ID")


def test_a_place_is_given_back_when_the_reader_leaves_and_there_are_only_so_many(instance: Instance) -> None:
    for _ in range(2):
        with contextlib.ExitStack() as stack:
            for _ in range(STREAMS_AT_ONCE):
                next(stack.enter_context(tail(instance)))
            answer = instance.call("GET", TAIL)
            assert (answer.status_code, "Retry-After" in answer.headers) == (503, True)

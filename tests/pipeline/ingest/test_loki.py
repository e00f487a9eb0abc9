"""Loki's push read as events, in JSON and in protobuf."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from monitoring.pipeline.events.defaults import Defaults
from monitoring.pipeline.events.event import MAX_EVENT_BYTES, Event
from monitoring.pipeline.ingest import loki
from monitoring.pipeline.ingest.documents import Unreadable
from monitoring.pipeline.ingest.intake import Intake, TooMuch

NOW = 1_764_000_000_123_456_789
DEFAULTS = Defaults(received_ns=NOW, fallback_service="key")


def body(labels: dict[str, str], *values: list[Any]) -> bytes:
    """A push of one stream in JSON."""
    return orjson.dumps({"streams": [{"stream": labels, "values": list(values)}]})


def proto(data: bytes) -> bytes:
    """The same push in protobuf."""
    request = loki.push_request()()
    for stream in orjson.loads(data)["streams"]:
        made = request.streams.add()
        made.labels = (
            "{" + ", ".join(f"{name}={orjson.dumps(v).decode()}" for name, v in stream["stream"].items()) + "}"
        )
        for time, line, *metadata in stream["values"]:
            entry = made.entries.add(line=line)
            entry.timestamp.seconds, entry.timestamp.nanos = divmod(int(time), 10**9)
            for name, value in (metadata[0] if metadata else {}).items():
                entry.metadata.add(name=name, value=value)
    return bytes(request.SerializeToString())


def both(data: bytes, defaults: Defaults = DEFAULTS) -> Intake:
    """What JSON and protobuf agree on."""
    found = loki.read_json(data, defaults, "test", 100)
    assert found == loki.read_proto(proto(data), defaults, "test", 100)
    return found


def one(data: bytes) -> Event:
    event: Event
    (event,) = both(data).events
    return event


def test_labels_and_metadata_fill_columns_and_the_rest_are_attributes() -> None:
    labels = {
        "service_name": "shop",
        "job": "varlogs",
        "level": "warn",
        "hostname": "web-1",
        "env": "prod",
        "zone": 'a"b',
    }
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    event = one(body(labels, [str(NOW - 7), "cart is full", {"trace_id": trace, "user": "42"}]))
    assert event[:9] == (NOW - 7, 13, "shop", "prod", "", "", "web-1", "cart is full", trace)
    assert orjson.loads(event.attributes) == {"job": "varlogs", "zone": 'a"b', "user": "42"}


def test_a_line_is_read_in_the_format_that_the_stream_is_written_in() -> None:
    event = one(body({"job": "api"}, [str(NOW), '{"msg":"hello","level":"error","n":1,"service":"own"}']))
    assert (event.message, event.level, event.service) == ("hello", 17, "own")
    first, second = both(
        body({}, [str(NOW), 'level=warn msg="slow query" ms=7'], [str(NOW), 'level=info msg="ok" ms=1'])
    ).events
    assert [(first.message, first.level), (second.message, second.level)] == [("slow query", 13), ("ok", 9)]
    assert one(body({}, [str(NOW), '{"torn'])).message == '{"torn'


def test_a_detected_level_in_the_metadata_is_taken() -> None:
    assert one(body({}, [str(NOW), "hm", {"detected_level": "error"}])).level == 17


def test_what_is_too_large_is_rejected_and_spoils_no_other() -> None:
    data = body({}, [str(NOW), "x" * (MAX_EVENT_BYTES + 1)], [str(NOW), "good"])
    for intake in (loki.read_json(data, DEFAULTS, "test", 9), loki.read_proto(proto(data), DEFAULTS, "test", 9)):
        assert [event.message for event in intake.events] == ["good"]
        assert [item.line for item in intake.rejected] == [1]


def test_a_push_that_cannot_be_read_is_refused_as_a_whole() -> None:
    for data in (b"", b"[]", b"{}", b'{"streams":1}', body({}, ["now", "x"]), body({}, ["1"]), body({}, ["1", 2])):
        with pytest.raises(Unreadable):
            loki.read_json(data, DEFAULTS, "test", 9)
    for labels in ("", "{", '{a="b" c="d"}', "{a=b}", '{a="b'):
        with pytest.raises(Unreadable):
            loki.labels_of(labels)
    with pytest.raises(Unreadable):
        loki.read_proto(b"\xff", DEFAULTS, "test", 9)
    with pytest.raises(TooMuch):
        loki.read_json(body({}, *[["1", "x"]] * 3), DEFAULTS, "test", 2)
    assert loki.labels_of('{ app = "a,b", x="\\n", }') == {"app": "a,b", "x": "\n"}

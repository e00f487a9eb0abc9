"""A line of JSON for machines, a line of text for people, from records and events alike."""

from __future__ import annotations

import logging
import sys

import orjson
import pytest

from monitoring import JSONFormatter
from monitoring.pipeline.events.defaults import Defaults
from monitoring.pipeline.events.event import Event
from monitoring.pipeline.events.lenient import event_from_json_line
from monitoring.producers import sdk
from monitoring.producers.client import Resource
from monitoring.producers.context import bind
from monitoring.producers.formatter import TextFormatter
from monitoring.producers.records import event_of

AT = 1_777_636_800_123_456_000


def record(message="order %d", args=(7,), level=logging.WARNING, exc_info=None, **extra):
    made = logging.getLogger("shop").makeRecord("shop", level, "shop.py", 3, message, args, exc_info, extra=extra)
    made.created = AT / 1e9
    return made


def failed():
    try:
        raise ValueError("bad\nthing")
    except ValueError:
        return sys.exc_info()


def test_a_record_is_one_json_object_a_line():
    bind(request_id="r1", user="ann")
    line = JSONFormatter(Resource("shop", "prod", "", "h1")).format(record(order=7))
    assert "\n" not in line
    assert orjson.loads(line) == {
        "timestamp": "2026-05-01T12:00:00.123456Z",
        "level": "WARNING",
        "service": "shop",
        "environment": "prod",
        "logger": "shop",
        "host": "h1",
        "message": "order 7",
        "request_id": "r1",
        "user": "ann",
        "order": 7,
    }


def test_secrets_are_hidden_in_a_file_too_before_the_start_and_as_configured_after_it():
    formatter = JSONFormatter()
    assert orjson.loads(formatter.format(record(password="hunter2", pin=4711)))["password"] == "[REDACTED:password]"
    bus = "redis://127.0.0.1:1"  # nobody answers there
    settings = {"bus_url": bus, "service": "shop", "redact_keys": "badge", "redact_allow": "pin", "console": "off"}
    sdk.start({}, settings | {"collectors": ""})
    line = orjson.loads(formatter.format(record(badge="B-17", pin=4711)))
    assert (line["service"], line["badge"], line["pin"]) == ("shop", "[REDACTED:badge]", 4711)


def test_an_exception_stays_on_the_line():
    line = JSONFormatter().format(record(exc_info=failed()))
    assert "\n" not in line
    assert orjson.loads(line)["exception"]["message"] == "bad\nthing"


def test_attributes_named_like_an_events_own_field_keep_their_value():
    event = Event(AT, 9, "shop", message="m", attributes='{"level":"loud","message":"other","x":1}')
    line = orjson.loads(JSONFormatter().line(event))
    assert (line["level"], line["message"], line["x"]) == ("INFO", "m", 1)
    assert line["attributes"] == {"level": "loud", "message": "other"}


def test_what_a_formatter_writes_our_own_ingest_reads_back():
    source = record(order=7, exc_info=failed(), trace_id="0af7651916cd43dd8448eb211c80319c")
    event = event_of(source, Resource("shop", "prod", "1.2", "h1"))
    line = JSONFormatter(Resource("shop", "prod", "1.2", "h1")).format(source)
    assert event_from_json_line(line.encode(), Defaults(received_ns=AT)) == event


def test_text_for_people():
    event = Event(
        AT, 17, "shop", logger="shop.orders", message="failed", request_id="r1",
        exception='{"type":"ValueError","stacktrace":"Traceback\\nValueError: bad"}',
        attributes='{"order":7,"note":"two words","empty":"","list":[1,2]}',
    )  # fmt: skip
    assert TextFormatter().line(event) == (
        "2026-05-01T12:00:00.123Z ERROR shop.orders: failed request_id=r1 order=7 "
        'note="two words" empty="" list=[1,2]\nTraceback\nValueError: bad'
    )


@pytest.mark.parametrize("formatter", [JSONFormatter, TextFormatter])
def test_every_line_is_redacted(formatter):
    assert "hunter2" not in formatter(redact=lambda line: line.replace("hunter2", "***")).format(
        record("%s", ("hunter2",))
    )


def test_a_string_exception_is_shown_as_it_is():
    assert TextFormatter().line(Event(AT, 9, "s", exception='"Traceback: x"')).endswith("\nTraceback: x")

"""JSON objects of anybody's logger."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.pipeline.bus.frame import encode_payload
from monitoring.pipeline.clock import DAY_NS
from monitoring.pipeline.events.aliases import ROLES
from monitoring.pipeline.events.defaults import Defaults, file_stem
from monitoring.pipeline.events.event import MAX_EVENT_BYTES, Event
from monitoring.pipeline.events.lenient import (
    MAX_DEPTH,
    MAX_FIELDS,
    MAX_RAW_BYTES,
    NotAnEvent,
    event_from_json_line,
    rejected,
)

NOW = int(datetime(2024, 6, 1, tzinfo=UTC).timestamp()) * 10**9
NOON = int(datetime(2024, 5, 1, 12, tzinfo=UTC).timestamp()) * 10**9
DEFAULTS = Defaults(received_ns=NOW, fallback_service="fallback", environment="test", release="1.0", host="here")


def read(record: dict[str, Any] | str | bytes, defaults: Defaults = DEFAULTS) -> Event:
    line = record.encode() if isinstance(record, str) else record
    return event_from_json_line(line if isinstance(line, bytes) else orjson.dumps(line), defaults)


def attributes(event: Event) -> Any:
    return orjson.loads(event.attributes) if event.attributes else {}


def exception(event: Event) -> Any:
    return orjson.loads(event.exception) if event.exception else None


def test_our_own_form_is_read_field_by_field() -> None:
    event = read(
        {
            "timestamp": "2024-05-01T12:00:00.123456789Z",
            "level": "WARNING",
            "service": "api",
            "environment": "prod",
            "release": "2.1",
            "logger": "app.http",
            "host": "web-1",
            "message": "slow",
            "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
            "span_id": "00f067aa0ba902b7",
            "request_id": "r-1",
            "exception": "Traceback …",
            "attributes": {"user_id": 42, "path": "/a"},
        }
    )
    assert event == Event(
        NOON + 123456789, 13, "api", "prod", "2.1", "app.http", "web-1", "slow", "4bf92f3577b34da6a3ce929d0e0e4736",
        "00f067aa0ba902b7", "r-1", '"Traceback …"', '{"user_id":42,"path":"/a"}',
    )  # fmt: skip


def test_what_is_absent_is_the_default() -> None:
    assert read({}) == Event(NOW, 9, "fallback", "test", "1.0", host="here")


# The default output of the usual loggers: what each must become.
LOGGERS: dict[str, tuple[str, dict[str, Any]]] = {
    "python-json-logger": (
        '{"asctime": "2024-05-01 12:00:00,250", "levelname": "ERROR", "name": "app.db", "message": "lost",'
        ' "exc_info": "Traceback (most recent call last):\\n  …\\nValueError: x", "user": "ann"}',
        {"timestamp": NOON + 250_000_000, "level": 17, "logger": "app.db", "message": "lost",
         "exception": "Traceback (most recent call last):\n  …\nValueError: x", "attributes": {"user": "ann"}},
    ),
    "structlog": (
        '{"event": "user logged in", "level": "info", "timestamp": "2024-05-01T12:00:00Z",'
        ' "logger": "auth", "user": 3}',
        {"timestamp": NOON, "level": 9, "logger": "auth", "message": "user logged in", "attributes": {"user": 3}},
    ),
    "structlog with dict tracebacks": (
        '{"event": "x", "level": "error", "exception": [{"exc_type": "ValueError", "frames": []}]}',
        {"level": 17, "message": "x", "exception": {"exceptions": [{"exc_type": "ValueError", "frames": []}]}},
    ),
    "loguru": (
        '{"text": "12:00 | ERROR | boom\\nTraceback (most recent call last):\\n  File\\nValueError: x\\n", "record":'
        ' {"elapsed": {"repr": "0:00:00.1", "seconds": 0.1}, "exception": {"type": "ValueError", "value": "x",'
        ' "traceback": true}, "extra": {"request_id": "r1", "n": 1}, "file": {"name": "a.py", "path": "/app/a.py"},'
        ' "function": "f", "level": {"icon": "x", "name": "ERROR", "no": 40}, "line": 3, "message": "boom",'
        ' "module": "a",'
        ' "name": "app.jobs", "time": {"repr": "2024-05-01 12:00:00+00:00", "timestamp": 1714564800.5}}}',
        {"timestamp": NOON + 500_000_000, "level": 17, "logger": "app.jobs", "message": "boom", "request_id": "r1",
         "exception": "Traceback (most recent call last):\n  File\nValueError: x",
         "attributes": {"elapsed": 0.1, "file": "/app/a.py", "function": "f", "line": 3, "module": "a", "n": 1}},
    ),
    "logrus": (
        '{"time": "2024-05-01T14:00:00+02:00", "level": "warning", "msg": "disk", "free": 3}',
        {"timestamp": NOON, "level": 13, "message": "disk", "attributes": {"free": 3}},
    ),
    "zap": (
        '{"level":"error","ts":1714564800.25,"logger":"main","caller":"a.go:1","msg":"boom","error":"timeout",'
        '"stacktrace":"main.f\\n\\t/a.go:1"}',
        {"timestamp": NOON + 250_000_000, "level": 17, "logger": "main", "message": "boom",
         "exception": "main.f\n\t/a.go:1", "attributes": {"caller": "a.go:1", "error": "timeout"}},
    ),
    "zerolog": (
        '{"level":"fatal","time":1714564800,"message":"bye"}',
        {"timestamp": NOON, "level": 21, "message": "bye"},
    ),
    "slog": (
        '{"time":"2024-05-01T12:00:00Z","level":"WARN+2","msg":"careful","source":{"line":3}}',
        {"timestamp": NOON, "level": 15, "message": "careful", "attributes": {"source": {"line": 3}}},
    ),
    "tracing": (
        '{"timestamp":"2024-05-01T12:00:00Z","level":"INFO","fields":{"message":"hi","n":1},"target":"app::web"}',
        {"timestamp": NOON, "level": 9, "message": "hi", "logger": "app::web", "attributes": {"n": 1}},
    ),
    "pino": (
        '{"level":50,"time":1714564800250,"pid":7,"hostname":"web-1","msg":"x","err":{"type":"Error","message":"no",'
        '"stack":"Error: no\\n    at f"}}',
        {"timestamp": NOON + 250_000_000, "level": 17, "host": "web-1", "message": "x",
         "exception": {"type": "Error", "message": "no", "stack": "Error: no\n    at f"}, "attributes": {"pid": 7}},
    ),
    "bunyan": (
        '{"name":"api","hostname":"h","pid":7,"level":40,"msg":"m","time":"2024-05-01T12:00:00.000Z","v":0}',
        {"timestamp": NOON, "level": 13, "logger": "api", "host": "h", "message": "m",
         "attributes": {"pid": 7, "v": 0}},
    ),
    "logback": (
        '{"@timestamp":"2024-05-01T12:00:00.000Z","@version":"1","message":"m","logger_name":"c.f.Bar",'
        '"thread_name":"main","level":"DEBUG","level_value":10000,"stack_trace":"j.l.X: y\\n\\tat c.f.Bar"}',
        {"timestamp": NOON, "level": 5, "logger": "c.f.Bar", "message": "m", "exception": "j.l.X: y\n\tat c.f.Bar",
         "attributes": {"@version": "1", "thread_name": "main"}},
    ),
    "log4j2": (
        '{"instant":{"epochSecond":1714564800,"nanoOfSecond":5},"level":"INFO","loggerName":"a.B","message":"m"}',
        {"timestamp": NOON + 5, "level": 9, "logger": "a.B", "message": "m"},
    ),
    "Serilog": (
        '{"@t":"2024-05-01T12:00:00Z","@mt":"{n} things","@l":"Warning","@x":"X: y\\n   at Z","@tr":"abc","n":3}',
        {"timestamp": NOON, "level": 13, "message": "{n} things", "exception": "X: y\n   at Z", "trace_id": "abc",
         "attributes": {"n": 3}},
    ),
    "Elastic Common Schema": (
        '{"@timestamp":"2024-05-01T12:00:00Z","log":{"level":"error","logger":"a.b"},"service":{"name":"shop",'
        '"version":"7"},"host":{"name":"h","ip":"10.0.0.1"},"trace":{"id":"t1"},"span":{"id":"s1"},"message":"m",'
        '"error":{"type":"E","message":"x","stack_trace":"E: x\\n at"},"event":{"dataset":"d"}}',
        {"timestamp": NOON, "level": 17, "service": "shop", "release": "7", "logger": "a.b", "host": "h",
         "trace_id": "t1", "span_id": "s1", "message": "m",
         "exception": {"type": "E", "message": "x", "stack_trace": "E: x\n at"},
         "attributes": {"host.ip": "10.0.0.1", "event": {"dataset": "d"}}},
    ),
    "Elastic Common Schema, dotted": (
        '{"@timestamp":"2024-05-01T12:00:00Z","log.level":"warn","log.logger":"a","service.name":"shop","trace.id":"t"}',
        {"timestamp": NOON, "level": 13, "service": "shop", "logger": "a", "trace_id": "t"},
    ),
    "OpenTelemetry, one record": (
        '{"timeUnixNano":"1714564800123456789","severityNumber":18,"severityText":"Error","body":{"stringValue":"b"},'
        '"attributes":[{"key":"n","value":{"intValue":"5"}},{"key":"l","value":{"arrayValue":{"values":'
        '[{"stringValue":"x"}]}}}],"traceId":"t","spanId":"s","resource":{"attributes":[{"key":"service.name",'
        '"value":{"stringValue":"shop"}},{"key":"host.name","value":{"stringValue":"h"}}]}}',
        {"timestamp": NOON + 123456789, "level": 18, "service": "shop", "host": "h", "message": "b", "trace_id": "t",
         "span_id": "s", "attributes": {"n": 5, "l": ["x"]}},
    ),
    "OpenTelemetry for Python": (
        '{"body":"b","severity_number":9,"severity_text":"INFO","attributes":{"a":1},"timestamp":'
        '"2024-05-01T12:00:00.000000Z","trace_id":"0x00000000000000000000000000000000","span_id":"0x00f067aa0ba902b7"}',
        {"timestamp": NOON, "level": 9, "message": "b", "span_id": "00f067aa0ba902b7", "attributes": {"a": 1}},
    ),
    "OpenTelemetry's fields in logging": (
        '{"message":"m","otelTraceID":"0","otelSpanID":"0","otelServiceName":"shop"}',
        {"message": "m", "service": "shop"},
    ),
    "Google Cloud": (
        '{"severity":"ERROR","textPayload":"m","timestamp":{"seconds":1714564800,"nanos":5},'
        '"logging.googleapis.com/trace":"projects/p/traces/abc","logging.googleapis.com/spanId":"7"}',
        {"timestamp": NOON + 5, "level": 17, "message": "m", "trace_id": "abc", "span_id": "7"},
    ),
    "Datadog": (
        '{"message":"m","dd.trace_id":"123","dd.span_id":"4","dd.service":"s","dd.env":"prod","dd.version":"3"}',
        {"message": "m", "trace_id": "123", "span_id": "4", "service": "s", "environment": "prod", "release": "3"},
    ),
    "GELF": (
        '{"version":"1.1","host":"h","short_message":"m","timestamp":1714564800.25,"level":4,"_user":"ann"}',
        {"timestamp": NOON + 250_000_000, "level": 13, "host": "h", "message": "m", "attributes": {"user": "ann"}},
    ),
    "MongoDB": (
        '{"t":{"$date":"2024-05-01T12:00:00.000+00:00"},"s":"W","c":"NETWORK","id":1,"ctx":"conn","msg":"m",'
        '"attr":{"a":1}}',
        {"timestamp": NOON, "level": 13, "logger": "NETWORK", "message": "m",
         "attributes": {"id": 1, "ctx": "conn", "a": 1}},
    ),
    "Celery's JSON": (
        '{"time":"2024-05-01T12:00:00Z","severity":"CRITICAL","text":"m","app":"worker","correlation_id":"c-1"}',
        {"timestamp": NOON, "level": 21, "message": "m", "service": "worker", "request_id": "c-1"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("logger", LOGGERS)
def test_the_default_output_of_a_usual_logger_is_understood(logger: str) -> None:
    line, expected = LOGGERS[logger]
    event = read(line)
    for name, value in expected.items():
        found = {"exception": exception, "attributes": attributes}.get(
            name, lambda event, name=name: getattr(event, name)
        )(event)
        if name == "attributes":
            assert value.items() <= found.items()
        else:
            assert found == value, name


@pytest.mark.parametrize("name", [name for names in ROLES.values() for name in names])
def test_every_alias_fills_its_field(name: str) -> None:
    role = next(role for role, names in ROLES.items() if name in names)
    values: dict[str, Any] = {"timestamp": "2024-05-01T12:00:00Z", "level": "error", "exception": "X: y\n  at z"}
    if "severity_number" in name.lower() or "severitynumber" in name.lower():
        values["level"] = 17
    event = read({name: values.get(role, "value")})
    expected: dict[str, Any] = {"timestamp": NOON, "level": 17, "exception": '"X: y\\n  at z"'}
    assert getattr(event, role) == expected.get(role, "value")
    assert event.attributes == ""


def test_of_several_names_the_best_fills_the_field_and_the_others_are_kept() -> None:
    event = read({"text": "t", "message": "m", "event": "e", "ts": 1714564800, "date": "2020-01-01"})
    assert event.message == "m" and event.timestamp == NOON
    assert attributes(event) == {"text": "t", "event": "e", "date": "2020-01-01"}


def test_a_value_that_cannot_fill_its_field_is_kept_and_the_next_name_tried() -> None:
    event = read(
        {"level": "funny", "levelno": 40, "time": "yesterday", "ts": None, "message": "", "msg": "m", "host": {}}
    )
    assert (event.level, event.message, event.timestamp, event.host) == (17, "m", NOW, "here")
    assert attributes(event) == {"level_original": "funny", "time": "yesterday"}


def test_unknown_names_become_attributes_of_any_type() -> None:
    extra = {"a": 1, "b": 1.5, "c": None, "d": True, "e": [1, {"x": 2}], "f": {"g": "h"}, "": "empty", "ä": "ö"}
    assert attributes(read({"message": "m", **extra})) == extra


def test_nested_attributes_are_merged_and_lose_nothing_where_names_collide() -> None:
    event = read(
        {"msg": "m", "user": 1, "attributes": {"user": 2, "a": 3}, "extra": {"a": 4}, "context": {"request_id": "r"}}
    )
    assert attributes(event) == {"user": 1, "attributes.user": 2, "a": 3, "extra.a": 4}
    assert event.request_id == "r"


def test_a_name_inside_extra_is_no_logger() -> None:
    event = read({"msg": "m", "extra": {"name": "Ann", "level": "expert", "host": "x"}})
    assert (event.logger, event.level, event.host) == ("", 9, "here")
    assert attributes(event) == {"name": "Ann", "level": "expert", "host": "x"}


@pytest.mark.parametrize(
    ("record", "level"),
    [
        ({"level": 10}, 1), ({"level": 20}, 5), ({"level": 30}, 9), ({"level": 35}, 9), ({"level": 60}, 21),
        ({"level": "30"}, 9), ({"level": 30.0}, 9),
        ({"levelno": 10}, 5), ({"levelno": 20}, 9), ({"levelno": 25}, 9), ({"levelno": 50}, 21),
        ({"severityNumber": 1}, 1), ({"severityNumber": 24}, 24), ({"severityNumber": 0}, 9),
        ({"syslog": {"severity": 3}}, 17),
        ({"level": 40000}, 17), ({"level_value": 30000}, 13),
        ({"level": "NOTICE"}, 10), ({"level": " Warn "}, 13), ({"level": "[ERROR]"}, 17), ({"severity": "ERROR2"}, 18),
        ({"level": 3}, 9), ({"level": True}, 9), ({"level": []}, 9), ({"level": "x" * 100}, 9),
    ],
)  # fmt: skip
def test_levels_are_names_and_the_numbers_of_several_scales(record: dict[str, Any], level: int) -> None:
    assert read(record).level == level


def test_a_level_that_is_not_known_is_info_and_its_text_kept() -> None:
    event = read({"level": "AUDIT", "msg": "m"})
    assert event.level == 9 and attributes(event) == {"level_original": "AUDIT"}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2999-01-01T00:00:00Z", NOW + DAY_NS),
        (9_999_999_999, NOW + DAY_NS),
        ("1931-01-01T00:00:00Z", 0),
        (-1, 0),
        (-1e-9, 0),
    ],
)
def test_a_time_that_cannot_be_is_clamped_and_kept(value: Any, expected: int) -> None:
    event = read({"ts": value})
    assert event.timestamp == expected
    assert attributes(event) == ({"timestamp_original": value} if value != -1e-9 else {})


def test_a_time_up_to_a_day_ahead_is_believed() -> None:
    assert read({"ts": (NOW + DAY_NS) // 10**9}).timestamp == NOW + DAY_NS


def test_a_small_number_under_a_vague_name_is_no_time() -> None:
    event = read({"t": 0.25, "created": 3, "ts": 1714564800})
    assert event.timestamp == NOON and attributes(event) == {"t": 0.25, "created": 3}
    assert read({"t": 0.25}).timestamp == NOW


def test_a_time_without_zone_is_of_the_zone_given() -> None:
    local = Defaults(received_ns=NOW, zone=ZoneInfo("Europe/Berlin"))
    assert read({"ts": "2024-05-01T14:00:00"}, local).timestamp == NOON
    assert read({"ts": "2024-05-01 12:00:00,5"}).timestamp == NOON + 500_000_000


def test_the_setting_wins_over_the_events_own_service_which_is_kept() -> None:
    forced = Defaults(received_ns=NOW, service="set", fallback_service="fallback")
    assert read({"service": "own"}, forced).service == "set"
    assert attributes(read({"service": "own"}, forced)) == {"service_original": "own"}
    assert attributes(read({"service": "set"}, forced)) == {}
    assert read({}, forced).service == "set" and read({}, forced).attributes == ""


def test_a_name_that_is_too_long_is_cut_and_kept_whole() -> None:
    event = read({"service": "s" * 1000})
    assert event.service == "s" * 256 and attributes(event) == {"service_original": "s" * 1000}


@pytest.mark.parametrize("value", [True, 1, "", None, [], {}])
def test_exc_info_that_says_nothing_is_no_exception(value: Any) -> None:
    assert read({"msg": "m", "exc_info": value}).exception == ""


def test_a_message_that_is_an_object_is_kept_as_its_json() -> None:
    assert read({"message": {"a": 1}}).message == '{"a":1}'
    assert read({"message": 42}).message == "42"


def test_nan_and_infinity_as_python_writes_them_are_kept_as_text() -> None:
    event = read(json.dumps({"loss": float("nan"), "best": float("-inf"), "msg": "m"}))
    assert attributes(event) == {"loss": "NaN", "best": "-Infinity"}


def test_bytes_that_are_not_utf8_are_kept_readable() -> None:
    event = read(b'{"msg": "caf\xe9", "path": "/\xff"}')
    assert event.message == "caf\\xe9" and attributes(event) == {"path": "/\\xff"}


def test_lone_surrogates_and_huge_numbers_do_no_harm() -> None:
    event = read(r'{"msg": "\ud800x", "n": 123456789012345678901234567890}')
    encode_payload([event])
    assert event.message == "?x"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("", "not valid JSON"), ("{", "not valid JSON"), ('{"a": 1', "not valid JSON"), ("nonsense", "not valid JSON"),
        ("[1]", "not a JSON object"), ('"text"', "not a JSON object"), ("42", "not a JSON object"),
        ("null", "not a JSON object"),
        ('{"a": ' + "[" * 40 + "]" * 40 + "}", "nested deeper"),
        ('{"a": ' + "[" * 5000 + "]" * 5000 + "}", "nested deeper"),
        ('{"a": "' + "x" * MAX_EVENT_BYTES + '"}', "longer than"),
    ],
)  # fmt: skip
def test_what_is_no_event_is_refused_with_its_reason(line: str, reason: str) -> None:
    with pytest.raises(NotAnEvent, match=reason) as caught:
        read(line)
    assert isinstance(caught.value, ValueError)
    assert "line 1 column" not in caught.value.reason  # one reason, not one for each place


def test_fields_up_to_the_bound_are_kept_and_more_are_no_event() -> None:
    most = {f"k{number}": ":" for number in range(MAX_FIELDS)}
    assert len(attributes(read(most))) == MAX_FIELDS
    for many in ({**most, "one": 1}, {"a": [{"b": most}]}):
        with pytest.raises(NotAnEvent, match="more than 1000 fields"):
            read(many)


def test_nesting_up_to_the_bound_is_kept() -> None:
    value: Any = 1
    for _ in range(MAX_DEPTH - 1):
        value = [value]
    assert attributes(read({"a": value})) == {"a": value}


def test_an_object_that_is_too_large_is_refused_even_when_it_comes_decoded() -> None:
    with pytest.raises(NotAnEvent, match="longer than"):
        event_from_json_line({"msg": "x" * (MAX_EVENT_BYTES + 1)}, DEFAULTS)


def test_of_rejected_input_the_start_is_kept() -> None:
    assert len(rejected("r", b"x" * (1 << 20), "f", 3).raw) == MAX_RAW_BYTES


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("app.log", "app"), ("/var/log/nginx/access.log.1.gz", "access"), ("syslog", "syslog"), ("syslog.7", "syslog"),
        ("a.b.json", "a.b"), ("app.log-20240501.zst", "app"), (".log", ".log"), ("stdin", "stdin"),
        ("C:\\x\\y.txt", "y"),
    ],
)  # fmt: skip
def test_a_files_stem_is_its_name_without_endings(name: str, stem: str) -> None:
    assert file_stem(name) == stem


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
KNOWN = st.sampled_from(
    sorted(
        {name for names in ROLES.values() for name in names}
        | {"record", "text", "attributes", "extra", "resource", "fields", "s", "c", "attr"}
    )
)


@given(st.dictionaries(KNOWN | st.text(max_size=8), VALUES, max_size=8))
def test_any_object_is_an_event_that_can_be_sent_or_is_refused(record: dict[str, Any]) -> None:
    for given_as in (record, json.dumps(record).encode()):
        try:
            event = event_from_json_line(given_as, DEFAULTS)
        except NotAnEvent:
            continue
        assert 0 <= event.timestamp <= NOW + DAY_NS and 1 <= event.level <= 24 and event.service
        assert all(isinstance(text, str) for text in event[2:])
        assert isinstance(orjson.loads(event.attributes or "{}"), dict)
        assert isinstance(orjson.loads(event.exception or '""'), str | dict)
        encode_payload([event])


@given(st.binary(max_size=200))
def test_any_bytes_are_an_event_or_refused(line: bytes) -> None:
    try:
        encode_payload([event_from_json_line(line, DEFAULTS)])
    except NotAnEvent as error:
        assert error.reason


@given(st.dictionaries(st.text(max_size=8).map(lambda name: f"x_{name}"), VALUES, max_size=6))
def test_attributes_come_back_as_they_were(extra: dict[str, Any]) -> None:
    record = orjson.loads(
        json.dumps(extra, allow_nan=True).replace("NaN", "0").replace("-Infinity", "0").replace("Infinity", "0")
    )
    assert attributes(event_from_json_line(record, DEFAULTS)) == record

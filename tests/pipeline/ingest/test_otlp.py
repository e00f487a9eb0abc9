"""OTLP read as events: the same facts from protobuf and from JSON, and nothing lost that has no column."""

from __future__ import annotations

import base64
import math
from typing import Any

import orjson
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from monitoring.pipeline.events.defaults import Defaults
from monitoring.pipeline.events.event import MAX_EVENT_BYTES, Event
from monitoring.pipeline.events.lenient import MAX_FIELDS
from monitoring.pipeline.ingest import otlp_logs, otlp_spans
from monitoring.pipeline.ingest.documents import Unreadable
from monitoring.pipeline.ingest.intake import Intake, TooMuch

NOW = 1_764_000_000_000_000_000
DEFAULTS = Defaults(received_ns=NOW, fallback_service="key")
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def value(content: Any) -> dict[str, Any]:
    """AnyValue in JSON."""
    match content:
        case bool():
            return {"boolValue": content}
        case int():
            return {"intValue": str(content)}
        case float():
            return {"doubleValue": content}
        case bytes():
            return {"bytesValue": base64.b64encode(content).decode()}
        case list():
            return {"arrayValue": {"values": [value(item) for item in content]}}
        case dict():
            return {"kvlistValue": {"values": pairs(content)}}
    return {"stringValue": content}


def pairs(attributes: dict[str, Any]) -> list[dict[str, Any]]:
    """KeyValues in JSON."""
    return [{"key": name, "value": value(content)} for name, content in attributes.items()]


def request(*records: dict[str, Any], resource: dict[str, Any] | None = None, scope: str = "shop.cart") -> bytes:
    """An ExportLogsServiceRequest in JSON."""
    return orjson.dumps(
        {
            "resourceLogs": [
                {
                    "resource": {"attributes": pairs(resource or {})},
                    "scopeLogs": [{"scope": {"name": scope}, "logRecords": list(records)}],
                }
            ]
        }
    )


def proto(body: bytes, message: Any = ExportLogsServiceRequest) -> bytes:
    """The same request in protobuf."""
    from google.protobuf import json_format

    def fix(node: Any) -> Any:
        if isinstance(node, dict):
            return {
                name: base64.b64encode(bytes.fromhex(item)).decode()
                if name in ("traceId", "spanId", "parentSpanId")
                else fix(item)
                for name, item in node.items()
            }
        return [fix(item) for item in node] if isinstance(node, list) else node

    return bytes(json_format.ParseDict(fix(orjson.loads(body)), message()).SerializeToString())


def both(body: bytes, defaults: Defaults = DEFAULTS) -> Intake:
    """What JSON and protobuf agree on."""
    first = otlp_logs.read_json(body, defaults, "test", 1000)
    second = otlp_logs.read_proto(proto(body), defaults, "test", 1000)
    assert first.events == second.events
    assert [item.reason for item in first.rejected] == [item.reason for item in second.rejected]
    return first


def one(record: dict[str, Any], defaults: Defaults = DEFAULTS, **more: Any) -> Event:
    intake = both(request(record, **more), defaults)
    assert not intake.rejected
    event: Event
    (event,) = intake.events
    return event


def test_everything_a_record_tells_has_its_place() -> None:
    event = one(
        {
            "timeUnixNano": str(NOW - 5),
            "severityNumber": 18,
            "severityText": "ERROR2",
            "body": value("payment failed"),
            "attributes": pairs(
                {
                    "user": {"id": 42, "tags": ["a", True, 1.5]},
                    "blob": b"\x00\xff",
                    "request_id": "r-1",
                    "exception.type": "ValueError",
                    "exception.message": "no",
                    "exception.stacktrace": "Traceback",
                }
            ),
            "traceId": TRACE,
            "spanId": SPAN,
        },
        resource={
            "service.name": "shop",
            "deployment.environment.name": "staging",
            "service.version": "1.2",
            "host.name": "web-1",
            "process.pid": 7,
        },
    )
    assert event[:11] == (
        NOW - 5, 18, "shop", "staging", "1.2", "shop.cart", "web-1", "payment failed", TRACE, SPAN, "r-1",
    )  # fmt: skip
    assert orjson.loads(event.exception) == {"type": "ValueError", "message": "no", "stacktrace": "Traceback"}
    assert orjson.loads(event.attributes) == {
        "process.pid": 7,
        "user": {"id": 42, "tags": ["a", True, 1.5]},
        "blob": "AP8=",
    }


def test_what_a_record_does_not_tell_comes_from_where_it_came() -> None:
    event = one({"body": value("x")}, resource={"service.name": "unknown_service:python"})
    assert (event.timestamp, event.level, event.service, event.attributes) == (NOW, 9, "key", "")
    assert one({"observedTimeUnixNano": str(NOW - 9)}).timestamp == NOW - 9
    event = one({"body": value("x")}, Defaults(received_ns=NOW, service="set"), resource={"service.name": "own"})
    assert (event.service, orjson.loads(event.attributes)) == ("set", {"service_original": "own"})


def test_the_older_name_of_the_environment_is_understood() -> None:
    assert one({}, resource={"deployment.environment": "prod"}).environment == "prod"


def test_severity_is_the_number_else_the_text_and_strange_text_is_kept() -> None:
    assert one({"severityText": "warn"}).level == 13
    assert one({"severityNumber": 21, "severityText": "debug"}).level == 21
    event = one({"severityText": "audit"})
    assert (event.level, orjson.loads(event.attributes)) == (9, {"severity_text": "audit"})


def test_a_body_of_any_kind_becomes_a_message() -> None:
    assert one({"body": value(["a", 1])}).message == '["a",1]'
    assert one({"body": value(3)}).message == "3"
    assert one({"body": value({"a": 1})}).message == '{"a":1}'
    assert one({"eventName": "cart.full"}).message == "cart.full"
    event = one({"body": value({"message": "hello", "n": 1})})
    assert (event.message, orjson.loads(event.attributes)) == ("hello", {"n": 1})


def test_numbers_that_json_has_not_are_kept_as_their_names() -> None:
    request_ = ExportLogsServiceRequest()
    record = request_.resource_logs.add().scope_logs.add().log_records.add()
    for name, number in (("a", math.nan), ("b", math.inf), ("c", -math.inf)):
        pair = record.attributes.add(key=name)
        pair.value.double_value = number
    (event,) = otlp_logs.read_proto(request_.SerializeToString(), DEFAULTS, "test", 9).events
    assert orjson.loads(event.attributes) == {"a": "NaN", "b": "Infinity", "c": "-Infinity"}


def test_a_time_in_the_far_future_is_clamped_and_kept() -> None:
    event = one({"timeUnixNano": str(NOW * 2)})
    assert event.timestamp == DEFAULTS.latest_ns
    assert orjson.loads(event.attributes) == {"timestamp_original": NOW * 2}


def test_a_record_that_is_too_large_or_too_deep_is_rejected_and_spoils_no_other() -> None:
    deep: Any = 1
    for _ in range(40):
        deep = [deep]
    body = request(
        {"body": value("x" * (MAX_EVENT_BYTES + 1))}, {"body": value("good")}, {"attributes": pairs({"deep": deep})}
    )
    intake = otlp_logs.read_json(body, DEFAULTS, "test", 9)
    assert [event.message for event in intake.events] == ["good"]
    assert [(item.line, item.source) for item in intake.rejected] == [(1, "test"), (3, "test")]
    assert ["longer" in intake.rejected[0].reason, "deeper" in intake.rejected[1].reason] == [True, True]


def test_a_record_of_too_many_attributes_is_rejected() -> None:
    most = {f"k{number}": number for number in range(MAX_FIELDS)}
    intake = both(request({"attributes": pairs(most)}, {"attributes": pairs({**most, "one": 1})}))
    assert len(orjson.loads(intake.events[0].attributes)) == MAX_FIELDS
    assert [item.reason for item in intake.rejected] == ["more than 1000 fields"]


def test_a_body_that_is_no_request_is_refused_as_a_whole() -> None:
    for body in (b"", b"[]", b"{", b'{"resourceLogs": 1}', b'{"resourceLogs": [1]}'):
        with pytest.raises(Unreadable):
            otlp_logs.read_json(body, DEFAULTS, "test", 9)
    with pytest.raises(Unreadable):
        otlp_logs.read_proto(b"\xff\xff\xff", DEFAULTS, "test", 9)
    with pytest.raises(TooMuch):
        otlp_logs.read_json(request({}, {}, {}), DEFAULTS, "test", 2)


def test_a_span_and_its_events_become_events_of_its_trace() -> None:
    body = orjson.dumps(
        {
            "resourceSpans": [
                {
                    "resource": {"attributes": pairs({"service.name": "shop"})},
                    "scopeSpans": [
                        {
                            "scope": {"name": "flask"},
                            "spans": [
                                {
                                    "traceId": TRACE,
                                    "spanId": SPAN,
                                    "parentSpanId": "b7ad6b7169203331",
                                    "name": "GET /cart",
                                    "kind": 2,
                                    "startTimeUnixNano": str(NOW - 2_000_000),
                                    "endTimeUnixNano": str(NOW),
                                    "attributes": pairs({"http.route": "/cart"}),
                                    "status": {"code": 2, "message": "boom"},
                                    "events": [
                                        {"timeUnixNano": str(NOW - 1), "name": "cache miss"},
                                        {
                                            "timeUnixNano": str(NOW - 1),
                                            "name": "exception",
                                            "attributes": pairs({"exception.type": "KeyError"}),
                                        },
                                    ],
                                    "links": [{"traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": SPAN}],
                                }
                            ],
                        }
                    ],
                }
            ]
        }
    )
    intake = otlp_spans.read_json(body, DEFAULTS, "test", 9)
    assert intake == otlp_spans.read_proto(proto(body, ExportTraceServiceRequest), DEFAULTS, "test", 9)
    span, miss, error = intake.events
    assert (span.message, span.level, span.service, span.logger) == ("GET /cart", 17, "shop", "flask")
    assert {event.trace_id + event.span_id for event in intake.events} == {TRACE + SPAN}
    assert orjson.loads(span.attributes) == {
        "http.route": "/cart",
        "span.kind": "server",
        "duration_ms": 2.0,
        "parent_span_id": "b7ad6b7169203331",
        "links": [{"trace_id": "0af7651916cd43dd8448eb211c80319c", "span_id": SPAN}],
        "status.message": "boom",
    }
    assert (miss.message, miss.level, error.level, error.exception) == ("cache miss", 9, 17, '{"type":"KeyError"}')


def varint(number: int) -> bytes:
    head, more = number & 0x7F, number >> 7
    return bytes([head | 0x80]) + varint(more) if more else bytes([head])


def wrapped(number: int, data: bytes) -> bytes:
    """A field of protobuf that holds these bytes."""
    return varint(number << 3 | 2) + varint(len(data)) + data


def test_messages_that_are_small_on_the_wire_and_large_in_memory_are_not_built() -> None:
    """2 MB of empty records would be 128 MB."""
    records = wrapped(1, wrapped(2, wrapped(2, b"") * 1_000_000))
    with pytest.raises(TooMuch):
        otlp_logs.read_proto(records, DEFAULTS, "test", 1000)
    attributes = wrapped(6, b"") * 600_000
    intake = otlp_logs.read_proto(wrapped(1, wrapped(2, wrapped(2, attributes))), DEFAULTS, "test", 1000)
    assert (intake.events, len(intake.rejected)) == ([], 1)
    with pytest.raises(Unreadable):
        otlp_logs.read_proto(wrapped(1, wrapped(1, attributes)), DEFAULTS, "test", 1000)


def test_fields_that_are_not_known_are_passed_over() -> None:
    strange = varint(99 << 3) + varint(1 << 40) + varint(98 << 3 | 1) + bytes(8) + varint(97 << 3 | 5) + bytes(4)
    record = wrapped(2, wrapped(5, wrapped(1, b"hello")) + strange)
    body = strange + wrapped(1, strange + wrapped(2, strange + record) + wrapped(96, b"x"))
    assert [event.message for event in otlp_logs.read_proto(body, DEFAULTS, "test", 9).events] == ["hello"]

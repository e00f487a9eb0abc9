"""Logs of OTLP: an ExportLogsServiceRequest, in protobuf or JSON, read as events.

    resource  service.name, deployment.environment(.name), service.version, host.name -> columns, the rest -> attributes
    scope     name -> logger, attributes -> attributes
    record    time (else observed time), severity, body -> message, exception.* -> exception, trace and span id

A body that is an object gives its `message` (or `msg`) as the message and the rest as attributes, else its JSON text.
Source: https://opentelemetry.io/docs/specs/otel/logs/data-model/ and the .proto files of opentelemetry-proto 1.x.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import orjson

from monitoring.pipeline.events import levels
from monitoring.pipeline.events.event import Event, Rejected
from monitoring.pipeline.events.lenient import Defaults, NotAnEvent, rejected
from monitoring.pipeline.ingest.built import Group, build, exception_of, group_of
from monitoring.pipeline.ingest.documents import Unreadable, items, load, members, objects, text, whole
from monitoring.pipeline.ingest.intake import Intake, TooMuch
from monitoring.pipeline.ingest.otlp import (
    hex_id,
    json_attributes,
    json_value,
    origin_of,
    proto_attributes,
    proto_value,
)
from monitoring.pipeline.ingest.wire import built, children, first

__all__ = ["Told", "group_from", "raw_of", "read_json", "read_proto", "resource_of", "scope_of", "severity", "unpacked"]


class Told(NamedTuple):
    """What a record tells, whichever way it came. Times are nanoseconds since 1970, 0 where they are not told."""

    time: int
    number: int
    level: str
    body: Any
    attributes: dict[str, Any]
    dropped: int
    trace_id: str
    span_id: str
    name: str


def read_proto(body: bytes, defaults: Defaults, source: str, most: int) -> Intake:
    """The events of a request in protobuf. Raises Unreadable, TooMuch beyond so many records."""
    return _taken(_proto_records(body, defaults), source, most, defaults)


def read_json(body: bytes, defaults: Defaults, source: str, most: int) -> Intake:
    """The events of a request in JSON. Raises Unreadable, TooMuch beyond so many records."""
    return _taken(_json_records(load(body), defaults), source, most, defaults)


_Records = Iterator[tuple[Group, Any]]


def _taken(records: _Records, source: str, most: int, defaults: Defaults) -> Intake:
    """Each record by itself: one that cannot be an event spoils no other."""
    events: list[Event] = []
    refused: list[Rejected] = []
    for number, (group, record) in enumerate(records, 1):
        if number > most:
            raise TooMuch(f"more than {most} records")
        try:
            told = _of_json(record) if type(record) is dict else _of_proto(record)
            events.append(_event(group, told, defaults))
        except (NotAnEvent, Unreadable) as error:
            refused.append(rejected(str(error), raw_of(record), source, number))
    return Intake(events, refused)


def raw_of(record: Any) -> bytes:
    """What a dead letter keeps of a record: its bytes as protobuf, its JSON."""
    return record if isinstance(record, bytes) else orjson.dumps(record)


# --- protobuf --------------------------------------------------------------------------------------------


def _proto_records(body: bytes, defaults: Defaults) -> _Records:
    for resource in children(body, 1):
        about = resource_of(resource)
        for scope in children(resource, 2):
            group = group_from(about, *scope_of(scope), defaults)
            for record in children(scope, 2):
                yield group, record


def resource_of(data: bytes) -> dict[str, Any]:
    """The attributes of the resource in a ResourceLogs or ResourceSpans. Raises Unreadable."""
    from opentelemetry.proto.resource.v1.resource_pb2 import Resource  # 30 ms that other commands need not pay

    return unpacked(_shared(Resource, first(data, 1)).attributes)


def scope_of(data: bytes) -> tuple[str, dict[str, Any]]:
    """Name and attributes of the scope in a ScopeLogs or ScopeSpans. Raises Unreadable."""
    from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope

    scope = _shared(InstrumentationScope, first(data, 1))
    return scope.name, unpacked(scope.attributes)


def _shared(kind: Any, data: bytes) -> Any:
    try:
        return built(kind, data)
    except NotAnEvent as error:
        raise Unreadable(f"a resource or scope is {error.reason}") from None


def unpacked(pairs: Any) -> dict[str, Any]:
    """Attributes that many records share. Raises Unreadable where they nest too deep: no one record is to blame."""
    try:
        return json_attributes(pairs) if type(pairs) is list else proto_attributes(pairs)
    except NotAnEvent as error:
        raise Unreadable(f"a resource or scope is {error.reason}") from None


def _of_proto(data: bytes) -> Told:
    from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

    record = built(LogRecord, data)
    return Told(
        time=record.time_unix_nano or record.observed_time_unix_nano,
        number=record.severity_number,
        level=record.severity_text,
        body=proto_value(record.body),
        attributes=proto_attributes(record.attributes),
        dropped=record.dropped_attributes_count,
        trace_id=hex_id(record.trace_id),
        span_id=hex_id(record.span_id),
        name=record.event_name,
    )


# --- JSON ------------------------------------------------------------------------------------------------


def _json_records(request: dict[str, Any], defaults: Defaults) -> _Records:
    for resource in objects(request, "resourceLogs", "resource_logs"):
        about = unpacked(items(members(resource, "resource"), "attributes"))
        for scope in objects(resource, "scopeLogs", "scope_logs"):
            named = members(scope, "scope")
            group = group_from(about, text(named, "name"), unpacked(items(named, "attributes")), defaults)
            for record in objects(scope, "logRecords", "log_records"):
                yield group, record


def _of_json(record: dict[str, Any]) -> Told:
    number = record.get("severityNumber", record.get("severity_number"))
    return Told(
        time=whole(record, "timeUnixNano", "time_unix_nano")
        or whole(record, "observedTimeUnixNano", "observed_time_unix_nano"),
        number=number if type(number) is int else levels.parse(str(number or "").removeprefix("SEVERITY_NUMBER_")) or 0,
        level=text(record, "severityText", "severity_text"),
        body=json_value(record.get("body")),
        attributes=json_attributes(items(record, "attributes")),
        dropped=whole(record, "droppedAttributesCount", "dropped_attributes_count"),
        trace_id=hex_id(text(record, "traceId", "trace_id")),
        span_id=hex_id(text(record, "spanId", "span_id")),
        name=text(record, "eventName", "event_name"),
    )


# --- both ------------------------------------------------------------------------------------------------


def group_from(resource: dict[str, Any], scope: str, attributes: dict[str, Any], defaults: Defaults) -> Group:
    """What the records of a scope share."""
    origin = origin_of(resource)
    return group_of(
        defaults,
        service=origin.service,
        environment=origin.environment,
        release=origin.release,
        logger=scope,
        host=origin.host,
        attributes={**origin.rest, **attributes},
    )


def severity(number: int, name: str) -> int:
    """The severity 1-24: the number, else what the name means, else INFO."""
    return number if 1 <= number <= 24 else levels.parse(name) or levels.DEFAULT_LEVEL


def _event(group: Group, told: Told, defaults: Defaults) -> Event:
    attributes = told.attributes
    level = severity(told.number, told.level)
    if told.level and levels.parse(told.level) is None:
        attributes["severity_text"] = told.level
    if told.name:
        attributes["event.name"] = told.name
    if told.dropped:
        attributes["dropped_attributes_count"] = told.dropped
    return build(
        group,
        defaults,
        timestamp=told.time,
        level=level,
        message=_message(told, attributes),
        attributes=attributes,
        trace_id=told.trace_id,
        span_id=told.span_id,
        exception=exception_of(attributes),
    )


def _message(told: Told, attributes: dict[str, Any]) -> str:
    body = told.body
    if type(body) is str:
        return body
    if body is None:
        return told.name
    if type(body) is dict:
        for name in ("message", "msg"):
            if type(body.get(name)) is str:
                for member, value in body.items():
                    if member != name:
                        attributes.setdefault(member, value)
                return str(body[name])
    try:
        return orjson.dumps(body).decode()
    except TypeError as error:
        raise NotAnEvent(f"body: {error}") from None

"""Spans of OTLP, kept as lines until they have a store of their own.

A span becomes one event at its start: message = its name, level ERROR where its status says so, with kind,
`duration_ms`, parent and links as attributes, so that its ids are found. Each of its events becomes one, too, in the
same trace; one named `exception` is an ERROR with its exception.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from monitoring.pipeline.events.event import Event, Rejected
from monitoring.pipeline.events.lenient import Defaults, NotAnEvent, rejected
from monitoring.pipeline.events.levels import DEFAULT_LEVEL
from monitoring.pipeline.ingest.built import Group, build, exception_of
from monitoring.pipeline.ingest.documents import Unreadable, items, load, members, objects, text, whole
from monitoring.pipeline.ingest.intake import Intake, TooMuch
from monitoring.pipeline.ingest.otlp import hex_id, json_attributes, proto_attributes
from monitoring.pipeline.ingest.otlp_logs import group_from, raw_of, resource_of, scope_of, unpacked
from monitoring.pipeline.ingest.wire import built, children

__all__ = ["read_json", "read_proto"]

_ERROR = 17
_KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")
_STATUS_ERROR = 2


class _Moment(NamedTuple):
    """An event of a span."""

    time: int
    name: str
    attributes: dict[str, Any]


class _Span(NamedTuple):
    """What a span tells. Times are nanoseconds since 1970; `status` is 0 unset, 1 ok, 2 error."""

    trace_id: str
    span_id: str
    parent: str
    name: str
    kind: int
    start: int
    end: int
    attributes: dict[str, Any]
    moments: list[_Moment]
    links: list[dict[str, str]]
    status: int
    why: str


def read_proto(body: bytes, defaults: Defaults, source: str, most: int) -> Intake:
    """The events of an ExportTraceServiceRequest in protobuf. Raises Unreadable, TooMuch beyond so many events."""
    return _taken(_proto_spans(body, defaults), source, most, defaults)


def read_json(body: bytes, defaults: Defaults, source: str, most: int) -> Intake:
    """The same in JSON. Raises Unreadable, TooMuch."""
    return _taken(_json_spans(load(body), defaults), source, most, defaults)


def _taken(spans: Iterator[tuple[Group, Any]], source: str, most: int, defaults: Defaults) -> Intake:
    """Each span by itself; `Rejected.line` counts spans."""
    events: list[Event] = []
    refused: list[Rejected] = []
    for number, (group, raw) in enumerate(spans, 1):
        try:
            span = _of_json(raw) if type(raw) is dict else _of_proto(raw)
            events += _events(group, span, defaults)
        except (NotAnEvent, Unreadable) as error:
            refused.append(rejected(str(error), raw_of(raw), source, number))
        if len(events) + len(refused) > most:
            raise TooMuch(f"more than {most} spans and events of spans")
    return Intake(events, refused)


def _proto_spans(body: bytes, defaults: Defaults) -> Iterator[tuple[Group, Any]]:
    for resource in children(body, 1):
        about = resource_of(resource)
        for scope in children(resource, 2):
            group = group_from(about, *scope_of(scope), defaults)
            for span in children(scope, 2):
                yield group, span


def _of_proto(data: bytes) -> _Span:
    from opentelemetry.proto.trace.v1.trace_pb2 import Span  # 30 ms that other commands need not pay

    span = built(Span, data)
    return _Span(
        trace_id=hex_id(span.trace_id),
        span_id=hex_id(span.span_id),
        parent=hex_id(span.parent_span_id),
        name=span.name,
        kind=span.kind,
        start=span.start_time_unix_nano,
        end=span.end_time_unix_nano,
        attributes=proto_attributes(span.attributes),
        moments=[_Moment(item.time_unix_nano, item.name, proto_attributes(item.attributes)) for item in span.events],
        links=[{"trace_id": hex_id(link.trace_id), "span_id": hex_id(link.span_id)} for link in span.links],
        status=span.status.code,
        why=span.status.message,
    )


def _json_spans(request: dict[str, Any], defaults: Defaults) -> Iterator[tuple[Group, Any]]:
    for resource in objects(request, "resourceSpans", "resource_spans"):
        about = unpacked(items(members(resource, "resource"), "attributes"))
        for scope in objects(resource, "scopeSpans", "scope_spans"):
            named = members(scope, "scope")
            group = group_from(about, text(named, "name"), unpacked(items(named, "attributes")), defaults)
            for span in objects(scope, "spans"):
                yield group, span


def _of_json(span: dict[str, Any]) -> _Span:
    status = members(span, "status")
    return _Span(
        trace_id=hex_id(text(span, "traceId", "trace_id")),
        span_id=hex_id(text(span, "spanId", "span_id")),
        parent=hex_id(text(span, "parentSpanId", "parent_span_id")),
        name=text(span, "name"),
        kind=_enumerated(span.get("kind"), "SPAN_KIND_", _KINDS),
        start=whole(span, "startTimeUnixNano", "start_time_unix_nano"),
        end=whole(span, "endTimeUnixNano", "end_time_unix_nano"),
        attributes=json_attributes(items(span, "attributes")),
        moments=[
            _Moment(
                whole(item, "timeUnixNano", "time_unix_nano"),
                text(item, "name"),
                json_attributes(items(item, "attributes")),
            )
            for item in objects(span, "events")
        ],
        links=[
            {"trace_id": hex_id(text(link, "traceId", "trace_id")), "span_id": hex_id(text(link, "spanId", "span_id"))}
            for link in objects(span, "links")
        ],
        status=_enumerated(status.get("code"), "STATUS_CODE_", ("unset", "ok", "error")),
        why=text(status, "message"),
    )


def _enumerated(value: Any, prefix: str, names: tuple[str, ...]) -> int:
    """The number of an enumeration's value, which JSON may spell out; 0 for one that is unknown."""
    if type(value) is str:
        value = value.removeprefix(prefix).lower()
        return names.index(value) if value in names else 0
    return value if type(value) is int and 0 <= value < len(names) else 0


def _events(group: Group, span: _Span, defaults: Defaults) -> list[Event]:
    """The span's own event, then those of its events."""
    attributes = span.attributes
    exception = exception_of(attributes)
    attributes["span.kind"] = _KINDS[span.kind] if 0 <= span.kind < len(_KINDS) else span.kind
    if span.end >= span.start > 0:
        attributes["duration_ms"] = (span.end - span.start) / 1e6
    for name, value in (("parent_span_id", span.parent), ("links", span.links), ("status.message", span.why)):
        if value:
            attributes[name] = value
    level = _ERROR if span.status == _STATUS_ERROR else DEFAULT_LEVEL
    found = [
        build(
            group, defaults, timestamp=span.start, level=level, message=span.name, attributes=attributes,
            trace_id=span.trace_id, span_id=span.span_id, exception=exception,
        )
    ]  # fmt: skip
    for moment in span.moments:
        exception = exception_of(moment.attributes)
        found.append(
            build(
                group, defaults, timestamp=moment.time or span.start, level=_ERROR if exception else DEFAULT_LEVEL,
                message=moment.name, attributes=moment.attributes, trace_id=span.trace_id, span_id=span.span_id,
                exception=exception,
            )
        )  # fmt: skip
    return found

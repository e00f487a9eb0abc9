"""Loki's push, in JSON or protobuf, read as events.

    labels     service, level, host, environment, logger by their usual names -> columns, the rest -> attributes
    line       read like a line of a file: JSON, logfmt, …; its own fields win over labels, but for the level
    metadata   trace, span and request ids -> columns, the rest -> attributes

The time is the entry's. JSON: {"streams": [{"stream": {label: value}, "values": [["<ns>", "<line>", {metadata}?]]}]}.
Protobuf: logproto.PushRequest (grafana/loki, pkg/push/push.proto), labels as `{app="shop", env="prod"}`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from typing import Any, NamedTuple

import orjson

from monitoring.pipeline.events import levels
from monitoring.pipeline.events.aliases import NESTED_ROLES
from monitoring.pipeline.events.event import MAX_EVENT_BYTES, Event, Rejected
from monitoring.pipeline.events.formats.format import Format, original_time, with_attributes
from monitoring.pipeline.events.formats.known import PLAIN, SAMPLE_LINES, parse_json, sniff, text_of
from monitoring.pipeline.events.formats.text import parse_plain
from monitoring.pipeline.events.lenient import (
    MAX_NAME_CHARS,
    MAX_RAW_BYTES,
    UNSAID,
    Defaults,
    NotAnEvent,
    complete,
    rejected,
)
from monitoring.pipeline.ingest.documents import Unreadable, load, members, objects
from monitoring.pipeline.ingest.intake import Intake, TooMuch
from monitoring.pipeline.ingest.messages import message_types
from monitoring.pipeline.ingest.otlp import hex_id
from monitoring.pipeline.ingest.wire import built, children, first

__all__ = ["labels_of", "push_request", "read_json", "read_proto"]

_COLUMNS: dict[str, tuple[str, ...]] = {
    "service": ("service_name", "service", "app", "application", "job", "container", "container_name"),
    "level": ("level", "severity", "detected_level"),
    "host": ("host", "hostname", "node_name", "node", "instance"),
    "environment": ("environment", "env", "deployment_environment"),
    "release": ("release", "service_version", "version"),
    "logger": ("logger", "logger_name"),
}
"""Column -> labels that mean it, the best first; those that are not taken stay attributes."""
_IDS = {name: role for name, role in NESTED_ROLES.items() if role in ("trace_id", "span_id", "request_id")}
_PAIR = re.compile(r'\s*([A-Za-z_][A-Za-z0-9_:.]*)\s*=\s*"((?:[^"\\]|\\.)*)"\s*')
_SECOND_NS = 10**9
_MOST_LABELS = 1000
"""Loki itself allows 15 to 30."""


class _Entry(NamedTuple):
    """A line of a stream; `time` is nanoseconds since 1970, `broken` why it is none."""

    time: int
    line: str
    metadata: dict[str, Any]
    broken: str = ""


def read_json(body: bytes, defaults: Defaults, source: str, most: int) -> Intake:
    """The events of a push in JSON. Raises Unreadable, TooMuch beyond so many lines."""
    push = load(body)
    if "streams" not in push:  # as Loki, which passes over members that it does not know and then misses this one
        raise Unreadable("there is no member streams, and nothing else of a push holds lines")
    streams = ((members(stream, "stream"), _json_entries(stream)) for stream in objects(push, "streams"))
    return _taken(streams, defaults, source, most)


def read_proto(body: bytes, defaults: Defaults, source: str, most: int) -> Intake:
    """The events of a push in protobuf, decompressed. Raises Unreadable, TooMuch beyond so many lines."""
    streams = ((labels_of(text_of(first(stream, 1))), _proto_entries(stream)) for stream in children(body, 1))
    return _taken(streams, defaults, source, most)


def push_request() -> Any:
    """The message logproto.PushRequest."""
    return _messages()["PushRequest"]


@cache
def _messages() -> dict[str, Any]:
    return message_types(
        "monitoring.loki",
        {
            "PushRequest": [("streams", 1, "repeated Stream")],
            "Stream": [("labels", 1, "string"), ("entries", 2, "repeated Entry"), ("hash", 3, "uint64")],
            "Entry": [("timestamp", 1, "Timestamp"), ("line", 2, "string"), ("metadata", 3, "repeated Pair")],
            "Timestamp": [("seconds", 1, "int64"), ("nanos", 2, "int32")],
            "Pair": [("name", 1, "string"), ("value", 2, "string")],
        },
    )


def labels_of(text: str) -> dict[str, Any]:
    """The labels in `{app="shop", env="prod"}`. Raises Unreadable."""
    inner = text.strip()
    if inner[:1] != "{" or inner[-1:] != "}":
        raise Unreadable(f"labels stand in braces, not {text[:60]!r}")
    inner, position = inner[1:-1], 0
    found: dict[str, Any] = {}
    while inner[position:].strip():
        pair = _PAIR.match(inner, position)
        if pair is None or len(found) >= _MOST_LABELS or inner[pair.end() : pair.end() + 1] not in ("", ","):
            raise Unreadable(f"labels cannot be read from {inner[position : position + 60]!r} on")
        found[pair[1]] = _unquoted(pair[2])
        position = pair.end() + 1
    return found


def _unquoted(text: str) -> str:
    """The text of a literal of Go, of which JSON knows the usual escapes."""
    if "\\" not in text:
        return text
    try:
        return str(orjson.loads(f'"{text}"'))
    except ValueError:
        return text


def _proto_entries(stream: bytes) -> Iterator[_Entry]:
    kind = _messages()["Entry"]
    for data in children(stream, 2):
        try:
            entry = built(kind, data)
        except NotAnEvent as error:
            yield _Entry(0, text_of(data[:MAX_RAW_BYTES]), {}, error.reason)
            continue
        stamp = entry.timestamp
        metadata = {pair.name: pair.value for pair in entry.metadata}
        yield _Entry(stamp.seconds * _SECOND_NS + stamp.nanos, entry.line, metadata)


def _json_entries(stream: dict[str, Any]) -> Iterator[_Entry]:
    values = stream.get("values", [])
    if type(values) is not list:
        raise Unreadable("values is not a list")
    for item in values:
        if type(item) is not list or len(item) not in (2, 3) or type(item[1]) is not str:
            raise Unreadable("a value is a list of a time, a line and perhaps metadata")
        metadata = item[2] if len(item) == 3 else {}
        if type(metadata) is not dict:
            raise Unreadable("the metadata of a value is an object")
        yield _Entry(_nanoseconds(item[0]), item[1], metadata)


def _nanoseconds(value: Any) -> int:
    text = str(value)
    if type(value) not in (str, int) or len(text) > 20 or not text.isascii() or not text.removeprefix("-").isdecimal():
        raise Unreadable("the time of a value is nanoseconds since 1970, as text")
    return int(text)


# --- events ----------------------------------------------------------------------------------------------


class _Stream(NamedTuple):
    """What the labels of a stream say of all its lines; `level` is UNSAID where they do not."""

    level: int
    defaults: Defaults
    columns: dict[str, str]
    attributes: dict[str, Any]
    format: Format


def _taken(
    streams: Iterator[tuple[dict[str, Any], Iterator[_Entry]]], defaults: Defaults, source: str, most: int
) -> Intake:
    """Each line by itself; `Rejected.line` counts the lines of the whole body."""
    events: list[Event] = []
    refused: list[Rejected] = []
    for labels, lines in streams:
        entries = []
        for entry in lines:
            entries.append(entry)
            if len(entries) + len(events) + len(refused) > most:
                raise TooMuch(f"more than {most} lines")
        stream = _stream(labels, entries, defaults)
        for entry in entries:
            try:
                events.append(_event(stream, entry))
            except NotAnEvent as error:
                number = len(events) + len(refused) + 1
                refused.append(rejected(error.reason, entry.line.encode(), source, number))
    return Intake(events, refused)


def _stream(labels: Mapping[str, Any], entries: list[_Entry], defaults: Defaults) -> _Stream:
    rest = {name: value for name, value in labels.items() if type(value) is str and value}
    columns = {column: _taken_label(rest, names) for column, names in _COLUMNS.items()}
    level = levels.parse(columns["level"]) or UNSAID
    if columns["level"] and level == UNSAID:
        rest["level"] = columns["level"]
    if defaults.service and columns["service"] not in ("", defaults.service):
        rest["service_original"] = columns["service"]
    told = Defaults(
        received_ns=defaults.received_ns,
        service=defaults.service,
        fallback_service=columns["service"] or defaults.fallback_service,
        environment=columns["environment"] or defaults.environment,
        release=columns["release"] or defaults.release,
        host=columns["host"] or defaults.host,
        zone=defaults.zone,
    )
    found = sniff([entry.line.encode() for entry in entries[:SAMPLE_LINES]], told)
    return _Stream(level, told, columns, rest, PLAIN if found.unwrap is not None else found)


def _taken_label(labels: dict[str, str], names: tuple[str, ...]) -> str:
    """The value of the best of these labels, which is taken out; one too long for a column stays where it is."""
    for name in names:
        if name in labels and len(labels[name]) <= MAX_NAME_CHARS:
            return labels.pop(name)
    return ""


def _event(stream: _Stream, entry: _Entry) -> Event:
    defaults, line = stream.defaults, entry.line
    if entry.broken:
        raise NotAnEvent(entry.broken)
    if len(line) > MAX_EVENT_BYTES:
        raise NotAnEvent(f"longer than {MAX_EVENT_BYTES} bytes")
    event = _parsed(line, stream)
    attributes = dict(stream.attributes)
    ids: dict[str, str] = {}
    for name, value in entry.metadata.items():
        role = _IDS.get(name)
        if role is not None and type(value) is str:
            ids[role] = hex_id(value) if role != "request_id" else value
        elif name in _COLUMNS["level"] and event.level == UNSAID and type(value) is str and levels.parse(value):
            event = event._replace(level=levels.parse(value) or UNSAID)
        elif value not in ("", None):
            attributes[name] = value
    if not 0 <= entry.time <= defaults.latest_ns:
        attributes["timestamp_original"] = original_time(entry.time)
    event = event._replace(
        timestamp=min(max(entry.time, 0), defaults.latest_ns),
        logger=event.logger or stream.columns["logger"],
        trace_id=event.trace_id or ids.get("trace_id", ""),
        span_id=event.span_id or ids.get("span_id", ""),
        request_id=event.request_id or ids.get("request_id", ""),
    )
    event = with_attributes(complete(event, defaults.received_ns, _level(stream)), attributes)
    if sum(len(text) for text in event[2:]) > MAX_EVENT_BYTES // 4 and (
        sum(len(text.encode()) for text in event[2:]) > MAX_EVENT_BYTES
    ):
        raise NotAnEvent(f"longer than {MAX_EVENT_BYTES} bytes")
    return event


def _level(stream: _Stream) -> int:
    return levels.DEFAULT_LEVEL if stream.level == UNSAID else stream.level


def _parsed(line: str, stream: _Stream) -> Event:
    """The event of a line in the stream's format, else as text; the line's own time is not asked."""
    event = None
    with suppress(NotAnEvent):  # a line that only looks like one of its format is text
        event = parse_json(line, stream.defaults) if line[:1] == "{" else stream.format.parse(line, stream.defaults)
    if event is None:
        event = parse_plain(line, stream.defaults)
    return event if stream.level == UNSAID else event._replace(level=stream.level)

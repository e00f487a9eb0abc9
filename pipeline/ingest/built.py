"""An event of the parts that a protocol tells, within the bounds of every event.

What a message shares with all others of its group (a resource and a scope of OTLP, a stream of Loki) is brought
into form once; `build` then makes an event of what is its own.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

from monitoring.pipeline.events.aliases import NESTED_ROLES
from monitoring.pipeline.events.event import MAX_EVENT_BYTES, Event
from monitoring.pipeline.events.formats.format import original_time
from monitoring.pipeline.events.lenient import MAX_NAME_CHARS, Defaults, NotAnEvent, check_fields

__all__ = ["Group", "build", "exception_of", "group_of"]

_REQUEST_IDS = tuple(name for name, role in NESTED_ROLES.items() if role == "request_id")
_EXCEPTION = {"exception.type": "type", "exception.message": "message", "exception.stacktrace": "stacktrace"}
"""OpenTelemetry's names for what an exception of our own SDK says under these."""
_LARGE = MAX_EVENT_BYTES // 4
"""Fewer code points than this are surely fewer bytes than an event may have."""


class Group(NamedTuple):
    """What events share: their dimensions, and attributes that each of them gets unless it has its own."""

    service: str
    environment: str
    release: str
    logger: str
    host: str
    attributes: dict[str, Any]


def group_of(
    defaults: Defaults,
    *,
    service: str = "",
    environment: str = "",
    release: str = "",
    logger: str = "",
    host: str = "",
    attributes: dict[str, Any],
) -> Group:
    """The group of these dimensions; by the rules of every event: the setting for the service wins, names are short."""
    shared = dict(attributes)
    if defaults.service:
        if service and service != defaults.service:
            shared["service_original"] = service
        service = defaults.service
    names = {
        "service": service or defaults.fallback_service,
        "environment": environment or defaults.environment,
        "release": release or defaults.release,
        "logger": logger,
        "host": host or defaults.host,
    }
    for name, value in names.items():
        if len(value) > MAX_NAME_CHARS:
            shared[f"{name}_original"] = value
            names[name] = value[:MAX_NAME_CHARS]
    return Group(**names, attributes=shared)


def exception_of(attributes: dict[str, Any]) -> str:
    """The JSON text of the exception in OpenTelemetry's attributes, which are taken out; "" where there is none."""
    told = {member: attributes.pop(name) for name, member in _EXCEPTION.items() if name in attributes}
    return orjson.dumps(told).decode() if told else ""


def build(
    group: Group,
    defaults: Defaults,
    *,
    timestamp: int,
    level: int,
    message: str,
    attributes: dict[str, Any],
    trace_id: str = "",
    span_id: str = "",
    exception: str = "",
) -> Event:
    """The event. `timestamp` 0 means that none is told: it is that of receipt. `attributes` may be changed.

    Raises NotAnEvent where it is larger than an event may be.
    """
    if timestamp <= 0:
        timestamp = defaults.received_ns
    elif timestamp > defaults.latest_ns:
        attributes["timestamp_original"] = original_time(timestamp)
        timestamp = defaults.latest_ns
    request_id = ""
    for name in _REQUEST_IDS:
        if name in attributes and type(attributes[name]) is str:
            request_id = attributes.pop(name)
            break
    merged = {**group.attributes, **attributes} if attributes else group.attributes
    text = _text(merged) if merged else ""
    event = Event(
        timestamp,
        level,
        group.service,
        group.environment,
        group.release,
        group.logger,
        group.host,
        message,
        trace_id,
        span_id,
        request_id,
        exception,
        text,
    )
    if len(message) + len(text) + len(exception) + len(request_id) + len(trace_id) + len(span_id) > _LARGE:
        _check_size(event)
    return event


def _text(attributes: dict[str, Any]) -> str:
    try:
        text = orjson.dumps(attributes)
    except TypeError as error:  # an integer beyond 64 bits
        raise NotAnEvent(f"attributes: {error}") from None
    check_fields(attributes, text)
    return text.decode()


def _check_size(event: Event) -> None:
    if sum(len(text.encode()) for text in event[2:]) > MAX_EVENT_BYTES:
        raise NotAnEvent(f"longer than {MAX_EVENT_BYTES} bytes")

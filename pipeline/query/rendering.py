"""From rows to events as the API and the command line show them, and the ids that events go by."""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

from monitoring.pipeline.events.levels import name
from monitoring.pipeline.query.ranges import format_ns
from monitoring.pipeline.store.rows import timestamp_ns

__all__ = ["EventId", "attributes_of", "event_of", "exception_of", "public_id", "read_public_id"]

_MASK = (1 << 64) - 1
_HEX_DIGITS = 16


class EventId(NamedTuple):
    """Where an event stands; the order of events is the order of these."""

    row_id: int
    partition: int
    segment: int


def public_id(key: EventId) -> str:
    """The id as users see it: `<row id, 16 hex digits>-<partition>-<segment>`."""
    return f"{key.row_id & _MASK:016x}-{key.partition}-{key.segment}"


def read_public_id(text: str) -> EventId | None:
    """The id behind a public one; None where the text is none."""
    parts = text.split("-")
    if len(parts) != 3 or len(parts[0]) != _HEX_DIGITS or not text.isascii():
        return None
    if not (parts[1].isdigit() and parts[2].isdigit() and len(parts[1]) < 10 and len(parts[2]) < 10):
        return None
    try:
        row_id = int(parts[0], 16)
    except ValueError:
        return None
    key = EventId(row_id - (1 << 64) if row_id >> 63 else row_id, int(parts[1]), int(parts[2]))
    return key if public_id(key) == text else None


def event_of(key: EventId, row: tuple[Any, ...], names: dict[int, str]) -> dict[str, Any]:
    """The event of a row (columns: sql.COLUMNS); `names` are the segment's dimension values by number."""
    (
        row_id, offset_ns, level, service, resource, logger, host, message, trace_id, span_id, request_id, exception,
        attributes,
    ) = row  # fmt: skip
    origin = orjson.loads(names[resource])
    return {
        "id": public_id(key),
        "timestamp": format_ns(timestamp_ns(row_id, offset_ns)),
        "level": name(level),
        "service": names[service],
        "environment": origin.get("environment", ""),
        "release": origin.get("release", ""),
        "logger": names[logger],
        "host": names[host],
        "message": message,
        "trace_id": trace_id,
        "span_id": span_id,
        "request_id": request_id,
        "attributes": attributes_of(attributes),
        "exception": exception_of(exception),
    }


def exception_of(text: str) -> Any:
    """The exception of such a column; None where there is none."""
    return _json(text) if text else None


def _json(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def attributes_of(text: str) -> dict[str, Any]:
    """The attributes of such a column; what is no JSON object stands under one key, so that nothing is hidden."""
    found = _json(text) if text else {}
    return found if isinstance(found, dict) else {"unreadable": found}

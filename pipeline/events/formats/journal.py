"""The journal's JSON, as `journalctl -o json` writes it: upper-case names, times in microseconds, bytes as lists."""

from __future__ import annotations

from typing import Any

from monitoring.pipeline.events.dialects import Record
from monitoring.pipeline.events.event import Event
from monitoring.pipeline.events.formats.format import inner_event, make_event, number
from monitoring.pipeline.events.formats.syslog import severity_of_priority
from monitoring.pipeline.events.lenient import UNSAID, Defaults, exception_text

__all__ = ["is_journal", "read_journal"]

_TAKEN = frozenset(
    {"MESSAGE", "PRIORITY", "SYSLOG_IDENTIFIER", "_HOSTNAME", "LOGGER", "_SOURCE_REALTIME_TIMESTAMP",
     "EXCEPTION_TEXT", "SYSLOG_TIMESTAMP"}
)  # fmt: skip
_TRACE = "Traceback (most recent call last):"


def is_journal(record: Record) -> bool:
    """Whether a JSON object is an entry of the journal."""
    return "__REALTIME_TIMESTAMP" in record


def read_journal(record: Record, defaults: Defaults) -> Event:
    """The event of an entry. The journal's own bookkeeping (`__CURSOR` and the like) is left out."""
    message = _text(record.get("MESSAGE"))
    unit = _text(record.get("_SYSTEMD_UNIT")).removesuffix(".service")
    service = _text(record.get("SYSLOG_IDENTIFIER")) or unit or _text(record.get("_COMM"))
    host, priority = _text(record.get("_HOSTNAME")), _text(record.get("PRIORITY"))
    level = severity_of_priority(int(priority)) if priority.isdecimal() and len(priority) == 1 else UNSAID
    timestamp = _microseconds(record.get("_SOURCE_REALTIME_TIMESTAMP"))
    if timestamp == UNSAID:
        timestamp = _microseconds(record["__REALTIME_TIMESTAMP"])
    attributes: dict[str, Any] = {
        name: number(_text(value)) for name, value in record.items() if name not in _TAKEN and name[:2] != "__"
    }
    found = inner_event(
        message, defaults, timestamp=timestamp, level=level, service=service, host=host, attributes=attributes
    )
    if found is not None:
        return found
    head, trace, rest = message.partition(_TRACE)
    exception = _text(record.get("EXCEPTION_TEXT")) or trace + rest
    return make_event(
        defaults,
        head.rstrip() if trace and head.strip() else message,
        timestamp=timestamp,
        level=level,
        service=service,
        logger=_text(record.get("LOGGER")),
        host=host,
        exception=exception_text(exception) if exception else "",
        attributes=attributes,
    )


def _microseconds(value: object) -> int:
    text = _text(value)
    return int(text) * 1000 if text.isdecimal() and text.isascii() and len(text) < 18 else UNSAID


def _text(value: object) -> str:
    """Text of a field: a string, bytes as a list of numbers, or several values of one name."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        if all(type(item) is int and 0 <= item < 256 for item in value):
            return bytes(value).decode("utf-8", "backslashreplace")
        return "\n".join(_text(item) for item in value)
    return "" if value is None else str(value)

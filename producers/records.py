"""A record of the standard library's logging, read as level, message and fields."""

from __future__ import annotations

import logging
from typing import Any

from monitoring.producers.logger import from_standard
from monitoring.producers.values import shown

__all__ = ["fields_of", "message_of", "severity_of"]

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"taskName", "message", "asctime"}
"""Attributes that every record has, or that formatters add; all others came by `extra`."""
_STRUCTLOG = frozenset({"event", "level", "logger", "timestamp"})
_COUNT = len(logging.makeLogRecord({}).__dict__)

severity_of = from_standard


def message_of(record: logging.LogRecord) -> str:
    """The record's message with its arguments; both as they are where they do not fit.

    A mapping as message is an event of structlog on its way through the standard library: its `event` it is.
    """
    if type(record.msg) is dict and "event" in record.msg:
        return str(record.msg["event"])
    try:
        return record.getMessage()
    except Exception:
        return f"{shown(record.msg)} {shown(record.args)}"


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """What the caller gave by `extra`, and the exception and stack of the record as `exc_info` and `stack`."""
    values = record.__dict__
    fields: dict[str, Any] = {}
    if len(values) != _COUNT:
        fields = {name: value for name, value in values.items() if name not in _STANDARD and name[0] != "_"}
    if type(record.msg) is dict and "event" in record.msg:
        fields = {name: value for name, value in record.msg.items() if name not in _STRUCTLOG} | fields
    if record.exc_info:
        fields["exc_info"] = record.exc_info
    elif record.exc_text:
        fields["stack"] = record.exc_text
    if record.stack_info:
        fields["stack"] = record.stack_info
    return fields

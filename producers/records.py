"""A record of the standard library's logging, read as level, message and fields."""

from __future__ import annotations

import logging
from itertools import islice
from typing import Any

from monitoring.producers import foreign
from monitoring.producers.logger import from_standard
from monitoring.producers.values import shown, text_of

__all__ = ["SEEN", "fields_of", "message_of", "severity_of"]

SEEN = "_monitoring_seen"
"""The mark of a record that has been published."""
_PLAIN = tuple(logging.makeLogRecord({}).__dict__)
_COUNT, _LAST, _ABSENT = len(_PLAIN), _PLAIN[-1], object()
_STRUCTLOG_MARKS = frozenset({"_logger", "_name", "_from_structlog"})
_STANDARD = frozenset(_PLAIN) | {"taskName", "message", "asctime", SEEN} | _STRUCTLOG_MARKS
"""Attributes that every record has, or that formatters add; all others came by `extra`."""
_STRUCTLOG = frozenset({"event", "level", "logger", "timestamp"})

severity_of = from_standard


def message_of(record: logging.LogRecord) -> str:
    """The record's message with its arguments; both as they are where they do not fit.

    A mapping as message is an event of structlog on its way through the standard library: its `event` it is.
    """
    if type(record.msg) is dict and "event" in record.msg:
        return text_of(record.msg["event"])
    try:
        return foreign.call(record.getMessage)
    except Exception:
        return f"{shown(record.msg)} {shown(record.args)}"


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """What the caller gave by `extra`, and the exception and stack of the record as `exc_info` and `stack`."""
    values = record.__dict__
    if len(values) == _COUNT and next(reversed(values)) == _LAST:
        fields = {}
    else:  # extras stand behind what every record has, unless somebody made the record in another way
        fields = dict(islice(values.items(), _COUNT - 1, None))
        if fields.pop(_LAST, _ABSENT) is _ABSENT or not _STANDARD.isdisjoint(fields):
            fields = {name: value for name, value in values.items() if name not in _STANDARD}
    if type(record.msg) is dict and "event" in record.msg:
        fields = {name: value for name, value in record.msg.items() if name not in _STRUCTLOG} | fields
    if record.exc_info:
        fields["exc_info"] = record.exc_info
    elif record.exc_text:
        fields["stack"] = record.exc_text
    if record.stack_info:
        fields["stack"] = record.stack_info
    return fields

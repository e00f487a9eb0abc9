"""A record of the standard library's logging, read as an event."""

from __future__ import annotations

import logging
from typing import Any

from monitoring.pipeline.events.event import Event
from monitoring.producers import foreign
from monitoring.producers.client import RESERVED, Resource, sorted_out
from monitoring.producers.context import current
from monitoring.producers.logger import SEVERITIES, from_standard
from monitoring.producers.values import encode, shown, text_of

__all__ = ["SEEN", "event_of", "fields_of", "message_of"]

SEEN = "_monitoring_seen"
"""The mark of a record that has been published."""
_PLAIN = tuple(logging.makeLogRecord({}).__dict__)
_COUNT, _LAST = len(_PLAIN), _PLAIN[-1]
_STRUCTLOG_MARKS = frozenset({"_logger", "_name", "_from_structlog"})
_STANDARD = frozenset(_PLAIN) | {"taskName", "message", "asctime", SEEN} | _STRUCTLOG_MARKS
"""Attributes that every record has, or that formatters add; all others came by `extra`."""
_SPECIAL = _STANDARD | RESERVED
_STRUCTLOG = frozenset({"event", "level", "logger", "timestamp"})
_severity_of = SEVERITIES.get
_new_event = tuple.__new__


def event_of(record: logging.LogRecord, resource: Resource) -> Event:
    """The record as an event, with what is bound to the context."""
    context, exception, fields = current.get(), "", {}
    message: Any = record.msg
    values = record.__dict__
    names = [*values]
    # What came by `extra` stands behind what every record has, unless somebody made the record in another way.
    plain = len(names) >= _COUNT and names[_COUNT - 1] == _LAST
    for name in names[_COUNT:]:
        if name in _SPECIAL:
            plain = False
        fields[name] = values[name]
    if not plain or record.exc_info or record.exc_text or record.stack_info or type(message) is not str:
        context, exception, fields = sorted_out(context, fields_of(record))
        message = message_of(record)
    elif record.args:
        message = message_of(record)
    bound, request_id, trace_id, span_id, _ = context
    if bound:
        fields = {**bound, **fields}
    level = record.levelno
    return _new_event(
        Event,
        (
            int(record.created * 1e9),
            _severity_of(level) or from_standard(level),
            resource.service,
            resource.environment,
            resource.release,
            record.name,
            resource.host,
            message,
            trace_id,
            span_id,
            request_id,
            exception,
            encode(fields) if fields else "",
        ),
    )


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
    fields = {name: value for name, value in record.__dict__.items() if name not in _STANDARD}
    if type(record.msg) is dict and "event" in record.msg:
        fields = {name: value for name, value in record.msg.items() if name not in _STRUCTLOG} | fields
    if record.exc_info:
        fields["exc_info"] = record.exc_info
    elif record.exc_text:
        fields["stack"] = record.exc_text
    if record.stack_info:
        fields["stack"] = record.stack_info
    return fields

"""Formats of a log line: one JSON object for machines, text for people.

Both take records of the standard library (`logging.Formatter`) and events of our own (`line`), so that a file or a
terminal shows the same whichever logger wrote.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache
from typing import Any

import orjson

from monitoring.pipeline.clock import rfc3339
from monitoring.pipeline.events import levels
from monitoring.pipeline.events.event import Event
from monitoring.producers.client import Resource, active
from monitoring.producers.context import IDS
from monitoring.producers.records import event_of

__all__ = ["JSONFormatter", "TextFormatter"]

_NOBODY = Resource()
_OWN = frozenset(
    {"timestamp", "level", "service", "environment", "release", "logger", "host", "message", *IDS, "exception"}
)


@cache
def _unconfigured() -> Callable[[str], str]:
    """What redacts in a process that was not started: made when the first line is written, in 20 ms."""
    from monitoring.pipeline.redact import Redactor

    return Redactor().text


def _as_configured(text: str) -> str:
    client = active()
    return ((client and client.redact) or _unconfigured())(text)


class _EventFormatter(logging.Formatter):
    """Lines are redacted: by `redact`, else by what the process was started with, else by what is redacted by default.

    `resource` is who speaks; where none is given, the service that the process was started as.
    """

    def __init__(self, resource: Resource | None = None, *, redact: Callable[[str], str] = _as_configured) -> None:
        super().__init__()
        self._resource = resource
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        """The record as text, without the line's end."""
        client = active()
        resource = self._resource or (client.resource if client else _NOBODY)
        return self.line(event_of(record, resource))

    def line(self, event: Event) -> str:
        """An event as text, without the line's end."""
        raise NotImplementedError


class JSONFormatter(_EventFormatter):
    """One JSON object a line, with the names that `monitoring ingest` and most other tools read.

    Attributes stand beside the event's own fields; one of the same name goes into the object `attributes`.
    """

    def line(self, event: Event) -> str:
        """See the class."""
        line: dict[str, Any] = {"timestamp": rfc3339(event.timestamp), "level": levels.name(event.level)}
        for name in ("service", "environment", "release", "logger", "host", "message", *IDS):
            if value := getattr(event, name):
                line[name] = value
        if event.exception:
            line["exception"] = orjson.loads(event.exception)
        if event.attributes:
            for name, value in orjson.loads(event.attributes).items():
                if name in _OWN:
                    line.setdefault("attributes", {})[name] = value
                else:
                    line[name] = value
        return self._redact(orjson.dumps(line).decode())


class TextFormatter(_EventFormatter):
    """`2026-05-01T12:00:00.123Z INFO shop.orders: order placed order_id=7`, a stack trace on the lines below."""

    def line(self, event: Event) -> str:
        """See the class."""
        attributes: dict[str, Any] = orjson.loads(event.attributes) if event.attributes else {}
        ids = {name: getattr(event, name) for name in IDS if getattr(event, name)}
        pairs = "".join(f" {name}={_pair(value)}" for name, value in {**ids, **attributes}.items())
        trace = ""
        if event.exception:
            exception = orjson.loads(event.exception)
            trace = "\n" + (exception if isinstance(exception, str) else str(exception.get("stacktrace", exception)))
        when = rfc3339(event.timestamp // 1_000_000 * 1_000_000)
        head = f"{when} {levels.name(event.level)} {event.logger}: {event.message}"
        return self._redact(f"{head}{pairs}{trace}")


def _pair(value: Any) -> str:
    text = value if type(value) is str else orjson.dumps(value).decode()
    return orjson.dumps(text).decode() if not text or any(char in ' "=\n\t' for char in text) else text

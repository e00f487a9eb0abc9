"""What a format is, and how the parts that its lines tell become an Event."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import orjson

from monitoring.pipeline.events.event import Event
from monitoring.pipeline.events.lenient import UNSAID, Defaults, NotAnEvent, decode, read_record

__all__ = [
    "Format",
    "Joins",
    "Piece",
    "attributes_text",
    "inner_event",
    "make_event",
    "number",
    "original_time",
    "with_attributes",
]

Joins = Literal["nothing", "traces", "anything"]
"""What may follow a line of a format and belong to it: nothing, since the line is whole; stack traces and
indented lines; or every line that is not the first of an event, since first lines are known by their time.
"""


class Piece(NamedTuple):
    """What a container runtime wrapped around one line, or a part of one, of a program's output.

    `partial` says that the line goes on in the next piece of the same stream.
    """

    line: bytes
    stream: str
    timestamp: int
    partial: bool
    attributes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Format:
    """A kind of line.

    `parse` gives the event of a line, with UNSAID time and level where it tells none, or None if the line is
    of another kind; it raises NotAnEvent for one that is of this kind and broken. `unwrap` is set where lines
    wrap those of a program; these are of the kind `inner`.
    """

    name: str
    parse: Callable[[str, Defaults], Event | None]
    joins: Joins
    unwrap: Callable[[bytes, Defaults], Piece | None] | None = None
    inner: Format | None = None

    @property
    def key(self) -> str:
        """The name, with that of the inner format: "docker:json"."""
        return f"{self.name}:{self.inner.key}" if self.inner else self.name

    def around(self, inner: Format) -> Format:
        """This wrapper around lines of another kind."""
        return replace(self, inner=inner)


def make_event(
    defaults: Defaults,
    message: str,
    *,
    timestamp: int = UNSAID,
    level: int = UNSAID,
    service: str = "",
    logger: str = "",
    host: str = "",
    exception: str = "",
    attributes: dict[str, Any] | None = None,
) -> Event:
    """The event of these parts, by the same rules as a JSON object's: service, clamped time."""
    extra = attributes or {}
    if defaults.service:
        if service and service != defaults.service:
            extra["service_original"] = service
        service = defaults.service
    if timestamp != UNSAID and not 0 <= timestamp <= defaults.latest_ns:
        extra["timestamp_original"] = original_time(timestamp)
        timestamp = min(max(timestamp, 0), defaults.latest_ns)
    return Event(
        timestamp,
        level,
        service or defaults.fallback_service,
        defaults.environment,
        defaults.release,
        logger,
        host or defaults.host,
        message,
        "",
        "",
        "",
        exception,
        attributes_text(extra),
    )


def original_time(nanoseconds: int) -> int | str:
    """A time outside of what an event may have, as JSON can write it: the year 9999 is beyond 64 bits."""
    return nanoseconds if abs(nanoseconds) < 1 << 63 else str(nanoseconds)


def attributes_text(attributes: Mapping[str, Any]) -> str:
    """JSON text of attributes; "" where there are none."""
    return orjson.dumps(attributes).decode() if attributes else ""


def with_attributes(event: Event, attributes: Mapping[str, Any]) -> Event:
    """The event with more attributes; its own win."""
    if not attributes:
        return event
    own = orjson.loads(event.attributes) if event.attributes else {}
    return event._replace(attributes=attributes_text({**attributes, **own}))


def inner_event(
    message: str,
    defaults: Defaults,
    *,
    timestamp: int,
    level: int,
    service: str,
    host: str,
    attributes: Mapping[str, Any],
) -> Event | None:
    """The event of a JSON object that travelled as the message of syslog or of the journal; None if it is none.

    What the object does not tell is that of the line around it.
    """
    text = message.removeprefix("@cee:").strip()
    if text[:1] != "{" or text[-1:] != "}":
        return None
    outer = replace(defaults, fallback_service=service or defaults.fallback_service, host=host or defaults.host)
    try:
        event = read_record(decode(text.encode()), outer)
    except NotAnEvent:
        return None
    event = event._replace(
        timestamp=timestamp if event.timestamp == UNSAID else event.timestamp,
        level=level if event.level == UNSAID else event.level,
    )
    return with_attributes(event, attributes)


def number(text: str) -> int | float | str:
    """The number that a text is the usual spelling of, else the text: "007" and "1e400" stay text."""
    if text.isdecimal() and text.isascii():
        return int(text) if len(text) < 16 and (text[0] != "0" or text == "0") else text
    body = text.removeprefix("-")
    whole, dot, fraction = body.partition(".")
    if (
        dot
        and len(body) < 17
        and (whole + fraction).isdecimal()
        and body.isascii()
        and whole
        and fraction
        and (whole[0] != "0" or whole == "0")
    ):
        return float(text)
    return -int(body) if text != body and body.isdecimal() and len(body) < 16 and body[0] != "0" else text

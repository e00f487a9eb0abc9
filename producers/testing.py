"""For tests of applications: what they logged, without a bus.

with capture() as captured:
    place_order("A-1041")
assert captured.one("order placed").attributes["order"] == "A-1041"
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson

from monitoring.pipeline.events import levels
from monitoring.pipeline.events.event import Event
from monitoring.pipeline.publish.barrier import Ack
from monitoring.pipeline.redact import Redactor
from monitoring.producers import client as clients
from monitoring.producers import handler
from monitoring.producers.client import Client, Resource
from monitoring.producers.logger import filter_below, threshold
from monitoring.producers.trouble import Trouble

__all__ = ["Capture", "CapturedEvent", "capture"]


@dataclass(frozen=True, slots=True)
class CapturedEvent:
    """An event as it would have been stored; `level` is the name, `attributes` and `exception` are decoded."""

    level: str
    logger: str
    message: str
    attributes: dict[str, Any]
    exception: dict[str, Any] | None
    request_id: str
    trace_id: str
    span_id: str
    timestamp: int

    def matches(self, message: str | None, level: str | None, attributes: dict[str, Any]) -> bool:
        """Whether it holds this text, has this level, and these attributes."""
        return (
            (message is None or message in self.message)
            and (level is None or levels.parse(level) == levels.parse(self.level))
            and all(self.attributes.get(name) == value for name, value in attributes.items())
        )


@dataclass(slots=True)
class Capture:
    """What was published while it was open, in order. It is an emitter, so it never refuses anything."""

    events: list[CapturedEvent] = field(default_factory=list)
    redactor: Redactor = field(default_factory=Redactor)

    @property
    def messages(self) -> list[str]:
        """The messages, in order."""
        return [event.message for event in self.events]

    def find(
        self, message: str | None = None, /, *, level: str | None = None, **attributes: Any
    ) -> list[CapturedEvent]:
        """The events whose message holds this text, of this level, with these attributes."""
        return [event for event in self.events if event.matches(message, level, attributes)]

    def one(self, message: str | None = None, /, *, level: str | None = None, **attributes: Any) -> CapturedEvent:
        """The only such event. Raises AssertionError that lists what there is where there is none, or several."""
        found = self.find(message, level=level, **attributes)
        if len(found) != 1:
            wanted = {"message": message, "level": level, **attributes}
            raise AssertionError(f"{len(found)} events match {wanted} among {self.messages}")
        return found[0]

    def emit(self, event: Event) -> bool:
        """Keep an event, redacted as it would be."""
        (event,) = self.redactor.events([event])
        self.events.append(
            CapturedEvent(
                levels.name(event.level),
                event.logger,
                event.message,
                orjson.loads(event.attributes) if event.attributes else {},
                orjson.loads(event.exception) if event.exception else None,
                event.request_id,
                event.trace_id,
                event.span_id,
                event.timestamp,
            )
        )
        return True

    def flush(self, timeout_seconds: float = 5.0, ack: Ack = "store") -> bool:
        """Everything is as safe as it will be."""
        return True

    def close(self, timeout_seconds: float = 5.0) -> bool:
        """See `flush`."""
        return True


@contextmanager
def capture() -> Iterator[Capture]:
    """Keep what is logged within the block, of every level and by the standard library too, instead of sending it.

    The level of a logger of the standard library still decides what it logs.
    """
    captured = Capture()
    before = clients.install(Client(captured, Resource(service="test"), trouble=Trouble()))
    level = threshold()
    was_captured = handler.is_captured()
    filter_below(0)
    handler.capture()
    try:
        yield captured
    finally:
        clients.install(before)
        filter_below(level)
        if not was_captured:
            handler.release()

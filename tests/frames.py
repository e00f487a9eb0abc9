"""Frames and events for tests, deterministic by their numbers."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from monitoring.pipeline.bus.frame import Frame, encode_payload, seal
from monitoring.pipeline.bus.streams import Entry
from monitoring.pipeline.events.event import Event, Rejected
from monitoring.pipeline.events.signals import Row

T0 = 1_790_000_000_000_000_000
"""A moment in 2026 that tests count from, nanoseconds."""


def lane_id(number: int) -> str:
    """A lane of its own for each number."""
    return uuid.UUID(int=number + 1).hex


def event(number: int, **changes: Any) -> Event:
    """The event of this number: a microsecond after the one before."""
    values: dict[str, Any] = {
        "timestamp": T0 + number * 1000,
        "level": 9,
        "service": "api",
        "host": "h1",
        "logger": "app.web",
        "message": f"event number {number}",
        "trace_id": f"{number:032x}",
        "attributes": f'{{"n":{number}}}',
    }
    return Event(**{**values, **changes})


class Sender:
    """A producer's lane as far as frames are concerned: seq, counters, released_below."""

    def __init__(self, lane: int | str = 0, *, created: int = T0) -> None:
        self.lane = lane if isinstance(lane, str) else lane_id(lane)
        self.seq = 0
        self.emitted = 0
        self.dropped: dict[str, int] = {}
        self.released_below = 1
        self.created = created

    def frame(self, events: Sequence[Row], rejected: Sequence[Rejected] = (), **changes: Any) -> Frame:
        """The next frame of the lane."""
        self.seq += 1
        self.emitted += len(events) + len(rejected)
        values: dict[str, Any] = {
            "lane": self.lane,
            "seq": self.seq,
            "released_below": self.released_below,
            "signal": "logs",
            "count": len(events) + len(rejected),
            "created": self.created,
            "counters": {"emitted": self.emitted + sum(self.dropped.values()), "dropped": dict(self.dropped)},
            "payload": encode_payload(events, rejected),
        }
        return seal(**{**values, **changes})

    def drop(self, count: int, reason: str = "buffer_full") -> None:
        """Count events that were shed before they were sealed."""
        self.dropped[reason] = self.dropped.get(reason, 0) + count


def entry(frame: Frame, entry_id: str = "1-0") -> Entry:
    """The frame as it is read from a stream."""
    fields = {
        key.encode(): value if isinstance(value, bytes) else str(value).encode()
        for key, value in frame.fields().items()
    }
    return Entry(entry_id, fields)

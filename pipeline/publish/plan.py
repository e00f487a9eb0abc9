"""What a publisher was asked for, as its flusher needs to know it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from monitoring.pipeline.bus.streams import Transport
from monitoring.pipeline.clock import NowNs
from monitoring.pipeline.events.event import Event
from monitoring.pipeline.events.signals import Signal
from monitoring.pipeline.publish.spool import Spool

__all__ = ["Plan"]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a flusher needs to know; see Publisher."""

    transport_factory: Callable[[], Transport]
    choose_partition: Callable[[str, int], int]
    refine: Callable[[Sequence[Event]], Sequence[Event]] | None
    clock: Callable[[], float]
    now_ns: NowNs
    mint: Callable[[], str]
    on_trouble: Callable[[str], None]
    signal: Signal
    service: str
    frame_events: int
    interval_seconds: float
    retain_bytes: int
    spool: Spool | None
    required: bool

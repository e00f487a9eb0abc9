"""How far the store is complete: what was sealed later may still be on the bus."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

__all__ = ["Waiting", "complete_through"]

_GRACE_NS = 1_000_000_000
"""Between reading the bus and its answer, and between commit and deletion, an event may be in neither view."""


class Waiting(Protocol):
    """What is asked of the bus; `Streams` is one."""

    def oldest_created(self, signal: str, partition: int) -> int | None:
        """When the oldest waiting frame was sealed, nanoseconds; None where nothing waits."""
        ...


def complete_through(streams: Waiting, partitions: Iterable[int], now_ns: int, *, signal: str = "logs") -> int:
    """The moment (nanoseconds since 1970) up to which all that was sent to the bus is searchable.

    Raises what the bus raises.
    """
    created = [streams.oldest_created(signal, partition) for partition in partitions]
    waiting = [moment for moment in created if moment is not None]
    return min([now_ns - _GRACE_NS, *waiting])

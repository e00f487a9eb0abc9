"""A transport that lets others work while it waits for the other side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from monitoring.pipeline.bus.frame import Frame
from monitoring.pipeline.bus.streams import Reply, Transport

__all__ = ["Yielding"]


class Yielding:
    """A Transport around another: each exchange runs inside `opened()`, which may open a lock, or refuse by raising."""

    def __init__(self, transport: Transport, opened: Callable[[], AbstractContextManager[None]]) -> None:
        self._transport = transport
        self._opened = opened

    def partitions(self, signal: str) -> int:
        """See Transport."""
        with self._opened():
            return self._transport.partitions(signal)

    def publish(self, signal: str, partition: int, lane: str, frames: Sequence[Frame]) -> Reply:
        """See Transport."""
        with self._opened():
            return self._transport.publish(signal, partition, lane, frames)

    def present(self, signal: str, partition: int, entry_id: str) -> bool:
        """See Transport."""
        with self._opened():
            return self._transport.present(signal, partition, entry_id)

    def report(self, signal: str, partition: int, lane: str, facts: Mapping[str, Any]) -> None:
        """See Transport."""
        with self._opened():
            self._transport.report(signal, partition, lane, facts)

    def close(self) -> None:
        """See Transport."""
        self._transport.close()

"""Where a lane's frames are kept beside memory before they are sent: what a spool, or `ingest.db`, is to a lane."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from monitoring.pipeline.bus.frame import Frame

__all__ = ["Journal"]


class Journal(Protocol):
    """Durable frames of one lane. Used by one thread."""

    def append(self, frames: Sequence[Frame]) -> None:
        """Store frames that follow those before, durably when it returns.

        Raises StoreFull (retryable) or OSError; then how many of them are stored is unknown, and the call may be
        repeated with the same frames or more.
        """
        ...

    def read(self, after: int, max_frames: int, max_bytes: int) -> list[Frame]:
        """The stored frames behind seq `after`, in order without gaps; at least one.

        Raises StoreCorrupt where the next one is not there, or OSError.
        """
        ...

    def place(self, partition: int) -> None:
        """Remember the lane's partition, durably: before anything of it is sent. Raises as `append`."""
        ...

    def release(self, low: int) -> None:
        """Every seq up to `low` is committed and may be forgotten."""
        ...

    def close(self) -> None:
        """Let go of it; what is not released stays for whoever adopts it."""
        ...

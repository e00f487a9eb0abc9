"""The time of a played platform: it stands still but for what the stage says, so that hours pass in seconds."""

from __future__ import annotations

__all__ = ["SECOND", "Clock"]

SECOND = 1_000_000_000


class Clock:
    """Nanoseconds since 1970, set by hand; it never goes back."""

    def __init__(self, now_ns: int) -> None:
        self._now_ns = now_ns

    def now_ns(self) -> int:
        """As `wall_ns`."""
        return self._now_ns

    def seconds(self) -> float:
        """As `time.monotonic`."""
        return self._now_ns / SECOND

    def reach(self, now_ns: int) -> None:
        """It is so late now; an earlier time changes nothing."""
        self._now_ns = max(self._now_ns, now_ns)

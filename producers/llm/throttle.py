"""Which of many steps become events: enough to draw a curve, few enough to keep."""

from __future__ import annotations

from monitoring.producers.llm.runs import Clock

__all__ = ["Throttle"]

_DENSITY = 64
"""A step becomes an event when 1/64 more steps than at the last one have been made: all of the first 127, 575 of
100,000, and a logarithm thereafter. A curve nowhere lacks more than 1/64 of its length, and where it falls fastest,
at the start, it is whole."""


class Throttle:
    """Not thread-safe, and no harm in it: a race tells one step too many or too few."""

    def __init__(self, interval_seconds: float, every: int | None, clock: Clock) -> None:
        """`every` k-th step and no other, where it is given; else by density, and once in `interval_seconds`."""
        self._interval_seconds = interval_seconds
        self._every = every
        self._clock = clock
        self._seen = 0
        self._next = 1
        self._told_at = float("-inf")

    def due(self) -> bool:
        """Whether the step that was just made is one to tell. The first is."""
        self._seen += 1
        if self._every is not None:
            return self._seen % self._every == 1 or self._every == 1
        now = self._clock()
        if self._seen < self._next and now - self._told_at < self._interval_seconds:
            return False
        self._told_at = now
        self._next = self._seen + max(1, self._seen // _DENSITY)
        return True

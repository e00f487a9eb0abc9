"""When to try the bus again after it failed: later each time, and not all producers at once; when hope is little."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["DOUBTFUL_SECONDS", "FIRST_SECONDS", "LAST_TRIES", "LONGEST_SECONDS", "Breaker"]

FIRST_SECONDS = 0.1
"""A restarted server is back within a second."""
LONGEST_SECONDS = 5.0
"""A producer is back this soon after the bus; a thousand producers ask 200 times a second meanwhile."""

LAST_TRIES = 3
"""Failures of the bus in a row after which a process that ends waits no longer: 0.15 to 0.3 s where it was well before,
less than a restart of it takes, at once where it had failed already. Jobs that fork would each be held up by more."""
DOUBTFUL_SECONDS = 0.25
"""What a process that ends waits for a bus that has failed LAST_TRIES times in a row: fifteen times what one takes that
is well again, and little for a bus that hangs."""


class Breaker:
    """Open after a failure until a time that grows with every further one; a success closes it.

    Pure: `now` is seconds of any steady clock. `random` gives numbers in [0, 1): each pause is between half
    and all of 0.1, 0.2, 0.4 … 5 s, so that producers that failed together do not come back together.
    """

    def __init__(
        self,
        random: Callable[[], float],
        *,
        first_seconds: float = FIRST_SECONDS,
        longest_seconds: float = LONGEST_SECONDS,
    ) -> None:
        self._random = random
        self._first = first_seconds
        self._longest = longest_seconds
        self.failures = 0
        self.retry_at = float("-inf")

    @property
    def closed(self) -> bool:
        """Whether the last attempt succeeded, or there was none."""
        return self.failures == 0

    @property
    def doubtful(self) -> bool:
        """Whether so many attempts failed that the next one is hardly worth waiting for."""
        return self.failures >= LAST_TRIES

    def learn_from(self, other: Breaker) -> None:
        """Know what one knows that goes to the same place; it is tried all the same."""
        self.failures = max(self.failures, other.failures)

    def ready(self, now: float) -> bool:
        """Whether an attempt may be made."""
        return now >= self.retry_at

    def failed(self, now: float, *, at_least: float = 0.0) -> None:
        """An attempt failed; `at_least`: seconds that the other side asked us to stay away."""
        pause = min(self._longest, self._first * 2 ** min(self.failures, 16))
        self.failures += 1
        self.retry_at = now + max(at_least, pause * (0.5 + self._random() / 2))

    def succeeded(self) -> None:
        """An attempt succeeded."""
        self.failures = 0
        self.retry_at = float("-inf")

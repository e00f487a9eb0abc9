"""What a query may cost: its text, its time, its answer."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = [
    "BATCH_BYTES",
    "BATCH_ROWS",
    "DEFAULT_EVENTS",
    "FIRST_CHUNK",
    "LARGEST_CHUNK",
    "MAX_DEPTH",
    "MAX_EVENTS",
    "MAX_FIELD_PARTS",
    "MAX_PAGE_BYTES",
    "MAX_QUERY_LENGTH",
    "MAX_SAMPLE",
    "MAX_TERMS",
    "QUERIES_AT_ONCE",
    "QUERIES_WAITING",
    "STEPS_BETWEEN_CHECKS",
    "STREAMS_AT_ONCE",
    "WAIT_SECONDS",
    "Deadline",
]

MAX_QUERY_LENGTH = 8192
"""Characters: a stack trace's line pasted in quotes fits, and parsing the longest takes some 20 ms."""
MAX_TERMS = 256
"""Words, phrases and field filters: a list of 200 ids fits, and SQLite's expression depth (1,000) is far."""
MAX_DEPTH = 32
"""Operators within each other: what people nest is three deep; compiling recurses this far and no further."""
MAX_FIELD_PARTS = 5
"""Names in `a.b.c`: each dot may also be part of a key, so n names are looked up in 2**(n-1) ways."""

DEFAULT_EVENTS = 100
"""Events of a page that asks for no number: a screen or two."""
MAX_EVENTS = 10_000
"""Events of a page at most; more come by the cursor."""
MAX_PAGE_BYTES = 16 << 20
"""Text of a page at most: events may be 1 MiB each, so the number alone bounds nothing."""

MAX_SAMPLE = 20_000
"""Events that are looked into for the values of an attribute or the shape of messages: a second's work at most, and a
value that a thousandth of them has is counted to a fifth of itself."""

BATCH_ROWS = 1000
"""Rows read from one segment before the others are looked at again: bounds what a merge holds in memory."""
BATCH_BYTES = 4 << 20
"""Their text, for the same reason."""
FIRST_CHUNK = 500
"""Candidates that are verified in the first go: the newest hundred are mostly among them."""
LARGEST_CHUNK = 32_000
"""Candidates in a go at most, after growing fourfold each time: about 0.1 s of work, so that a query that
runs out of time has come that near to where it stopped."""

QUERIES_AT_ONCE = 10
"""Queries that run in a process: more of them take no less time together, and memory each."""
QUERIES_WAITING = 10
"""Queries that wait for one of these to end; who comes then is told to come back."""
WAIT_SECONDS = 5.0
"""How long they wait: who looks at a screen has given up by then."""
STREAMS_AT_ONCE = 10
"""Exports and tails: each takes a thread for as long as somebody reads."""

STEPS_BETWEEN_CHECKS = 20_000
"""SQLite virtual machine steps between two looks at the clock: about half a millisecond."""


class Deadline:
    """The moment at which a query must answer with what it has. `clock` counts seconds and never goes back."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._end = clock() + seconds

    def remaining(self) -> float:
        """Seconds left, 0 when there are none."""
        return max(0.0, self._end - self._clock())

    def expired(self) -> bool:
        """Whether the time is up."""
        return self._clock() >= self._end

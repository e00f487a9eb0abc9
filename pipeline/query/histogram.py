"""How many events match, by time and level: the numbers of a bar chart."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from monitoring.pipeline.clock import rfc3339
from monitoring.pipeline.events.levels import LEVELS
from monitoring.pipeline.query.ast import Node
from monitoring.pipeline.query.counting import count, resolved
from monitoring.pipeline.query.limits import Deadline
from monitoring.pipeline.query.parse import parse
from monitoring.pipeline.query.sweep import Segments, Sweep
from monitoring.pipeline.query.tally import Grid
from monitoring.pipeline.store.reader import Reader

__all__ = ["DEFAULT_BUCKETS", "MAX_BUCKETS", "STEPS_NS", "Histogram", "bucket_seconds", "grid", "histogram"]

DEFAULT_BUCKETS = 60
"""A bar a minute of an hour, and as many as fit a terminal or a small chart."""
MAX_BUCKETS = 1000
"""More than a screen has columns to draw them in."""

_MS, _SECOND, _MINUTE = 1_000_000, 1_000_000_000, 60_000_000_000
_HOUR, _DAY = 60 * _MINUTE, 1440 * _MINUTE
STEPS_NS = (
    *(step * _MS for step in (1, 2, 5, 10, 20, 50, 100, 200, 500)),
    *(step * _SECOND for step in (1, 2, 5, 10, 15, 30)),
    *(step * _MINUTE for step in (1, 2, 5, 10, 15, 30)),
    *(step * _HOUR for step in (1, 2, 3, 6, 12)),
    *(step * _DAY for step in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)),
)
"""Widths that a bucket may have, nanoseconds: what clocks and calendars divide into."""


def grid(start: int, end: int, buckets: int) -> Grid:
    """A grid of about so many buckets at most, of the narrowest round width that gives them."""
    length = max(1, end - start)
    interval = next((step for step in STEPS_NS if step * buckets >= length), STEPS_NS[-1])
    first = start // interval * interval
    return Grid(first, interval, max(0, -((first - end) // interval)) if end > start else 0, start, end)


def bucket_seconds(interval_ns: int) -> int | float:
    """The width of a bucket as answers show it."""
    seconds = interval_ns / _SECOND
    return int(seconds) if seconds.is_integer() else seconds


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts by bucket of the grid and level, and why some are missing."""

    grid: Grid
    counts: list[Counter[str]]
    partial_reason: str | None

    def document(self) -> dict[str, Any]:
        """As the API shows it: every bucket of the range, levels that have events."""
        return {
            "interval_seconds": bucket_seconds(self.grid.interval),
            "buckets": [
                {
                    "start": rfc3339(self.grid.first + number * self.grid.interval),
                    "total": counts.total(),
                    "levels": {name: counts[name] for name in LEVELS if counts[name]},
                }
                for number, counts in enumerate(self.counts)
            ],
        }


def histogram(
    catalog: Segments,
    reader: Reader,
    query: str | Node,
    start_ns: int,
    end_ns: int,
    *,
    deadline: Deadline,
    buckets: int = DEFAULT_BUCKETS,
    signal: str = "logs",
) -> Histogram:
    """The events in [start_ns, end_ns) that match, counted in about `buckets` buckets.

    Where the range is open (EARLIEST, LATEST), it begins and ends with the events that there are. Raises
    QuerySyntaxError.
    """
    node = parse(query) if isinstance(query, str) else query
    sweep = Sweep(catalog, reader, start_ns, end_ns, deadline=deadline, signal=signal)
    wanted = grid(*resolved(sweep), buckets)
    return Histogram(wanted, count(sweep, node, wanted, ("level",))["level"], sweep.partial_reason)

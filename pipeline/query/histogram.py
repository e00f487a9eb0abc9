"""How many events match, by time and level, without looking at rows where the index or the roll-ups know.

Three ways, for each segment the cheapest that is exact:

    minutes  level and service only, buckets of whole minutes: the per-minute roll-up
    index    what the text index decides alone: its ids are the time, so a bucket is a count between two ids
    rows     everything else: the candidates are looked at, the newest first

The first two count by ids, whose time may lie behind the event's (`Head.max_spill`) and has no nanoseconds. So the
few rows next to a bucket's edge that belong to its other side are moved there afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from monitoring.pipeline.clock import rfc3339
from monitoring.pipeline.events.levels import LEVELS, group
from monitoring.pipeline.query import index, rollup
from monitoring.pipeline.query.ast import Node
from monitoring.pipeline.query.limits import Deadline
from monitoring.pipeline.query.parse import parse
from monitoring.pipeline.query.ranges import EARLIEST, LATEST
from monitoring.pipeline.query.rollup import Decision
from monitoring.pipeline.query.sql import (
    TRUE_TIME,
    count_ids,
    count_levels,
    count_minutes,
    select_ids,
    select_rows,
    select_spilled,
)
from monitoring.pipeline.query.sweep import Part, Segments, Sweep
from monitoring.pipeline.store.reader import Reader
from monitoring.pipeline.store.rows import EPOCH_US, ID_SHIFT, MINUTE_SHIFT, id_floor, timestamp_ns

__all__ = ["DEFAULT_BUCKETS", "MAX_BUCKETS", "STEPS_NS", "Grid", "Histogram", "grid", "histogram"]

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
_FEW = 256
"""Ids that are fetched and sorted into buckets here, rather than asked for bucket by bucket: 0.05 ms."""


class Grid(NamedTuple):
    """Buckets side by side: the first begins at `first`, a multiple of `interval`; only [start, end) is counted."""

    first: int
    interval: int
    size: int
    start: int
    end: int

    def begins(self, bucket: int) -> int:
        """The first moment that counts for a bucket; for the one behind the last: the end."""
        return min(max(self.first + bucket * self.interval, self.start), self.end)

    def of(self, time: int) -> int | None:
        """The bucket of a moment; None where it is outside."""
        return (time - self.first) // self.interval if self.start <= time < self.end else None


def grid(start: int, end: int, buckets: int) -> Grid:
    """A grid of about so many buckets at most, of the narrowest round width that gives them."""
    length = max(1, end - start)
    interval = next((step for step in STEPS_NS if step * buckets >= length), STEPS_NS[-1])
    first = start // interval * interval
    return Grid(first, interval, max(0, -((first - end) // interval)) if end > start else 0, start, end)


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts by bucket of the grid and level group (index into LEVELS), and why some are missing."""

    grid: Grid
    counts: list[list[int]]
    partial_reason: str | None

    def document(self) -> dict[str, Any]:
        """As the API shows it: every bucket of the range, levels that have events."""
        seconds = self.grid.interval / _SECOND
        return {
            "interval_seconds": int(seconds) if seconds.is_integer() else seconds,
            "buckets": [
                {
                    "start": rfc3339(self.grid.first + number * self.grid.interval),
                    "total": sum(counts),
                    "levels": {name: count for name, count in zip(LEVELS, counts, strict=True) if count},
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
    if start_ns <= EARLIEST or end_ns >= LATEST:
        there = sweep.extent() or (0, 0)
        start_ns = there[0] if start_ns <= EARLIEST else start_ns
        end_ns = there[1] if end_ns >= LATEST else end_ns
    counting = _Counting(node, grid(start_ns, end_ns, buckets))
    if counting.grid.size and counting.possible:
        sweep.start_ns, sweep.end_ns = start_ns, end_ns
        sweep.run(node, counting.visit)
    return Histogram(counting.grid, counting.counts, sweep.partial_reason)


class _Range(NamedTuple):
    """Ids from `low` to `high`, both included, of one bucket."""

    bucket: int
    low: int
    high: int


class _Counting:
    def __init__(self, node: Node, wanted: Grid) -> None:
        self.grid = wanted
        self.counts = [[0] * len(LEVELS) for _ in range(wanted.size)]
        self._decides = rollup.decision(node)
        self._groups = sorted(rollup.possible_groups(node))
        self._whole_minutes = wanted.interval % _MINUTE == 0

    @property
    def possible(self) -> bool:
        """Whether there is a level that a match can have."""
        return bool(self._groups)

    def visit(self, part: Part) -> None:
        """Count a segment."""
        if self._decides is not None and self._whole_minutes:
            self._by_minutes(part, self._decides)
            self._put_right(part, self._decides)
        elif part.compiled.verified:
            self._by_rows(part)
        else:
            self._by_index(part, list(self._ranges(part, self.grid.start, self.grid.end)))
            self._put_right(part, None)

    def _by_rows(self, part: Part) -> None:
        first, interval, counts = self.grid.first, self.grid.interval, self.counts
        found = select_rows(part.compiled, part.span, newest=True, columns=f"{TRUE_TIME}, log.level")
        for time, level in part.view.connection.execute(*found):
            counts[(time - first) // interval][(level - 1) >> 2] += 1

    def _ranges(self, part: Part, start: int, end: int) -> Iterator[_Range]:
        """The ids of a segment by bucket, as far as the ids' own time lies in [start, end)."""
        head, wanted = part.view.head, self.grid
        if head.min_id is None or head.max_id is None or start >= end:
            return
        low = max(id_floor(start), head.min_id)
        high = min(id_floor(end) - 1, head.max_id)
        while low <= high:
            bucket = (timestamp_ns(low, 0) - wanted.first) // wanted.interval
            last = min(high, id_floor(wanted.first + (bucket + 1) * wanted.interval) - 1)
            yield _Range(max(bucket, 0), low, last)
            low = last + 1

    def _by_index(self, part: Part, ranges: list[_Range]) -> None:
        if not ranges:
            return
        match = part.compiled.match
        execute = part.view.connection.execute
        if match is None:
            for level in self._groups:
                self._count(part, ranges, _of_level(None, level), level)
            return
        if len(ranges) > 1 and self._by_ids(part, match, ranges):
            return
        # The commonest level, by usage, is what the others leave of all: its ids are the dearest to intersect.
        rest = 2 if 2 in self._groups else self._groups[0]
        others = [level for level in self._groups if level != rest]
        for bucket, low, high in ranges:
            left = execute(*count_ids(match, low, high)).get
            for level in others if left else ():
                found = execute(*count_ids(_of_level(match, level), low, high)).get
                self.counts[bucket][level] += found
                left -= found
            self.counts[bucket][rest] += left

    def _count(self, part: Part, ranges: list[_Range], match: str, level: int) -> None:
        for bucket, low, high in ranges:
            self.counts[bucket][level] += part.view.connection.execute(*count_ids(match, low, high)).get

    def _by_ids(self, part: Part, match: str, ranges: list[_Range]) -> bool:
        """Count a segment with few matches by fetching their ids; False where they are many."""
        execute = part.view.connection.execute
        low, high = ranges[0].low, ranges[-1].high
        if len(execute(*select_ids(match, low, high, _FEW)).fetchall()) == _FEW:
            return False
        first, interval = self.grid.first, self.grid.interval
        for level in self._groups:
            for (row_id,) in execute(*select_ids(_of_level(match, level), low, high, _FEW)):
                self.counts[max(0, (timestamp_ns(row_id, 0) - first) // interval)][level] += 1
        return True

    def _by_minutes(self, part: Part, decides: Decision) -> None:
        wanted, first_id, end_id = self.grid, id_floor(self.grid.start), id_floor(self.grid.end)
        low, high = -(-first_id // MINUTE_SHIFT), end_id // MINUTE_SHIFT
        if low >= high:
            self._by_levels(part, wanted.start, wanted.end)
            return
        self._by_levels(part, wanted.start, _minute_ns(low))
        self._by_levels(part, _minute_ns(high), wanted.end)
        base, width = _minute_of(wanted.first), wanted.interval // _MINUTE
        where = rollup.condition(decides, part.view.dimensions.get("service", {}))
        for bucket, level, count in part.view.connection.execute(*count_minutes(where, base, width, low, high)):
            self.counts[bucket][group(level)] += count

    def _by_levels(self, part: Part, start: int, end: int) -> None:
        """What lies in a piece of a minute."""
        ranges = list(self._ranges(part, start, end))
        if not part.compiled.verified:
            self._by_index(part, ranges)
            return
        for bucket, low, high in ranges:
            for level, count in part.view.connection.execute(*count_levels(part.compiled, low, high)):
                self.counts[bucket][group(level)] += count

    def _put_right(self, part: Part, decides: Decision | None) -> None:
        """Move what was counted by its id to the bucket of its time."""
        head, wanted = part.view.head, self.grid
        if head.min_id is None or head.max_id is None:
            return
        for number in self._edges(head.min_id, head.max_id, head.max_spill):
            edge = wanted.begins(number)
            low = id_floor(edge)
            high = low + ((head.max_spill + 1) << ID_SHIFT) - 1
            if number < wanted.size:
                high = min(high, id_floor(wanted.begins(number + 1)) - 1)
            for time, level, service in part.view.connection.execute(
                *select_spilled(part.compiled.match, max(low, head.min_id), min(high, head.max_id))
            ):
                if time >= edge or (decides and not decides(part.view.names[service], level)):
                    continue
                if number < wanted.size:
                    self.counts[number][group(level)] -= 1
                true = wanted.of(time)
                if true is not None:
                    self.counts[true][group(level)] += 1

    def _edges(self, min_id: int, max_id: int, max_spill: int) -> Iterator[int]:
        """Buckets (and the end) at whose beginning ids and times may differ."""
        wanted = self.grid
        first = max(0, (timestamp_ns(min_id, 0) - wanted.first) // wanted.interval)
        last = min(wanted.size, (timestamp_ns(max_id, 0) - wanted.first) // wanted.interval + 1)
        for number in {0, wanted.size} if max_spill == 0 else {0, wanted.size, *range(first, last + 1)}:
            if max_spill or wanted.begins(number) % 1000:
                yield number


def _of_level(match: str | None, level: int) -> str:
    wanted = index.render(index.levels([level])) or ""
    return wanted if match is None else f"({match}) AND {wanted}"


def _minute_ns(minute: int) -> int:
    """The time at which a minute of the roll-up begins."""
    return timestamp_ns(minute * MINUTE_SHIFT, 0)


def _minute_of(time: int) -> int:
    """The minute of the roll-up that a whole minute is."""
    return (time // 1000 - EPOCH_US) // 60_000_000

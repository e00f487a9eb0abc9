"""Counting matches by time and by one dimension, without looking at rows where the index or the roll-ups know.

Three ways, for each segment the cheapest that is exact:

    minutes  level and service only, buckets of whole minutes: the per-minute roll-up
    index    what the text index decides alone: its ids are the time, so a bucket is a count between two ids
    rows     everything else: the candidates are looked at, the newest first

The first two count by ids, whose time may lie behind the event's (`Head.max_spill`) and has no nanoseconds. So the
few rows next to a bucket's edge that belong to its other side are moved there afterwards.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from monitoring.pipeline.events.levels import LEVELS, group
from monitoring.pipeline.query import index, rollup
from monitoring.pipeline.query.ast import Node
from monitoring.pipeline.query.index import Expression
from monitoring.pipeline.query.ranges import EARLIEST, LATEST
from monitoring.pipeline.query.remembered import Remembered
from monitoring.pipeline.query.rollup import Decision
from monitoring.pipeline.query.sql import (
    TRUE_TIME,
    count_buckets,
    count_ids,
    count_minutes,
    rows_between,
    select_ids,
    select_rows,
    select_spilled,
)
from monitoring.pipeline.query.sweep import Part, Sweep
from monitoring.pipeline.store.catalog import SegmentRow
from monitoring.pipeline.store.reader import View
from monitoring.pipeline.store.rows import EPOCH_US, ID_SHIFT, MINUTE_SHIFT, id_floor, timestamp_ns

__all__ = ["COUNTED", "Dimension", "Grid", "count", "resolved"]

Dimension = Literal["level", "service", "host"]
"""Those that the index has tokens of."""
COUNTED: tuple[Dimension, ...] = ("level", "service", "host")

_MINUTE = 60_000_000_000
_FEW = 256
"""Ids that are fetched and sorted here, rather than asked for bucket by bucket: 0.05 ms."""
_INFO = LEVELS.index("INFO")
_PREFIX = '" *'
"""Stands in a MATCH with prefixes, for each of which FTS5 merges all ids that it finds, whatever range is asked for: so
these are asked once, and not once a bucket."""
_KINDS = {"service": "s", "host": "h"}


class Grid(NamedTuple):
    """Buckets of `interval` nanoseconds side by side, the first from `first` on; only [start, end) is counted."""

    first: int
    interval: int
    size: int
    start: int
    end: int

    @classmethod
    def whole(cls, start: int, end: int) -> Grid:
        """One bucket that is the range."""
        return cls(start, max(1, end - start), int(end > start), start, end)

    def begins(self, bucket: int) -> int:
        """The first moment that counts for a bucket; for the one behind the last: the end."""
        return min(max(self.first + bucket * self.interval, self.start), self.end)

    def width(self, bucket: int | None) -> int:
        """Nanoseconds that count for a bucket (None: for all of them), 1 at least."""
        if bucket is None:
            return max(1, self.end - self.start)
        return max(1, self.begins(bucket + 1) - self.begins(bucket))

    def of(self, time: int) -> int | None:
        """The bucket of a moment; None where it is outside."""
        return (time - self.first) // self.interval if self.start <= time < self.end else None


def resolved(sweep: Sweep) -> tuple[int, int]:
    """The sweep's range; where it is open (EARLIEST, LATEST), it begins and ends with the events that there are."""
    start, end = sweep.start_ns, sweep.end_ns
    if start <= EARLIEST or end >= LATEST:
        there = sweep.extent() or (0, 0)
        start = there[0] if start <= EARLIEST else start
        end = there[1] if end >= LATEST else end
        sweep.start_ns, sweep.end_ns = start, end
    return start, end


def count(sweep: Sweep, node: Node, grid: Grid, by: Sequence[Dimension]) -> dict[Dimension, list[Counter[str]]]:
    """How many events match, for each dimension and bucket of the grid by level name, service or host.

    Exact unless the sweep says that it is partial. What was counted of a sealed segment is remembered.
    """
    counting = _Counting(node, grid, by)
    if grid.size and counting.possible:
        memory = _Memory(sweep.remembered, node, counting)
        sweep.run(node, memory.visit, known=memory.known)
    return {
        dimension: [+counts.get(bucket, Counter[str]()) for bucket in range(grid.size)]
        for dimension, counts in counting.counts.items()
    }


class _Range(NamedTuple):
    """Ids from `low` to `high`, both included, of one bucket."""

    bucket: int
    low: int
    high: int


Counts = defaultdict[int, Counter[str]]
"""By bucket and label."""


class _Memory:
    """Visits segments, and remembers the counts of those that are sealed and wholly within the range."""

    def __init__(self, remembered: Remembered, node: Node, counting: _Counting) -> None:
        self._remembered, self._node, self._counting = remembered, node, counting

    def visit(self, part: Part) -> None:
        """Count a segment."""
        counting = self._counting
        total, counting.counts = counting.counts, counting.empty()
        try:
            counting.visit(part)
            keys = self._keys(part.segment)
            for dimension, key in keys.items():
                self._remembered.put(key, _moved(counting.counts[dimension], self._offset))
        finally:  # what was counted before the time was up is shown
            fresh, counting.counts = counting.counts, total
            counting.add(fresh)

    def known(self, segment: SegmentRow) -> bool:
        """Whether the counts of a segment are remembered, which adds them."""
        keys = self._keys(segment)
        found = {dimension: self._remembered.get(key) for dimension, key in keys.items()}
        if not keys or any(counts is None for counts in found.values()):
            return False
        self._counting.add({by: _moved(counts, -self._offset) for by, counts in found.items() if counts is not None})
        return True

    @property
    def _offset(self) -> int:
        """From a bucket of this grid to the same one of all that are as wide."""
        grid = self._counting.grid
        return 0 if grid.first % grid.interval else grid.first // grid.interval

    def _keys(self, segment: SegmentRow) -> dict[Dimension, Hashable]:
        """What its counts are remembered under; nothing where they change or depend on the range."""
        if not segment.sealed or segment.min_id is None or segment.max_id is None:
            return {}
        grid = self._counting.grid
        first = timestamp_ns(segment.min_id - (segment.max_spill << ID_SHIFT), 0)
        if first < grid.start or timestamp_ns(segment.max_id, 0) + 1000 > grid.end:
            return {}
        width = None if grid.first % grid.interval else grid.interval  # None: one bucket, and all of it in there
        return {
            by: (segment.path, segment.rows, segment.sealed_at, self._node, by, width) for by in self._counting.counts
        }


def _moved(counts: Mapping[int, Mapping[str, int]], offset: int) -> dict[int, Counter[str]]:
    return {bucket + offset: Counter(labels) for bucket, labels in counts.items()}


class _Counting:
    def __init__(self, node: Node, grid: Grid, by: Sequence[Dimension]) -> None:
        self.grid, self._by = grid, tuple(dict.fromkeys(by))
        self.counts = self.empty()
        self._decides = rollup.decision(node)
        self._groups = sorted(rollup.possible_groups(node))
        self._minutes = grid.interval % _MINUTE == 0 or grid.size == 1

    def empty(self) -> dict[Dimension, Counts]:
        """No counts yet."""
        return {by: defaultdict(Counter) for by in self._by}

    def add(self, more: Mapping[Dimension, Mapping[int, Counter[str]]]) -> None:
        """Add the counts of a segment."""
        for by, counts in more.items():
            for bucket, labels in counts.items():
                self.counts[by][bucket].update(labels)

    @property
    def possible(self) -> bool:
        """Whether there is a level that a match can have."""
        return bool(self._groups)

    def visit(self, part: Part) -> None:
        """Count a segment."""
        by_rows = []
        for by in self._by:
            if self._decides is not None and self._minutes and by != "host":
                self._by_minutes(part, by, self._decides)
                self._put_right(part, by, self._decides)
            elif part.compiled.verified:
                by_rows.append(by)
            else:
                self._by_index(part, by, list(self._ranges(part, self.grid.start, self.grid.end)))
                self._put_right(part, by, None)
        if by_rows:
            self._by_rows(part, by_rows)

    def _by_rows(self, part: Part, by: list[Dimension]) -> None:
        first, interval, names = self.grid.first, self.grid.interval, part.view.names
        columns = ", ".join((TRUE_TIME, *(f"log.{dimension}" for dimension in by)))
        found: Counter[tuple[int, ...]] = Counter()
        try:
            for time, *values in part.view.connection.execute(
                *select_rows(part.compiled, part.span, newest=True, columns=columns)
            ):
                found[(time - first) // interval, *values] += 1
        finally:  # what was counted before the time was up is shown
            for (bucket, *values), number in found.items():
                for dimension, value in zip(by, values, strict=True):
                    self.counts[dimension][bucket][_label(dimension, names, value)] += number

    def _ranges(self, part: Part, start: int, end: int) -> Iterator[_Range]:
        """The ids of a segment by bucket, as far as the ids' own time lies in [start, end)."""
        head, grid = part.view.head, self.grid
        if head.min_id is None or head.max_id is None or start >= end:
            return
        low = max(id_floor(start), head.min_id)
        high = min(id_floor(end) - 1, head.max_id)
        while low <= high:
            bucket = max(0, (timestamp_ns(low, 0) - grid.first) // grid.interval)
            last = min(high, id_floor(grid.first + (bucket + 1) * grid.interval) - 1)
            if low <= last:
                yield _Range(bucket, low, last)
            low = max(low, last + 1) if low <= last else id_floor(grid.first + (bucket + 1) * grid.interval)

    def _by_index(self, part: Part, by: Dimension, ranges: list[_Range]) -> None:
        if not ranges or self._by_ids(part, by, ranges):
            return
        match = part.compiled.match
        if by == "level" and match is not None:
            self._by_levels(part, match, ranges)
            return
        for label, wanted in self._tokens(part.view, by):
            self._count(part, ranges, _narrowed(match, wanted), self.counts[by], label)

    def _tokens(self, view: View, by: Dimension) -> Iterator[tuple[str, Expression]]:
        """Every value of the dimension that a match may have, with its token."""
        if by == "level":
            for level in self._groups:
                yield LEVELS[level], index.levels([level])
            return
        for name, number in view.dimensions.get(by, {}).items():
            yield name, index.dimension(_KINDS[by], [number])

    def _count(self, part: Part, ranges: list[_Range], match: str, counts: Counts, label: str) -> None:
        for bucket, number in self._numbers(part, match, ranges).items():
            counts[bucket][label] += number

    def _by_levels(self, part: Part, match: str, ranges: list[_Range]) -> None:
        """The commonest level, by usage, is what the others leave of all: its ids are the dearest to intersect."""
        counts = self.counts["level"]
        rest = _INFO if _INFO in self._groups else self._groups[0]
        left = self._numbers(part, match, ranges)
        ranges = [each for each in ranges if left[each.bucket]]
        for level in self._groups if ranges else ():
            if level != rest:
                for bucket, number in self._numbers(part, _narrowed(match, index.levels([level])), ranges).items():
                    counts[bucket][LEVELS[level]] += number
                    left[bucket] -= number
        for bucket, number in left.items():
            counts[bucket][LEVELS[rest]] += number

    def _numbers(self, part: Part, match: str, ranges: list[_Range]) -> Counter[int]:
        """How many ids the index finds in each range, by bucket."""
        execute = part.view.connection.execute
        if len(ranges) > 1 and _PREFIX in match:
            grid, low, high = self.grid, ranges[0].low, ranges[-1].high
            width = (grid.interval // 1000) << ID_SHIFT
            return Counter(dict(execute(*count_buckets(match, id_floor(grid.first), width, low, high))))
        return Counter({bucket: execute(*count_ids(match, low, high)).get for bucket, low, high in ranges})

    def _by_ids(self, part: Part, by: Dimension, ranges: list[_Range]) -> bool:
        """Count a stretch with few matches by fetching their rows; False where they are many."""
        match, execute = part.compiled.match, part.view.connection.execute
        if match is None:
            return False
        low, high = ranges[0].low, ranges[-1].high
        if len(execute(*select_ids(match, low, high, _FEW)).fetchall()) == _FEW:
            return False
        first, interval = self.grid.first, self.grid.interval
        for row_id, value in execute(*rows_between(match, low, high, f"log.id, log.{by}")):
            bucket = max(0, (timestamp_ns(row_id, 0) - first) // interval)
            self.counts[by][bucket][_label(by, part.view.names, value)] += 1
        return True

    def _by_minutes(self, part: Part, by: Dimension, decides: Decision) -> None:
        grid, first_id, end_id = self.grid, id_floor(self.grid.start), id_floor(self.grid.end)
        low, high = -(-first_id // MINUTE_SHIFT), end_id // MINUTE_SHIFT
        if low >= high:
            self._pieces(part, by, grid.start, grid.end)
            return
        self._pieces(part, by, grid.start, _minute_ns(low))
        self._pieces(part, by, _minute_ns(high), grid.end)
        base, width = (low, high - low) if grid.size == 1 else (_minute_of(grid.first), grid.interval // _MINUTE)
        where = rollup.condition(decides, part.view.dimensions.get("service", {}))
        found = count_minutes(where, base, width, low, high, column=by)
        for bucket, value, number in part.view.connection.execute(*found):
            self.counts[by][bucket][_label(by, part.view.names, value)] += number

    def _pieces(self, part: Part, by: Dimension, start: int, end: int) -> None:
        """What lies in a piece of a minute."""
        ranges = list(self._ranges(part, start, end))
        if not part.compiled.verified:
            self._by_index(part, by, ranges)
            return
        compiled = part.compiled
        for bucket, low, high in ranges:
            wanted = rows_between(compiled.match, low, high, f"log.{by}", compiled.condition)
            for (value,) in part.view.connection.execute(*wanted):
                self.counts[by][bucket][_label(by, part.view.names, value)] += 1

    def _put_right(self, part: Part, by: Dimension, decides: Decision | None) -> None:
        """Move what was counted by its id to the bucket of its time."""
        head, grid, names = part.view.head, self.grid, part.view.names
        if head.min_id is None or head.max_id is None:
            return
        for number in self._edges(head.min_id, head.max_id, head.max_spill):
            edge = grid.begins(number)
            low = id_floor(edge)
            high = low + ((head.max_spill + 1) << ID_SHIFT) - 1
            if number < grid.size:
                high = min(high, id_floor(grid.begins(number + 1)) - 1)
            found = select_spilled(part.compiled.match, max(low, head.min_id), min(high, head.max_id), by)
            for time, level, service, value in part.view.connection.execute(*found):
                if time < edge and (decides is None or decides(names[service], level)):
                    self._move(self.counts[by], number, grid.of(time), _label(by, names, value))

    def _move(self, counts: Counts, counted: int, true: int | None, label: str) -> None:
        if counted < self.grid.size:
            counts[counted][label] -= 1
        if true is not None:
            counts[true][label] += 1

    def _edges(self, min_id: int, max_id: int, max_spill: int) -> Iterator[int]:
        """Buckets (and the end) at whose beginning ids and times may differ."""
        grid = self.grid
        first = max(0, (timestamp_ns(min_id, 0) - grid.first) // grid.interval)
        last = min(grid.size, (timestamp_ns(max_id, 0) - grid.first) // grid.interval + 1)
        for number in {0, grid.size} if max_spill == 0 else {0, grid.size, *range(first, last + 1)}:
            if max_spill or grid.begins(number) % 1000:
                yield number


def _label(by: Dimension, names: Mapping[int, str], value: int) -> str:
    return LEVELS[group(value)] if by == "level" else names[value]


def _narrowed(match: str | None, wanted: Expression) -> str:
    token: Any = index.render(wanted)
    return str(token) if match is None else f"({match}) AND {token}"


def _minute_ns(minute: int) -> int:
    """The time at which a minute of the roll-up begins."""
    return timestamp_ns(minute * MINUTE_SHIFT, 0)


def _minute_of(time: int) -> int:
    """The minute of the roll-up that a whole minute is."""
    return (time // 1000 - EPOCH_US) // 60_000_000

"""Counting matches by time and by one dimension, without looking at rows where the index or the roll-ups know.

Four ways, for each segment the cheapest that is exact:

    minutes  level and service only, buckets of whole minutes: the per-minute roll-up
    census   these, hosts and a common word, in a sealed segment: what was counted when it was compacted
    index    what the text index decides alone: its ids are the time, so a bucket is a count between two ids
    rows     everything else: the candidates are looked at, the newest first

All but the last count by ids, whose time may lie behind the event's (`Head.max_spill`) and has no nanoseconds. So the
few rows next to a bucket's edge that belong to its other side are moved there afterwards.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple

from monitoring.pipeline.events.levels import LEVELS, group
from monitoring.pipeline.query import index, rollup
from monitoring.pipeline.query.ast import Node
from monitoring.pipeline.query.index import Expression
from monitoring.pipeline.query.rollup import Decision
from monitoring.pipeline.query.sql import (
    TRUE_TIME,
    count_buckets,
    count_ids,
    count_minutes,
    count_up_to,
    rows_between,
    select_rows,
    select_spilled,
)
from monitoring.pipeline.query.sweep import Part
from monitoring.pipeline.store.census import EVERY
from monitoring.pipeline.store.reader import View
from monitoring.pipeline.store.rows import EPOCH_US, ID_SHIFT, MINUTE_SHIFT, id_floor, timestamp_ns

__all__ = ["COUNTED", "Counts", "Dimension", "Grid", "Tally"]

Dimension = Literal["level", "service", "host"]
"""Those that the index has tokens of."""
COUNTED: tuple[Dimension, ...] = ("level", "service", "host")

Counts = defaultdict[int, Counter[str]]
"""By bucket and label."""

_MINUTE = 60_000_000_000
_FEW = 2048
_FEW_SHARE = 1 / 192
"""Matches whose rows are fetched, rather than asked for bucket by bucket and value by value: so many, and of a large
segment this share for each dimension. A row takes 1 us; to intersect with its values, the index walks all ids of a
dimension in 25 ns each."""
_MANY_VALUES = 64
"""Services or hosts beyond which rows are read all the same: the index would walk the matches once for each."""
_INFO = LEVELS.index("INFO")
_PREFIX = '" *'
"""Stands in a MATCH with prefixes, for each of which FTS5 merges all ids that it finds, whatever range is asked for: so
these are asked once, and not once a bucket."""
_KINDS = {"service": "s", "host": "h"}
_PLACES = {"service": 0, "level": 1, "host": 2}
"""Of the dimensions in a kind of the census."""


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


class _Range(NamedTuple):
    """Ids from `low` to `high`, both included, of one bucket."""

    bucket: int
    low: int
    high: int


class Tally:
    """The counts of a query over a grid, for each of these dimensions, in the making."""

    def __init__(self, node: Node, grid: Grid, by: Sequence[Dimension]) -> None:
        self.grid, self._by, self._node = grid, tuple(dict.fromkeys(by)), node
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

    def visit(self, part: Part, *, behind: int | None = None) -> None:
        """Count a segment; what is not counted by minutes, only of ids behind this one."""
        minutes, index_, rows = self.ways(part)
        for by in minutes:
            self._by_minutes(part, by)
            self._put_right(part, by, self._decides)
        if behind is not None:
            part = replace(part, span=replace(part.span, low=max(part.span.low, behind + 1)))
        if index_:
            ranges = list(self._ranges(part, self.grid.start, self.grid.end, behind=behind))
            if not self._by_census(part, index_, ranges):
                rows += [by for by in index_ if self._costly(part, by)]
                index_ = [by for by in index_ if by not in rows]
                self._by_index(part, index_, ranges)
            for by in index_:
                self._put_right(part, by, None, behind=behind)
        if rows:
            self._by_rows(part, rows)

    def ways(self, part: Part) -> tuple[list[Dimension], list[Dimension], list[Dimension]]:
        """Which dimensions are counted by minutes, which by the index, which by rows."""
        minutes: list[Dimension] = []
        by_index: list[Dimension] = []
        rows: list[Dimension] = []
        for by in self._by:
            if self._decides is not None and self._minutes and by != "host":
                minutes.append(by)
            elif part.compiled.verified:
                rows.append(by)
            else:
                by_index.append(by)
        return minutes, by_index, rows

    @staticmethod
    def _costly(part: Part, by: Dimension) -> bool:
        """Whether the index would walk its lists too often."""
        return part.compiled.match is not None and len(part.view.dimensions.get(by, {})) > _MANY_VALUES

    def _by_census(self, part: Part, by: list[Dimension], ranges: list[_Range]) -> bool:
        """Count whole slices by the census, and what lies between them by the index; False where it knows nothing."""
        view = part.view
        census, asked = view.census(), rollup.beside_a_word(self._node, view.split)
        if census is None or asked is None or not census.knows(view.connection, asked.word):
            return False
        fits = [asked.decides(view.names[service], level, view.names[host]) for service, level, host in census.kinds]
        for each in ranges:
            slices = census.slices(each.low, each.high)
            if not slices:
                self._by_index(part, by, [each])
                continue
            first, last = census.bounds(slices)
            found = census.count(view.connection, asked.word, slices)
            if asked.absent:
                found = census.count(view.connection, EVERY, slices) - found
            for kind, number in found.items():
                if fits[kind]:
                    for dimension in by:
                        value = census.kinds[kind][_PLACES[dimension]]
                        self.counts[dimension][each.bucket][_label(dimension, view.names, value)] += number
            for low, high in ((each.low, first - 1), (last + 1, each.high)):
                if low <= high:
                    self._by_index(part, by, [_Range(each.bucket, low, high)])
        return True

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

    def _ranges(self, part: Part, start: int, end: int, *, behind: int | None = None) -> Iterator[_Range]:
        """The ids of a segment by bucket, as far as their own time lies in [start, end), behind this one."""
        head, grid = part.view.head, self.grid
        if head.min_id is None or head.max_id is None or start >= end:
            return
        low = max(id_floor(start), head.min_id if behind is None else behind + 1)
        high = min(id_floor(end) - 1, head.max_id)
        while low <= high:
            bucket = max(0, (timestamp_ns(low, 0) - grid.first) // grid.interval)
            last = min(high, id_floor(grid.first + (bucket + 1) * grid.interval) - 1)
            if low <= last:
                yield _Range(bucket, low, last)
            low = max(low, last + 1) if low <= last else id_floor(grid.first + (bucket + 1) * grid.interval)

    def _by_index(self, part: Part, by: list[Dimension], ranges: list[_Range]) -> None:
        if not ranges or not by or self._by_ids(part, by, ranges):
            return
        match = part.compiled.match
        for dimension in by:
            if match is not None:
                self._by_matches(part, dimension, match, ranges)
            else:
                for label, wanted in self._tokens(part.view, dimension):
                    self._count(part, ranges, _narrowed(match, wanted), self.counts[dimension], label)

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

    def _by_matches(self, part: Part, by: Dimension, match: str, ranges: list[_Range]) -> None:
        """One value is what the others leave; of levels the commonest, by usage: it is the dearest to intersect."""
        counts = self.counts[by]
        values = dict(self._tokens(part.view, by))
        rest = LEVELS[_INFO] if by == "level" and _INFO in self._groups else next(iter(values))
        left = self._numbers(part, match, ranges)
        ranges = [each for each in ranges if left[each.bucket]]
        for label, wanted in values.items() if ranges else ():
            if label != rest:
                for bucket, number in self._numbers(part, _narrowed(match, wanted), ranges).items():
                    counts[bucket][label] += number
                    left[bucket] -= number
        for bucket, number in left.items():
            counts[bucket][rest] += number

    def _numbers(self, part: Part, match: str, ranges: list[_Range]) -> Counter[int]:
        """How many ids the index finds in each range, by bucket."""
        execute = part.view.connection.execute
        if len(ranges) > 1 and _PREFIX in match:
            grid, low, high = self.grid, ranges[0].low, ranges[-1].high
            width = (grid.interval // 1000) << ID_SHIFT
            return Counter(dict(execute(*count_buckets(match, id_floor(grid.first), width, low, high))))
        return Counter({bucket: execute(*count_ids(match, low, high)).get for bucket, low, high in ranges})

    def _by_ids(self, part: Part, by: list[Dimension], ranges: list[_Range]) -> bool:
        """Count a stretch with few matches by fetching their rows; False where they are many."""
        match, execute = part.compiled.match, part.view.connection.execute
        if match is None:
            return False
        low, high = ranges[0].low, ranges[-1].high
        few = max(_FEW, int(part.view.head.rows * len(by) * _FEW_SHARE))
        if execute(*count_up_to(match, low, high, few)).get == few:
            return False
        first, interval = self.grid.first, self.grid.interval
        columns = ", ".join(("log.id", *(f"log.{dimension}" for dimension in by)))
        for row_id, *values in execute(*rows_between(match, low, high, columns)):
            bucket = max(0, (timestamp_ns(row_id, 0) - first) // interval)
            for dimension, value in zip(by, values, strict=True):
                self.counts[dimension][bucket][_label(dimension, part.view.names, value)] += 1
        return True

    def _by_minutes(self, part: Part, by: Dimension) -> None:
        if self._decides is None:
            raise TypeError("only queries that the minutes decide are counted by them")
        grid, first_id, end_id = self.grid, id_floor(self.grid.start), id_floor(self.grid.end)
        low, high = -(-first_id // MINUTE_SHIFT), end_id // MINUTE_SHIFT
        if low >= high:
            self._pieces(part, by, grid.start, grid.end)
            return
        self._pieces(part, by, grid.start, _minute_ns(low))
        self._pieces(part, by, _minute_ns(high), grid.end)
        base, width = (low, high - low) if grid.size == 1 else (_minute_of(grid.first), grid.interval // _MINUTE)
        where = rollup.condition(self._decides, part.view.dimensions.get("service", {}))
        found = count_minutes(where, base, width, low, high, column=by)
        for bucket, value, number in part.view.connection.execute(*found):
            self.counts[by][bucket][_label(by, part.view.names, value)] += number

    def _pieces(self, part: Part, by: Dimension, start: int, end: int) -> None:
        """What lies in a piece of a minute."""
        ranges = list(self._ranges(part, start, end))
        if not part.compiled.verified:
            self._by_index(part, [by], ranges)
            return
        compiled = part.compiled
        for bucket, low, high in ranges:
            wanted = rows_between(compiled.match, low, high, f"log.{by}", compiled.condition)
            for (value,) in part.view.connection.execute(*wanted):
                self.counts[by][bucket][_label(by, part.view.names, value)] += 1

    def _put_right(
        self, part: Part, by: Dimension, decides: Decision | None, *, behind: int | None = None
    ) -> None:  # fmt: skip
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
            low = max(low, head.min_id if behind is None else behind + 1)
            found = select_spilled(part.compiled.match, low, min(high, head.max_id), by)
            for time, level, service, value in part.view.connection.execute(*found):
                if time < edge and (decides is None or decides(names[service], level, "")):
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

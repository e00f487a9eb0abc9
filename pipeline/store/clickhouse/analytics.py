"""Counting on ClickHouse: by time, by dimension, by anything.

Where the time is up, an answer holds what was counted so far and says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from monitoring.pipeline.events.levels import LEVELS
from monitoring.pipeline.query.aggregate import Aggregate
from monitoring.pipeline.query.ast import Node
from monitoring.pipeline.query.facets import Facet, Facets, facet, sampled
from monitoring.pipeline.query.fields import is_attribute, splits
from monitoring.pipeline.query.gathering import MAX_GROUPS, TIME, Row, ranked
from monitoring.pipeline.query.histogram import Histogram, grid
from monitoring.pipeline.query.limits import Deadline
from monitoring.pipeline.query.patterns import Patterns, folded
from monitoring.pipeline.query.ranges import EARLIEST, LATEST
from monitoring.pipeline.query.sample import Sample
from monitoring.pipeline.query.statistics import Statistics
from monitoring.pipeline.query.tally import COUNTED, Grid
from monitoring.pipeline.query.tokens import Tokenizer
from monitoring.pipeline.query.values import LONGEST_VALUE
from monitoring.pipeline.store.clickhouse.attributes import (
    BIG,
    CONTAINER,
    GREATEST,
    INTEGER,
    REAL,
    TEXT_INTEGER,
    TEXT_REAL,
    path_of,
)
from monitoring.pipeline.store.clickhouse.client import Client, OutOfTime
from monitoring.pipeline.store.clickhouse.events import Events, between
from monitoring.pipeline.store.clickhouse.sql import Condition, Values

__all__ = ["Analytics"]

_GROUP = "intDiv(level - 1, 4)"
"""Number of the level's name in LEVELS."""
_NUMERIC = f"({INTEGER}, {BIG}, {REAL}, {TEXT_INTEGER}, {TEXT_REAL})"


_EXCEPTION = (
    "multiIf(exception = '', '', NOT isValidJSON(exception), exception, JSONType(exception) = 'Object',"
    " JSONExtractString(exception, 'type'), JSONType(exception) = 'String', JSONExtractString(exception), '')"
)
"""The type of an exception, or what it is where it is a text."""


class _Asked:
    """A question: the query's condition, the range, and whether the time was up."""

    def __init__(self, client: Client, split: Tokenizer, node: Node, start: int, end: int, deadline: Deadline) -> None:
        self.client, self.deadline, self.start, self.end = client, deadline, start, end
        self.values = Values()
        self._where = Condition(node, self.values, split).text
        self.partial_reason: str | None = None

    def rows(self, columns: str, behind: str = "") -> Sequence[tuple[Any, ...]]:
        """Columns of the events that match; `behind` is what follows the condition."""
        if self.start >= self.end:
            return []
        query = f"SELECT {columns} FROM log WHERE {between(self.start, self.end)} AND {self._where} {behind}"  # noqa: S608 - own names
        try:
            found = self.client.rows(query, self.values.bound, deadline=self.deadline, overflow="break")
        except OutOfTime:
            found = []
        if self.deadline.expired():
            self.partial_reason = "time"
        return found


class Analytics:
    """Answers that count events of a store."""

    def __init__(self, client: Client, events: Events, split: Tokenizer) -> None:
        self._client, self._events, self._split = client, events, split

    def _asked(self, node: Node, start: int, end: int, deadline: Deadline) -> _Asked:
        """The question; where the range is open, it begins and ends with the events that there are."""
        if start <= EARLIEST or end >= LATEST:
            there = self._events.extent(start, end, deadline=deadline) or (0, 0)
            start = there[0] if start <= EARLIEST else start
            end = there[1] if end >= LATEST else end
        return _Asked(self._client, self._split, node, start, end, deadline)

    def histogram(self, node: Node, start: int, end: int, *, deadline: Deadline, buckets: int) -> Histogram:
        """See LogStore."""
        asked = self._asked(node, start, end, deadline)
        cells = grid(asked.start, asked.end, buckets)
        counts: list[Counter[str]] = [Counter() for _ in range(cells.size)]
        rows = asked.rows(f"{_bucket(cells)} AS bucket, {_GROUP} AS number, count()", "GROUP BY bucket, number")
        for bucket, number, count in rows:
            counts[bucket][LEVELS[number]] = count
        return Histogram(cells, counts, asked.partial_reason)

    def facets(
        self, node: Node, start: int, end: int, *, fields: Sequence[str], limit: int, deadline: Deadline
    ) -> Facets:
        """See LogStore."""
        asked = self._asked(node, start, end, deadline)
        found: dict[str, Facet] = {}
        for dimension in COUNTED:
            if dimension in fields:
                column = _GROUP if dimension == "level" else dimension
                rows = asked.rows(f"{column} AS value, count()", "GROUP BY value")
                counts = Counter({LEVELS[value] if dimension == "level" else value: number for value, number in rows})
                found[dimension] = facet(dimension, counts, counts.pop("", 0), counts.total(), limit)
        others = [name for name in dict.fromkeys(fields) if name not in found]
        sample = self._sample(node, start, end, deadline)
        if others:
            found |= sampled(sample, others, limit)
        return Facets([found[name] for name in dict.fromkeys(fields)], asked.partial_reason or sample.partial_reason)

    def patterns(self, node: Node, start: int, end: int, *, limit: int, deadline: Deadline) -> Patterns:
        """See LogStore."""
        return folded(self._sample(node, start, end, deadline), limit)

    def _sample(self, node: Node, start: int, end: int, deadline: Deadline) -> Sample:
        return Sample(
            lambda cursor, limit: self._events.search(
                node, start, end, deadline=deadline, order="newest", limit=limit, cursor=cursor
            )
        )

    def statistics(
        self, node: Node, start: int, end: int, *, group_by: Sequence[str], wanted: Sequence[Aggregate], buckets: int,
        limit: int, deadline: Deadline,
    ) -> Statistics:  # fmt: skip
        """See LogStore."""
        names = tuple(dict.fromkeys(group_by))
        asked = self._asked(node, start, end, deadline)
        cells = grid(asked.start, asked.end, buckets) if TIME in names else Grid.whole(asked.start, asked.end)
        rows = _Groups(asked, names, wanted, cells).rows()
        return Statistics(names, rows[:limit], len(rows), cells, False, asked.partial_reason)


class _Groups:
    """The groups of an answer, and what is told of each."""

    def __init__(self, asked: _Asked, names: tuple[str, ...], wanted: Sequence[Aggregate], cells: Grid) -> None:
        self._asked, self._names, self._wanted, self._cells = asked, names, wanted, cells

    def rows(self) -> list[Row]:
        """In the order in which they are shown."""
        keys = ", ".join(f"{self._key(name)} AS k{place}" for place, name in enumerate(self._names))
        by = ", ".join(f"k{place}" for place in range(len(self._names)))
        told = ", ".join(["count()", *map(self._aggregate, self._wanted)])
        behind = f"GROUP BY {by} LIMIT {MAX_GROUPS + 1}" if by else ""
        found = self._asked.rows(f"{keys}, {told}" if keys else told, behind)
        if len(found) > MAX_GROUPS:
            found = found[:MAX_GROUPS]
            self._asked.partial_reason = self._asked.partial_reason or "groups"
        width = len(self._names)
        groups = {tuple(map(self._shown, self._names, row[:width])): row[width:] for row in found if row[width]}
        return [
            Row(key, {each.text: self._value(each, key, told) for each, told in zip(self._wanted, values, strict=True)})
            for key, count, values in ranked(((key, row[0], row[1:]) for key, row in groups.items()), self._names)
        ]

    def _shown(self, name: str, value: Any) -> Any:
        if name == TIME:
            return int(value)
        if name == "level":
            return LEVELS[value]
        if isinstance(value, str):
            return value or None
        return value[0] if len(value) else None  # of an attribute, where "" is a value

    def _key(self, name: str) -> str:
        if name == TIME:
            return _bucket(self._cells)
        if name == "level":
            return _GROUP
        if name == "exception":
            return _shortened(_EXCEPTION)
        if not is_attribute(name):
            return _shortened(name)
        # an array's elements each have a group; events without the attribute have one too
        texts = f"arrayMap(x -> {_shortened('x.3')}, {self._items(name, f'x.2 < {CONTAINER}')})"
        return f"arrayJoin(arrayMap(x -> [x], arrayDistinct({texts}))  || if(empty({texts}), [[]], []))"

    def _items(self, name: str, test: str) -> str:
        paths = self._asked.values.bind(sorted({path_of(keys) for keys in splits(name)}), "Array(String)")
        return f"arrayFilter(x -> has({paths}, x.1) AND {test}, arrayZip(paths, kinds, texts, numbers))"

    def _aggregate(self, wanted: Aggregate) -> str:
        """Of an aggregate: its value and how many numbers it is of, as a tuple."""
        if not wanted.field:
            return "count()"
        numbers = f"arrayMap(x -> x.4, {self._items(wanted.field, f'x.2 IN {_NUMERIC} AND abs(x.4) < {GREATEST!r}')})"
        function = {
            "min": "minArray", "max": "maxArray", "avg": "avgArray", "sum": "sumArray",
            "quantile": f"quantileExactInclusiveArray({wanted.share!r})",
        }[wanted.name]  # fmt: skip
        return f"tuple({function}({numbers}), sum(length({numbers})))"

    def _value(self, wanted: Aggregate, key: tuple[Any, ...], told: Any) -> float | int | None:
        if wanted.name == "count":
            return int(told)
        if wanted.name == "rate":
            bucket = key[self._names.index(TIME)] if TIME in self._names else None
            return float(told / (self._cells.width(bucket) / 1e9))
        return float(told[0]) if told[1] else None


def _bucket(cells: Grid) -> str:
    return f"intDiv(time - ({cells.first:d}), {cells.interval:d})"


def _shortened(text: str) -> str:
    return f"substringUTF8({text}, 1, {LONGEST_VALUE})"

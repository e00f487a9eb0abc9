"""Events as they are read from ClickHouse: pages in order of time, one by its id, its neighbours.

The order is that of time to the microsecond, then partition, batch and place in the batch, which no two events share.
A page is looked for in windows of time that grow from its beginning on: where the time is up, the cursor says which
window comes next, and how wide one may be.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from monitoring.pipeline.events.levels import name
from monitoring.pipeline.query.ast import And, Field, Is, Node, Pattern
from monitoring.pipeline.query.context import Context
from monitoring.pipeline.query.limits import MAX_EVENTS, MAX_PAGE_BYTES, Deadline
from monitoring.pipeline.query.ranges import EARLIEST, LATEST, format_ns
from monitoring.pipeline.query.rendering import attributes_of, exception_of
from monitoring.pipeline.query.search import CursorInvalid, Order, Page
from monitoring.pipeline.query.tokens import Tokenizer
from monitoring.pipeline.store.clickhouse.client import Client, OutOfTime
from monitoring.pipeline.store.clickhouse.sql import Condition, Values

__all__ = ["EventKey", "Events", "between"]

_MINUTE_NS = 60_000_000_000
_FIRST_WINDOW = 3_600_000_000_000
"""Nanoseconds of the first window: the newest hundred are mostly in the last hour."""
_GROWTH = 8
_LEAST_WINDOW = 1_000_000_000
_COLUMNS = (
    "time, partition, batch, place, level, service, environment, release, logger, host, message, trace_id, span_id,"
    " request_id, exception, attributes"
)
_KEY = ("minute", "intDiv(time, 1000)", "partition", "batch", "place")
_TEXTS = slice(10, 16)


class EventKey(NamedTuple):
    """Where an event stands: microseconds since 1970, partition, batch, place. The order of events is that of these."""

    microsecond: int
    partition: int
    batch: int
    place: int

    def public_id(self) -> str:
        """The id as users see it."""
        return f"{self.microsecond:016x}-{self.partition}-{self.batch:x}-{self.place}"

    @classmethod
    def read(cls, text: str) -> EventKey | None:
        """The key behind a public id; None where the text is none."""
        parts = text.split("-")
        if len(parts) != 4 or len(text) > 60:
            return None
        try:
            key = cls(int(parts[0], 16), int(parts[1]), int(parts[2], 16), int(parts[3]))
        except ValueError:
            return None
        return key if key.public_id() == text and max(key) < 1 << 63 else None


class _Place(NamedTuple):
    """Where a page begins: order, range, the event that it comes behind (or with which it begins), first window."""

    newest: bool
    start: int
    end: int
    window: int
    inclusive: bool
    key: EventKey | None

    def text(self) -> str:
        key = self.key or EventKey(0, 0, 0, 0)
        packed = _CURSOR.pack(
            _VERSION, self.newest, self.start, self.end, self.window, self.inclusive, self.key is not None, *key
        )
        return base64.urlsafe_b64encode(packed).decode()

    @classmethod
    def read(cls, text: str) -> _Place:
        try:
            version, newest, start, end, window, inclusive, there, *key = _CURSOR.unpack(
                base64.b64decode(text, b"-_", validate=True)
            )
        except (binascii.Error, struct.error, ValueError):
            version = None
        if version != _VERSION:
            raise CursorInvalid("the cursor is not one that a page of results gave; search again without it")
        return cls(newest, start, end, window, inclusive, EventKey(*key) if there else None)


_CURSOR = struct.Struct(">B?qqq??QIQI")
_VERSION = 2
"""Other than that of a store of files: a cursor leads nowhere else."""


def between(start: int, end: int) -> str:
    """The condition that an event's time lies in [start, end), nanoseconds."""
    return f"(time >= {start:d} AND time < {end:d} AND minute BETWEEN {_minute(start)} AND {_minute(end)})"


def _minute(moment: int) -> int:
    return min(max(moment // _MINUTE_NS, 0), (1 << 31) - 1)


class Events:
    """The events of a store."""

    def __init__(self, client: Client, split: Tokenizer) -> None:
        self._client, self._split = client, split

    def extent(self, start: int, end: int, *, deadline: Deadline | None = None) -> tuple[int, int] | None:
        """From the first event of a range to behind the last, matching or not, in whole microseconds."""
        where = "1" if start <= EARLIEST and end >= LATEST else between(start, end)
        query = f"SELECT count(), min(time), max(time) FROM log WHERE {where}"  # noqa: S608 - numbers
        ((count, first, last),) = self._client.rows(query, deadline=deadline)
        if not count:
            return None
        return max(start, first // 1000 * 1000), min(end, last // 1000 * 1000 + 1000)

    def search(
        self, node: Node, start: int, end: int, *, deadline: Deadline, order: Order, limit: int, cursor: str | None
    ) -> Page:
        """A page of the events in [start, end) that match. See `LogStore.search`."""
        place = _Place.read(cursor) if cursor else _Place(order == "newest", start, end, _FIRST_WINDOW, False, None)
        return _Search(self, self._client, self._split, node, place, deadline).page(max(1, min(limit, MAX_EVENTS)))

    def event(self, public_id: str, *, deadline: Deadline) -> dict[str, Any] | None:
        """The event of this id; None where there is none (any more)."""
        key = EventKey.read(public_id)
        if key is None:
            return None
        start = key.microsecond * 1000
        rows = self._client.rows(
            f"SELECT {_COLUMNS} FROM log WHERE {between(start, start + 1000)}"  # noqa: S608 - own names and numbers
            " AND partition = {partition:UInt64} AND batch = {batch:UInt64} AND place = {place:UInt64}",
            {"partition": key.partition, "batch": key.batch, "place": key.place},
            deadline=deadline,
        )
        return event_of(rows[0]) if rows else None

    def context(self, public_id: str, *, before: int, after: int, deadline: Deadline) -> Context | None:
        """An event among its neighbours. See `LogStore.context`."""
        found, key = self.event(public_id, deadline=deadline), EventKey.read(public_id)
        if found is None or key is None:
            return None
        same = And(tuple(Field(each, Is(Pattern((found[each],)))) for each in ("service", "host")))

        def beside(order: Order, count: int) -> tuple[list[dict[str, Any]], str | None]:
            if not count:
                return [], None
            place = _Place(order == "newest", EARLIEST, LATEST, _FIRST_WINDOW, False, key).text()
            page = self.search(same, 0, 0, deadline=deadline, order=order, limit=count, cursor=place)
            return page.events, page.partial_reason

        earlier, partial_before = beside("newest", before)
        later, partial_after = beside("oldest", after)
        return Context(found, earlier[::-1], later, partial_before or partial_after)


class _Search:
    """One page in the making."""

    def __init__(
        self, events: Events, client: Client, split: Tokenizer, node: Node, place: _Place, deadline: Deadline
    ) -> None:
        self._events, self._client, self._deadline = events, client, deadline
        self._place = place
        self._values = Values()
        self._condition = Condition(node, self._values, split).text
        self._found: list[dict[str, Any]] = []
        self._bytes = 0

    def page(self, limit: int) -> Page:
        place = self._place
        try:
            windows = self._windows()
        except OutOfTime:
            return self._ends("time", place)
        for start, end in windows:
            try:
                rows = self._rows(start, end, limit - len(self._found))
            except OutOfTime:
                return self._ends("time", self._narrower(start, end))
            for row in rows:
                size = sum(map(len, row[_TEXTS]))
                if self._found and self._bytes + size > MAX_PAGE_BYTES:
                    return self._ends("size", self._after_last())
                self._found.append(event_of(row))
                self._bytes += size
                self._last = EventKey(row[0] // 1000, *row[1:4])
            if len(self._found) >= limit:
                return self._ends(None, self._after_last())
        return self._ends(None, None)

    def _ends(self, reason: str | None, following: _Place | None) -> Page:
        return Page(self._found, following.text() if following else None, reason, self._place.start, self._place.end)

    def _after_last(self) -> _Place:
        return self._place._replace(key=self._last, inclusive=False, window=_FIRST_WINDOW)

    def _narrower(self, start: int, end: int) -> _Place:
        """Where to go on: with a window that was not finished, but less of it."""
        window = max(_LEAST_WINDOW, (end - start) // _GROWTH)
        microsecond = -(-end // 1000) if self._place.newest else start // 1000
        key = EventKey(max(0, microsecond), 0, 0, 0)  # nothing stands before it in its microsecond
        return self._place._replace(key=key, inclusive=not self._place.newest, window=window)

    def _windows(self) -> Iterator[tuple[int, int]]:
        """Pieces of the range that may hold the page's events, in the page's order."""
        place = self._place
        start, end = place.start, place.end
        if place.key is not None:
            if place.newest:
                end = min(end, place.key.microsecond * 1000 + 1000)
            else:
                start = max(start, place.key.microsecond * 1000)
        there = self._events.extent(EARLIEST, LATEST, deadline=self._deadline)
        if there is None:
            return iter(())
        return _pieces(max(start, there[0]), min(end, there[1]), place.window, newest=place.newest)

    def _rows(self, start: int, end: int, limit: int) -> Sequence[tuple[Any, ...]]:
        direction = "DESC" if self._place.newest else "ASC"
        order = ", ".join(f"{column} {direction}" for column in _KEY)
        return self._client.rows(
            f"SELECT {_COLUMNS} FROM log WHERE {between(start, end)} AND {self._beyond()} AND {self._condition}"  # noqa: S608 - own names and numbers
            f" ORDER BY {order} LIMIT {limit:d}",
            self._values.bound,
            deadline=self._deadline,
        )

    def _beyond(self) -> str:
        """Only what comes behind the event that the last page ended with."""
        key = self._place.key
        if key is None:
            return "1"
        operator = ("<" if self._place.newest else ">") + ("=" if self._place.inclusive else "")
        columns = f"intDiv(time, 1000), toUInt64({_KEY[2]}), {_KEY[3]}, toUInt64({_KEY[4]})"
        numbers = f"toInt64({key.microsecond:d}), {', '.join(f'toUInt64({part:d})' for part in key[1:])}"
        return f"(tuple({columns}) {operator} tuple({numbers}))"


def _pieces(start: int, end: int, window: int, *, newest: bool) -> Iterator[tuple[int, int]]:
    while start < end:
        if newest:
            edge = max(start, (end - window) // 1000 * 1000)  # a microsecond is never parted
            yield edge, end
            end = edge
        else:
            edge = min(end, (start + window) // 1000 * 1000)
            yield start, edge
            start = edge
        window *= _GROWTH


def event_of(row: tuple[Any, ...]) -> dict[str, Any]:
    """The event of a row (`_COLUMNS`) as the API shows it."""
    time, partition, batch, place, level, *texts, exception, attributes = row
    names = ("service", "environment", "release", "logger", "host", "message", "trace_id", "span_id", "request_id")
    return {
        "id": EventKey(time // 1000, partition, batch, place).public_id(),
        "timestamp": format_ns(time),
        "level": name(level),
        **dict(zip(names, texts, strict=True)),
        "attributes": attributes_of(attributes),
        "exception": exception_of(exception),
    }

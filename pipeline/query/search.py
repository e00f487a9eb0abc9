"""Searching the store: pages of events in order of time, over as many segments as they need.

A page is a merge. Each segment that overlaps the time range is a `Walk` that knows the next place it could yield
an event from; the walk with the foremost place goes first, so segments are opened in the order of time and most
of them never are. What a walk reads at a time is bounded, and so is how many candidates it verifies: where the
time is up, the cursor says how far the search came.
"""

from __future__ import annotations

import base64
import binascii
import heapq
import struct
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import apsw

from monitoring.pipeline.errors import PermanentError, StoreCorrupt
from monitoring.pipeline.query.ast import Node
from monitoring.pipeline.query.limits import (
    BATCH_BYTES,
    BATCH_ROWS,
    DEFAULT_EVENTS,
    FIRST_CHUNK,
    LARGEST_CHUNK,
    MAX_EVENTS,
    MAX_PAGE_BYTES,
    Deadline,
)
from monitoring.pipeline.query.parse import parse
from monitoring.pipeline.query.ranges import EARLIEST, LATEST
from monitoring.pipeline.query.rendering import EventId, event_of, read_public_id
from monitoring.pipeline.query.sql import COLUMNS, Compiled, Span, compile_query, select_boundary, select_rows
from monitoring.pipeline.query.sweep import GREATEST_ID, Segments, clamped, named
from monitoring.pipeline.store.catalog import SegmentRow
from monitoring.pipeline.store.reader import OutOfTime, Reader, SegmentGone, View
from monitoring.pipeline.store.rows import ID_SHIFT, id_floor

__all__ = ["CursorInvalid", "Order", "Page", "cursor_at", "event", "search"]

_TEXTS = slice(7, 13)  # message … attributes within COLUMNS


Order = Literal["newest", "oldest"]


class CursorInvalid(PermanentError):
    """The cursor does not come from a page of this search."""


@dataclass(frozen=True, slots=True)
class Page:
    """Events in the order that was asked for.

    `next_cursor` leads to what follows, None when nothing does. `partial_reason` is set where a limit or a damaged
    segment cut the page short, which may then be empty with more behind it: "time", "size", or "segment …".
    `start_ns` and `end_ns` are the range that was searched.
    """

    events: list[dict[str, Any]]
    next_cursor: str | None
    partial_reason: str | None
    start_ns: int
    end_ns: int


def search(
    catalog: Segments,
    reader: Reader,
    query: str | Node,
    start_ns: int,
    end_ns: int,
    *,
    deadline: Deadline,
    order: Order = "newest",
    limit: int = DEFAULT_EVENTS,
    cursor: str | None = None,
    signal: str = "logs",
) -> Page:
    """A page of the events in [start_ns, end_ns) that match, newest or oldest first; at most MAX_EVENTS.

    With a cursor the page follows the one that gave it, in that page's range and order, whatever has arrived since;
    its events come once each. Raises QuerySyntaxError, CursorInvalid.
    """
    node = parse(query) if isinstance(query, str) else query
    place = _Place.read(cursor) if cursor else _Place(order == "newest", start_ns, end_ns, None)
    merge = _Merge(reader, node, place, deadline)
    reader.sweep()
    low, high = clamped(id_floor(place.start)), clamped(id_floor(place.end - 1) + (1 << ID_SHIFT))
    merge.add(catalog.segments(signal, low, high) if low < high else [])
    merge.run(max(1, min(limit, MAX_EVENTS)))
    following = merge.following()
    return Page(merge.events, following.text() if following else None, merge.partial_reason, place.start, place.end)


def event(
    catalog: Segments, reader: Reader, public_id: str, *, deadline: Deadline, signal: str = "logs"
) -> dict[str, Any] | None:
    """The event of this public id; None where there is none (any more)."""
    key = read_public_id(public_id)
    if key is None:
        return None
    for segment in catalog.segments(signal, key.row_id, min(key.row_id + 1, GREATEST_ID)):
        if (segment.partition, segment.number) == (key.partition, key.segment):
            try:
                with reader.view(segment.path, deadline) as view:
                    row = view.connection.execute(f"SELECT {COLUMNS} FROM log WHERE id = ?", (key.row_id,)).get  # noqa: S608 - own names
                    return event_of(key, row, view.names) if row else None
            except SegmentGone:
                return None
    return None


def cursor_at(key: EventId, order: Order) -> str:
    """A cursor whose page begins with this event, or what follows where it does not match; over all times."""
    return _Place(order == "newest", EARLIEST, LATEST, key).text()


class _Place(NamedTuple):
    """Where a page begins: the order, the range and the foremost event that may be on it (None: the range's end)."""

    newest: bool
    start: int
    end: int
    first: EventId | None

    def text(self) -> str:
        """The cursor: opaque to users, and no secret."""
        first = self.first or EventId(0, 0, 0)
        return base64.urlsafe_b64encode(_CURSOR.pack(_VERSION, self.newest, self.start, self.end, *first)).decode()

    @classmethod
    def read(cls, text: str) -> _Place:
        try:
            version, newest, start, end, *first = _CURSOR.unpack(base64.b64decode(text, b"-_", validate=True))
        except (binascii.Error, struct.error, ValueError):
            version = None
        if version != _VERSION:
            raise CursorInvalid("the cursor is not one that a page of results gave; search again without it")
        return cls(newest, start, end, EventId(*first))


_CURSOR = struct.Struct(">B?qqqqq")
_VERSION = 1


@dataclass(slots=True)
class _Walk:
    """The way through one segment. `place` is where its next event may stand, None at the end."""

    segment: SegmentRow
    place: int | None
    newest: bool
    rows: deque[tuple[int, dict[str, Any], int]] = field(default_factory=deque)
    chunk: int = FIRST_CHUNK
    compiled: Compiled | None = None
    version: tuple[int, int] | None = None

    def priority(self) -> tuple[int, int, int]:
        """Order in the heap: foremost first."""
        row_id = self.rows[0][0] if self.rows else self.place
        key = (row_id or 0, self.segment.partition, self.segment.number)
        return (-key[0], -key[1], -key[2]) if self.newest else key


class _Merge:
    """One page in the making."""

    def __init__(self, reader: Reader, node: Node, place: _Place, deadline: Deadline) -> None:
        self._reader, self._node, self._place, self._deadline = reader, node, place, deadline
        self._heap: list[tuple[tuple[int, int, int], _Walk]] = []
        self._bytes = 0
        self.events: list[dict[str, Any]] = []
        self.partial_reason: str | None = None

    def add(self, segments: Sequence[SegmentRow]) -> None:
        for segment in segments:
            self._push(_Walk(segment, self._entrance(segment), self._place.newest))

    def _entrance(self, segment: SegmentRow) -> int | None:
        """The first id of a segment that the page may show."""
        newest, first = self._place.newest, self._place.first
        low, high = self._ids(segment.max_spill if segment.sealed else None)
        if segment.sealed and (segment.min_id is None or segment.max_id is None):
            return None
        if segment.sealed and segment.min_id is not None and segment.max_id is not None:
            low, high = max(low, segment.min_id), min(high, segment.max_id)
        if first is not None:
            here = (segment.partition, segment.number)
            if newest:
                high = min(high, first.row_id if here <= first[1:] else first.row_id - 1)
            else:
                low = max(low, first.row_id if here >= first[1:] else first.row_id + 1)
        if low > high:
            return None
        return high if newest else low

    def _ids(self, max_spill: int | None) -> tuple[int, int]:
        """Ids that events of the range can have; without a known spill, any from the range's start on."""
        low = clamped(id_floor(self._place.start))
        if max_spill is None:
            return low, GREATEST_ID
        return low, clamped(id_floor(self._place.end - 1) + ((max_spill + 1) << ID_SHIFT) - 1)

    def _push(self, walk: _Walk) -> None:
        if walk.rows or walk.place is not None:
            heapq.heappush(self._heap, (walk.priority(), walk))

    def run(self, limit: int) -> None:
        """Fill the page."""
        while self._heap and len(self.events) < limit:
            walk = self._heap[0][1]
            if walk.rows:
                if self.events and self._bytes + walk.rows[0][2] > MAX_PAGE_BYTES:
                    self.partial_reason = self.partial_reason or "size"
                    return
                _, found, size = walk.rows.popleft()
                self.events.append(found)
                self._bytes += size
            elif not self._advance(walk, limit - len(self.events)):
                return
            heapq.heappop(self._heap)
            self._push(walk)

    def _advance(self, walk: _Walk, wanted: int) -> bool:
        """Read on in a segment; False where the time is up."""
        try:
            if not self._deadline.expired():
                with self._reader.view(walk.segment.path, self._deadline) as view:
                    self._read(walk, view, min(wanted, BATCH_ROWS))
                return True
        except SegmentGone:
            walk.place = None  # retention took it, and what it held is no longer part of any answer
            return True
        except StoreCorrupt as error:
            walk.place = None
            self.partial_reason = f"segment {named(walk.segment.path)}: {error}"
            return True
        except (OutOfTime, apsw.InterruptError):
            if walk.rows:
                return True  # found before the time was up
        self.partial_reason = "time"
        return False

    def _read(self, walk: _Walk, view: View, wanted: int) -> None:
        newest = self._place.newest
        span = self._span(walk, view)
        if span is None:
            walk.place = None
            return
        if walk.compiled is None or walk.version != view.version:
            walk.compiled, walk.version = compile_query(self._node, view), view.version
        if walk.compiled.empty:
            walk.place = None
            return
        edge = self._edge(walk, view, span)
        if edge is not None:
            span = Span(edge, span.high, span.start, span.end) if newest else Span(span.low, edge, span.start, span.end)
        count = size = 0
        text, values = select_rows(walk.compiled, span, newest=newest, limit=wanted)
        for row in view.connection.execute(text, values):
            key = EventId(row[0], walk.segment.partition, walk.segment.number)
            weight = sum(map(len, row[_TEXTS]))
            walk.rows.append((row[0], event_of(key, row, view.names), weight))
            walk.place = row[0] - 1 if newest else row[0] + 1
            count += 1
            size += weight
            if size > BATCH_BYTES:
                return
        if count < wanted:
            walk.place = None if edge is None else edge - 1 if newest else edge + 1
            walk.chunk = min(walk.chunk * 4, LARGEST_CHUNK)

    def _span(self, walk: _Walk, view: View) -> Span | None:
        """What is left of the segment; None where nothing is."""
        head = view.head
        if walk.place is None or head.min_id is None or head.max_id is None:
            return None
        low, high = self._ids(head.max_spill)
        low, high = max(low, head.min_id), min(high, head.max_id)
        if self._place.newest:
            high = min(high, walk.place)
        else:
            low = max(low, walk.place)
        return Span(low, high, self._place.start, self._place.end) if low <= high else None

    def _edge(self, walk: _Walk, view: View, span: Span) -> int | None:
        """The last id to look at in this go; None where all of the span can be looked at."""
        if walk.compiled is None or not walk.compiled.verified:
            return None
        text, values = select_boundary(walk.compiled, span, newest=self._place.newest, count=walk.chunk)
        found = view.connection.execute(text, values).get
        return None if found is None else int(found)

    def following(self) -> _Place | None:
        """Where the next page begins."""
        if not self._heap:
            return None
        walk = self._heap[0][1]
        row_id = walk.rows[0][0] if walk.rows else walk.place
        if row_id is None:
            return None
        first = EventId(clamped(row_id), walk.segment.partition, walk.segment.number)
        return self._place._replace(first=first)

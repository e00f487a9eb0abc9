"""Following a search: what arrives is shown once, even where it arrives late.

Events become searchable in another order than that of their time, so each look goes back a while and leaves out
what was seen. Most looks go back to where the store was complete at the last one; every few seconds one goes back a
whole minute, for producers that were held up. What is older than that when it arrives is not shown.

Whoever cannot read as fast as events come is shown the newest, and told how many were left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

from monitoring.pipeline.query.ranges import LATEST, moment
from monitoring.pipeline.query.search import Order

__all__ = ["MOST_EVENTS", "MOST_SEEN", "NEAR_NS", "POLL_SECONDS", "WINDOW_NS", "Followed", "Follower", "Paged"]

POLL_SECONDS = 0.5
"""Between two looks: with the second that an event may take, still a live view."""
_SECOND = 1_000_000_000
WINDOW_NS = 60 * _SECOND
"""How late an event may be and still be shown."""
NEAR_NS = 5 * _SECOND
"""How far an ordinary look goes back behind what was complete: buffers are sealed within a fraction of a second."""
WINDOW_EVERY_NS = 5 * _SECOND
"""Between looks at the whole window."""
WINDOW_SHARE = 20
"""A look at the whole window may cost a twentieth of the time: at high rates there are fewer of them."""
MOST_EVENTS = 10_000
"""New events that one look shows: more in half a second nobody reads, and each takes a kilobyte."""
MOST_SEEN = 30_000
"""Ids that are remembered, 6 MB: where more events than that come in a minute, late ones must be less late."""
_PAGE = 1000


class Paged(Protocol):
    """A page of events and the cursor of the next one."""

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events."""
        ...

    @property
    def next_cursor(self) -> str | None:
        """Where the next page begins."""
        ...


class Followed(Protocol):
    """What is followed. Times are nanoseconds since 1970."""

    def page(self, query: str, start: int, end: int, *, order: Order, limit: int, cursor: str | None) -> Paged:
        """A page of events in [start, end)."""
        ...

    def count(self, query: str, start: int) -> int:
        """How many events match from `start` on."""
        ...

    def complete_through(self) -> int | None:
        """What was sent up to this moment can be found; None where nobody knows."""
        ...


class Follower:
    """Finds what is new since the last look. `now_ns` is the wall clock.

    After a look, `missed` are the events that it left out, and `position` is where `resume` must go on so that nothing
    of that look is lost.
    """

    def __init__(self, source: Followed, query: str, now_ns: Callable[[], int]) -> None:
        self._source, self._query, self._now_ns = source, query, now_ns
        self._begin = now_ns() - WINDOW_NS
        self._seen: dict[str, int] = {}
        self._complete = self._begin
        self._next_window = 0
        self.missed = 0
        self.position = self._begin

    def begin(self, start: int, limit: int) -> list[dict[str, Any]]:
        """The newest `limit` events since `start`, oldest first; later looks leave out what is there already."""
        before = self._source.complete_through()
        self._note_recent()
        events: list[dict[str, Any]] = []
        if limit:
            page = self._source.page(self._query, start, LATEST, order="newest", limit=limit, cursor=None)
            events = page.events[:limit][::-1]
        for event in events:
            self._note(event)
        self._complete = before if before is not None else self._begin
        self.position = self._complete - NEAR_NS
        return events

    def resume(self, position: int) -> list[dict[str, Any]]:
        """What came since a look that somebody has read in part; some of what was read may come again."""
        self._begin = position
        self._complete = position + NEAR_NS
        return self._look(position, self._source.complete_through(), self._now_ns())

    def look(self) -> list[dict[str, Any]]:
        """What is new, oldest first."""
        began = self._now_ns()
        complete = self._source.complete_through()
        whole = began >= self._next_window
        start = began - WINDOW_NS if whole else max(self._complete - NEAR_NS, began - WINDOW_NS)
        events = self._look(max(start, self._begin), complete, began)
        if whole:
            self._next_window = began + max(WINDOW_EVERY_NS, WINDOW_SHARE * (self._now_ns() - began))
        if whole or len(self._seen) > MOST_SEEN:
            self._forget(began - 2 * WINDOW_NS)
        return events

    def _look(self, start: int, complete: int | None, began: int) -> list[dict[str, Any]]:
        self.missed = 0
        self.position = max(self._begin, min(start, self._complete - NEAR_NS))
        found = self._read(start)
        events = self._newest(start) if found is None else found
        for event in events:
            self._note(event)
        self._complete = complete if complete is not None else began - WINDOW_NS
        return events

    def _newest(self, start: int) -> list[dict[str, Any]]:
        """The newest where there are too many. What is older than these is not looked for again."""
        there = self._source.count(self._query, start) - sum(time >= start for time in self._seen.values())
        page = self._source.page(self._query, start, LATEST, order="newest", limit=MOST_EVENTS, cursor=None).events
        events = [event for event in page if event["id"] not in self._seen][::-1]
        self.missed = max(0, there - len(events))
        if page:
            self._begin = moment(page[-1]["timestamp"], 0)
        return events

    def _read(self, start: int) -> list[dict[str, Any]] | None:
        """The events from `start` on that were not seen, oldest first; None where they are too many."""
        found: list[dict[str, Any]] = []
        for events in self._pages(start, "oldest"):
            found += (event for event in events if event["id"] not in self._seen)
            if len(found) > MOST_EVENTS:
                return None
        return found

    def _note_recent(self) -> None:
        """What is there already is no news; of too much, the newest."""
        for events in self._pages(self._begin, "newest"):
            for event in events:
                self._note(event)
            if len(self._seen) > MOST_SEEN:
                self._begin = moment(events[-1]["timestamp"], 0)
                return

    def _pages(self, start: int, order: Order) -> Iterator[list[dict[str, Any]]]:
        cursor = None
        while True:
            page = self._source.page(self._query, start, LATEST, order=order, limit=_PAGE, cursor=cursor)
            yield page.events
            cursor = page.next_cursor
            if cursor is None:
                return

    def _note(self, event: dict[str, Any]) -> None:
        self._seen[event["id"]] = moment(event["timestamp"], 0)

    def _forget(self, before: int) -> None:
        """Drop ids that no look can meet again; of too many, the oldest, and meet these no more."""
        if len(self._seen) > MOST_SEEN:
            before = max(before, sorted(self._seen.values())[-MOST_SEEN])
            self._begin = max(self._begin, before)
        self._seen = {key: timestamp for key, timestamp in self._seen.items() if timestamp >= before}

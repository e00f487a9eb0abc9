"""Following a search: what arrives is shown once, even where it arrives late.

Events become searchable in another order than that of their time, so each look goes back a while and leaves out
what was seen. Most looks go back to where the store was complete at the last one; every few seconds one goes back a
whole minute, for producers that were held up. What is older than that when it arrives is not shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from monitoring.cli.sources import Source
from monitoring.pipeline.query.ranges import LATEST, moment

__all__ = ["Follower"]

_SECOND = 1_000_000_000
WINDOW_NS = 60 * _SECOND
"""How late an event may be and still be shown."""
NEAR_NS = 5 * _SECOND
"""How far an ordinary look goes back behind what was complete: buffers are sealed within a fraction of a second."""
WINDOW_EVERY_NS = 5 * _SECOND
"""Between looks at the whole window."""
WINDOW_SHARE = 20
"""A look at the whole window may cost a twentieth of the time: at high rates there are fewer of them."""
_PAGE = 1000


class Follower:
    """Finds what is new since the last look. `now_ns` is the wall clock."""

    def __init__(self, source: Source, query: str, now_ns: Callable[[], int]) -> None:
        self._source, self._query, self._now_ns = source, query, now_ns
        self._begin = now_ns() - WINDOW_NS
        self._seen: dict[str, int] = {}
        self._complete = self._begin
        self._next_window = 0

    def begin(self, start: int, limit: int) -> list[dict[str, Any]]:
        """The newest `limit` events since `start`, oldest first; later looks leave out what is there already."""
        before = self._source.complete_through()
        for event in self._read(self._begin):
            self._note(event)
        events = self._source.page(self._query, start, LATEST, order="newest", limit=max(limit, 1), cursor=None).events[
            :limit
        ][::-1]
        for event in events:
            self._note(event)
        self._complete = before if before is not None else self._begin
        return events

    def look(self) -> list[dict[str, Any]]:
        """What is new, oldest first."""
        began = self._now_ns()
        complete = self._source.complete_through()
        whole = began >= self._next_window
        start = began - WINDOW_NS if whole else max(self._complete - NEAR_NS, began - WINDOW_NS)
        events = [event for event in self._read(max(start, self._begin)) if event["id"] not in self._seen]
        for event in events:
            self._note(event)
        if whole:
            self._next_window = began + max(WINDOW_EVERY_NS, WINDOW_SHARE * (self._now_ns() - began))
            self._forget(began - 2 * WINDOW_NS)
        self._complete = complete if complete is not None else began - WINDOW_NS
        return events

    def _read(self, start: int) -> Iterator[dict[str, Any]]:
        cursor = None
        while True:
            page = self._source.page(self._query, start, LATEST, order="oldest", limit=_PAGE, cursor=cursor)
            yield from page.events
            cursor = page.next_cursor
            if cursor is None:
                return

    def _note(self, event: dict[str, Any]) -> None:
        self._seen[event["id"]] = moment(event["timestamp"], 0)

    def _forget(self, before: int) -> None:
        """Drop ids that no look can meet again."""
        self._seen = {key: timestamp for key, timestamp in self._seen.items() if timestamp >= before}

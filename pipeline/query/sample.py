"""The newest matches of a range, as many as a limit allows, for answers that must look into events."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from monitoring.pipeline.query.ast import Node
from monitoring.pipeline.query.limits import MAX_EVENTS, MAX_SAMPLE, Deadline
from monitoring.pipeline.query.search import Page, search
from monitoring.pipeline.query.sweep import Segments
from monitoring.pipeline.store.reader import Reader

__all__ = ["Sample"]


class Sample:
    """An iterator over the newest matching events, the newest first, at most MAX_SAMPLE of them.

    `ask` gives the page of a cursor (None: the first) with at most so many events.
    When it has ended, `count` says how many there were, `sampled` whether there are more, and `partial_reason` what
    stopped it before the limit.
    """

    def __init__(self, ask: Callable[[str | None, int], Page]) -> None:
        self._ask = ask
        self.count = 0
        self.sampled = False
        self.partial_reason: str | None = None

    @classmethod
    def of(
        cls, catalog: Segments, reader: Reader, node: Node, start_ns: int, end_ns: int, *, deadline: Deadline,
        signal: str = "logs",
    ) -> Sample:  # fmt: skip
        """The sample of a store of segments."""
        asked = partial(search, catalog, reader, node, start_ns, end_ns, deadline=deadline, signal=signal)
        return cls(lambda cursor, limit: asked(cursor=cursor, limit=limit))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        cursor = None
        while self.count < MAX_SAMPLE:
            page = self._ask(cursor, min(MAX_EVENTS, MAX_SAMPLE - self.count))
            self.count += len(page.events)
            yield from page.events
            cursor = page.next_cursor
            if page.partial_reason not in (None, "size"):
                self.partial_reason = page.partial_reason
            if cursor is None or page.partial_reason == "time":
                return
        self.sampled = bool(self._ask(cursor, 1).events)

"""The newest matches of a range, as many as a limit allows, for answers that must look into events."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from monitoring.pipeline.query.ast import Node
from monitoring.pipeline.query.limits import MAX_EVENTS, MAX_SAMPLE, Deadline
from monitoring.pipeline.query.search import search
from monitoring.pipeline.query.sweep import Segments
from monitoring.pipeline.store.reader import Reader

__all__ = ["Sample"]


class Sample:
    """An iterator over the newest matching events, the newest first, at most MAX_SAMPLE of them.

    When it has ended, `count` says how many there were, `sampled` whether there are more, and `partial_reason` what
    stopped it before the limit.
    """

    def __init__(
        self, catalog: Segments, reader: Reader, node: Node, start_ns: int, end_ns: int, *, deadline: Deadline,
        signal: str = "logs",
    ) -> None:  # fmt: skip
        self._ask = (catalog, reader, node, start_ns, end_ns)
        self._deadline, self._signal = deadline, signal
        self.count = 0
        self.sampled = False
        self.partial_reason: str | None = None

    def __iter__(self) -> Iterator[dict[str, Any]]:
        cursor = None
        while self.count < MAX_SAMPLE:
            page = search(
                *self._ask, cursor=cursor, limit=min(MAX_EVENTS, MAX_SAMPLE - self.count), deadline=self._deadline,
                signal=self._signal,
            )  # fmt: skip
            self.count += len(page.events)
            yield from page.events
            cursor = page.next_cursor
            if page.partial_reason not in (None, "size"):
                self.partial_reason = page.partial_reason
            if cursor is None or page.partial_reason == "time":
                return
        self.sampled = bool(search(*self._ask, cursor=cursor, limit=1, deadline=self._deadline).events)

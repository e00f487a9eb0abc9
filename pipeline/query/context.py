"""An event among its neighbours: what the same service on the same host said right before and after."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from monitoring.pipeline.query.ast import And, Field, Is, Pattern
from monitoring.pipeline.query.limits import Deadline
from monitoring.pipeline.query.ranges import EARLIEST, LATEST
from monitoring.pipeline.query.rendering import read_public_id
from monitoring.pipeline.query.search import Order, cursor_at, event, search
from monitoring.pipeline.query.sweep import Segments
from monitoring.pipeline.store.reader import Reader

__all__ = ["DEFAULT_NEIGHBOURS", "MAX_NEIGHBOURS", "Context", "context"]

DEFAULT_NEIGHBOURS = 10
"""Each way: a screen, with the event in its middle."""
MAX_NEIGHBOURS = 1000


@dataclass(frozen=True, slots=True)
class Context:
    """The event, those before and those behind it, all with the oldest first, and why some are missing."""

    event: dict[str, Any]
    before: list[dict[str, Any]]
    after: list[dict[str, Any]]
    partial_reason: str | None

    def document(self) -> dict[str, Any]:
        """As the API shows it."""
        return {"event": self.event, "before": self.before, "after": self.after}


def context(
    catalog: Segments,
    reader: Reader,
    public_id: str,
    *,
    before: int,
    after: int,
    deadline: Deadline,
    signal: str = "logs",
) -> Context | None:
    """The event of this id with up to so many neighbours each way; None where there is no such event (any more)."""
    key = read_public_id(public_id)
    found = event(catalog, reader, public_id, deadline=deadline, signal=signal)
    if key is None or found is None:
        return None
    same = And(tuple(Field(name, Is(Pattern((found[name],)))) for name in ("service", "host")))

    def beside(order: Order, count: int) -> tuple[list[dict[str, Any]], str | None]:
        if not count:
            return [], None
        page = search(
            catalog, reader, same, EARLIEST, LATEST, cursor=cursor_at(key, order), limit=count + 1, deadline=deadline,
            signal=signal,
        )  # fmt: skip
        return [each for each in page.events if each["id"] != public_id][:count], page.partial_reason

    earlier, partial_before = beside("newest", before)
    later, partial_after = beside("oldest", after)
    return Context(found, earlier[::-1], later, partial_before or partial_after)

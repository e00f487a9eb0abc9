"""Where a search looks: the store in the data directory of this machine, else an instance over HTTP."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

from monitoring.cli.access import Remote, is_local, remote
from monitoring.pipeline.bus.embedded import locate
from monitoring.pipeline.bus.streams import Streams, connect
from monitoring.pipeline.clock import wall_ns
from monitoring.pipeline.errors import MonitoringError
from monitoring.pipeline.query.completeness import complete_through
from monitoring.pipeline.query.limits import Deadline
from monitoring.pipeline.query.ranges import format_ns, moment
from monitoring.pipeline.query.search import Order, search
from monitoring.pipeline.settings import Settings
from monitoring.pipeline.store.catalog import CATALOG_FILE, Catalog
from monitoring.pipeline.store.reader import Reader

__all__ = ["Found", "Source", "open_source"]


class Found(NamedTuple):
    """A page: its events, the cursor of the next one, why it is not whole."""

    events: list[dict[str, Any]]
    next_cursor: str | None
    partial: str | None


class Source(Protocol):
    """Something that can be searched. Times are nanoseconds since 1970."""

    def page(self, query: str, start: int, end: int, *, order: Order, limit: int, cursor: str | None) -> Found:
        """A page of events in [start, end)."""
        ...

    def complete_through(self) -> int | None:
        """What was sent up to this moment can be found; None where nobody knows."""
        ...


@contextmanager
def open_source(settings: Settings) -> Iterator[Source]:
    """What these settings lead to. Raises SettingsError where that is nothing."""
    if not is_local(settings):
        yield _Http(remote(settings))
        return
    with contextlib.closing(Catalog(settings.data / CATALOG_FILE)) as catalog, contextlib.closing(Reader()) as reader:
        yield _Directory(settings, catalog, reader)


class _Directory:
    """The files themselves: no server needs to run."""

    def __init__(self, settings: Settings, catalog: Catalog, reader: Reader) -> None:
        self._settings, self._catalog, self._reader = settings, catalog, reader
        self._streams: Streams | None = None

    def page(self, query: str, start: int, end: int, *, order: Order, limit: int, cursor: str | None) -> Found:
        found = search(
            self._catalog, self._reader, query, start, end, order=order, limit=limit, cursor=cursor,
            deadline=Deadline(self._settings.number("query_timeout")),
        )  # fmt: skip
        return Found(found.events, found.next_cursor, found.partial_reason)

    def complete_through(self) -> int | None:
        try:
            if self._streams is None:
                self._streams = Streams(connect(locate(self._settings), timeout_seconds=1.0))
            return complete_through(self._streams, self._catalog.partitions(), wall_ns())
        except MonitoringError:
            return None  # best effort: without its bus the store can still be read


class _Http:
    """`GET /api/v1/logs` of an instance."""

    def __init__(self, instance: Remote) -> None:
        self._instance = instance
        self._complete: str | None = None

    def page(self, query: str, start: int, end: int, *, order: Order, limit: int, cursor: str | None) -> Found:
        asked = {"query": query, "start": format_ns(start), "end": format_ns(end), "order": order, "limit": str(limit)}
        answer = self._instance.call("GET", "logs", query={**asked, **({"cursor": cursor} if cursor else {})})
        self._complete = answer.get("complete_through")
        return Found(answer["events"], answer["next_cursor"], (answer.get("partial") or {}).get("reason"))

    def complete_through(self) -> int | None:
        return moment(self._complete, 0) if self._complete else None

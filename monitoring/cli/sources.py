"""Where a search looks: the store in the data directory of this machine, else an instance over HTTP."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

from monitoring.cli.access import Remote, is_local, remote
from monitoring.pipeline.bus.embedded import locate
from monitoring.pipeline.bus.streams import Streams, connect
from monitoring.pipeline.clock import wall_ns
from monitoring.pipeline.errors import MonitoringError
from monitoring.pipeline.query.aggregate import aggregates
from monitoring.pipeline.query.completeness import complete_through
from monitoring.pipeline.query.limits import Deadline
from monitoring.pipeline.query.ranges import EARLIEST, LATEST, format_ns, moment
from monitoring.pipeline.query.search import Order
from monitoring.pipeline.settings import Settings
from monitoring.pipeline.store.interface import LogStore
from monitoring.pipeline.store.logs import open_logs

__all__ = ["Counted", "Found", "Source", "open_source"]

_ABOUT = ("complete_through", "took_ms", "partial")
"""Members that every answer has, whatever was asked."""


class Found(NamedTuple):
    """A page: its events, the cursor of the next one, why it is not whole."""

    events: list[dict[str, Any]]
    next_cursor: str | None
    partial: str | None


class Counted(NamedTuple):
    """An analysis: what the API answers, why it is not whole."""

    document: dict[str, Any]
    partial: str | None


class Source(Protocol):
    """Something that can be searched. Times are nanoseconds since 1970."""

    def page(self, query: str, start: int, end: int, *, order: Order, limit: int, cursor: str | None) -> Found:
        """A page of events in [start, end)."""
        ...

    def context(self, event_id: str, neighbours: int) -> list[dict[str, Any]]:
        """An event between up to so many neighbours each way, the oldest first; [] where it is gone."""
        ...

    def histogram(self, query: str, start: int, end: int, *, buckets: int) -> Counted:
        """Events in [start, end) by time and level."""
        ...

    def facets(self, query: str, start: int, end: int, *, fields: Sequence[str], limit: int) -> Counted:
        """The commonest values of fields in [start, end)."""
        ...

    def stats(
        self, query: str, start: int, end: int, *, group_by: Sequence[str], wanted: str, buckets: int, limit: int
    ) -> Counted:
        """Aggregates (a list as people write it) of the events in [start, end) by groups."""
        ...

    def patterns(self, query: str, start: int, end: int, *, limit: int) -> Counted:
        """Templates of the newest messages in [start, end)."""
        ...

    def count(self, query: str, start: int) -> int:
        """How many events match from `start` on."""
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
    with contextlib.closing(open_logs(settings)) as store:
        yield _Directory(settings, store)


class _Directory:
    """The files themselves: no server needs to run."""

    def __init__(self, settings: Settings, store: LogStore) -> None:
        self._settings, self._store = settings, store
        self._streams: Streams | None = None

    def page(self, query: str, start: int, end: int, *, order: Order, limit: int, cursor: str | None) -> Found:
        found = self._store.search(
            query, start, end, order=order, limit=limit, cursor=cursor, deadline=self._deadline()
        )
        return Found(found.events, found.next_cursor, found.partial_reason)

    def context(self, event_id: str, neighbours: int) -> list[dict[str, Any]]:
        found = self._store.context(event_id, before=neighbours, after=neighbours, deadline=self._deadline())
        return [] if found is None else [*found.before, found.event, *found.after]

    def histogram(self, query: str, start: int, end: int, *, buckets: int) -> Counted:
        found = self._store.histogram(query, start, end, buckets=buckets, deadline=self._deadline())
        return Counted(found.document(), found.partial_reason)

    def facets(self, query: str, start: int, end: int, *, fields: Sequence[str], limit: int) -> Counted:
        found = self._store.facets(query, start, end, fields=fields, limit=limit, deadline=self._deadline())
        return Counted(found.document(), found.partial_reason)

    def stats(
        self, query: str, start: int, end: int, *, group_by: Sequence[str], wanted: str, buckets: int, limit: int
    ) -> Counted:
        found = self._store.statistics(
            query, start, end, group_by=group_by, wanted=aggregates(wanted), buckets=buckets, limit=limit,
            deadline=self._deadline(),
        )  # fmt: skip
        return Counted(found.document(), found.partial_reason)

    def patterns(self, query: str, start: int, end: int, *, limit: int) -> Counted:
        found = self._store.patterns(query, start, end, limit=limit, deadline=self._deadline())
        return Counted(found.document(), found.partial_reason)

    def count(self, query: str, start: int) -> int:
        return _total(self.histogram(query, start, LATEST, buckets=1))

    def _deadline(self) -> Deadline:
        return Deadline(self._settings.number("query_timeout"))

    def complete_through(self) -> int | None:
        try:
            if self._streams is None:
                self._streams = Streams(connect(locate(self._settings), timeout_seconds=1.0))
            return complete_through(self._streams, self._store.partitions(), wall_ns())
        except MonitoringError:
            return None  # best effort: without its bus the store can still be read


class _Http:
    """`GET /api/v1/logs` of an instance."""

    def __init__(self, instance: Remote) -> None:
        self._instance = instance
        self._complete: str | None = None

    def page(self, query: str, start: int, end: int, *, order: Order, limit: int, cursor: str | None) -> Found:
        more = {"order": order, "limit": str(limit), **({"cursor": cursor} if cursor else {})}
        answer = self._ask((), query, start, end, **more)
        return Found(answer["events"], answer["next_cursor"], _reason(answer))

    def context(self, event_id: str, neighbours: int) -> list[dict[str, Any]]:
        asked = {"before": str(neighbours), "after": str(neighbours)}
        answer = self._instance.call("GET", "logs", event_id, "context", query=asked)
        return [*answer["before"], answer["event"], *answer["after"]]

    def histogram(self, query: str, start: int, end: int, *, buckets: int) -> Counted:
        return self._counted("histogram", query, start, end, buckets=str(buckets))

    def facets(self, query: str, start: int, end: int, *, fields: Sequence[str], limit: int) -> Counted:
        return self._counted("facets", query, start, end, fields=",".join(fields), limit=str(limit))

    def stats(
        self, query: str, start: int, end: int, *, group_by: Sequence[str], wanted: str, buckets: int, limit: int
    ) -> Counted:
        more = {"group_by": ",".join(group_by)} if group_by else {}
        return self._counted(
            "stats", query, start, end, aggregate=wanted, buckets=str(buckets), limit=str(limit), **more
        )

    def patterns(self, query: str, start: int, end: int, *, limit: int) -> Counted:
        return self._counted("patterns", query, start, end, limit=str(limit))

    def count(self, query: str, start: int) -> int:
        return _total(self.histogram(query, start, LATEST, buckets=1))

    def _counted(self, name: str, query: str, start: int, end: int, **more: str) -> Counted:
        answer = self._ask((name,), query, start, end, **more)
        partial = _reason(answer)
        return Counted({key: value for key, value in answer.items() if key not in _ABOUT}, partial)

    def _ask(self, path: tuple[str, ...], query: str, start: int, end: int, **more: str) -> Any:
        asked = {"query": query, **more}
        if start > EARLIEST:
            asked["start"] = format_ns(start)
        if end < LATEST:
            asked["end"] = format_ns(end)
        answer = self._instance.call("GET", "logs", *path, query=asked)
        self._complete = answer.get("complete_through")
        return answer

    def complete_through(self) -> int | None:
        return moment(self._complete, 0) if self._complete else None


def _total(histogram: Counted) -> int:
    return sum(bucket["total"] for bucket in histogram.document["buckets"])


def _reason(answer: dict[str, Any]) -> str | None:
    found: str | None = (answer.get("partial") or {}).get("reason")
    return found

"""The log store on SQLite: segments of a data directory. Implements `interface.LogStore`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from monitoring.pipeline.clock import NowNs, wall_ns
from monitoring.pipeline.query import context, facets, histogram, patterns, search, statistics
from monitoring.pipeline.query.aggregate import Aggregate
from monitoring.pipeline.query.limits import Deadline
from monitoring.pipeline.settings import Settings
from monitoring.pipeline.store import dead_letters, retention
from monitoring.pipeline.store.catalog import CATALOG_FILE, Catalog
from monitoring.pipeline.store.dead_letters import Letter
from monitoring.pipeline.store.lease import Holder
from monitoring.pipeline.store.partition import Limits, Partition, acquire, limits_of
from monitoring.pipeline.store.reader import Reader
from monitoring.pipeline.store.retention import Doomed
from monitoring.pipeline.store.verify import Report, verify

__all__ = ["SqliteStore", "open_store"]


def open_store(chosen: Settings, *, reader: Reader | None = None) -> SqliteStore:
    """The log store of these settings. Raises StoreCorrupt where the data directory has none."""
    return SqliteStore(chosen.data, limits_of(chosen), reader=reader)


class SqliteStore:
    """All that a data directory holds of the logs. The catalog must exist (`Catalog.create_or_open`).

    Not for several threads, but a `reader` that is given may serve the stores of many; who gave it closes it.
    """

    def __init__(self, data: Path, limits: Limits, *, reader: Reader | None = None, now_ns: NowNs = wall_ns) -> None:
        self.catalog = Catalog(data / CATALOG_FILE)
        self.reader = reader or Reader()
        self._owns_reader = reader is None
        self._limits, self._now_ns = limits, now_ns

    def partitions(self) -> list[int]:
        """See LogStore."""
        return self.catalog.partitions("logs")

    def acquire(self, partition: int, me: Holder) -> Partition | None:
        """See LogStore."""
        return acquire(self.catalog, "logs", partition, self._limits, me=me, now_ns=self._now_ns)

    def attend(self, me: Holder) -> int:
        """See LogStore."""
        return self.catalog.attend(me)

    def leave(self, me: Holder) -> None:
        """See LogStore."""
        self.catalog.leave(me)

    def search(
        self, query: str, start_ns: int, end_ns: int, *, deadline: Deadline, order: search.Order = "newest",
        limit: int = 100, cursor: str | None = None,
    ) -> search.Page:  # fmt: skip
        """See LogStore."""
        return search.search(
            self.catalog,
            self.reader,
            query,
            start_ns,
            end_ns,
            deadline=deadline,
            order=order,
            limit=limit,
            cursor=cursor,
        )

    def event(self, event_id: str, *, deadline: Deadline) -> dict[str, Any] | None:
        """See LogStore."""
        return search.event(self.catalog, self.reader, event_id, deadline=deadline)

    def context(self, event_id: str, *, before: int, after: int, deadline: Deadline) -> context.Context | None:
        """See LogStore."""
        return context.context(self.catalog, self.reader, event_id, before=before, after=after, deadline=deadline)

    def histogram(
        self, query: str, start_ns: int, end_ns: int, *, deadline: Deadline, buckets: int
    ) -> histogram.Histogram:
        """See LogStore."""
        return histogram.histogram(
            self.catalog, self.reader, query, start_ns, end_ns, deadline=deadline, buckets=buckets
        )

    def facets(
        self, query: str, start_ns: int, end_ns: int, *, fields: Sequence[str], limit: int, deadline: Deadline
    ) -> facets.Facets:
        """See LogStore."""
        return facets.facets(
            self.catalog, self.reader, query, start_ns, end_ns, fields=fields, limit=limit, deadline=deadline
        )

    def statistics(
        self, query: str, start_ns: int, end_ns: int, *, group_by: Sequence[str], wanted: Sequence[Aggregate],
        buckets: int, limit: int, deadline: Deadline,
    ) -> statistics.Statistics:  # fmt: skip
        """See LogStore."""
        return statistics.statistics(
            self.catalog, self.reader, query, start_ns, end_ns, group_by=group_by, wanted=wanted, buckets=buckets,
            limit=limit, deadline=deadline,
        )  # fmt: skip

    def patterns(self, query: str, start_ns: int, end_ns: int, *, limit: int, deadline: Deadline) -> patterns.Patterns:
        """See LogStore."""
        return patterns.patterns(self.catalog, self.reader, query, start_ns, end_ns, limit=limit, deadline=deadline)

    def letters(self, limit: int) -> list[Letter]:
        """See LogStore."""
        return dead_letters.letters(self.catalog, limit=limit)

    def doomed(self, now_ns: int, *, max_age_seconds: float, max_bytes: int) -> list[Doomed]:
        """See LogStore."""
        segments = self.catalog.segments("logs")
        return retention.doomed(segments, now_ns=now_ns, max_age_seconds=max_age_seconds, max_bytes=max_bytes)

    def delete(self, going: Sequence[Doomed]) -> int:
        """See LogStore."""
        return retention.apply(self.catalog, going)

    def verify(self, *, progress: Callable[[Path], None] = lambda path: None) -> Report:
        """See LogStore."""
        return verify(self.catalog, progress=progress)

    def close(self) -> None:
        """See LogStore."""
        if self._owns_reader:
            self.reader.close()
        self.catalog.close()

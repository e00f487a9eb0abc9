"""The log store on ClickHouse: rows on a server, ledgers in the data directory. Implements `interface.LogStore`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from monitoring.pipeline.clock import NowNs, wall_ns
from monitoring.pipeline.query.aggregate import Aggregate
from monitoring.pipeline.query.context import Context
from monitoring.pipeline.query.facets import Facets
from monitoring.pipeline.query.histogram import Histogram
from monitoring.pipeline.query.limits import Deadline
from monitoring.pipeline.query.parse import parse
from monitoring.pipeline.query.patterns import Patterns
from monitoring.pipeline.query.search import Order, Page
from monitoring.pipeline.query.statistics import Statistics
from monitoring.pipeline.store import dead_letters
from monitoring.pipeline.store.catalog import CATALOG_FILE, Catalog, segment_path
from monitoring.pipeline.store.clickhouse import days
from monitoring.pipeline.store.clickhouse.analytics import Analytics
from monitoring.pipeline.store.clickhouse.client import Client
from monitoring.pipeline.store.clickhouse.days import DoomedDay, Gone
from monitoring.pipeline.store.clickhouse.events import Events
from monitoring.pipeline.store.clickhouse.ledger import LedgerContents
from monitoring.pipeline.store.clickhouse.partition import ClickhousePartition, acquire
from monitoring.pipeline.store.clickhouse.schema import Schema
from monitoring.pipeline.store.clickhouse.words import tokenizer
from monitoring.pipeline.store.dead_letters import Letter
from monitoring.pipeline.store.kinds import kind_of
from monitoring.pipeline.store.lease import Holder
from monitoring.pipeline.store.partition import Limits, active_number
from monitoring.pipeline.store.segment import open_readonly
from monitoring.pipeline.store.verify import Report, verify

__all__ = ["ClickhouseStore"]


class ClickhouseStore:
    """All that a server holds of the logs, and what the data directory knows of it.

    The catalog must exist (`Catalog.create_or_open`). The tables are made when the server is first asked. Not for
    several threads.
    """

    def __init__(self, data: Path, limits: Limits, client: Client, schema: Schema, *, now_ns: NowNs = wall_ns) -> None:
        self.catalog = Catalog(data / CATALOG_FILE)
        self._limits, self._now_ns, self._schema = limits, now_ns, schema
        self._unprepared, self._ready = client, False
        split = tokenizer()
        self._events = Events(client, split)
        self._analytics = Analytics(client, self._events, split)

    @property
    def _client(self) -> Client:
        """The way to the server, whose tables are there."""
        self._prepare()
        return self._unprepared

    def _prepare(self) -> None:
        if not self._ready:
            self._schema.ensure(self._unprepared)
            self._ready = True

    def partitions(self) -> list[int]:
        """See LogStore."""
        return self.catalog.partitions("logs")

    def acquire(self, partition: int, me: Holder) -> ClickhousePartition | None:
        """See LogStore. Raises StoreUnreachable where the server's tables cannot be seen to."""
        return acquire(self.catalog, partition, self._limits, self._client, me=me, now_ns=self._now_ns)

    def attend(self, me: Holder) -> int:
        """See LogStore."""
        return self.catalog.attend(me)

    def leave(self, me: Holder) -> None:
        """See LogStore."""
        self.catalog.leave(me)

    def search(
        self, query: str, start_ns: int, end_ns: int, *, deadline: Deadline, order: Order = "newest",
        limit: int = 100, cursor: str | None = None,
    ) -> Page:  # fmt: skip
        """See LogStore."""
        node = parse(query)
        self._prepare()
        return self._events.search(node, start_ns, end_ns, deadline=deadline, order=order, limit=limit, cursor=cursor)

    def event(self, event_id: str, *, deadline: Deadline) -> dict[str, Any] | None:
        """See LogStore."""
        self._prepare()
        return self._events.event(event_id, deadline=deadline)

    def context(self, event_id: str, *, before: int, after: int, deadline: Deadline) -> Context | None:
        """See LogStore."""
        self._prepare()
        return self._events.context(event_id, before=before, after=after, deadline=deadline)

    def histogram(self, query: str, start_ns: int, end_ns: int, *, deadline: Deadline, buckets: int) -> Histogram:
        """See LogStore."""
        node = parse(query)
        self._prepare()
        return self._analytics.histogram(node, start_ns, end_ns, deadline=deadline, buckets=buckets)

    def facets(
        self, query: str, start_ns: int, end_ns: int, *, fields: Sequence[str], limit: int, deadline: Deadline
    ) -> Facets:
        """See LogStore."""
        node = parse(query)
        self._prepare()
        return self._analytics.facets(node, start_ns, end_ns, fields=fields, limit=limit, deadline=deadline)

    def statistics(
        self, query: str, start_ns: int, end_ns: int, *, group_by: Sequence[str], wanted: Sequence[Aggregate],
        buckets: int, limit: int, deadline: Deadline,
    ) -> Statistics:  # fmt: skip
        """See LogStore."""
        node = parse(query)
        self._prepare()
        return self._analytics.statistics(
            node, start_ns, end_ns, group_by=group_by, wanted=wanted, buckets=buckets, limit=limit, deadline=deadline
        )

    def patterns(self, query: str, start_ns: int, end_ns: int, *, limit: int, deadline: Deadline) -> Patterns:
        """See LogStore."""
        node = parse(query)
        self._prepare()
        return self._analytics.patterns(node, start_ns, end_ns, limit=limit, deadline=deadline)

    def letters(self, limit: int) -> list[Letter]:
        """See LogStore. Dead letters lie in the ledgers."""
        return dead_letters.letters(self.catalog, limit=limit)

    def doomed(self, now_ns: int, *, max_age_seconds: float, max_bytes: int) -> list[DoomedDay]:
        """See LogStore: whole days of events."""
        found = days.days(self._client, self._schema)
        return days.doomed(found, now_ns=now_ns, max_age_seconds=max_age_seconds, max_bytes=max_bytes)

    def delete(self, going: Sequence[DoomedDay]) -> int:
        """See LogStore."""
        self.catalog.note_dropped(item.day.day for item in going)
        return days.drop(self._client, self._schema, going)

    def verify(self, *, progress: Callable[[Path], None] = lambda path: None) -> Report:
        """See LogStore. The ledgers as files, then what the server has beside what they say was committed."""
        report = verify(self.catalog, progress=progress)
        there = days.counts(self._client)
        gone = Gone(self._schema.expiring(self._now_ns()), self.catalog.dropped())
        for partition in self.partitions():
            committed, waiting = self._committed(partition)
            here = there.get(partition, Counter())
            report.findings += days.disagreements(partition, committed, here, waiting, gone=gone)
        return report

    def _committed(self, partition: int) -> tuple[dict[int, int], Counter[int]]:
        """Events that were ever committed to a partition by day, and how many of them are not sent yet."""
        number = active_number(self.catalog.data, "logs", partition)
        if not number:
            return {}, Counter()
        with closing(open_readonly(segment_path(self.catalog.data, "logs", partition, number))) as connection:
            if kind_of(connection, "logs") is not LedgerContents:
                return {}, Counter()
            waiting: Counter[int] = Counter()
            for day, rows in connection.execute("SELECT day, rows FROM outgoing"):
                waiting[day] += rows
            return LedgerContents.committed_days(connection), waiting

    def close(self) -> None:
        """See LogStore."""
        self._unprepared.close()
        self.catalog.close()

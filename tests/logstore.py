"""A real store in a directory, filled through the product's own writer."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw

from monitoring.pipeline.events.event import Event
from monitoring.pipeline.query.limits import Deadline
from monitoring.pipeline.query.ranges import EARLIEST, LATEST
from monitoring.pipeline.query.search import Page, search
from monitoring.pipeline.store import census
from monitoring.pipeline.store.catalog import CATALOG_FILE, Catalog
from monitoring.pipeline.store.partition import Limits, Partition, acquire
from monitoring.pipeline.store.reader import Reader
from tests.frames import T0, Sender, entry

_LIMITS = Limits(segment_events=1 << 30, segment_bytes=1 << 40, segment_age_seconds=1e12, disk_reserve_bytes=0)


class LogStore:
    """Segments, catalog and reader of a data directory. A context manager that closes them."""

    def __init__(self, directory: Path, *, partitions: int = 1) -> None:
        self.directory = directory
        self.catalog = Catalog.create_or_open(directory / CATALOG_FILE, partitions=partitions)
        self.reader = Reader()
        self.partitions: list[Partition] = []
        for number in range(partitions):
            partition = acquire(self.catalog, "logs", number, _LIMITS, now_ns=lambda: T0)
            assert partition is not None
            self.partitions.append(partition)
        self._senders = [Sender(number, created=LATEST // 2) for number in range(partitions)]

    def __enter__(self) -> LogStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.reader.close()
        for partition in self.partitions:
            partition.release()
        self.catalog.close()

    def add(self, events: Sequence[Event], *, partition: int = 0) -> None:
        """Commit these events in one transaction."""
        if events:
            writer = self.partitions[partition]
            batch = writer.admit([entry(self._senders[partition].frame(events))])
            writer.write(batch)

    def roll_over(self, partition: int = 0) -> None:
        """Seal the active segment and begin another."""
        self.partitions[partition].roll_over()

    def take_census(self, slice_rows: int) -> None:
        """Take the census of every sealed segment, in slices of so many rows."""
        for row in self.catalog.segments("logs"):
            if row.sealed:
                with closing(apsw.Connection(str(row.path))) as connection:
                    assert census.build(connection, lambda: False, slice_rows=slice_rows, fewest_rows=0)

    def page(self, query: str, *, start: int = EARLIEST, end: int = LATEST, seconds: float = 60.0, **more: Any) -> Page:
        """One page of results."""
        return search(self.catalog, self.reader, query, start, end, deadline=Deadline(seconds), **more)

    def found(self, query: str, **more: Any) -> list[dict[str, Any]]:
        """All results, newest first unless told otherwise, by pages as large as asked for."""
        events, cursor = [], None
        while True:
            page = self.page(query, cursor=cursor, **{"limit": 10_000, **more})
            assert page.partial_reason is None
            events += page.events
            cursor = page.next_cursor
            if cursor is None:
                return events

    def messages(self, query: str, **more: Any) -> list[str]:
        """The messages of all results."""
        return [event["message"] for event in self.found(query, **more)]

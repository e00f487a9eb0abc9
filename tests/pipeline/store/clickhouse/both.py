"""Two stores with the same events in them: SQLite, and ClickHouse."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from monitoring.pipeline.clock import wall_ns
from monitoring.pipeline.events.event import Event
from monitoring.pipeline.query.limits import Deadline
from monitoring.pipeline.query.ranges import EARLIEST, LATEST
from monitoring.pipeline.store.catalog import CATALOG_FILE, Catalog
from monitoring.pipeline.store.clickhouse.client import Address, Client
from monitoring.pipeline.store.clickhouse.schema import Schema
from monitoring.pipeline.store.clickhouse.store import ClickhouseStore
from monitoring.pipeline.store.interface import LogStore
from monitoring.pipeline.store.lease import Holder
from monitoring.pipeline.store.partition import Limits
from monitoring.pipeline.store.sqlite import SqliteStore
from tests.frames import Sender, entry

LIMITS = Limits(segment_events=1 << 30, segment_bytes=1 << 40, segment_age_seconds=1e12, disk_reserve_bytes=0)


def fill(store: LogStore, *portions: Sequence[Event]) -> None:
    """Commit events to partition 0, a frame and a commit for each portion."""
    sender = Sender(created=LATEST // 2)
    writer = store.acquire(0, Holder.this_process())
    assert writer is not None
    for events in portions:
        if events:
            writer.write(writer.admit([entry(sender.frame(events))]))
    writer.release()


def found(store: LogStore, query: str, **more: Any) -> list[dict[str, Any]]:
    """All results, the newest first unless told otherwise, by pages as large as asked for; without their ids."""
    events: list[dict[str, Any]] = []
    cursor = None
    while True:
        asked = {"limit": 10_000, **more}
        page = store.search(query, EARLIEST, LATEST, deadline=Deadline(60), cursor=cursor, **asked)
        assert page.partial_reason is None
        events += page.events
        cursor = page.next_cursor
        if cursor is None:
            return [{name: value for name, value in event.items() if name != "id"} for event in events]


class Both:
    """The stores, over a database that is emptied each time."""

    def __init__(self, url: str) -> None:
        self._url = url

    @contextmanager
    def holding(self, *portions: Sequence[Event]) -> Iterator[tuple[SqliteStore, ClickhouseStore]]:
        """Both stores with these events, a commit for each portion."""
        with contextlib.ExitStack() as stack:
            directories = [Path(stack.enter_context(tempfile.TemporaryDirectory())) for _ in range(2)]
            for directory in directories:
                Catalog.create_or_open(directory / CATALOG_FILE, partitions=1).close()
            files = stack.enter_context(contextlib.closing(SqliteStore(directories[0], LIMITS)))
            client = Client(Address(self._url))
            Schema().ensure(client)
            client.command("TRUNCATE TABLE log")
            made = ClickhouseStore(directories[1], LIMITS, client, Schema(), now_ns=wall_ns)
            server = stack.enter_context(contextlib.closing(made))
            fill(files, *portions)
            fill(server, *portions)
            yield files, server

"""A real metric store in a directory, filled through the product's own writer."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from monitoring.pipeline.events.delta import Delta
from monitoring.pipeline.store.catalog import CATALOG_FILE, Catalog
from monitoring.pipeline.store.lease import Holder
from monitoring.pipeline.store.metrics import SqliteMetricStore
from monitoring.pipeline.store.partition import Limits
from tests.deltas import SECOND, T, delta, frame
from tests.frames import T0, Sender, entry

__all__ = ["fill", "grown"]

_LIMITS = Limits(segment_events=1 << 30, segment_bytes=1 << 40, segment_age_seconds=1e12, disk_reserve_bytes=0)


def fill(data: Path, deltas: Sequence[Delta], now_ns: int = T0) -> None:
    """Commit these deltas into the data directory, which is made where it is not there."""
    Catalog.create_or_open(data / CATALOG_FILE, partitions=1).close()
    with contextlib.closing(SqliteMetricStore(data, _LIMITS, now_ns=lambda: now_ns)) as store:
        writer = store.acquire(0, Holder.this_process())
        assert writer is not None
        writer.write(writer.admit([entry(frame(Sender(7, created=now_ns), deltas))]))
        writer.release()


def grown(channel: str, windows: int = 30) -> list[Delta]:
    """A counter `orders` of a channel that gains 5 in each window of 10 s, the last of which ends at `deltas.T`."""
    return [delta(5, at=T - 10 * SECOND * number, channel=channel) for number in range(windows)]

"""A store to search in: millions of realistic events over one day, in segments of a million."""

from __future__ import annotations

import contextlib
import heapq
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from bench.bare import frames_of
from bench.events import make
from monitoring.consumers import maintenance
from monitoring.pipeline import settings
from monitoring.pipeline.bus.streams import Entry
from monitoring.pipeline.events.event import Event
from monitoring.pipeline.store.catalog import CATALOG_FILE, Catalog
from monitoring.pipeline.store.partition import Limits, acquire

__all__ = ["RARE_EVERY", "SEGMENT_EVENTS", "build", "events"]

SEGMENT_EVENTS = 1_000_000
RARE_EVERY = 200_000
"""One event in so many holds the rare word, `meltdown`."""
_DAY_NS = 86_400 * 1_000_000_000
_SOURCES = 6


def events(count: int, *, end_ns: int) -> Iterator[Event]:
    """So many events of six services on four hosts, evenly over the day that ends at `end_ns`, the oldest first."""
    step = _DAY_NS // count
    sources = [make(count // _SOURCES + 1, seed=seed, start_ns=0) for seed in range(1, _SOURCES + 1)]
    merged = heapq.merge(*sources, key=lambda event: event.timestamp)
    for number, event in enumerate(islice(merged, count)):
        message = f"{event.message}, meltdown" if number % RARE_EVERY == 7 else event.message
        # the last three digits are the source's own, so that times look like times
        yield event._replace(timestamp=end_ns - (count - number) * step + event.timestamp % 1000, message=message)


def build(directory: Path, count: int, *, end_ns: int) -> None:
    """Write the events through the product's own writer, and let its maintenance compact what is sealed."""
    limits = Limits(SEGMENT_EVENTS if count > SEGMENT_EVENTS else max(1, count // 4), 1 << 40, 1e9, 0)
    source = events(count, end_ns=end_ns)
    with contextlib.closing(Catalog.create_or_open(directory / CATALOG_FILE, partitions=1)) as catalog:
        partition = acquire(catalog, "logs", 0, limits)
        if partition is None:
            raise RuntimeError("a new partition has no holder")
        partition.set_load(heavy=True)
        for lane in range(1, count // 10_000 + 2):
            batch = list(islice(source, 10_000))
            entries = [
                Entry(
                    f"{frame.seq}-0",
                    {key.encode(): value if isinstance(value, bytes) else str(value).encode()
                     for key, value in frame.fields().items()},
                )
                for frame in frames_of(batch, lane=f"{lane:032x}")
            ]  # fmt: skip
            partition.write(partition.admit(entries))
            partition.roll_over_if_due()
        partition.release()
    maintenance.run(settings.load({"MONITORING_DATA_DIR": str(directory), "MONITORING_RETENTION_AGE": "30d"}))

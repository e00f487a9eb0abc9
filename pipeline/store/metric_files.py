"""The files of the metrics, there or deleted, with how far each goes: what a plan is made from."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import apsw

from monitoring.pipeline.errors import StoreCorrupt
from monitoring.pipeline.query.limits import STEPS_BETWEEN_CHECKS, Deadline
from monitoring.pipeline.store.catalog import Catalog, partition_dir
from monitoring.pipeline.store.deltas import WINDOW_NS
from monitoring.pipeline.store.metric_levels import LEVELS, files
from monitoring.pipeline.store.metric_plan import Stored
from monitoring.pipeline.store.metric_rollup import APPLICATION_ID, SCHEMA_VERSION
from monitoring.pipeline.store.reader import SegmentGone
from monitoring.pipeline.store.rows import timestamp_ns
from monitoring.pipeline.store.segment import Head, open_readonly

__all__ = ["MetricFiles", "opened_rollup"]


class MetricFiles:
    """Segments and roll-ups of the metrics' partition at this moment, by number."""

    def __init__(self, catalog: Catalog) -> None:
        directory = partition_dir(catalog.data, "metrics", 0)
        # Roll-ups first: one whose segment is deleted in between is then known.
        self.rolled = {level.name: {each.number: each for each in files(directory, level)} for level in LEVELS}
        found = {
            each.number: Stored(each.number, (each.first, each.last), there=False)
            for level in LEVELS
            for each in self.rolled[level.name].values()
        }
        for row in catalog.segments("metrics"):
            least, greatest = row.min_id, row.max_id
            if not row.sealed:
                with contextlib.suppress(FileNotFoundError, apsw.CantOpenError):
                    with contextlib.closing(open_readonly(row.path)) as connection:
                        head = Head.read(connection)
                    least, greatest = head.min_id, head.max_id
            extent = None if least is None or greatest is None else (_window(least), _window(greatest))
            found[row.number] = Stored(row.number, extent, there=True)
        self.stored: Sequence[Stored] = [found[number] for number in sorted(found)]

    def extent(self) -> tuple[int, int] | None:
        """The first and the last window of any point; None where there is none."""
        extents = [each.extent for each in self.stored if each.extent is not None]
        return (min(first for first, _ in extents), max(last for _, last in extents)) if extents else None

    def start_ms(self, numbers: Sequence[int]) -> int:
        """When the first point of these segments was, milliseconds since 1970; 0 where there is none."""
        firsts = [each.extent[0] for each in self.stored if each.extent is not None and each.number in numbers]
        return min(firsts, default=0) * WINDOW_NS // 1_000_000


def _window(number: int) -> int:
    return timestamp_ns(number, 0) // WINDOW_NS


@contextlib.contextmanager
def opened_rollup(path: Path, deadline: Deadline | None) -> Iterator[apsw.Connection]:
    """A file of a roll-up for reading; its statements are interrupted at the deadline.

    Raises SegmentGone where retention has just deleted it, StoreCorrupt where it is none of a known version.
    """
    try:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    except apsw.CantOpenError as error:
        raise SegmentGone(f"{path} is not there") from error
    with contextlib.closing(connection):
        if connection.pragma("application_id") != APPLICATION_ID or connection.pragma("user_version") > SCHEMA_VERSION:
            raise StoreCorrupt(f"{path} is no roll-up that this release knows: move it away, or upgrade")
        connection.execute("PRAGMA mmap_size = 0; PRAGMA cache_size = -1024; PRAGMA query_only = 1").fetchall()
        if deadline is not None:
            connection.set_progress_handler(deadline.expired, STEPS_BETWEEN_CHECKS)
        yield connection

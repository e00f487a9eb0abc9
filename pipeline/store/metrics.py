"""The metric store on SQLite: segments of a data directory. Implements `interface.MetricStore`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import apsw
import orjson

from monitoring.pipeline.clock import NowNs, wall_ns
from monitoring.pipeline.events.signals import LATEST_NS
from monitoring.pipeline.query.limits import STEPS_BETWEEN_CHECKS, Deadline
from monitoring.pipeline.settings import Settings
from monitoring.pipeline.store.catalog import CATALOG_FILE, Catalog, segment_path
from monitoring.pipeline.store.deltas import WINDOW_NS, Family
from monitoring.pipeline.store.lease import Holder
from monitoring.pipeline.store.matchers import Matcher
from monitoring.pipeline.store.metric_points import ALIVE_WINDOWS, Gathered, Points, Series, select
from monitoring.pipeline.store.partition import Limits, Partition, acquire, limits_of
from monitoring.pipeline.store.reader import OutOfTime, SegmentGone
from monitoring.pipeline.store.rows import id_floor
from monitoring.pipeline.store.segment import open_readonly

__all__ = ["SqliteMetricStore", "in_time", "open_metrics", "opened"]

_ROWS = 1 << 62
"""Metric segments do not roll over by rows, which only a text index would make dearer: by size and age."""


def open_metrics(chosen: Settings) -> SqliteMetricStore:
    """The metric store of these settings. Raises StoreCorrupt where the data directory has none."""
    return SqliteMetricStore(chosen.data, limits_of(chosen))


class SqliteMetricStore:
    """All that a data directory holds of metrics. The catalog must exist. Not for several threads."""

    def __init__(self, data: Path, limits: Limits, *, now_ns: NowNs = wall_ns) -> None:
        self.catalog = Catalog(data / CATALOG_FILE)
        self._limits = Limits(_ROWS, limits.segment_bytes, limits.segment_age_seconds, limits.disk_reserve_bytes)
        self._now_ns = now_ns

    def partitions(self) -> list[int]:
        """See Store."""
        return self.catalog.partitions("metrics")

    def acquire(self, partition: int, me: Holder) -> Partition | None:
        """See Store."""
        return acquire(self.catalog, "metrics", partition, self._limits, me=me, now_ns=self._now_ns)

    def close(self) -> None:
        """See Store."""
        self.catalog.close()

    def families(self) -> dict[Family, int]:
        """See MetricStore."""
        found: dict[tuple[Any, ...], tuple[tuple[str, str, str], int]] = {}
        for connection in self.segments(None, None):
            columns = {name for (name,) in connection.execute("SELECT name FROM pragma_table_info('family')")}
            known = "type" if "type" in columns else "''"  # of a release that knew no samples
            for *key, unit, prose, of, overflowed in connection.execute(
                f"SELECT name, kind, across, bounds, unit, help, {known}, overflowed FROM family"  # noqa: S608 - own names
            ):
                before = found.get(tuple(key), (("", "", ""), 0))[1]
                found[tuple(key)] = ((unit, prose, of), before + overflowed)
        return {
            Family(name, kind, across, tuple(orjson.loads(bounds)), unit, prose, of): overflowed
            for (name, kind, across, bounds), ((unit, prose, of), overflowed) in sorted(found.items())
        }

    def series(self, name: str | None, matchers: Sequence[Matcher], start_ns: int, end_ns: int) -> set[Series]:
        """See MetricStore."""
        found: set[Series] = set()
        for connection in self.segments(start_ns, end_ns):
            found.update(select(connection, name, matchers).values())
        return found

    def points(
        self, name: str | None, matchers: Sequence[Matcher], start_ns: int, end_ns: int, *,
        deadline: Deadline | None = None,
    ) -> dict[Series, Points]:  # fmt: skip
        """See MetricStore."""
        first, last = -(-start_ns // WINDOW_NS), -(-end_ns // WINDOW_NS) - 1
        gathered = Gathered(first, last)
        with in_time():
            for connection in self.segments((first - ALIVE_WINDOWS) * WINDOW_NS, end_ns, deadline):
                gathered.add(connection, name, matchers)
        return gathered.points()

    def segments(
        self, start_ns: int | None, end_ns: int | None, deadline: Deadline | None = None
    ) -> Iterator[apsw.Connection]:
        """Each segment that reaches into [start_ns, end_ns), the oldest first, within a read transaction.

        Its statements are interrupted at the deadline, see `in_time`.
        """
        start = None if start_ns is None else id_floor(_bounded(start_ns))
        end = None if end_ns is None else id_floor(_bounded(end_ns))
        for row in self.catalog.segments("metrics", start, end):
            # One that retention deletes at this moment is not there any more.
            with contextlib.suppress(FileNotFoundError, apsw.CantOpenError), opened(row.path, deadline) as connection:
                yield connection

    @contextlib.contextmanager
    def segment(self, number: int, deadline: Deadline | None = None) -> Iterator[apsw.Connection]:
        """One segment, as `segments`. Raises SegmentGone where retention has just deleted it."""
        path = segment_path(self.catalog.data, "metrics", 0, number)
        try:
            manager = opened(path, deadline)
            connection = manager.__enter__()
        except (FileNotFoundError, apsw.CantOpenError) as error:
            raise SegmentGone(f"{path} is not there") from error
        with contextlib.ExitStack() as stack:
            stack.push(manager)
            yield connection


@contextlib.contextmanager
def opened(path: Path, deadline: Deadline | None) -> Iterator[apsw.Connection]:
    """A segment for reading, within a transaction, whose statements are interrupted at the deadline."""
    with contextlib.closing(open_readonly(path)) as connection:
        if deadline is not None:
            connection.set_progress_handler(deadline.expired, STEPS_BETWEEN_CHECKS)
        connection.execute("BEGIN")
        yield connection


@contextlib.contextmanager
def in_time() -> Iterator[None]:
    """Raise OutOfTime where a statement was interrupted."""
    try:
        yield
    except apsw.InterruptError as error:
        raise OutOfTime("the query took too long: ask for a shorter range or fewer series") from error


def _bounded(time_ns: int) -> int:
    """The time, or the earliest or latest that a point can have."""
    return min(max(time_ns, 0), LATEST_NS)

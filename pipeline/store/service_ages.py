"""Retention by service: events of some services go sooner than the segments that they are in.

A segment is rewritten without a service once all of it is older than that service may be, as `retention` reckons age:
by its last event or its sealing, whichever is later. So each segment is written anew once for each age, not every
minute, and an event may stay for as long as its segment spans (MONITORING_SEGMENT_AGE, a day) beyond its age.
"""

from __future__ import annotations

import contextlib
from array import array
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

import apsw

from monitoring.pipeline.errors import StoreCorrupt
from monitoring.pipeline.store.catalog import Catalog, SegmentRow
from monitoring.pipeline.store.retention import last_ns
from monitoring.pipeline.store.rewrite import is_past, rewrite, turn
from monitoring.pipeline.store.segment import open_readonly

__all__ = ["Outlived", "apply", "due"]


class Outlived(NamedTuple):
    """Services whose events have to leave a segment, and how many events those are."""

    segment: SegmentRow
    services: tuple[str, ...]
    rows: int

    def describe(self) -> dict[str, Any]:
        """As JSON members, like those of a segment that goes whole. `bytes` is the events' share, an estimate."""
        row = self.segment
        return {
            "signal": row.signal,
            "partition": row.partition,
            "segment": row.number,
            "rows": self.rows,
            "bytes": row.bytes * self.rows // max(1, row.rows),
            "reason": f"older than the events of {', '.join(self.services)} may be",
            "services": list(self.services),
        }


def due(
    catalog: Catalog, ages_seconds: Mapping[str, float], *, now_ns: int, going: Collection[SegmentRow] = ()
) -> list[Outlived]:
    """What has to leave which segments now; not those that are `going` as a whole.

    Damaged segments are passed over: `verify` names them, and the others do not depend on them.
    """
    whole = {(row.partition, row.number) for row in going if row.signal == "logs"}
    found = []
    for row in catalog.segments("logs") if ages_seconds else ():
        names = [name for name, age in ages_seconds.items() if last_ns(row) < now_ns - int(age * 1e9)]
        if not names or (row.partition, row.number) in whole or not row.path.exists() or not is_past(catalog, row):
            continue
        with contextlib.suppress(StoreCorrupt, apsw.CorruptError, apsw.NotADBError):
            here, rows = _count(row, names)
            if rows:
                found.append(Outlived(row, here, rows))
    return found


def apply(
    catalog: Catalog, going: Sequence[Outlived], *, now_ns: int, reserve_bytes: int, stopped: Callable[[], bool]
) -> int:
    """Take them out; how many events that were. What cannot be done now is due again at the next turn.

    Raises RewriteBusy, StoreFull, StoreCorrupt; segments that were done stay done.
    """
    rows = 0
    if not going:
        return rows
    with turn(catalog.data):
        for segment, services, _ in going:
            ids = _ids(segment, services) if segment.path.exists() else array("q")
            if ids and not stopped():
                done = rewrite(catalog, segment, ids, now_ns=now_ns, reserve_bytes=reserve_bytes, stopped=stopped)
                rows += len(ids) if done != "stopped" else 0
    return rows


def _count(row: SegmentRow, names: Sequence[str]) -> tuple[tuple[str, ...], int]:
    """Which of these services a segment has events of, and how many, by its roll-ups."""
    with contextlib.closing(open_readonly(row.path)) as connection:
        numbers = _numbers(connection, names)
        counts = {
            name: connection.execute("SELECT ifnull(sum(count), 0) FROM minute WHERE service = ?", (number,)).get
            for name, number in numbers.items()
        }
    here = tuple(name for name, count in counts.items() if count)
    return here, sum(counts.values())


def _ids(row: SegmentRow, names: Sequence[str]) -> array[int]:
    with contextlib.closing(open_readonly(row.path)) as connection:
        numbers = list(_numbers(connection, names).values())
        marks = ",".join("?" * len(numbers))
        rows = connection.execute(f"SELECT id FROM log WHERE service IN ({marks}) ORDER BY id", numbers)  # noqa: S608 - question marks only
        return array("q", [row_id for (row_id,) in rows])


def _numbers(connection: apsw.Connection, names: Sequence[str]) -> dict[str, int]:
    query = "SELECT id FROM dimension WHERE kind = 'service' AND value = ?"
    found = {name: connection.execute(query, (name,)).get for name in names}
    return {name: number for name, number in found.items() if number is not None}

"""Retention: which sealed segments have to go, and their deletion. Whole files; for rows see service_ages.py."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from monitoring.pipeline.events.signals import SIGNALS
from monitoring.pipeline.settings import Settings
from monitoring.pipeline.store.catalog import Catalog, SegmentRow, partition_dir, segment_path
from monitoring.pipeline.store.metric_levels import rolled_up
from monitoring.pipeline.store.rows import timestamp_ns

__all__ = ["Doomed", "apply", "doomed", "due", "last_ns", "sweep"]


_LIMITS = {
    "logs": ("retention_age", "retention_bytes"),
    "metrics": ("metrics_retention_age", "metrics_retention_bytes"),
}
"""The settings of each signal."""


class Doomed(NamedTuple):
    """A segment that has to go, and why."""

    segment: SegmentRow
    reason: str

    def describe(self) -> dict[str, Any]:
        """As JSON members."""
        row = self.segment
        facts = {"signal": row.signal, "partition": row.partition, "segment": row.number, "rows": row.rows}
        return {**facts, "bytes": row.bytes, "reason": self.reason}


def doomed(
    segments: Sequence[SegmentRow], *, now_ns: int, max_age_seconds: float, max_bytes: int, active_bytes: int = 0
) -> list[Doomed]:
    """The sealed segments beyond the age or, oldest first, beyond the total size (0: no limit). Pure.

    A segment is as old as its last event or its sealing, whichever is later: history that is read in today
    would else vanish at once.
    """
    sealed = sorted((row for row in segments if row.sealed), key=last_ns)
    found = []
    if max_age_seconds > 0:
        oldest = now_ns - int(max_age_seconds * 1e9)
        found = [
            Doomed(row, f"older than {max_age_seconds / 86_400:g} days") for row in sealed if last_ns(row) < oldest
        ]
    if max_bytes > 0:
        kept = sealed[len(found) :]
        total = active_bytes + sum(row.bytes for row in kept)
        for row in kept:
            if total <= max_bytes:
                break
            found.append(Doomed(row, f"all segments together are over {max_bytes >> 20} MiB"))
            total -= row.bytes
    return found


def due(catalog: Catalog, chosen: Settings, *, now_ns: int) -> list[Doomed]:
    """What has to go now by these settings."""
    found = []
    for signal, (age, size) in _LIMITS.items():
        segments = catalog.segments(signal)
        active = [row.path for row in segments if not row.sealed]
        found += doomed(
            segments if signal != "metrics" else _rolled_up(catalog, segments),
            now_ns=now_ns,
            max_age_seconds=chosen.number(age),
            max_bytes=chosen.whole(size),
            active_bytes=sum(path.stat().st_size for path in active if path.exists()),
        )
    return found


def _rolled_up(catalog: Catalog, segments: Sequence[SegmentRow]) -> list[SegmentRow]:
    """Those that maintenance has rolled up: the others are all there is of their time."""
    done = {
        (partition, number)
        for partition in catalog.partitions("metrics")
        for number in rolled_up(partition_dir(catalog.data, "metrics", partition))
    }
    return [row for row in segments if not row.sealed or (row.partition, row.number) in done]


def last_ns(row: SegmentRow) -> int:
    """How old a segment is: the time of its last event or of its sealing, whichever is later, nanoseconds."""
    last_event = timestamp_ns(row.max_id, 0) if row.max_id is not None else 0
    return max(last_event, row.sealed_at or 0)


def apply(catalog: Catalog, going: Sequence[Doomed]) -> int:
    """Delete these segments; how many bytes that frees.

    The catalog forgets a segment before its file goes, so a query that has it open reads on and a later one
    does not look for it. Deletion that is cut off between the two is finished by `sweep`.
    """
    for segment, _ in going:
        catalog.retire(segment)
        _delete(segment.path)
    return sum(segment.bytes for segment, _ in going)


def sweep(catalog: Catalog) -> list[Path]:
    """Delete the files of retired segments that are still there; which."""
    found = []
    for signal in SIGNALS:
        for partition in catalog.partitions(signal):
            for path in sorted(partition_dir(catalog.data, signal, partition).glob("[0-9]*.db")):
                if catalog.is_retired(signal, partition, int(path.stem)):
                    _delete(segment_path(catalog.data, signal, partition, int(path.stem)))
                    found.append(path)
    return found


def _delete(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)

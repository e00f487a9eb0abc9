"""Maintenance: retention, and compacting sealed segments once. Off the hot path; live segments are not touched."""

from __future__ import annotations

import contextlib
import logging
import time

import apsw

from monitoring.consumers import stop
from monitoring.pipeline.clock import wall_ns
from monitoring.pipeline.events.signals import SIGNALS
from monitoring.pipeline.settings import Settings
from monitoring.pipeline.store import retention
from monitoring.pipeline.store.catalog import CATALOG_FILE, Catalog, SegmentRow, partition_dir
from monitoring.pipeline.store.kinds import contents_of

__all__ = ["run"]

_log = logging.getLogger("monitoring.maintenance")
_LEFTOVER_SECONDS = 3600.0
"""A half-made segment file this old was left by a process that died; a roll-over takes milliseconds."""


def run(chosen: Settings) -> dict[str, int]:
    """The job: delete what retention says, compact what was sealed, remove leftovers; what was done."""
    with contextlib.closing(Catalog(chosen.data / CATALOG_FILE)) as catalog:
        going = retention.due(catalog, chosen, now_ns=wall_ns())
        for segment, reason in going:
            _log.info("deleting %s: %s", segment.path, reason)
        freed = retention.apply(catalog, going)
        retention.sweep(catalog)
        _remove_leftovers(catalog)
        left = [row for signal in SIGNALS for row in catalog.segments(signal) if row.sealed and not row.optimised]
        return {"deleted": len(going), "freed_bytes": freed, "optimised": sum(_optimise(catalog, row) for row in left)}


def _optimise(catalog: Catalog, row: SegmentRow) -> bool:
    """Compact a sealed segment and leave WAL mode; False where it is in use or we must stop."""
    connection = apsw.Connection(str(row.path), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        connection.set_busy_timeout(1000)
        if not contents_of(row.signal).compact(connection, stop.requested):
            return False
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        with contextlib.suppress(apsw.BusyError, apsw.LockedError):  # a reader has it open: it stays in WAL mode
            connection.execute("PRAGMA journal_mode = DELETE").fetchall()
    except apsw.BusyError:
        _log.info("%s is in use, it is compacted later", row.path)
        return False
    finally:
        connection.close()
    catalog.note_optimised(row, row.path.stat().st_size)
    return True


def _remove_leftovers(catalog: Catalog) -> None:
    for signal in SIGNALS:
        for partition in catalog.partitions(signal):
            for path in partition_dir(catalog.data, signal, partition).glob("*.tmp"):
                with contextlib.suppress(FileNotFoundError):
                    if time.time() - path.stat().st_mtime > _LEFTOVER_SECONDS:
                        path.unlink()

"""Maintenance: retention, compacting sealed segments once, purges, roll-ups of metrics, old history.

Off the hot path; live segments are not touched.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Sequence
from pathlib import Path

import apsw

from monitoring.consumers import stop
from monitoring.pipeline.bus.streams import Streams, connect
from monitoring.pipeline.clock import wall_ns
from monitoring.pipeline.errors import Fenced, PermanentError, RetryableError
from monitoring.pipeline.events.signals import SIGNALS
from monitoring.pipeline.settings import Settings
from monitoring.pipeline.store import history, retention, service_ages
from monitoring.pipeline.store.audit import Audit
from monitoring.pipeline.store.catalog import CATALOG_FILE, Catalog, SegmentRow, partition_dir
from monitoring.pipeline.store.control import FILE_NAME, Control
from monitoring.pipeline.store.logs import days_due, is_elsewhere, open_logs
from monitoring.pipeline.store.metric_levels import LEVELS, files, outlived, rolled_up
from monitoring.pipeline.store.partition import limits_of
from monitoring.pipeline.store.purge import purge, still_on_its_way
from monitoring.pipeline.store.purges import Purges
from monitoring.pipeline.store.rewrite import settle

__all__ = ["run"]

_log = logging.getLogger("monitoring.maintenance")
_LEFTOVER_SECONDS = 3600.0
"""A half-made segment file this old was left by a process that died; a roll-over takes milliseconds."""
_PATIENCE_SECONDS = 10.0
"""For drains to seal the segments that a purge needs; what is not sealed then is for the next turn."""


def run(chosen: Settings) -> dict[str, int]:
    """The job: delete what retention says, compact what was sealed, remove leftovers; what was done."""
    with contextlib.closing(Catalog(chosen.data / CATALOG_FILE)) as catalog:
        going = retention.due(catalog, chosen, now_ns=wall_ns())
        for segment, reason in going:
            _log.info("deleting %s: %s", segment.path, reason)
        freed = retention.apply(catalog, going)
        days, freed_days = _days(chosen)
        retention.sweep(catalog)
        _remove_leftovers(catalog)
        left = [row for signal in SIGNALS for row in catalog.segments(signal) if row.sealed and not row.optimised]
        optimised = sum(_optimise(catalog, row) for row in left)
        outlived_events = _by_service(catalog, chosen)
        purged = _purge(catalog, chosen)
        rolled_up, freed_rollups = _roll_up(catalog, chosen)
        return {
            "deleted": len(going) + days,
            "freed_bytes": freed + freed_days + freed_rollups,
            "optimised": optimised,
            "rolled_up": rolled_up,
            "outlived_events": outlived_events,
            "purged": purged,
            "expired": _expire(chosen),
        }


def _expire(chosen: Settings) -> int:
    """Delete what is too old of the audit log and the histories of alerts; how many entries and alerts went."""
    with contextlib.closing(Control(chosen.data / FILE_NAME)) as control:
        gone = history.expire(
            control, chosen.number("history_age"), now_ns=wall_ns(), stopped=stop.requested
        )  # fmt: skip
    if any(gone):
        _log.info("older than MONITORING_HISTORY_AGE: %d audit entries, %d alerts, %d silences", *gone)
    return sum(gone)


def _days(chosen: Settings) -> tuple[int, int]:
    """Delete what is due of events that lie on a server; how many days, and bytes."""
    try:
        with contextlib.closing(open_logs(chosen)) as store:
            going = days_due(store, chosen, now_ns=wall_ns())
            for item in going:
                _log.info("deleting %s", item.describe())
            return len(going), store.delete(going) if going else 0
    except RetryableError as error:
        _log.warning("the days on the server stay for now: %s", error)
        return 0, 0


def _optimise(catalog: Catalog, row: SegmentRow) -> bool:
    """Compact a sealed segment and leave WAL mode; False where it is in use or we must stop."""
    done = settle(catalog, row, stop.requested)
    if not done and not stop.requested():
        _log.info("%s is in use, it is compacted later", row.path)
    return done


def _by_service(catalog: Catalog, chosen: Settings) -> int:
    """Take out the events of services that are kept for less than the others; how many that were."""
    ages = chosen.ages("retention_services")
    going = service_ages.due(catalog, ages, now_ns=wall_ns())
    for item in going:
        _log.info("taking %d events of %s out of %s", item.rows, ", ".join(item.services), item.segment.path)
    try:
        return service_ages.apply(
            catalog, going, now_ns=wall_ns(), reserve_bytes=chosen.whole("disk_reserve"), stopped=stop.requested
        )
    except RetryableError as error:
        _log.warning("events of services that are kept for a short time stay for now: %s", error)
        return 0


def _purge(catalog: Catalog, chosen: Settings) -> int:
    """Do the purges that were asked for; how many events went. What cannot be done now is tried at the next turn."""
    events = 0
    if is_elsewhere(chosen):
        return 0  # none can be asked for there
    with contextlib.closing(Control(chosen.data / FILE_NAME)) as control:
        purges = Purges(control)
        for request in purges.waiting():
            if request.wanted is None or stop.requested():
                break
            try:
                left = _still_on_its_way(catalog, chosen, request.created)
                done = purge(
                    catalog, request.wanted, limits_of(chosen), now_ns=wall_ns(), stopped=stop.requested,
                    patience_seconds=_PATIENCE_SECONDS,
                )  # fmt: skip
                done.waiting += [left] if left else []
            except (RetryableError, Fenced) as error:
                _log.warning("purge %d waits: %s", request.id, error)
                break
            except PermanentError as error:
                _log.error("purge %d: %s", request.id, error)
                purges.fail(request, error)
                continue
            result = purges.note(request, done)
            _log.info("purge %d took %d events out", request.id, done.events)
            if done.complete:
                Audit(control).record(None, request.actor, "purge.end", f"purge {request.id}", after=result)
            events += done.events
    return events


def _still_on_its_way(catalog: Catalog, chosen: Settings, asked_ns: int) -> str | None:
    """What to say where the bus has events that were sent before a purge was asked for."""
    client = connect(chosen.text("bus_url"))
    with contextlib.closing(client):
        return still_on_its_way(
            Streams(client), catalog.partitions("logs"), asked_ns, patience_seconds=_PATIENCE_SECONDS,
            stopped=stop.requested,
        )  # fmt: skip


def _roll_up(catalog: Catalog, chosen: Settings) -> tuple[int, int]:
    """Make the roll-ups of compacted segments and delete those that are too old; how many segments, and bytes."""
    done = freed = 0
    for partition in catalog.partitions("metrics"):
        directory = partition_dir(catalog.data, "metrics", partition)
        rows = [row for row in catalog.segments("metrics") if row.partition == partition and row.sealed]
        done += _make_rollups(directory, rows)
        for level in LEVELS:
            age = chosen.number(level.setting)
            for old in outlived(files(directory, level), level, now_ns=wall_ns(), max_age_seconds=age):
                _log.info("deleting %s: older than %g days", old.path, age / 86_400)
                freed += old.path.stat().st_size
                old.path.unlink()
    return done, freed


def _make_rollups(directory: Path, rows: Sequence[SegmentRow]) -> int:
    """One segment after the other, for what counters came to is carried along."""
    missing = [row for row in rows if row.number not in rolled_up(directory)]
    if not missing:
        return 0
    from monitoring.pipeline.store.metric_rollup import build  # numpy, once a day

    done = 0
    for row in missing:
        if not row.optimised or not _packed(row.path):
            break
        for level in LEVELS:
            before = [each for each in files(directory, LEVELS[-1]) if each.number < row.number]
            if build(row.path, level, before[-1] if before else None, stop.requested) is None:
                return done
        done += 1
    return done


def _packed(path: Path) -> bool:
    """Pack what is not; False where we must stop. A segment that an older release compacted is not packed."""
    from monitoring.pipeline.store.metric_pack import pack_all  # numpy, as above

    with contextlib.closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)) as connection:
        connection.set_busy_timeout(1000)
        return pack_all(connection, stop.requested)


def _remove_leftovers(catalog: Catalog) -> None:
    for signal in SIGNALS:
        for partition in catalog.partitions(signal):
            for path in partition_dir(catalog.data, signal, partition).rglob("*.tmp"):
                with contextlib.suppress(FileNotFoundError):
                    if time.time() - path.stat().st_mtime > _LEFTOVER_SECONDS:
                        path.unlink()

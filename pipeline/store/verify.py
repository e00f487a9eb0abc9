"""Verification: is every file whole, and is every event accounted for?

Each finding is a sentence; no finding means that

- every segment is a sound SQLite file, and its rows, what is derived of them (of logs: text index, roll-ups) and its
  head agree,
- the catalog agrees with the files,
- for every lane: what its producer counted = what was committed + dead-lettered + dropped, up to its watermark,
- of metrics: roll-ups come to the same totals as what they are made from,
- for every partition: rows in all segments + rows that retention or purges deleted = events committed by all lanes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import apsw

from monitoring.pipeline.errors import StoreCorrupt
from monitoring.pipeline.events.signals import SIGNALS, is_optional
from monitoring.pipeline.store.catalog import Catalog, partition_dir
from monitoring.pipeline.store.kinds import kind_of
from monitoring.pipeline.store.segment import Head, open_readonly, purged_rows, read_marks

__all__ = ["PartitionReport", "Report", "verify"]


@dataclass(slots=True)
class PartitionReport:
    """Totals of a partition since it exists."""

    partition: int
    signal: str = "logs"
    segments: int = 0
    rows: int = 0
    dead_letters: int = 0
    retired_rows: int = 0
    purged_rows: int = 0
    lanes: int = 0
    emitted: int = 0
    committed: int = 0
    dead_lettered: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    missing: int = 0
    residual: int = 0


@dataclass(slots=True)
class Report:
    """What was looked at and what was found; sound when `findings` is empty."""

    partitions: list[PartitionReport] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)


def verify(catalog: Catalog, *, progress: Callable[[Path], None] = lambda path: None) -> Report:
    """Check the whole store of a data directory; safe while the product runs. Calls `progress` before each file."""
    report = Report()
    for signal in SIGNALS:
        for partition in catalog.partitions(signal):
            found = _verify_partition(catalog, signal, partition, report.findings, progress)
            if found.segments or found.retired_rows or not is_optional(signal):
                report.partitions.append(found)
    return report


def _verify_partition(
    catalog: Catalog, signal: str, partition: int, findings: list[str], progress: Callable[[Path], None]
) -> PartitionReport:
    found = PartitionReport(partition, signal)
    found.retired_rows, retired_letters = catalog.retired(signal, partition)
    known = {row.number: row for row in catalog.segments(signal) if row.partition == partition}
    # The newest first: while it is read, the older ones cannot change any more.
    paths = sorted(partition_dir(catalog.data, signal, partition).glob("[0-9]*.db"), reverse=True)
    committed = None
    for path in paths:
        number = int(path.stem)
        if catalog.is_retired(signal, partition, number):
            continue
        progress(path)
        try:
            with contextlib.closing(open_readonly(path)) as connection:
                connection.execute("BEGIN")
                head = _verify_segment(connection, path, findings)
                purged = purged_rows(connection)
                if committed is None:
                    committed = _verify_marks(connection, head, found, findings)
        except (StoreCorrupt, apsw.Error) as error:
            findings.append(f"{path}: {error}")
            continue
        found.segments += 1
        found.rows += head.rows
        found.purged_rows += purged
        found.dead_letters += head.letters
        row = known.pop(number, None)
        if row is None:
            findings.append(f"{path} is not in the catalog: restart the product, it finds it again")
        elif (
            row.sealed
            and not (purged and not row.optimised)
            and (row.rows, row.min_id, row.max_id) != (head.rows, head.min_id, head.max_id)
        ):
            findings.append(f"{path}: the catalog says {row.rows} rows, the segment {head.rows}, or their times differ")
    findings += [f"{row.path} is in the catalog and not on disk" for row in known.values()]
    if signal == "metrics":
        from monitoring.pipeline.store.metric_check import rollups  # numpy, which who writes logs does not need

        sealed = {row.number: row.path for row in catalog.segments(signal) if row.partition == partition and row.sealed}
        findings += rollups(partition_dir(catalog.data, signal, partition), sealed)
    found.dead_letters += retired_letters
    deleted = found.retired_rows + found.purged_rows
    if committed is not None and found.rows + deleted != committed:
        findings.append(
            f"{signal} partition {partition}: {found.rows} rows + {deleted} that retention or purges deleted"
            f" are not the {committed} events that were committed"
        )
    return found


def _verify_segment(connection: apsw.Connection, path: Path, findings: list[str]) -> Head:
    head = Head.read(connection)
    broken = [text for (text,) in connection.execute("PRAGMA integrity_check(10)") if text != "ok"]
    findings += [f"{path}: {text}" for text in broken]
    kind = kind_of(connection, head.signal)
    findings += [f"{path}: {text}" for text in kind.disagreements(connection, head.rows, (head.min_id, head.max_id))]
    letters = connection.execute("SELECT count(*) FROM dead_letter").get
    if letters != head.letters:
        findings.append(f"{path}: {letters} dead letters, but its head says {head.letters}")
    return head


def _verify_marks(connection: apsw.Connection, head: Head, found: PartitionReport, findings: list[str]) -> int:
    """Add up the lanes of the newest segment; how many events were ever committed to the partition."""
    found.committed, found.dead_lettered = head.expired_committed, head.expired_dead
    found.emitted = head.expired_committed + head.expired_dead
    for lane, mark in read_marks(connection):
        found.lanes += 1
        found.committed += mark.committed
        found.dead_lettered += mark.dead_lettered
        found.missing += mark.missing
        found.residual += mark.residual
        found.emitted += mark.emitted
        for reason, count in mark.dropped.items():
            found.dropped[reason] = found.dropped.get(reason, 0) + count
        if mark.residual:
            findings.append(
                f"lane {lane}: its producer counts {mark.through} events up to frame {mark.low},"
                f" the store {mark.accounted}"
            )
        if mark.missing:
            findings.append(
                f"lane {lane}: {mark.missing} events were stored once and are not here (was a backup restored?)"
            )
    in_pieces = connection.execute("SELECT ifnull(sum(committed), 0) FROM poison").get
    return found.committed + int(in_pieces)

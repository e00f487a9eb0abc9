"""The checker's part for metrics: the journals of the producers of metrics against the segments of metrics.

Finds totals that are less than what was acknowledged ("lost"), more than what was counted ("doubled"), or what no
number of whole rounds adds up to ("miscounted"); series that nobody counted into; and books that disagree. What the
product counts about itself lies in the same segments, and is seen in the books alone.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.faults import evidence
from tests.faults.books import check_catalog, check_chain, name_of
from tests.faults.counts import COUNTS, Counts, read_counts
from tests.faults.report import Report

__all__ = ["FAMILY", "check"]

FAMILY = "faults_counted"
_TOTALS = """
SELECT labels, ifnull((SELECT sum(value) FROM increment WHERE series = series.id), 0) + {packed}
FROM series WHERE family IN (SELECT id FROM family WHERE name = ?)
"""
_PACKED = "ifnull((SELECT sum(total) FROM packed WHERE id >> 24 & 1048575 = series.id), 0)"

Stored = dict[str, Counter[str]]
"""Totals by producer and shard."""


def check(data: Path, journals: Path, report: Report) -> None:
    """Compare everything with everything; the product must be idle or stopped."""
    accounts = {path.name.removesuffix(COUNTS): read_counts(path) for path in sorted(journals.glob(f"*{COUNTS}"))}
    stored: Stored = {}
    for number, paths in evidence.partitions(data, "metrics").items():
        _check_partition(number, paths, stored, report)
    for producer, account in accounts.items():
        _check_account(producer, account, stored.pop(producer, Counter()), report)
    for producer, totals in stored.items():
        report.find("unexpected", f"{producer!r} never counted {dict(totals)}")
    if (data / "metrics").exists():
        check_catalog(data, "metrics", report)


def _check_partition(number: int, paths: Sequence[Path], stored: Stored, report: Report) -> None:
    if [int(path.stem) for path in paths] != list(range(1, len(paths) + 1)):
        report.find("segments", f"metrics/p{number}: {[path.stem for path in paths]} is no unbroken sequence from 1")
    rows = 0
    for path in paths:
        report.metric_segments += 1
        try:
            with evidence.connect(path) as connection:
                segment = evidence.Segment(path, connection)
                check_chain(segment, number, last=path == paths[-1], report=report)
                rows += segment.head["rows"]
                _check_books(segment, connection, report)
                _add_totals(connection, stored)
                if path == paths[-1]:
                    _check_marks(segment, rows, report)
        except (sqlite3.Error, LookupError, TypeError, ValueError) as error:
            report.find("unreadable", f"metrics/p{number}/{path.name}: {type(error).__name__}: {error}")


def _check_books(segment: evidence.Segment, connection: sqlite3.Connection, report: Report) -> None:
    name, head = name_of(segment), segment.head
    (minutes,) = connection.execute("SELECT ifnull(sum(count), 0) FROM minute").fetchone()
    if minutes != head["rows"]:
        report.find("counts", f"metrics/{name}: {minutes} deltas in `minute`, head.rows is {head['rows']}")
    if (letters := segment.count("dead_letter")) != head["letters"]:
        report.find("counts", f"metrics/{name}: {letters} dead letters, head.letters is {head['letters']}")
    for letter in connection.execute("SELECT kind, lane, seq, reason FROM dead_letter"):
        report.find("alarms", f"metrics/{name}: dead letter {letter}")


def _check_marks(segment: evidence.Segment, rows: int, report: Report) -> None:
    """The newest segment's marks account for all deltas; lanes that no spool has may have lost some on the way."""
    committed = sum(lane.committed for lane in segment.lanes()) + segment.head["expired_committed"]
    if committed != rows:
        report.find("marks", f"metrics/{name_of(segment)}: marks account for {committed} deltas, segments hold {rows}")


def _add_totals(connection: sqlite3.Connection, stored: Stored) -> None:
    packed = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'packed'").fetchone()
    for labels, value in connection.execute(_TOTALS.format(packed=_PACKED if packed else "0"), (FAMILY,)):
        known = json.loads(labels)
        if value:
            stored.setdefault(known["service"], Counter())[known["shard"]] += value


def _check_account(producer: str, account: Counts, stored: Counter[str], report: Report) -> None:
    for trouble in account.troubles:
        report.find("journal", f"{producer}: {trouble}")
    least, most = account.total(account.acknowledged), account.total(len(account.rounds))
    report.counted += stored.total()
    report.counted_acknowledged += least.total()
    for shard in sorted(stored.keys() | most.keys()):
        value = stored[shard]
        if value < least[shard]:
            report.find("lost", f"{producer}: {least[shard] - value} of shard {shard}", least[shard] - value)
        elif value > most[shard]:
            report.find("doubled", f"{producer}: {value - most[shard]} of shard {shard}", value - most[shard])
    if account.matches(stored) is None:
        report.find("miscounted", f"{producer}: no number of rounds from {account.acknowledged} on adds up to {stored}")

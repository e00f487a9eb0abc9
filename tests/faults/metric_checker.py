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
from tests.faults.derived import DERIVED, events_by_service, unsent
from tests.faults.report import Report

__all__ = ["FAMILY", "check", "counted_by_producer"]

FAMILY = "faults_counted"
_SERIES = "SELECT id, labels FROM series WHERE family IN (SELECT id FROM family WHERE name = ?)"
_SUMS = {
    "increment": "SELECT series, sum(value) FROM increment GROUP BY series",
    "packed": "SELECT id >> 24 & 1048575 AS number, sum(total) FROM packed GROUP BY number",
}
"""What a series gained, point by point and packed; a segment has the one table and may have the other, a roll-up the
other alone."""

Stored = dict[str, Counter[str]]
"""Totals by family and labels, as their JSON text stands in the series."""


def check(data: Path, journals: Path, report: Report) -> None:
    """Compare everything with everything; the product must be idle or stopped."""
    accounts = {path.name.removesuffix(COUNTS): read_counts(path) for path in sorted(journals.glob(f"*{COUNTS}"))}
    stored: Stored = {FAMILY: Counter(), DERIVED: Counter()}
    for number, paths in evidence.partitions(data, "metrics").items():
        _check_partition(number, paths, stored, report)
    counted = _by_producer(stored[FAMILY])
    for producer, account in accounts.items():
        _check_account(producer, account, counted.pop(producer, Counter()), report)
    for producer, totals in counted.items():
        report.find("unexpected", f"{producer!r} never counted {dict(totals)}")
    if (data / "metrics").exists():
        check_catalog(data, "metrics", report)
    if stored[DERIVED]:
        _check_derived(data, stored[DERIVED], report)


def counted_by_producer(data: Path) -> dict[str, Counter[str]]:
    """What a data directory has of each producer, by shard."""
    found: Counter[str] = Counter()
    for paths in evidence.partitions(data, "metrics").values():
        for path in paths:
            with evidence.connect(path) as connection:
                found.update(_totals(connection, FAMILY))
    return _by_producer(found)


def _by_producer(totals: Counter[str]) -> dict[str, Counter[str]]:
    found: dict[str, Counter[str]] = {}
    for labels, value in totals.items():
        known = json.loads(labels)
        found.setdefault(known["service"], Counter())[known["shard"]] += value
    return found


def _check_partition(number: int, paths: Sequence[Path], stored: Stored, report: Report) -> None:
    if [int(path.stem) for path in paths] != list(range(1, len(paths) + 1)):
        report.find("segments", f"metrics/p{number}: {[path.stem for path in paths]} is no unbroken sequence from 1")
    rows = 0
    levels = {level: _rollups(paths[0].parent / level) for level in ("1m", "1h")} if paths else {}
    for path in paths:
        report.metric_segments += 1
        try:
            with evidence.connect(path) as connection:
                segment = evidence.Segment(path, connection)
                check_chain(segment, number, last=path == paths[-1], report=report)
                rows += segment.head["rows"]
                _check_books(segment, connection, report)
                gained = {family: _totals(connection, family) for family in stored}
                for family, totals in gained.items():
                    stored[family].update(totals)
                for level, files in levels.items():
                    _check_rollup(files.get(int(path.stem)), level, gained, report)
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


def _totals(connection: sqlite3.Connection, family: str) -> Counter[str]:
    series: dict[int, str] = dict(connection.execute(_SERIES, (family,)))
    found: Counter[str] = Counter()
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    for table in tables & _SUMS.keys():
        for number, value in connection.execute(_SUMS[table]):
            if number in series and value:
                found[series[number]] += value
    return found


def _rollups(folder: Path) -> dict[int, Path]:
    return {int(path.name.partition("-")[0]): path for path in folder.glob("[0-9]*-*.db")}


def _check_rollup(path: Path | None, level: str, gained: Stored, report: Report) -> None:
    """A roll-up comes to what its segment does, series by series."""
    if path is None:
        return
    report.rollups += 1
    with evidence.connect(path) as connection:
        for family, totals in gained.items():
            if (found := _totals(connection, family)) != totals:
                found.subtract(totals)
                differing = {labels: value for labels, value in found.items() if value}
                report.find("roll-up", f"metrics/{level}/{path.name}: {family} differs by {differing}")


def _check_derived(data: Path, stored: Counter[str], report: Report) -> None:
    """What was derived of the events that are stored is how many they are, by service."""
    derived: Counter[str] = Counter()
    for labels, value in stored.items():
        derived[json.loads(labels)["service"]] += value
    report.derived = derived.total()
    events = events_by_service(data)
    for service in sorted(derived.keys() | events.keys()):
        if derived[service] != events[service]:
            counted = f"{derived[service]} events of {service!r} were counted, {events[service]} are stored"
            report.find("derived", counted, abs(derived[service] - events[service]))
    if frames := unsent(data):
        report.find("derived", f"{frames} frames of derived metrics are not in the metric store")


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

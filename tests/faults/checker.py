"""An independent checker: the producers' journals against the files of the store.

    python -m tests.faults.checker DATA_DIR JOURNAL_DIR [--json]

Finds what was acknowledged and is lost; doubled; corrupted (its content differs from what was emitted);
unexpected (never emitted); and every count that does not agree with another one. It shares no code with the
product, and reads the store when nothing is in flight. Exit status 1 on any finding.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults import alarm_checker, evidence, metric_checker
from tests.faults.books import check_catalog, check_chain, name_of
from tests.faults.journal import FIELDS, SUFFIX, Account, content_sha, parse_key, raw_sha, read_journal
from tests.faults.report import Report

__all__ = ["Report", "check", "main"]

_KEY, _SERVICE = FIELDS.index("request_id"), FIELDS.index("service")
_OWN = "monitoring-"
"""How the services begin under which the product's own log stands in the store; nobody has a journal of it."""
_HARMLESS = ("input", "frame", "stale", "poison")
"""Kinds of dead letters that account for events; "corrupt" and "conflict" are alarms, and findings here."""


def check(data: Path, journals: Path) -> Report:
    """Compare everything with everything; the product must be idle or stopped."""
    report = Report()
    accounts = _read_journals(journals, report)
    later: list[tuple[str, evidence.Letter]] = []
    for number, paths in evidence.partitions(data).items():
        _check_partition(number, paths, accounts, later, report)
    for where, letter in later:
        _settle_rest(where, letter, accounts, report)
    _check_accounts(accounts, report)
    check_catalog(data, "logs", report)
    metric_checker.check(data, journals, report)
    alarm_checker.check(journals, report)
    return report


def _read_journals(folder: Path, report: Report) -> dict[str, Account]:
    accounts = {path.name.removesuffix(SUFFIX): read_journal(path) for path in sorted(folder.glob(f"*{SUFFIX}"))}
    if not accounts:
        report.find("journal", f"no journal lies in {folder}")
    for producer, account in accounts.items():
        for trouble in account.troubles:
            report.find("journal", f"{producer}: {trouble}")
    return accounts


# ---------------------------------------------------------------------- one partition


@dataclass(slots=True)
class _Tally:
    """What the segments of a partition add up to."""

    rows: int = 0
    dead: int = 0
    alarms: int = 0


def _check_partition(
    number: int, paths: Sequence[Path], accounts: dict[str, Account], later: list[tuple[str, evidence.Letter]],
    report: Report,
) -> None:  # fmt: skip
    if [int(path.stem) for path in paths] != list(range(1, len(paths) + 1)):
        report.find("segments", f"p{number}: {[path.stem for path in paths]} is no unbroken sequence from 1")
    tally = _Tally()
    for path in paths:
        report.segments += 1
        try:
            with evidence.connect(path) as connection:
                segment = evidence.Segment(path, connection)
                check_chain(segment, number, last=path == paths[-1], report=report)
                _check_counts(segment, report)
                _check_events(segment, accounts, report)
                _check_letters(segment, accounts, tally, later, report)
                tally.rows += segment.head["rows"]
                if path == paths[-1]:
                    _check_marks(segment, tally, report)
        except (sqlite3.Error, LookupError, TypeError, ValueError) as error:
            report.find("unreadable", f"p{number}/{path.name}: {type(error).__name__}: {error}")


def _check_counts(segment: evidence.Segment, report: Report) -> None:
    head, name = segment.head, name_of(segment)
    for table, column in (("log", "rows"), ("dead_letter", "letters")):
        count = segment.count(table)
        if count != head[column]:
            report.find("counts", f"{name}: {count} rows in {table}, head.{column} is {head[column]}")
    if (bounds := segment.bounds()) != (head["min_id"], head["max_id"], head["max_spill"]):
        report.find("counts", f"{name}: ids and spill are {bounds}, the head says otherwise")
    if differing := segment.minutes_that_differ():
        report.find("roll-up", f"{name}: {differing} rows of `minute` disagree with the events")
    for trouble in segment.index_that_differs():
        report.find("index", f"{name}: {trouble}")


def _check_events(segment: evidence.Segment, accounts: dict[str, Account], report: Report) -> None:
    for row_id, values in segment.events():
        report.stored += 1
        _settle_event(values, f"{name_of(segment)} row {row_id}", accounts, report)


def _check_letters(
    segment: evidence.Segment, accounts: dict[str, Account], tally: _Tally,
    later: list[tuple[str, evidence.Letter]], report: Report,
) -> None:  # fmt: skip
    for letter in segment.letters():
        report.letters[letter.kind] += 1
        where = f"{name_of(segment)} letter {letter.kind} {letter.lane}/{letter.seq}: {letter.reason}"
        if letter.kind not in _HARMLESS:
            tally.alarms += 1
            report.find("alarms", where)
            continue
        try:
            events, raws = letter.contents()
        except (ValueError, KeyError, TypeError) as error:
            tally.alarms += 1
            report.find("letters", f"{where}: {error}")
            continue
        if letter.kind == "poison" and len(events) + len(raws) > 1:
            tally.alarms += 1  # what is left of a frame that was given up: only the marks know how much
            later.append((where, letter))
            continue
        tally.dead += len(events) + len(raws)
        for values in events:
            _settle_dead(_settle_event(values, where, accounts, report), report)
        for raw in raws:
            _settle_dead(_settle_raw(raw, where, accounts, report), report)


def _settle_dead(known: bool, report: Report) -> None:
    report.dead_lettered += known


def _settle_rest(where: str, letter: evidence.Letter, accounts: dict[str, Account], report: Report) -> None:
    """A frame that was given up after parts of it were stored: what is nowhere else is in this letter."""
    events, raws = letter.contents()
    for values in events:
        account, number = _find(values[_KEY], accounts)
        if account is None or not account.found[number]:
            _settle_dead(_settle_event(values, where, accounts, report), report)
    for raw in raws:
        account, number = _find(raw.partition(b" ")[0].decode("ascii", "replace"), accounts)
        if account is None or not account.found[number]:
            _settle_dead(_settle_raw(raw, where, accounts, report), report)


# ---------------------------------------------------------------------- one event


def _find(key: str, accounts: dict[str, Account]) -> tuple[Account | None, int]:
    producer, number = parse_key(key) or ("", 0)
    account = accounts.get(producer)
    return (account, number) if account is not None and number < len(account) else (None, 0)


def _settle_event(values: list[Any], where: str, accounts: dict[str, Account], report: Report) -> bool:
    if values[_SERVICE].startswith(_OWN) and parse_key(values[_KEY]) is None:
        report.own += 1
        return False
    return _settle(values[_KEY], content_sha(values), False, where, accounts, report)


def _settle_raw(raw: bytes, where: str, accounts: dict[str, Account], report: Report) -> bool:
    return _settle(raw.partition(b" ")[0].decode("ascii", "replace"), raw_sha(raw), True, where, accounts, report)


def _settle(
    key: str, sha: int, rejected: bool, where: str, accounts: dict[str, Account], report: Report
) -> bool:  # fmt: skip
    account, number = _find(key, accounts)
    if account is None:
        report.find("unexpected", f"{where}: {key!r} was never emitted")
        return False
    if account.shas[number] != sha or account.rejected[number] != rejected:
        report.find("corrupted", f"{where}: {key} differs from what was emitted")
    account.found[number] = min(255, account.found[number] + 1)
    return True


def _check_accounts(accounts: dict[str, Account], report: Report) -> None:
    for producer, account in accounts.items():
        report.events += len(account)
        report.acknowledged += sum(account.acknowledged)
        absent = [number for number, found in enumerate(account.found) if not found]
        lost = [number for number in absent if account.acknowledged[number]]
        for number in lost:
            report.find("lost", f"{producer}: event {number} was acknowledged and is nowhere")
        for number, found in enumerate(account.found):
            if found > 1:
                report.find("doubled", f"{producer}: event {number} is there {found} times", found - 1)
            if found and account.refused[number]:
                report.find("unexpected", f"{producer}: event {number} was refused and is there")
        report.unacknowledged_absent += len(absent) - len(lost)
        _check_counters(producer, account, len(absent), report)


def _check_counters(producer: str, account: Account, absent: int, report: Report) -> None:
    """A producer that closed in order knows of every event it gave: emitted = stored + dead-lettered + dropped."""
    if account.counters is None:
        return
    emitted, dropped = account.counters["emitted"], sum(account.counters["dropped"].values())
    refused = sum(account.refused)
    if emitted != len(account) - refused or dropped != absent - refused:
        report.find(
            "counters",
            f"{producer} counted {emitted} emitted, {account.counters['dropped']} dropped; its journal has"
            f" {len(account)}, of which {refused} were refused and {absent} are nowhere",
        )


# ---------------------------------------------------------------------- marks


def _check_marks(segment: evidence.Segment, tally: _Tally, report: Report) -> None:
    """The newest segment's marks account for all rows and letters of the partition, and for every lane."""
    name, head, lanes = name_of(segment), segment.head, segment.lanes()
    committed = sum(lane.committed for lane in lanes) + head["expired_committed"]
    dead = sum(lane.dead_lettered for lane in lanes) + head["expired_dead"]
    if committed != tally.rows:
        report.find("marks", f"{name}: marks account for {committed} rows, the segments hold {tally.rows}")
    if dead != tally.dead and not tally.alarms:
        report.find("marks", f"{name}: marks account for {dead} dead letters, the segments hold {tally.dead}")
    for lane in lanes:
        in_flight = lane.emitted - lane.dropped - lane.committed - lane.dead_lettered
        if in_flight or lane.waiting or lane.residual or lane.missing:
            report.find(
                "conservation",
                f"{name}: lane {lane.lane}: {in_flight} in flight, residual {lane.residual}, missing {lane.missing},"
                f" {len(lane.waiting)} frames wait beyond a gap behind {lane.low}",
            )
    if head["expired_committed"] or head["expired_dead"]:
        report.find("conservation", f"{name}: marks expired within the run")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; see the module."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.checker", description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("journals", type=Path)
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    chosen = parser.parse_args(arguments)
    report = check(chosen.data, chosen.journals)
    facts = report.as_dict()
    if chosen.json:
        print(json.dumps(facts, indent=2))
    else:
        for name, value in facts.items():
            print(f"{name:24} {json.dumps(value)}")
    return 0 if facts["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())

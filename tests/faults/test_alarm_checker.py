"""The checker's part for alerts is proven by mutations: an alert too few, one too many, a copy under another key."""

from __future__ import annotations

import json

import pytest

from tests.faults.alarm_checker import LEVELS, TOLD, check, missing, rule_name
from tests.faults.counts import CountsJournal
from tests.faults.report import Report

FIRST, SECOND = (rule_name(level) for level in LEVELS[:2])


def message(*notices):
    told = [
        {"key": key, "event": event, "alert": {"rule": rule, "labels": {"service": "p4x1", "shard": shard}}}
        for key, event, rule, shard in notices
    ]
    return json.dumps({"id": told[0]["key"], "notices": told})


@pytest.fixture
def journals(tmp_path):
    """Shard 0 is beyond the first level, shard 1 was perhaps when its producer died, shard 9 nobody looks at."""
    journal = CountsJournal(tmp_path, "p4x1")
    journal.acknowledge(journal.intend({"0": LEVELS[0] + 1, "1": LEVELS[0], "9": LEVELS[0] + 1}))
    journal.intend({"1": 1})
    journal.close()
    return tmp_path


def checked(journals, *messages):
    (journals / TOLD).write_text("".join(f"{each}\n" for each in messages))
    report = Report()
    check(journals, report)
    return report


TOLD_OF_0 = ("a:1:faults", "firing", FIRST, "0")


@pytest.mark.parametrize("more", [[], [("b:1:faults", "firing", FIRST, "1")]])
def test_all_alerts_that_must_be_and_those_that_may_be_are_no_findings(journals, more):
    report = checked(journals, message(TOLD_OF_0, *more))
    assert (report.findings, report.alerts, report.copies) == ({}, 1 + len(more), 0)
    assert missing(journals) == set()


def test_an_alert_that_nobody_was_told_of_is_missed(journals):
    assert checked(journals, message(("b:1:faults", "firing", FIRST, "1"))).findings == {"missed": 1}
    assert missing(journals) == {(FIRST, "p4x1", "0")}


@pytest.mark.parametrize(("rule", "shard"), [(SECOND, "0"), (FIRST, "2"), (FIRST, "9"), ("another", "0")])
def test_an_alert_that_is_none_is_unexpected(journals, rule, shard):
    report = checked(journals, message(TOLD_OF_0), message(("b:1:faults", "firing", rule, shard)))
    assert report.findings == {"unexpected": 1}


def test_a_copy_bears_the_same_key(journals):
    report = checked(journals, message(TOLD_OF_0), message(TOLD_OF_0))
    assert (report.findings, report.copies) == ({}, 1)
    again = ("a:2:faults", "firing", FIRST, "0")
    assert checked(journals, message(TOLD_OF_0), message(again)).findings == {"notices": 1}
    between = ("a:2:faults", "resolved", FIRST, "0")
    assert checked(journals, message(TOLD_OF_0, between), message(("a:3:faults", *again[1:]))).findings == {}


def test_a_copy_says_the_same(journals):
    changed = message(TOLD_OF_0).replace('"shard": "0"', '"shard": "0", "more": "1"')
    assert checked(journals, message(TOLD_OF_0), changed).findings == {"notices": 1}

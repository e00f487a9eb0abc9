"""The checker's part for metrics is proven by mutations too: an increment too few or too many, by one, is found."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from pathlib import Path

import apsw
import pytest

from monitoring.pipeline.events.delta import family_text
from monitoring.pipeline.store.catalog import Catalog
from monitoring.pipeline.store.lease import Holder
from monitoring.pipeline.store.metric_levels import LEVELS
from monitoring.pipeline.store.metric_pack import pack_all
from monitoring.pipeline.store.metric_rollup import build
from monitoring.pipeline.store.metrics import SqliteMetricStore
from monitoring.pipeline.store.partition import Limits, acquire
from tests.deltas import T, delta, frame
from tests.faults import metric_checker
from tests.faults.counts import CountsJournal, last_round, read_counts
from tests.faults.derived import DERIVED
from tests.faults.metric_checker import FAMILY
from tests.faults.report import Report
from tests.frames import Sender, entry, event
from tests.metricstore import fill

ROUNDS = 12
SECOND = 10**9
COUNTER = family_text(name=FAMILY, kind="counter")
LIMITS = Limits(segment_events=1 << 60, segment_bytes=1 << 30, segment_age_seconds=1e9, disk_reserve_bytes=0)


def increments(number):
    return {"a": number + 1, "b": 100 + number, f"c{number % 2}": 7}


def deltas(producer, counted, at):
    return [
        delta(value, family=COUNTER, at=at, shard=shard)._replace(service=producer) for shard, value in counted.items()
    ]


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A store of several segments, the first of them packed, and the journals of two producers, one of which died."""
    root = tmp_path_factory.mktemp("sound")
    (root / "journals").mkdir()
    Catalog.create_or_open(root / "data" / "catalog.db", partitions=1).close()
    journals = [CountsJournal(root / "journals", name) for name in ("p4x1", "p4x2")]
    with contextlib.closing(SqliteMetricStore(root / "data", LIMITS, now_ns=lambda: T)) as store:
        writer = store.acquire(0, Holder.this_process())
        assert writer is not None
        senders = [Sender(1), Sender(2)]
        for number in range(ROUNDS):
            for journal, sender in zip(journals, senders, strict=True):
                journal.intend(increments(number))
                if journal is journals[0] or number < ROUNDS - 2:
                    journal.acknowledge(number)
                if journal is journals[0] or number < ROUNDS - 1:  # one round more than was acknowledged
                    sent = frame(sender, deltas(journal.producer, increments(number), T + number * SECOND))
                    writer.write(writer.admit([entry(sent)]))
            if number % 3 == 2:
                writer.roll_over()
        writer.release()
    journals[0].conclude()
    with contextlib.closing(apsw.Connection(str(root / "data/metrics/p0/000001.db"))) as connection:
        assert pack_all(connection, lambda: False)
    return root


@pytest.fixture
def copy(sound, tmp_path):
    return Path(shutil.copytree(sound, tmp_path / "copy"))


def checked(root):
    report = Report()
    metric_checker.check(root / "data", root / "journals", report)
    return report


def change(root, statement, number=2):
    with contextlib.closing(sqlite3.connect(root / f"data/metrics/p0/{number:06d}.db")) as connection:
        assert connection.execute(statement).rowcount == 1
        connection.commit()


_ONE = (
    "(block, series, slot) = (SELECT block, series, slot FROM increment JOIN series ON series.id = series {} LIMIT 1)"
)
OF_DONE, OF_DEAD = (_ONE.format(f"WHERE labels LIKE '%{name}%'") for name in ("p4x1", "p4x2"))


def test_a_sound_store_has_no_findings(sound):
    report = checked(sound)
    assert report.findings == {}, report.examples
    assert report.metric_segments > 3
    each = sum(sum(increments(number).values()) for number in range(ROUNDS))
    last, last_but_one = (sum(increments(ROUNDS - back).values()) for back in (1, 2))
    assert report.counted == 2 * each - last
    assert report.counted_acknowledged == 2 * each - last - last_but_one


def test_an_increment_of_one_that_is_lacking_is_lost(copy):
    change(copy, f"UPDATE increment SET value = value - 1 WHERE {OF_DONE}")
    assert checked(copy).findings == {"lost": 1, "miscounted": 1}


def test_one_too_many_is_doubled(copy):
    change(copy, f"UPDATE increment SET value = value + 1 WHERE {OF_DONE}")
    assert checked(copy).findings == {"doubled": 1, "miscounted": 1}


def test_one_that_lacks_in_a_packed_row_is_lost(copy):
    change(copy, "UPDATE packed SET total = total - 1 WHERE id = (SELECT min(id) FROM packed)", number=1)
    assert checked(copy).findings == {"lost": 1, "miscounted": 1}


def test_of_what_a_dead_producer_was_not_told_only_whole_rounds_may_be_there(copy):
    """Between what was acknowledged and what was counted lie totals that no number of rounds adds up to."""
    change(copy, f"UPDATE increment SET value = value + 1 WHERE {OF_DEAD}", number=4)
    assert checked(copy).findings == {"miscounted": 1}


def test_a_frame_that_is_there_twice_is_doubled(copy):
    """What a replay would do that changes all books alike: only the journal knows."""
    change(copy, "UPDATE minute SET count = count + 3")
    change(copy, "UPDATE head SET rows = rows + 3")
    change(copy, f"UPDATE increment SET value = 2 * value WHERE {OF_DONE}")
    found = checked(copy).findings
    assert found["doubled"] > 0
    assert {"marks", "catalog"} <= set(found)


def test_a_missing_segment_loses_what_was_counted_in_it(copy):
    (copy / "data/metrics/p0/000002.db").unlink()
    assert {"segments", "catalog", "lost", "marks", "miscounted"} <= set(checked(copy).findings)


def test_a_segment_that_cannot_be_read_is_found_and_the_others_are_still_checked(copy):
    path = copy / "data/metrics/p0/000002.db"
    path.write_bytes(path.read_bytes()[:5000] + bytes(20_000))
    report = checked(copy)
    assert {"unreadable", "lost"} <= set(report.findings)
    assert report.counted > 0


def test_books_that_disagree_are_found(copy):
    change(copy, "UPDATE minute SET count = count + 1")
    assert checked(copy).findings == {"counts": 1}


def test_a_dead_letter_among_metrics_is_an_alarm(copy):
    change(copy, "INSERT INTO dead_letter VALUES(1, 0, 'delta', 'x', 1, 0, 'why', '', 0, x'')")
    assert checked(copy).findings == {"alarms": 1, "counts": 1}


def test_what_nobody_counted_is_unexpected(copy):
    (copy / "journals/p4x2.counts").unlink()
    assert checked(copy).findings == {"unexpected": 1}


def test_a_journal_with_a_hole_is_told(copy):
    path = copy / "journals/p4x1.counts"
    path.write_text("".join(line for line in path.read_text().splitlines(keepends=True) if line[:4] != "m 3 "))
    assert checked(copy).findings["journal"] > 0


def test_a_torn_last_line_is_left_out_and_newest_lines_are_found(copy):
    path = copy / "journals/p4x2.counts"
    path.write_text(path.read_text() + "a 1")
    assert read_counts(path).acknowledged == ROUNDS - 2
    assert (last_round(path, "m"), last_round(path, "a"), last_round(path, "s")) == (ROUNDS - 1, ROUNDS - 3, -1)
    assert last_round(path.with_name("none"), "m") == -1


def test_a_roll_up_that_comes_to_something_else_than_its_segment_is_found(copy):
    path = copy / "data/metrics/p0/000001.db"
    made = build(path, LEVELS[0], None, lambda: False)
    assert made is not None
    assert checked(copy).findings == {}
    assert checked(copy).rollups == 1
    with contextlib.closing(sqlite3.connect(made.path)) as connection:
        connection.execute("UPDATE packed SET total = total + 1 WHERE id = (SELECT min(id) FROM packed)")
        connection.commit()
    assert checked(copy).findings == {"roll-up": 1}


@pytest.mark.parametrize(("counted", "findings"), [(3, {}), (2, {"derived": 1}), (5, {"derived": 2})])
def test_what_is_derived_of_events_is_as_many_as_they_are(tmp_path, counted, findings):
    (tmp_path / "journals").mkdir()
    data = tmp_path / "data"
    family = family_text(name=DERIVED, kind="counter")
    fill(data, [delta(1, family=family)._replace(service="api")] * counted)
    with contextlib.closing(Catalog(data / "catalog.db")) as catalog:
        logs = acquire(catalog, "logs", 0, LIMITS, now_ns=lambda: T)
        assert logs is not None
        logs.write(logs.admit([entry(Sender(3).frame([event(number) for number in range(3)]))]))
        logs.release()
    assert checked(tmp_path).findings == findings

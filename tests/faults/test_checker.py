"""The checker is proven by mutations: whatever is done to a sound store or journal, it must notice."""

from __future__ import annotations

import contextlib
import re
import shutil
import sqlite3
from pathlib import Path

import pytest

from monitoring.pipeline.store.catalog import Catalog
from monitoring.pipeline.store.partition import Limits, acquire
from tests.faults import workload
from tests.faults.checker import check, main
from tests.faults.journal import Journal, content_sha, parse_key, raw_sha
from tests.frames import T0, Sender, entry

SEED = 7
EVENTS = 360
FRAME = 30
LIMITS = Limits(segment_events=60, segment_bytes=1 << 30, segment_age_seconds=1e9, disk_reserve_bytes=0)


def emit(journal, sender):
    """The next frame of this producer, written down and acknowledged."""
    events = [workload.event(SEED, journal.producer, journal.next + index) for index in range(FRAME - 1)]
    numbers = journal.intend(map(content_sha, events))
    bad = workload.rejected(SEED, journal.producer, journal.next)
    more = journal.intend([raw_sha(bad.raw)], rejected=True)
    journal.acknowledge(range(numbers.start, more.stop))
    return sender.frame(events, [bad])


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A store with two partitions of several segments, and the journals of its two producers."""
    root = tmp_path_factory.mktemp("sound")
    (root / "journals").mkdir()
    catalog = Catalog.create_or_open(root / "data" / "catalog.db", partitions=2)
    with contextlib.closing(catalog):
        for number in (0, 1):
            journal, sender = Journal(root / "journals", f"p{number}"), Sender(number)
            partition = acquire(catalog, "logs", number, LIMITS, now_ns=lambda: T0)
            assert partition is not None
            for _ in range(EVENTS // FRAME):
                partition.write(partition.admit([entry(emit(journal, sender))]))
                partition.roll_over_if_due()
            partition.release()
            journal.conclude(EVENTS, {})
            journal.close()
    return root


@pytest.fixture
def copy(sound, tmp_path):
    return Path(shutil.copytree(sound, tmp_path / "copy"))


def found(root):
    return check(root / "data", root / "journals").findings


@contextlib.contextmanager
def changed(root, number=2, partition=0):
    """A writable connection to a segment, whose rows are in the way of nobody."""
    with contextlib.closing(sqlite3.connect(root / f"data/logs/p{partition}/{number:06d}.db")) as connection:
        yield connection
        connection.commit()


def changed_journal(root, producer, change):
    path = root / f"journals/{producer}.journal"
    path.write_text("".join(change(path.read_text().splitlines(keepends=True))))


def test_a_sound_store_has_no_findings(sound):
    report = check(sound / "data", sound / "journals")
    assert report.findings == {}
    assert report.events == report.acknowledged == 2 * EVENTS
    assert report.stored == 2 * EVENTS * (FRAME - 1) // FRAME
    assert report.dead_lettered == report.letters["input"] == 2 * EVENTS // FRAME
    assert report.segments > 8


def test_the_command_tells_by_its_exit_status(copy, capsys):
    assert main([str(copy / "data"), str(copy / "journals"), "--json"]) == 0
    assert '"lost": 0' in capsys.readouterr().out
    with changed(copy) as connection:
        connection.execute("DELETE FROM log WHERE id = (SELECT max(id) FROM log)")
    assert main([str(copy / "data"), str(copy / "journals")]) == 1


def test_a_dropped_row_is_lost(copy):
    with changed(copy) as connection:
        connection.execute("DELETE FROM log WHERE id = (SELECT min(id) FROM log WHERE id > (SELECT min(id) FROM log))")
    assert set(found(copy)) == {"lost", "counts", "roll-up", "index", "counters"}
    assert found(copy)["lost"] == 1


def test_a_row_dropped_with_all_its_traces_is_still_lost(copy):
    """Somebody who loses an event loses it everywhere: counts agree, only the journal knows."""
    with changed(copy) as connection:
        connection.execute("DELETE FROM log WHERE id = (SELECT max(id) FROM log)")
        connection.execute("UPDATE head SET rows = rows - 1, max_id = (SELECT max(id) FROM log)")
    assert found(copy)["lost"] == 1


DOUBLE = (
    "INSERT INTO log SELECT id + 1, offset_ns, level, service, resource, logger, host, message, trace_id, span_id,"
    " request_id, exception, attributes FROM log WHERE id = (SELECT min(id) FROM log)"
)


def test_a_doubled_row_is_found(copy):
    with changed(copy) as connection:
        connection.execute(DOUBLE)
    assert found(copy)["doubled"] == 1


def test_an_event_in_two_segments_is_doubled(copy):
    """A replay across a roll-over would look like this."""
    with changed(copy, 3) as connection:
        connection.execute("ATTACH ? AS other", (str(copy / "data/logs/p0/000002.db"),))
        connection.execute("INSERT INTO log SELECT * FROM other.log WHERE id = (SELECT max(id) FROM other.log)")
    assert found(copy)["doubled"] == 1


def test_what_the_product_says_of_itself_is_no_finding_and_takes_the_place_of_nothing(copy):
    """An event that came to stand under such a service is still the one that its journal says."""
    with changed(copy) as connection:
        connection.execute("UPDATE log SET request_id = 'f00' WHERE id = (SELECT min(id) FROM log)")
    assert found(copy)["unexpected"] == 1
    with changed(copy) as connection:
        connection.execute("INSERT INTO dimension VALUES(99, 'service', 'monitoring-api')")
        connection.execute("UPDATE log SET service = 99 WHERE request_id = 'f00'")
    report = check(copy / "data", copy / "journals")
    assert (report.findings["unexpected"], report.findings["lost"], report.own) == (0, 1, 1)


def test_two_swapped_contents_are_corrupted(copy):
    with changed(copy) as connection:
        (first, one), (second, two) = connection.execute("SELECT id, message FROM log ORDER BY id LIMIT 2").fetchall()
        connection.executemany("UPDATE log SET message = ? WHERE id = ?", [(two, first), (one, second)])
    assert found(copy) == {"corrupted": 2}


def test_two_swapped_keys_are_corrupted(copy):
    with changed(copy) as connection:
        (first, one), (second, two) = connection.execute(
            "SELECT id, request_id FROM log ORDER BY id LIMIT 2"
        ).fetchall()
        connection.executemany("UPDATE log SET request_id = ? WHERE id = ?", [(two, first), (one, second)])
    assert found(copy)["corrupted"] == 2


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE log SET message = message || ' ' WHERE id = (SELECT max(id) FROM log)",
        "UPDATE log SET offset_ns = offset_ns + 1 WHERE id = (SELECT max(id) FROM log)",
        "UPDATE log SET attributes = '{}' WHERE id = (SELECT max(id) FROM log)",
        "UPDATE log SET level = level + 1 WHERE id = (SELECT max(id) FROM log)",
        "UPDATE log SET logger = (SELECT id FROM dimension WHERE kind = 'host') WHERE id = (SELECT max(id) FROM log)",
    ],
)
def test_a_changed_field_is_corrupted(copy, change):
    with changed(copy) as connection:
        connection.execute(change)
    assert found(copy)["corrupted"] == 1


def test_a_changed_dimension_corrupts_every_event_that_has_it(copy):
    with changed(copy) as connection:
        connection.execute("UPDATE dimension SET value = 'other' WHERE kind = 'service' AND value = 'api'")
    assert found(copy)["corrupted"] >= 1


def test_an_event_that_nobody_emitted_is_unexpected(copy):
    with changed(copy) as connection:
        connection.execute(DOUBLE)
        connection.execute("UPDATE log SET request_id = 'evt_p0_999999' WHERE id = (SELECT min(id) + 1 FROM log)")
    assert found(copy)["unexpected"] == 1


def words_of(connection, row_id):
    terms = connection.execute("SELECT term FROM v WHERE doc = ?", (row_id,)).fetchall()
    return " ".join(term for (term,) in terms)


def test_a_row_missing_from_the_index_alone_is_found(copy):
    with changed(copy) as connection:
        connection.execute("CREATE VIRTUAL TABLE temp.v USING fts5vocab('main', 'text', 'instance')")
        row_id = connection.execute("SELECT max(id) FROM log").fetchone()[0]
        words = words_of(connection, row_id)
        connection.execute("INSERT INTO text(text, rowid, words) VALUES('delete', ?, ?)", (row_id, words))
    assert found(copy) == {"index": 4}  # key, level, service and host


def test_a_row_that_is_only_in_the_index_is_found(copy):
    with changed(copy) as connection:
        row_id = connection.execute("SELECT max(id) FROM log").fetchone()[0]
        connection.execute("INSERT INTO text(rowid, words) VALUES(?, 'evt_p0_1')", (row_id + 7,))
    assert found(copy) == {"index": 1}


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE minute SET count = count - 1 WHERE rowid IN (SELECT 1)",
        "DELETE FROM minute WHERE minute = (SELECT max(minute) FROM minute)",
        "UPDATE minute SET minute = minute + 1 WHERE minute = (SELECT max(minute) FROM minute)",
    ],
)
def test_a_roll_up_that_disagrees_is_found(copy, change):
    with changed(copy) as connection:
        connection.execute(change.replace("rowid IN (SELECT 1)", "minute = (SELECT max(minute) FROM minute)"))
    assert set(found(copy)) == {"roll-up"}


@pytest.mark.parametrize("column", ["rows", "letters", "min_id", "max_id", "max_spill"])
def test_a_head_that_disagrees_is_found(copy, column):
    with changed(copy) as connection:
        connection.execute(f"UPDATE head SET {column} = {column} + 1")
    assert found(copy)["counts"] == 1


@pytest.mark.parametrize("column", ["committed", "dead_lettered", "emitted", "accounted", "through"])
def test_a_mark_that_disagrees_is_found(copy, column):
    newest = len(list((copy / "data/logs/p0").glob("*.db")))
    with changed(copy, newest) as connection:
        connection.execute(f"UPDATE mark SET {column} = {column} + 1")
    assert set(found(copy)) & {"marks", "conservation"}


def test_a_lost_dead_letter_is_lost(copy):
    with changed(copy) as connection:
        connection.execute("DELETE FROM dead_letter WHERE id = (SELECT max(id) FROM dead_letter)")
        connection.execute("UPDATE head SET letters = letters - 1")
    assert found(copy)["lost"] == 1
    assert found(copy)["marks"] == 1


def test_a_changed_dead_letter_is_corrupted(copy):
    with changed(copy) as connection:
        connection.execute("UPDATE dead_letter SET raw = raw || 'x' WHERE id = (SELECT max(id) FROM dead_letter)")
    assert found(copy)["corrupted"] == 1


def test_a_frame_that_contradicts_another_is_an_alarm(copy):
    with changed(copy) as connection:
        connection.execute("UPDATE dead_letter SET kind = 'conflict' WHERE id = (SELECT max(id) FROM dead_letter)")
    assert found(copy)["alarms"] == 1
    assert found(copy)["lost"] == 1


def test_a_dropped_journal_line_leaves_a_gap_and_unexpected_events(copy):
    changed_journal(copy, "p0", lambda lines: lines[:10] + lines[11:])
    assert found(copy)["journal"] >= 1
    changed_journal(copy, "p1", lambda lines: [line for line in lines if not line.startswith("e 5 ")])
    assert found(copy)["journal"] >= 2


def test_a_lost_journal_tail_leaves_unexpected_events(copy):
    changed_journal(copy, "p1", lambda lines: lines[: len(lines) // 2])
    assert found(copy)["unexpected"] > 0


def test_no_journal_at_all_is_a_finding(copy):
    shutil.rmtree(copy / "journals")
    (copy / "journals").mkdir()
    assert found(copy)["journal"] == 1


def test_counters_that_claim_more_than_there_is_are_found(copy):
    changed_journal(copy, "p0", lambda lines: [line.replace('"emitted": 360', '"emitted": 361') for line in lines])
    assert found(copy) == {"counters": 1}
    changed_journal(
        copy, "p1", lambda lines: [line.replace('"dropped": {}', '"dropped": {"full": 1}') for line in lines]
    )
    assert found(copy) == {"counters": 2}


def test_an_unacknowledged_event_may_be_absent_but_not_twice_there(copy):
    """Emitted and never acknowledged: its producer died. It may be stored or not, but not doubled."""
    path = copy / "journals/p2.journal"
    path.write_text(f"e 0 {1:016x}\ne 1 {2:016x}\n")
    report = check(copy / "data", copy / "journals")
    assert report.findings == {}
    assert report.unacknowledged_absent == 2


def test_a_refused_event_must_be_nowhere(copy):
    changed_journal(copy, "p0", lambda lines: [*lines, "x 7 8\n"])
    assert found(copy)["unexpected"] == 2
    path = copy / "journals/p2.journal"
    path.write_text(f"e 0 {1:016x}\nx 0 0\n" + 'c {"emitted": 0, "dropped": {}}\n')
    assert found(copy) == {"unexpected": 2, "counters": 1}  # that one is of p0, which counted both


def test_a_missing_segment_breaks_the_chain_and_loses_its_events(copy):
    (copy / "data/logs/p0/000002.db").unlink()
    assert {"segments", "catalog", "lost", "marks"} <= set(found(copy))


def test_a_segment_left_unsealed_is_found(copy):
    with changed(copy) as connection:
        connection.execute("UPDATE head SET sealed = NULL, next = NULL")
    assert {"segments", "catalog"} <= set(found(copy))


def test_a_segment_that_cannot_be_read_is_found_and_the_others_are_still_checked(copy):
    path = copy / "data/logs/p0/000002.db"
    path.write_bytes(path.read_bytes()[:5000] + bytes(20_000))
    assert {"unreadable", "lost"} <= set(found(copy))
    assert check(copy / "data", copy / "journals").stored > EVENTS


def test_a_catalog_that_disagrees_is_found(copy):
    with contextlib.closing(sqlite3.connect(copy / "data/catalog.db")) as connection:
        connection.execute("UPDATE segment SET rows = rows + 1 WHERE number = 2 AND partition = 1")
        connection.commit()
    assert found(copy) == {"catalog": 1}


def test_the_checker_shares_no_code_with_the_product():
    here = Path(__file__).parent
    for name in (
        "checker",
        "metric_checker",
        "alarm_checker",
        "derived",
        "books",
        "report",
        "evidence",
        "journal",
        "counts",
    ):
        assert not re.search(r"^\s*(from|import) monitoring\b", (here / f"{name}.py").read_text(), re.MULTILINE), name


def test_keys_are_told_from_other_text():
    assert parse_key("evt_p1_17") == ("p1", 17)
    assert [parse_key(text) for text in ("", "evt_p1_", "evt_p1", "other_p1_17", "evt_p1_x", "evt_p1_\u0663")] == [
        None
    ] * 6

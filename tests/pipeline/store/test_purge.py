"""Purging: what matches is gone from the files themselves, everything else is as it was, and the books balance."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring.pipeline.query.limits import Deadline
from monitoring.pipeline.query.ranges import EARLIEST, LATEST
from monitoring.pipeline.store import dead_letters, retention
from monitoring.pipeline.store import purge as purging
from monitoring.pipeline.store.catalog import CATALOG_FILE, Catalog
from monitoring.pipeline.store.lease import Holder
from monitoring.pipeline.store.letter import DeadLetter
from monitoring.pipeline.store.partition import Limits, acquire
from monitoring.pipeline.store.purge import Wanted
from monitoring.pipeline.store.rewrite import RewriteBusy, settle, turn
from monitoring.pipeline.store.sqlite import SqliteStore
from monitoring.pipeline.store.verify import verify
from tests.frames import T0, Sender, entry, event

LIMITS = Limits(100, 1 << 40, 1e9, 0)
SECRET = "hunter2zz"
POINTS = ("unsettled", "copied", "placing", "placed", "emptied")


def opened(path):
    Catalog.create_or_open(path / CATALOG_FILE, partitions=1).close()
    return SqliteStore(path, LIMITS)


def fill(store, batches, *, partition=0):
    """Write each batch of events as a frame; segments roll over by LIMITS."""
    writer = store.acquire(partition, Holder.this_process())
    sender = Sender(created=time.time_ns())
    for events in batches:
        writer.write(writer.admit([entry(sender.frame(events))]))
        writer.roll_over_if_due()
    writer.release()


def some(first, count=100, **changes):
    """Events of which each tenth holds the secret, in one of the places where it can hide."""
    places = [
        {"message": f"password {SECRET}"}, {"attributes": f'{{"a":"{SECRET}"}}'},
        {"exception": f'{{"type":"{SECRET}"}}'},
        {"logger": f"app.{SECRET}"}, {"host": SECRET}, {"request_id": SECRET},
    ]  # fmt: skip
    found = []
    for number in range(first, first + count):
        more = places[number // 10 % len(places)] if number % 10 == 0 else {}
        found.append(event(number, **changes, **more))
    return found


def run(store, query=f"{SECRET} OR host:{SECRET}", start=EARLIEST, end=LATEST, **more):
    return purging.purge(
        store.catalog, Wanted(query, start, end), LIMITS, now_ns=T0,
        **{"stopped": lambda: False, "patience_seconds": 0.0, **more},
    )  # fmt: skip


def messages(store, query=""):
    page = store.search(query, EARLIEST, LATEST, deadline=Deadline(60), limit=5000)
    assert page.partial_reason is None
    return [each["id"] for each in page.events]


def files(path):
    return [each for each in path.rglob("*") if each.is_file() and each.name[:6].isdigit()]


def hiding(path):
    return [each.name for each in files(path) if SECRET.encode() in each.read_bytes()]


@pytest.fixture
def store(tmp_path):
    with contextlib.closing(opened(tmp_path)) as store:
        fill(store, [some(number * 100) for number in range(4)])
        yield store


def test_nothing_of_what_was_purged_is_left_in_any_file_and_everything_else_is_found(store, tmp_path):
    before = messages(store)
    doomed = messages(store, f"{SECRET} OR host:{SECRET}")
    assert len(before) == 400 and len(doomed) == 40 and hiding(tmp_path)
    done = run(store)
    assert (done.events, done.complete) == (40, True)
    assert hiding(tmp_path) == []
    assert messages(store) == [each for each in before if each not in set(doomed)]
    assert verify(store.catalog).findings == []
    assert not list(tmp_path.rglob("*.tmp"))
    again = run(store)
    assert (again.events, again.complete) == (0, True)


def test_an_active_segment_is_sealed_first_by_whoever_holds_it(tmp_path):
    with contextlib.closing(opened(tmp_path)) as store:
        writer = store.acquire(0, Holder.this_process())
        store.attend(Holder.this_process())
        sender = Sender(created=time.time_ns())
        writer.write(writer.admit([entry(sender.frame(some(0, 50)))]))
        done = run(store)
        assert (done.events, done.complete) == (0, False)
        assert writer.roll_over_if_due() and not writer.roll_over_if_due()
        assert run(store).complete
        assert hiding(tmp_path) == []
        writer.write(writer.admit([entry(sender.frame(some(50, 9)))]))
        writer.release()
        assert verify(store.catalog).findings == []
        assert len(messages(store)) == 45 + 9  # those that came afterwards stay


def test_where_no_drain_lives_the_active_segment_is_sealed_at_once(tmp_path):
    with contextlib.closing(opened(tmp_path)) as store:
        fill(store, [some(0, 50)])
        assert run(store).events == 5
        assert hiding(tmp_path) == []
        fill(store, [some(100, 7, timestamp=T0)])
        assert verify(store.catalog).findings == []


@pytest.mark.parametrize("signal_name", ["logs", "metrics"])
def test_what_dead_letters_hold_goes_too_and_they_stay_in_the_books(tmp_path, signal_name):
    with contextlib.closing(opened(tmp_path)) as store:
        writer = acquire(store.catalog, signal_name, 0, LIMITS)
        assert writer is not None
        letters = [
            DeadLetter(
                T0, "input", "a" * 32, 1, 0, f"not JSON: {SECRET}", b'{"x": "' + SECRET.encode(), f"{SECRET}.log"
            ),
            DeadLetter(T0, "input", "a" * 32, 1, 1, "no time", f'{{"key": {{"a": "{SECRET}"}}}}'.encode() * 900),
            DeadLetter(T0, "input", "a" * 32, 1, 2, "no time", b'{"key": {"a": "harmless"}}'),
            DeadLetter(T0, "stale", "a" * 32, 2, 0, "old", Sender().frame(some(0, 30)).to_record()),
        ]
        with writer.segment.transaction():
            writer.segment.insert(writer.segment.contents.empty(), letters, {}, now_ns=T0)
        writer.release()
        found = purging.survey(store.catalog, store.reader, Wanted(SECRET, EARLIEST, LATEST), deadline=Deadline(60))
        assert (found.events, found.letters) == (0, 3)
        done = run(store, SECRET)
        assert (done.letters, done.complete) == (3, True)
        assert hiding(tmp_path) == []
        left = dead_letters.letters(store.catalog)
        assert sorted((len(each.content.raw) > 0, each.content.line) for each in left) == [(False, 0)] * 3 + [(True, 0)]
        assert verify(store.catalog).findings == []
        assert run(store, SECRET).letters == 0
        assert run(store, "x.y:1").letters == 0
        assert run(store, "key.a:harmless").letters == 1


def test_what_was_sent_before_is_waited_for():
    class Bus:
        def __init__(self, *oldest):
            self.oldest = list(oldest)

        def oldest_created(self, signal, partition):
            return self.oldest.pop(0) if len(self.oldest) > 1 else self.oldest[0]

    assert purging.still_on_its_way(Bus(T0 - 5, T0 - 5, None), [0], T0, patience_seconds=60) is None
    said = purging.still_on_its_way(Bus(T0 - 5), [0], T0, patience_seconds=0)
    assert said is not None and "on its way" in said
    assert purging.still_on_its_way(Bus(T0 + 5), [0], T0, patience_seconds=0) is None


def test_a_range_bounds_it_to_the_nanosecond(store):
    assert run(store, "", T0 + 10_000, T0 + 20_000).events == 10
    assert len(messages(store)) == 390
    left = store.search("", T0 + 9_000, T0 + 21_000, deadline=Deadline(9), limit=99).events
    assert len(left) == 2


def test_a_segment_of_which_everything_goes_stays_as_an_empty_one(store):
    assert run(store, "").events == 400
    assert messages(store) == []
    assert verify(store.catalog).findings == []
    assert store.facets("", EARLIEST, LATEST, fields=["service"], limit=9, deadline=Deadline(9)).facets[0].values == []


def test_counts_that_were_remembered_are_counted_again(store):
    def count():
        found = store.facets("event", EARLIEST, LATEST, fields=["level"], limit=9, deadline=Deadline(9))
        return found.facets[0].events

    before = count()
    run(store, "event number 17*")
    assert count() < before


def test_who_reads_meanwhile_sees_the_old_rows_to_the_end_and_the_new_ones_afterwards(store, tmp_path):
    row = store.catalog.segments()[0]
    with store.reader.view(row.path, Deadline(60)) as view:
        cursor = view.connection.execute("SELECT id FROM log")
        next(cursor)
        done = run(store)
        assert not done.complete and done.events == 40
        assert sum(1 for _ in cursor) == 99
    assert verify(store.catalog).findings == []
    assert run(store).complete
    assert hiding(tmp_path) == []
    assert len(messages(store)) == 360


def test_two_do_not_write_segments_anew_at_the_same_time(store, tmp_path):
    with turn(tmp_path), pytest.raises(RewriteBusy):
        run(store)


def test_told_to_stop_it_changes_nothing_and_says_what_is_left(store, tmp_path):
    calls = []

    def stopped():
        calls.append(1)
        return len(calls) > 2

    done = run(store, stopped=stopped)
    assert not done.complete
    assert verify(store.catalog).findings == []
    assert len(messages(store)) == 400 - done.events


def test_what_was_purged_stays_in_the_books_when_retention_takes_the_segment(store, tmp_path):
    run(store)
    assert store.catalog.deleted("logs", 0) == 40
    sealed = [row for row in store.catalog.segments() if row.sealed]
    retention.apply(store.catalog, [retention.Doomed(row, "") for row in sealed[:2]])
    assert store.catalog.deleted("logs", 0) == 200 + 20
    assert verify(store.catalog).findings == []
    store.close()
    for suffix in ("", "-wal", "-shm"):
        (tmp_path / f"{CATALOG_FILE}{suffix}").unlink(missing_ok=True)
    with contextlib.closing(Catalog.create_or_open(tmp_path / CATALOG_FILE, partitions=1)) as made_again:
        assert made_again.deleted("logs", 0) == 20


PROGRAM = """
import sys
from pathlib import Path
from monitoring.pipeline import failpoint
from monitoring.pipeline.store.catalog import Catalog
from monitoring.pipeline.store.partition import Limits
from monitoring.pipeline.store.purge import Wanted, purge
failpoint.arm(Path(sys.argv[2]))
purge(Catalog(Path(sys.argv[1])), Wanted(sys.argv[3], -(1 << 62), 1 << 62), Limits(100, 1 << 40, 1e9, 0), now_ns=1,
      stopped=lambda: False, patience_seconds=0)
"""


@pytest.mark.parametrize("point", POINTS)
def test_a_process_that_is_killed_on_the_way_leaves_a_whole_store_and_the_next_one_ends_it(store, tmp_path, point):
    points = tmp_path / "points"
    points.mkdir()
    (points / f"purge.{point}").touch()
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / CATALOG_FILE), str(points), f"{SECRET} OR host:{SECRET}"]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert verify(store.catalog).findings == []
    assert len(messages(store)) in (400, 390)
    assert run(store).complete
    for row in store.catalog.segments():
        assert not row.sealed or row.optimised or settle(store.catalog, row, lambda: False)
    for left in tmp_path.rglob("*.tmp*"):  # of what dies, maintenance takes after an hour
        assert SECRET.encode() not in left.read_bytes()
    assert hiding(tmp_path) == []
    assert len(messages(store)) == 360
    assert verify(store.catalog).findings == []
    assert store.catalog.deleted("logs", 0) == 40


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.sampled_from([0, 1, 2, 3, 50]), min_size=1, max_size=60),
    st.lists(st.sampled_from(["a", "b", "a.c", "x y", "level:error", "service:s1", 'n:"7"', "a OR b"]), max_size=3),
)
def test_what_is_left_is_what_did_not_match_whatever_was_stored_and_purged(kinds, queries):
    words = ["a", "b x", 'a.c "q"', "x y\\z", "\ue000l0"]
    events = [
        event(number, message=words[kind % 5], level=1 + kind % 24, service=f"s{kind % 3}", timestamp=T0 + kind)
        for number, kind in enumerate(kinds)
    ]
    with tempfile.TemporaryDirectory() as directory, contextlib.closing(opened(Path(directory))) as store:
        fill(store, [events])
        for query in queries:
            before, doomed = messages(store), set(messages(store, query))
            assert run(store, query).events == len(doomed)
            assert messages(store) == [each for each in before if each not in doomed]
            assert verify(store.catalog).findings == []

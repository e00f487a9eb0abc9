"""A partition's writer: exactly once through crashes, take-overs and roll-overs."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import replace

import apsw
import pytest

from monitoring.pipeline import failpoint
from monitoring.pipeline.errors import Fenced, StoreCorrupt, StoreFull
from monitoring.pipeline.events.event import Rejected
from monitoring.pipeline.store import lease
from monitoring.pipeline.store.catalog import Catalog, segment_path
from monitoring.pipeline.store.lease import Holder
from monitoring.pipeline.store.partition import Limits, acquire, active_number
from monitoring.pipeline.store.segment import Segment, open_readonly
from monitoring.pipeline.store.verify import verify
from tests.frames import T0, Sender, entry, event

LIMITS = Limits(segment_events=1000, segment_bytes=1 << 30, segment_age_seconds=1e9, disk_reserve_bytes=0)
SOMEBODY = Holder(boot="another boot", namespace="", pid=1, started=1)


@pytest.fixture
def catalog(tmp_path):
    with contextlib.closing(Catalog.create_or_open(tmp_path / "catalog.db", partitions=2)) as found:
        yield found


@pytest.fixture
def now():
    return [T0]


def take(catalog, now, limits=LIMITS, me=None, partition=0):
    return acquire(catalog, "logs", partition, limits, me=me, now_ns=lambda: now[0])


def write(partition, *frames):
    batch = partition.admit([entry(frame, f"{number}-0") for number, frame in enumerate(frames)])
    partition.write(batch)
    return batch


def stored(catalog, partition=0):
    found = []
    for row in catalog.segments("logs"):
        if row.partition == partition:
            with contextlib.closing(open_readonly(row.path)) as connection:
                found += [message for (message,) in connection.execute("SELECT message FROM log ORDER BY id")]
    return found


def test_a_frame_that_comes_twice_is_stored_once_and_settled_twice(catalog, now):
    partition = take(catalog, now)
    frame = Sender().frame([event(1), event(2)])
    first, second = write(partition, frame), write(partition, frame)
    partition.release()
    assert stored(catalog) == ["event number 1", "event number 2"]
    assert (first.settled, second.settled, second.replayed, second.lows) == (["0-0"], ["0-0"], 1, {frame.lane: 1})
    assert verify(catalog).findings == []


def test_the_same_frame_twice_in_one_batch_is_stored_once(catalog, now):
    partition = take(catalog, now)
    frame = Sender().frame([event(1)])
    write(partition, frame, frame)
    partition.release()
    assert stored(catalog) == ["event number 1"]


def test_nothing_is_changed_when_the_transaction_fails_and_the_next_try_stores_all(catalog, now):
    partition = take(catalog, now)
    frame = Sender().frame([event(1, service="new service"), event(2)])
    batch = partition.admit([entry(frame)])
    with pytest.raises(RuntimeError), partition.segment.transaction():
        partition.segment.insert(batch.rows, [], batch.changed_marks, now_ns=T0)
        raise RuntimeError
    assert stored(catalog) == []
    write(partition, frame)
    partition.release()
    assert stored(catalog) == ["event number 1", "event number 2"]
    assert verify(catalog).findings == []


def test_rejected_input_becomes_dead_letters_and_counts(catalog, now):
    partition = take(catalog, now)
    frame = Sender().frame([event(1)], [Rejected("not JSON", b"\xff{", "a.log", 3)])
    write(partition, frame)
    row = partition.segment.connection.execute("SELECT kind, reason, source, line, raw FROM dead_letter").get
    assert row == ("input", "not JSON", "a.log", 3, b"\xff{")
    mark = partition.segment.mark(frame.lane)
    assert (mark.committed, mark.dead_lettered, mark.residual) == (1, 1, 0)
    partition.release()
    assert verify(catalog).findings == []


def test_an_undecodable_frame_is_one_dead_letter_and_its_lane_goes_on(catalog, now):
    partition = take(catalog, now)
    sender = Sender()
    bad = sender.frame([event(1)], payload=b'{"columns": [[1], "x"]}')
    good = sender.frame([event(2)])
    batch = write(partition, bad, good)
    assert batch.lows == {sender.lane: 2} and len(batch.settled) == 2
    assert [letter.kind for letter in batch.letters] == ["frame"]
    partition.release()
    assert stored(catalog) == ["event number 2"]
    assert verify(catalog).findings == []


def test_an_entry_that_is_no_frame_is_kept_as_a_dead_letter(catalog, now):
    partition = take(catalog, now)
    broken = entry(Sender().frame([event(1)]))
    del broken.fields[b"seq"]
    batch = partition.admit([broken])
    partition.write(batch)
    assert batch.settled == [broken.id] and b"event number 1" in batch.letters[0].raw
    partition.release()
    assert verify(catalog).findings == []


def test_a_frame_changed_on_the_way_stays_open_for_the_good_one(catalog, now):
    partition = take(catalog, now)
    good = Sender().frame([event(1)])
    changed = entry(good)
    changed.fields[b"payload"] = changed.fields[b"payload"].replace(b"number 1", b"number 9")
    batch = partition.admit([changed])
    partition.write(batch)
    assert (batch.lows, batch.letters[0].kind) == ({good.lane: 0}, "corrupt")
    write(partition, good)
    partition.release()
    assert stored(catalog) == ["event number 1"]
    assert verify(catalog).findings == []


def test_a_frame_that_is_broken_every_time_does_not_hold_up_its_lane(catalog, now):
    partition = take(catalog, now)
    sender = Sender()
    bad = sender.frame([event(1)])
    broken = entry(bad)
    broken.fields[b"digest"] = b"0" * 32
    for _ in range(2):
        partition.write(partition.admit([broken]))
    assert partition.segment.mark(sender.lane).low == 1
    assert len(partition.segment.connection.execute("SELECT 1 FROM dead_letter").fetchall()) == 1
    partition.release()
    assert verify(catalog).findings == []


def test_conflicting_and_stale_frames_are_dead_lettered(catalog, now):
    partition = take(catalog, now)
    write(partition, Sender(1).frame([event(1)]))
    conflict = write(partition, Sender(1).frame([event(2)]))
    stale = write(partition, Sender(2, created=T0 - 8 * 86_400 * 10**9).frame([event(3)]))
    assert [letter.kind for letter in conflict.letters + stale.letters] == ["conflict", "stale"]
    assert stale.lows == {Sender(2).lane: 1}
    partition.release()
    assert stored(catalog) == ["event number 1"]
    assert verify(catalog).findings == []


def test_one_holder_at_a_time_and_a_clean_release_is_told_from_a_vanished_holder(catalog, now):
    first = take(catalog, now)
    other = Holder(first._me.boot, first._me.namespace, os.getppid(), lease._started(os.getppid()) or 0)
    assert take(catalog, now, me=other) is None
    first.release()
    second = take(catalog, now, me=SOMEBODY)
    assert second is not None and second.clean
    second.abandon()
    third = take(catalog, now)
    assert third is not None and not third.clean
    third.release()


def test_a_writer_that_lost_its_lease_is_fenced_and_changes_nothing(catalog, now):
    old = take(catalog, now, me=SOMEBODY)
    frame = Sender().frame([event(1)])
    batch = old.admit([entry(frame)])
    new = take(catalog, now)
    write(new, frame)
    with pytest.raises(Fenced):
        old.write(batch)
    with pytest.raises(Fenced):
        old.roll_over()
    old.abandon()
    new.release()
    assert stored(catalog) == ["event number 1"]
    assert verify(catalog).findings == []


def test_replays_are_recognised_across_a_roll_over(catalog, now):
    partition = take(catalog, now)
    sender = Sender()
    frames = [sender.frame([event(number)]) for number in range(4)]
    write(partition, frames[0], frames[2])
    partition.roll_over()
    batch = write(partition, *frames)
    assert (batch.replayed, batch.lows) == (2, {sender.lane: 4})
    partition.release()
    assert sorted(stored(catalog)) == [f"event number {number}" for number in range(4)]
    assert verify(catalog).findings == []
    assert [row.sealed for row in catalog.segments("logs")] == [True, False]


@pytest.mark.parametrize("limits", [{"segment_events": 2}, {"segment_bytes": 1}, {"segment_age_seconds": 60}])
def test_a_segment_rolls_over_by_events_bytes_and_age(catalog, now, limits):
    chosen = {"segment_events": 9, "segment_bytes": 1 << 30, "segment_age_seconds": 1e9, "disk_reserve_bytes": 0}
    partition = take(catalog, now, limits=Limits(**{**chosen, **limits}))
    assert not partition.roll_over_if_due()
    write(partition, Sender().frame([event(1), event(2)]))
    now[0] += 61 * 10**9
    assert partition.roll_over_if_due()
    assert not partition.roll_over_if_due()
    partition.release()
    assert active_number(catalog.data, "logs", 0) == 2


@pytest.mark.parametrize("point", ["rollover.sealed", "rollover.created", "rollover.linked", "rollover.cataloged"])
def test_a_roll_over_that_was_cut_off_is_finished_by_the_next_holder(catalog, now, point, tmp_path, monkeypatch):
    class CutOffError(BaseException):
        pass

    def cut_off(pid, number):
        raise CutOffError

    partition = take(catalog, now, me=SOMEBODY)
    sender = Sender()
    first = sender.frame([event(1)])
    write(partition, first)
    (tmp_path / "points").mkdir()
    (tmp_path / "points" / point).touch()
    monkeypatch.setattr("monitoring.pipeline.failpoint.os.kill", cut_off)
    failpoint.arm(tmp_path / "points")
    with pytest.raises(CutOffError):
        partition.roll_over()
    failpoint.arm(None)
    partition.abandon()
    monkeypatch.undo()
    again = take(catalog, now)
    assert again is not None
    batch = write(again, first, sender.frame([event(2)]))
    assert batch.replayed == 1
    again.release()
    assert stored(catalog) == ["event number 1", "event number 2"]
    assert active_number(catalog.data, "logs", 0) == 2
    assert verify(catalog).findings == []


def test_marks_of_lanes_not_seen_for_eight_days_are_forgotten_but_not_their_sums(catalog, now):
    partition = take(catalog, now)
    write(partition, Sender(1).frame([event(1)]))
    now[0] += 8 * 86_400 * 10**9 + 1
    write(partition, Sender(2, created=now[0]).frame([event(2)]))
    partition.roll_over()
    lanes = [lane for (lane,) in partition.segment.connection.execute("SELECT lane FROM mark")]
    assert lanes == [Sender(2).lane]
    partition.release()
    assert verify(catalog).findings == []


def test_a_full_disk_stops_writing_with_a_reason_and_nothing_is_half_written(catalog, now):
    partition = take(catalog, now, limits=Limits(1000, 1 << 30, 1e9, disk_reserve_bytes=1 << 62))
    frame = Sender().frame([event(1)])
    with pytest.raises(StoreFull, match="MONITORING_DISK_RESERVE"):
        partition.write(partition.admit([entry(frame)]))
    partition.release()
    again = take(catalog, now)
    write(again, frame)
    again.release()
    assert stored(catalog) == ["event number 1"]


@pytest.fixture
def small_files():
    """No file of this process may grow beyond what it is given: a quota, as the kernel enforces it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size_bytes: resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_quota_that_is_reached_inside_sqlite_is_a_full_store_and_passes_with_it(catalog, now, small_files):
    partition = take(catalog, now)
    frame = Sender().frame([event(number, message=f"{number} " * 500) for number in range(500)])
    small_files(200_000)
    with pytest.raises(StoreFull, match="free disk space"):
        write(partition, frame)
    with pytest.raises(StoreFull):
        catalog._connection.execute("PRAGMA wal_checkpoint")
        for number in range(10_000):
            catalog.note_active("logs", 0, number + 10)
    small_files(resource.getrlimit(resource.RLIMIT_FSIZE)[1])
    for row in catalog.segments():
        if row.number >= 10:
            catalog.retire(row)
    write(partition, frame)
    partition.release()
    assert len(stored(catalog)) == 500
    assert verify(catalog).findings == []


def test_a_holder_that_stops_inside_a_transaction_is_killed_after_its_lease(catalog, now, tmp_path):
    take(catalog, now).release()
    path = segment_path(tmp_path, "logs", 0, 1)
    code = (
        "import sys, apsw, time\n"
        "from pathlib import Path\n"
        "from monitoring.pipeline.store import lease\n"
        "from monitoring.pipeline.store.segment import Segment\n"
        "segment = Segment(Path(sys.argv[1]))\n"
        "lease.take(segment.connection, lease.Holder.this_process())\n"
        "segment.connection.execute('BEGIN IMMEDIATE')\n"
        "print('holding', flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE) as holder:
        try:
            assert holder.stdout is not None and holder.stdout.readline() == b"holding\n"
            os.kill(holder.pid, signal.SIGSTOP)
            segment = Segment(path)
            assert lease.take(segment.connection, Holder.this_process()) is None
            assert lease.evict(segment.connection) is None, "its lease has not expired"
            segment.close()
            deadline = time.monotonic() + 60
            partition = None
            while partition is None and time.monotonic() < deadline:
                partition = take(catalog, now)
                time.sleep(0.1)
            assert partition is not None and not partition.clean
            assert holder.wait(timeout=10) == -signal.SIGKILL
            partition.release()
        finally:
            holder.kill()


def test_files_that_are_not_ours_or_too_new_are_refused(tmp_path, catalog, now):
    foreign = tmp_path / "foreign.db"
    with contextlib.closing(apsw.Connection(str(foreign))) as connection:
        connection.execute("CREATE TABLE t(x)")
    with pytest.raises(StoreCorrupt, match="not a segment"):
        open_readonly(foreign)
    garbage = tmp_path / "garbage.db"
    garbage.write_bytes(b"no database at all, " * 1000)
    with pytest.raises(StoreCorrupt, match="not a SQLite file"):
        open_readonly(garbage)
    take(catalog, now).release()
    path = segment_path(tmp_path, "logs", 0, 1)
    with contextlib.closing(apsw.Connection(str(path))) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreCorrupt, match="upgrade"):
        open_readonly(path)


def test_a_lost_catalog_is_made_again_from_the_segments(tmp_path, now):
    with contextlib.closing(Catalog.create_or_open(tmp_path / "catalog.db", partitions=2)) as catalog:
        partition = take(catalog, now, partition=1)
        write(partition, Sender().frame([event(1)]))
        partition.roll_over()
        partition.release()
        before = [replace(row, bytes=0) for row in catalog.segments("logs")]
    for path in tmp_path.glob("catalog.db*"):
        path.unlink()
    with contextlib.closing(Catalog.create_or_open(tmp_path / "catalog.db", partitions=1)) as catalog:
        assert [replace(row, bytes=0) for row in catalog.segments("logs")] == before
        assert catalog.partitions() == [0, 1]
        assert verify(catalog).findings == []

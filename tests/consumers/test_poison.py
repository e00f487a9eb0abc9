"""Suspected frames are stored once, whatever happens while they are taken apart, and only deaths count against them."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest

from monitoring.consumers import poison
from monitoring.pipeline.errors import StoreFull
from monitoring.pipeline.store.catalog import Catalog
from monitoring.pipeline.store.lease import Holder
from monitoring.pipeline.store.partition import Limits, acquire
from monitoring.pipeline.store.segment import open_readonly
from monitoring.pipeline.store.verify import verify
from tests.frames import T0, Sender, entry, event

LIMITS = Limits(segment_events=1000, segment_bytes=1 << 30, segment_age_seconds=1e9, disk_reserve_bytes=0)
GONE = Holder(boot="another boot", namespace="", pid=1, started=1)


class Dead(BaseException):
    """The process died."""


class Bench:
    """A store whose writer dies or finds the disk full at a chosen commit."""

    def __init__(self, tmp_path):
        self.catalog = Catalog.create_or_open(tmp_path / "catalog.db", partitions=1)
        self.left = None
        self.error = Dead

    def now_ns(self):
        """The clock, which is read once in each commit of rows."""
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                self.left = None
                raise self.error
        return T0

    def take(self):
        partition = acquire(self.catalog, "logs", 0, LIMITS, me=GONE, now_ns=self.now_ns)
        assert partition is not None
        return partition

    def dies_on(self, frame, commits):
        """A holder takes the frame alone and dies after so many looks at the clock."""
        partition = self.take()
        self.left, self.error = commits, Dead
        with pytest.raises(Dead):
            poison.write_alone(partition, entry(frame))
        partition.abandon()

    def stored(self):
        found, letters = [], []
        for row in self.catalog.segments("logs"):
            with contextlib.closing(open_readonly(row.path)) as connection:
                found += [message for (message,) in connection.execute("SELECT message FROM log ORDER BY id")]
                letters += list(connection.execute("SELECT kind, ordinal FROM dead_letter"))
        return found, letters


@pytest.fixture
def bench(tmp_path):
    made = Bench(tmp_path)
    yield made
    assert verify(made.catalog).findings == []
    made.catalog.close()


EVENTS = [event(number) for number in range(8)]
MESSAGES = [made.message for made in EVENTS]


def in_pieces(bench, frame):
    """Three deaths on the whole frame, and one after half of it was committed."""
    for _ in range(3):
        bench.dies_on(frame, 1)
    bench.dies_on(frame, 1)  # the whole is one piece now, which kills
    partition = bench.take()
    bench.left, bench.error = 2, Dead  # the first half is committed
    with pytest.raises(Dead):
        poison.write_alone(partition, entry(frame))
    partition.abandon()
    assert bench.stored()[0] == MESSAGES[:4]


def test_a_frame_in_pieces_that_turns_up_behind_others_is_not_stored_again(bench):
    """The bus lost it; its producer sends it again later, to a drain that is no longer cautious."""
    frame = Sender(1).frame(EVENTS)
    other = Sender(2).frame([event(100)])
    in_pieces(bench, frame)
    partition = bench.take()
    entries = [entry(other, "1-0"), entry(frame, "2-0"), entry(Sender(3).frame([event(101)]), "3-0")]
    assert poison.before_suspects(partition, entries) == entries[:1]
    partition.write(partition.admit(entries[:1]))
    assert poison.before_suspects(partition, entries[1:]) == []
    poison.write_alone(partition, entries[1])
    assert poison.before_suspects(partition, entries[2:]) == entries[2:]
    assert bench.stored() == ([*MESSAGES, "event number 100"], [])


def test_a_frame_in_pieces_stays_so_over_a_roll_over_and_a_clean_release(bench):
    frame = Sender(1).frame(EVENTS)
    in_pieces(bench, frame)
    partition = bench.take()
    partition.roll_over()
    partition.release()
    partition = bench.take()
    assert partition.clean and poison.before_suspects(partition, [entry(frame)]) == []
    poison.write_alone(partition, entry(frame))
    assert bench.stored() == (MESSAGES, [])


def test_a_full_disk_does_not_count_as_a_death(bench):
    """Or else a frame would be given up after a minute of it."""
    frame = Sender(1).frame(EVENTS)
    bench.dies_on(frame, 1)
    partition = bench.take()
    for _ in range(poison.GIVE_UP + 5):
        bench.left, bench.error = 1, StoreFull
        with pytest.raises(StoreFull):
            poison.write_alone(partition, entry(frame))
    poison.write_alone(partition, entry(frame))
    assert bench.stored() == (MESSAGES, [])
    assert not partition.suspected


def test_an_event_that_meets_a_full_disk_is_not_taken_for_the_one_that_kills(bench):
    frame = Sender(1).frame(EVENTS)
    in_pieces(bench, frame)
    bench.dies_on(frame, 1)  # half of the other half
    partition = bench.take()
    for _ in range(5):
        bench.left, bench.error = 0, StoreFull
        with pytest.raises(StoreFull):
            poison.write_alone(partition, entry(frame))
    partition.release()
    poison.write_alone(bench.take(), entry(frame))
    assert bench.stored() == (MESSAGES, [])


def test_what_kills_again_and_again_alone_is_dead_lettered_and_nothing_else(bench):
    frame = Sender(1).frame(EVENTS)
    while not bench.stored()[1]:
        partition = bench.take()

        def deadly(rows, letters, marks, *, now_ns, insert=partition.segment.insert):
            if any("event number 5" in column for column in rows.columns):
                raise Dead
            insert(rows, letters, marks, now_ns=now_ns)

        partition.segment.insert = deadly
        with contextlib.suppress(Dead):
            poison.write_alone(partition, entry(frame))
        partition.abandon()
    assert bench.stored() == ([text for text in MESSAGES if text != "event number 5"], [("poison", 5)])


def test_a_suspected_frame_whose_bytes_were_changed_is_dead_lettered_and_the_good_one_stored(bench):
    frame = Sender(1).frame(EVENTS)
    broken = replace(frame, payload=frame.payload.replace(b"number 5", b"number 6"))
    for _ in range(4):
        bench.dies_on(broken, 1)
    poison.write_alone(bench.take(), entry(broken))
    poison.write_alone(bench.take(), entry(frame))
    assert bench.stored() == (MESSAGES, [("corrupt", 0)])

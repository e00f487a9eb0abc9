"""What was sealed into an outbox is sent until it is committed, and no more often than need be."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from monitoring.pipeline.bus.frame import Frame
from monitoring.pipeline.bus.lanes import REPLAY_AFTER_SECONDS, RETAINED_FRAMES, Lane
from monitoring.pipeline.bus.streams import Reply, stream_key
from monitoring.pipeline.errors import BusFull, BusUnavailable, IngestRefused, StoreFull
from monitoring.pipeline.publish.outbox import Outbox, Progress
from monitoring.pipeline.publish.spool import Spool
from tests.frames import lane_id
from tests.pipeline.publish.support import FlakyTransport, Store, transport


def outbox(**changes: Any) -> Outbox:
    return Outbox(Lane(lane_id(0), "logs"), **changes)


def seal(box: Outbox, number: int = 1) -> None:
    for _ in range(number):
        box.seal(b'{"columns":[]}', 1, 1, {})


def pump(box: Outbox, way: Any, now: float, times: int = 20) -> Progress:
    """Round trips until nothing is due at this time."""
    progress = Progress(0, 0, False)
    for _ in range(times):
        if box.due(now) > now:
            break
        progress = box.pump(way, now)
    return progress


def entries(url: str) -> list[int]:
    with redis.Redis.from_url(url) as client:
        return [int(fields[b"seq"]) for _, fields in client.xrange(stream_key("logs", 0))]


def test_frames_go_out_in_order_and_are_released_by_the_watermark(valkey: str) -> None:
    store, box = Store(valkey), outbox()
    way = transport(valkey)
    seal(box, 40)
    pump(box, way, 0.0)
    assert entries(valkey) == list(range(1, 41))
    assert not box.lane.idle and box.lane.held == 40
    store.drain()
    pump(box, way, 1.0)
    assert box.lane.idle and box.lane.held == 0 and box.released_events == 40
    assert box.due(2.0) == float("inf")


def test_the_first_round_trip_only_asks(valkey: str) -> None:
    Store(valkey)
    way = FlakyTransport(valkey, lambda when: False)
    box = outbox()
    seal(box, 2)
    assert not box.ready
    box.pump(way, 0.0)
    assert way.published == [[]] and box.ready


def test_while_frames_wait_the_watermark_is_asked_for_ever_more_rarely(valkey: str) -> None:
    Store(valkey)
    box, way, now, pauses = outbox(), transport(valkey), 0.0, []
    seal(box)
    pump(box, way, now)
    for _ in range(8):
        pauses.append(round(box.due(now) - now, 3))
        now = box.due(now)
        box.pump(way, now)
    assert pauses == [0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0]
    box.hurry(now)
    assert box.due(now) == pytest.approx(now + 0.05)


def test_a_slow_drain_brings_no_replay(valkey: str) -> None:
    Store(valkey)
    box, way = outbox(), transport(valkey)
    seal(box, 5)
    for second in range(60):
        pump(box, way, float(second))
    assert entries(valkey) == [1, 2, 3, 4, 5]


def test_after_the_loss_of_the_bus_everything_is_sent_again(valkey: str) -> None:
    store, box, way, now = Store(valkey), outbox(), transport(valkey), 0.0
    seal(box, 10)
    pump(box, way, now)
    with redis.Redis.from_url(valkey) as client:
        client.flushall()
    store = Store(valkey)
    pump(box, way, now + REPLAY_AFTER_SECONDS - 0.1)
    assert entries(valkey) == [], "not before five seconds"
    now += REPLAY_AFTER_SECONDS
    for _ in range(40):
        pump(box, way, now, 1)
        store.drain()
        now += 0.05
    assert box.lane.idle
    assert sorted(seq for _, seq in store.frames) == list(range(1, 11))
    assert store.doubled == 0


def test_a_frame_that_was_committed_is_not_replayed_when_only_its_watermark_was_late(valkey: str) -> None:
    store, box, way = Store(valkey), outbox(), transport(valkey)
    seal(box)
    pump(box, way, 0.0)
    store.drain()
    pump(box, way, REPLAY_AFTER_SECONDS)
    assert box.lane.idle and entries(valkey) == []


def test_frames_whose_reply_was_lost_are_replayed_one_by_one_after_five_seconds(valkey: str) -> None:
    broken = False
    way = FlakyTransport(valkey, lambda when: broken and when == "after")
    store, box = Store(valkey), outbox()
    seal(box, 3)
    box.pump(way, 0.0)
    broken = True
    with pytest.raises(BusUnavailable):
        box.pump(way, 0.0)
    broken = False
    assert not box.ready
    seal(box)
    pump(box, way, 0.0)
    assert entries(valkey) == [1, 2, 3, 4], "what is new goes on, what is in doubt waits"
    pump(box, way, REPLAY_AFTER_SECONDS)
    assert entries(valkey) == [1, 2, 3, 4, 1]
    store.drain()
    pump(box, way, REPLAY_AFTER_SECONDS + 1)
    assert box.lane.idle and store.doubled == 1


def test_a_full_bus_is_asked_and_not_sent_to_until_it_has_room(valkey: str) -> None:
    store, box, way = Store(valkey), outbox(), transport(valkey, stream_length=5)
    seal(box, 5)
    pump(box, way, 0.0)
    seal(box, 3)
    progress = pump(box, way, 1.0)
    assert progress.full and not box.ready
    pump(box, way, 2.0)
    assert entries(valkey) == [1, 2, 3, 4, 5]
    store.drain()
    pump(box, way, 5.0)
    assert box.ready and entries(valkey) == [6, 7, 8]


def test_at_maxmemory_nothing_is_lost_and_it_goes_on_by_itself(valkey: str) -> None:
    store, box, way = Store(valkey), outbox(), transport(valkey)
    seal(box, 3)
    box.pump(way, 0.0)
    with redis.Redis.from_url(valkey) as client:
        client.config_set("maxmemory", "1mb")
    with pytest.raises(BusFull):
        box.pump(way, 0.0)
    with redis.Redis.from_url(valkey) as client:
        client.config_set("maxmemory", "0")
    now = 0.0
    while not box.lane.idle:
        now += 1.0
        pump(box, way, now, 1)
        store.drain()
        assert now < 60
    assert sorted(seq for _, seq in store.frames) == [1, 2, 3]


def test_a_trip_that_is_too_large_together_is_tried_with_fewer_frames() -> None:
    class Narrow:
        """An API that takes three frames a body at most."""

        def __init__(self) -> None:
            self.trips: list[int] = []

        def partitions(self, signal: str) -> int:
            return 1

        def publish(self, signal: str, partition: int, lane: str, frames: Sequence[Frame]) -> Reply:
            self.trips.append(len(frames))
            if len(frames) > 3:
                raise IngestRefused("too large")
            return Reply([f"{frame.seq}-0" for frame in frames], 0, False)

    way, box = Narrow(), outbox()
    seal(box, 16)
    for _ in range(12):
        try:
            pump(box, way, 0.0)
        except IngestRefused:
            continue
    assert box.lane.on_bus(16)
    assert way.trips[:4] == [0, 16, 8, 4]


def test_with_a_journal_more_than_256_frames_wait_on_disk_and_all_arrive(valkey: str, tmp_path: Path) -> None:
    store = Store(valkey)
    journal = Spool(tmp_path, max_bytes=1 << 30).create(lane_id(0), "logs")
    box, way = outbox(journal=journal), transport(valkey)
    for _ in range(40):
        assert box.room
        seal(box, 10)
        box.save()
    assert box.lane.held == RETAINED_FRAMES and box.lane.tail == 144
    assert box.durable(400)
    now = 0.0
    while not box.lane.idle:
        pump(box, way, now, 4)
        assert box.lane.held <= RETAINED_FRAMES
        assert max(entries(valkey), default=0) <= box.lane.low + RETAINED_FRAMES
        store.drain()
        now += 0.2
        assert now < 60
    assert sorted(seq for _, seq in store.frames) == list(range(1, 401)) and store.doubled == 0
    journal.close()
    assert not (tmp_path / lane_id(0)).exists()


def test_memory_is_bounded_by_bytes_too(valkey: str, tmp_path: Path) -> None:
    Store(valkey)
    journal = Spool(tmp_path, max_bytes=1 << 30).create(lane_id(0), "logs")
    box = outbox(journal=journal, window_bytes=50_000)
    for _ in range(100):
        box.seal(b"x" * 10_000, 1, 1, {})
        box.save()
    assert box.lane.held == 5 and box.lane.held_bytes == 50_000
    pump(box, transport(valkey), 0.0)
    assert box.lane.held_bytes <= 60_000
    journal.close()


class FullDisk:
    """A journal whose disk is full while `full`."""

    def __init__(self) -> None:
        self.full = False
        self.frames: list[Frame] = []
        self.partition: int | None = None

    def append(self, frames: Sequence[Frame]) -> None:
        if self.full:
            raise StoreFull("no space")
        self.frames += frames

    def read(self, after: int, max_frames: int, max_bytes: int) -> list[Frame]:
        return [frame for frame in self.frames if frame.seq > after][:max_frames]

    def place(self, partition: int) -> None:
        self.partition = partition

    def release(self, low: int) -> None:
        self.frames = [frame for frame in self.frames if frame.seq > low]

    def close(self) -> None:
        pass


def test_while_the_disk_is_full_frames_are_sent_from_memory_and_saved_later(valkey: str) -> None:
    store, journal, way = Store(valkey), FullDisk(), transport(valkey)
    box = outbox(journal=journal)
    seal(box, 2)
    box.save()
    journal.full = True
    seal(box, 3)
    with pytest.raises(StoreFull):
        box.save()
    assert box.durable(2) and not box.durable(3)
    assert box.unsaved_events == 3
    pump(box, way, 0.0)
    assert entries(valkey) == [1, 2, 3, 4, 5]
    journal.full = False
    assert box.save() and box.durable(5)
    assert [frame.seq for frame in journal.frames] == [1, 2, 3, 4, 5]
    store.drain()
    pump(box, way, 1.0)
    assert box.lane.idle and journal.frames == []


def test_frames_that_were_committed_while_the_disk_was_full_need_no_saving(valkey: str) -> None:
    store, journal, way = Store(valkey), FullDisk(), transport(valkey)
    box = outbox(journal=journal)
    journal.full = True
    seal(box, 3)
    with pytest.raises(StoreFull):
        box.save()
    pump(box, way, 0.0)
    store.drain()
    pump(box, way, 1.0)
    assert box.durable(3) and box.unsaved_events == 0


def test_where_saving_is_required_nothing_unsaved_is_sent_and_nothing_more_is_sealed(valkey: str) -> None:
    Store(valkey)
    journal, way = FullDisk(), transport(valkey)
    box = outbox(journal=journal, must_save=True)
    journal.full = True
    seal(box, 2)
    with pytest.raises(StoreFull):
        box.save()
    assert not box.room
    pump(box, way, 0.0)
    assert entries(valkey) == []
    journal.full = False
    box.save()
    pump(box, way, 2.0)
    assert box.room and entries(valkey) == [1, 2]


def test_the_partition_is_written_down_before_anything_is_sent(valkey: str, tmp_path: Path) -> None:
    Store(valkey, partitions=4)
    journal = Spool(tmp_path, max_bytes=1 << 30).create(lane_id(6), "logs")
    box = Outbox(Lane(lane_id(6), "logs"), journal)
    seal(box)
    box.save()
    way = FlakyTransport(valkey, lambda when: True)
    with pytest.raises(BusUnavailable):
        box.pump(way, 0.0)
    journal.forget()
    (found,) = Spool(tmp_path, max_bytes=1 << 30).orphans(1)
    assert found.partition == int(lane_id(6), 16) % 4
    found.close()


class OutboxMachine(RuleBasedStateMachine):
    """An outbox with a journal against a real bus and a store, with failures anywhere, and restarts."""

    url: str
    directory: Path
    runs = 0

    def __init__(self) -> None:
        super().__init__()
        type(self).runs += 1
        with redis.Redis.from_url(self.url) as client:
            client.flushall()
        self.path = self.directory / str(self.runs)
        self.store = Store(self.url)
        self.spool = Spool(self.path, max_bytes=1 << 30)
        self.journal = self.spool.create(lane_id(0), "logs")
        self.box = Outbox(Lane(lane_id(0), "logs"), self.journal, window_bytes=2000)
        self.fail_next = ""
        self.way = FlakyTransport(self.url, self.fails)
        self.now = 0.0
        self.saved = 0
        self.gone = False

    def fails(self, when: str) -> bool:
        if self.fail_next == when:
            self.fail_next = ""
            return True
        return False

    @rule(number=st.integers(1, 20))
    def seal(self, number: int) -> None:
        if not self.gone:
            seal(self.box, number)
            self.box.save()
            self.saved += number

    @rule(fail=st.sampled_from(["", "", "before", "after"]))
    def pump(self, fail: str) -> None:
        self.fail_next = fail
        with suppress(BusUnavailable):
            pump(self.box, self.way, self.now, 3)
        self.fail_next = ""
        assert self.box.lane.held <= RETAINED_FRAMES

    @rule(count=st.integers(1, 30))
    def drain(self, count: int) -> None:
        self.store.drain(count)

    @rule()
    def lose_the_bus(self) -> None:
        with redis.Redis.from_url(self.url) as client:
            client.flushall()
        self.store.streams.announce({"logs": 1}, "test")

    @rule(seconds=st.sampled_from([0.1, 1.0, 5.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def restart(self) -> None:
        self.journal.forget()
        found = Spool(self.path, max_bytes=1 << 30).orphans(1)
        if not found:
            self.gone = True  # everything was committed, and the lane went
            return
        self.journal = found[0]
        lane = Lane(self.journal.lane, "logs", self.journal.partition)
        lane.resume(self.journal.low, self.journal.last)
        self.box = Outbox(lane, self.journal, window_bytes=2000)

    def teardown(self) -> None:
        for _ in range(10 + 4 * self.saved):
            if self.gone or self.box.lane.idle:
                break
            self.now += 1.0
            self.pump("")
            self.store.drain()
        assert sorted(seq for _, seq in self.store.frames) == list(range(1, self.saved + 1))
        assert not self.store.conflicts
        self.journal.close()


def test_whatever_fails_every_saved_frame_is_stored_under_its_own_seq(valkey: str, tmp_path: Path) -> None:
    machine = type("Machine", (OutboxMachine,), {"url": valkey, "directory": tmp_path})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=15, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )

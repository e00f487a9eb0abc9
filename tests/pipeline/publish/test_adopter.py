"""What a dead process left in its spool is sent under its old lane and seqs, by whoever comes first."""

from __future__ import annotations

import threading
from pathlib import Path

import redis

from monitoring.pipeline.bus.lanes import Lane
from monitoring.pipeline.errors import MonitoringError
from monitoring.pipeline.events.signals import SIGNALS
from monitoring.pipeline.publish.adopter import LOOK_SECONDS, Adopter, adopt_orphans
from monitoring.pipeline.publish.outbox import Outbox
from monitoring.pipeline.publish.packing import pack
from monitoring.pipeline.publish.spool import Spool
from tests.frames import lane_id
from tests.pipeline.publish.support import Store, delta, event, spooled_lanes, transport

BOUND = 1 << 30


def leave_behind(
    directory: Path,
    number: int,
    *,
    frames: int = 5,
    first: int = 0,
    partition: int | None = None,
    signal: str = "logs",
) -> None:
    """A lane with so many frames of one event each, whose process is gone."""
    journal = Spool(directory, max_bytes=BOUND).create(lane_id(number), signal)
    lane = Lane(lane_id(number), signal, partition)
    box = Outbox(lane, journal)
    for index in range(frames):
        row = event(first + index) if signal == "logs" else delta(first + index)
        (packed,) = pack([row], max_text_bytes=1000, signal=SIGNALS[signal]).frames
        box.seal(packed.payload, packed.events, 1, {})
    box.save()
    if partition is not None:
        journal.place(partition)
    journal.forget()


def test_orphans_are_sent_and_their_lanes_removed(valkey: str, tmp_path: Path) -> None:
    store = Store(valkey)
    for number in range(7):
        leave_behind(tmp_path, number, first=number * 5)
    with store.running():
        assert adopt_orphans(tmp_path, transport(valkey), max_bytes=BOUND, timeout_seconds=30)
    assert store.timestamps() == list(range(35))
    store.assert_sound()
    assert spooled_lanes(tmp_path) == []


def test_a_lane_with_more_frames_than_the_store_can_tell_apart_is_sent_in_windows(valkey: str, tmp_path: Path) -> None:
    store = Store(valkey)
    leave_behind(tmp_path, 0, frames=600)
    with store.running():
        assert adopt_orphans(tmp_path, transport(valkey), max_bytes=BOUND, timeout_seconds=60)
    assert store.timestamps() == list(range(600))
    store.assert_sound()


def test_an_adopted_lane_keeps_its_partition_although_there_are_more_now(valkey: str, tmp_path: Path) -> None:
    store = Store(valkey, partitions=8)
    leave_behind(tmp_path, 6, partition=1)
    with store.running():
        assert adopt_orphans(tmp_path, transport(valkey), max_bytes=BOUND, timeout_seconds=30)
    assert store.where == {lane_id(6): {1}}


def test_what_the_dead_process_had_sent_already_is_stored_once(valkey: str, tmp_path: Path) -> None:
    store = Store(valkey)
    leave_behind(tmp_path, 0, partition=0)
    (journal,) = Spool(tmp_path, max_bytes=BOUND).orphans(1)
    way = transport(valkey)
    way.publish("logs", 0, lane_id(0), journal.read(0, 3, 1 << 20))
    store.drain(2)
    journal.forget()
    with store.running():
        assert adopt_orphans(tmp_path, way, max_bytes=BOUND, timeout_seconds=30)
    assert store.timestamps() == [0, 1, 2, 3, 4]
    store.assert_sound()


def test_lanes_that_the_instance_does_not_take_stay_and_hold_up_no_others(valkey: str, tmp_path: Path) -> None:
    store = Store(valkey)
    for number in range(10):
        leave_behind(tmp_path, number, first=number * 5, signal="metrics")
    for number in range(10, 13):
        leave_behind(tmp_path, number, first=number * 5)
    with store.running():
        assert not adopt_orphans(tmp_path, transport(valkey), max_bytes=BOUND, timeout_seconds=30)
    assert store.timestamps() == list(range(50, 65))
    assert spooled_lanes(tmp_path) == [lane_id(number) for number in range(10)]
    later = Store(valkey, signal="metrics")
    with later.running():
        assert adopt_orphans(tmp_path, transport(valkey), max_bytes=BOUND, timeout_seconds=30)
    assert later.timestamps() == list(range(50))
    later.assert_sound()


def test_without_a_drain_nothing_is_deleted(valkey: str, tmp_path: Path) -> None:
    store = Store(valkey)
    leave_behind(tmp_path, 0)
    assert not adopt_orphans(tmp_path, transport(valkey), max_bytes=BOUND, timeout_seconds=0.3)
    assert spooled_lanes(tmp_path) == [lane_id(0)]
    with store.running():
        assert adopt_orphans(tmp_path, transport(valkey), max_bytes=BOUND, timeout_seconds=30)
    assert store.timestamps() == [0, 1, 2, 3, 4]
    store.assert_sound()


def test_an_empty_or_absent_directory_is_done_at_once(valkey: str, tmp_path: Path) -> None:
    Store(valkey)
    assert adopt_orphans(tmp_path / "none", transport(valkey), max_bytes=BOUND, timeout_seconds=1)
    assert adopt_orphans(tmp_path, transport(valkey), max_bytes=BOUND, timeout_seconds=1)


def test_adopters_share_a_directory_and_store_everything_once(valkey: str, tmp_path: Path) -> None:
    store = Store(valkey)
    for number in range(12):
        leave_behind(tmp_path, number, first=number * 5)
    done: list[bool] = []

    def work() -> None:
        try:
            done.append(adopt_orphans(tmp_path, transport(valkey), max_bytes=BOUND, timeout_seconds=30))
        except MonitoringError:
            done.append(False)

    with store.running():
        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert adopt_orphans(tmp_path, transport(valkey), max_bytes=BOUND, timeout_seconds=30)
    assert done == [True, True, True]
    assert store.timestamps() == list(range(60))
    store.assert_sound()
    assert store.doubled == 0


def test_a_loss_of_the_bus_on_the_way_is_made_good(valkey: str, tmp_path: Path) -> None:
    store = Store(valkey)
    leave_behind(tmp_path, 0, frames=20)
    way, adopter, now = transport(valkey), Adopter(Spool(tmp_path, max_bytes=BOUND)), 0.0
    adopter.step(way, now)
    adopter.step(way, now)
    assert store.streams.length("logs", 0) == 16
    with redis.Redis.from_url(valkey) as client:
        client.flushall()
    store.streams.announce({"logs": 1}, "test")
    while adopter.busy:
        now += 0.5
        adopter.step(way, now)
        store.drain()
        assert now < 120
    assert store.timestamps() == list(range(20))
    store.assert_sound()


def test_a_lane_that_cannot_be_read_does_not_stop_the_others(valkey: str, tmp_path: Path) -> None:
    store = Store(valkey)
    leave_behind(tmp_path, 0)
    leave_behind(tmp_path, 1, first=5)
    spool = Spool(tmp_path, max_bytes=BOUND)
    adopter, way, now = Adopter(spool), transport(valkey), 0.0
    adopter._look(now)
    (victim,) = (tmp_path / lane_id(0)).glob("*.frames")
    victim.unlink()
    while adopter.busy:
        now += LOOK_SECONDS
        adopter.step(way, now)
        store.drain()
        assert now < 120
    assert store.timestamps() == [5, 6, 7, 8, 9]
    assert list(spool.damaged) == [lane_id(0)]

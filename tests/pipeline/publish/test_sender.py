"""Who brings his own batches gets each stored once, whenever he was killed and started again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import redis

from monitoring.pipeline.bus.frame import Frame
from monitoring.pipeline.bus.lanes import RETAINED_FRAMES
from monitoring.pipeline.errors import BusRefused
from monitoring.pipeline.events.event import Rejected
from monitoring.pipeline.publish.sender import LaneSender
from tests.frames import lane_id
from tests.pipeline.publish.support import Store, event, transport


def sender(url: str, **changes: Any) -> LaneSender:
    return LaneSender(lane_id(0), lambda: transport(url), **changes)


def test_a_batch_is_persisted_before_it_is_sent_and_forgotten_when_it_is_committed(valkey: str) -> None:
    persisted: list[Frame] = []
    released: list[int] = []
    places: list[int] = []
    store = Store(valkey, partitions=3)
    some = sender(valkey, released=released.append, placed=places.append)
    for number in range(5):
        some.seal([event(number)], [Rejected("bad", b"x", "f", number)], persist=persisted.append)
    assert [frame.seq for frame in persisted] == [1, 2, 3, 4, 5]
    with store.running():
        assert some.wait(20)
    assert released[-1] == 5 and places == [int(lane_id(0), 16) % 3]
    assert store.timestamps() == [0, 1, 2, 3, 4]
    store.assert_sound()
    some.close()


def test_a_batch_that_cannot_be_persisted_was_never_sealed(valkey: str) -> None:
    store = Store(valkey)
    some = sender(valkey)

    def refuse(frame: Frame) -> None:
        raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        some.seal([event(1)], persist=refuse)
    assert some.committed
    some.seal([event(2)])
    with store.running():
        assert some.wait(20)
    assert store.timestamps() == [2]
    store.assert_sound()


def test_the_next_process_sends_what_was_persisted_and_goes_on(valkey: str) -> None:
    store = Store(valkey)
    persisted: list[Frame] = []
    first = sender(valkey)
    for number in range(4):
        first.seal([event(number)], persist=persisted.append)
    assert first.wait(20, until=lambda lane: lane.on_bus(2))
    store.drain(2)
    first.close()  # and dies here

    second = sender(valkey, partition=first.lane.partition)
    second.restore(persisted[1:])  # the first had been released and forgotten
    second.seal([event(4)])
    with store.running():
        assert second.wait(20)
    assert store.timestamps() == [0, 1, 2, 3, 4]
    store.assert_sound()


def test_a_lane_that_has_nothing_left_continues_its_sequence(valkey: str) -> None:
    store = Store(valkey)
    with store.running():
        first = sender(valkey)
        first.seal([event(0)])
        assert first.wait(20)
        second = sender(valkey, partition=first.lane.partition)
        second.resume(1)
        assert second.seal([event(1)]).seq == 2
        assert second.wait(20)
    assert store.timestamps() == [0, 1]


def test_the_same_call_makes_the_same_frame(valkey: str) -> None:
    made = [sender(valkey).seal([event(1)], created=77) for _ in range(2)]
    assert made[0] == made[1]


def test_there_is_room_for_256_frames_and_then_one_has_to_wait(valkey: str) -> None:
    store = Store(valkey)
    some = sender(valkey)
    for number in range(RETAINED_FRAMES):
        some.seal([event(number)])
    assert some.room == 0
    with pytest.raises(ValueError, match="no room"):
        some.seal([event(0)])
    with store.running():
        assert some.wait(30, until=lambda lane: lane.room > 0)
    some.seal([event(256)])


def test_while_the_bus_is_away_it_says_why_and_goes_on_when_it_is_back(valkey_servers: Any, tmp_path: Path) -> None:
    server = valkey_servers(appendonly="no")
    store = Store(server.url)
    some = sender(server.url)
    server.kill()
    some.seal([event(1)])
    assert not some.wait(0.3)
    assert "did not answer" in some.trouble
    server.start()
    store.streams.announce({"logs": 1}, "test")
    with store.running():
        assert some.wait(30)
    assert some.trouble == "" and store.timestamps() == [1]


def test_a_server_that_nobody_announced_is_refused_at_once(valkey: str) -> None:
    some = sender(valkey)
    some.seal([event(1)])
    with pytest.raises(BusRefused, match="monitoring up"):
        some.wait(5)


def test_a_lane_that_is_further_in_the_store_is_not_continued(valkey: str) -> None:
    store = Store(valkey)
    with store.running():
        first = sender(valkey)
        for number in range(3):
            first.seal([event(number)])
        assert first.wait(20)
        stale = sender(valkey, partition=first.lane.partition)
        stale.seal([event(9)])
        stale.wait(5, until=lambda lane: lane.overtaken)
    assert stale.lane.overtaken and stale.room == 0
    with redis.Redis.from_url(valkey) as client:
        assert client.ping()

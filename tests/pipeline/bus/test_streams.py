"""Streams on a real server: publish, read, delete exactly what is committed, refuse unfit servers."""

from __future__ import annotations

import socket

import pytest

from monitoring.pipeline.bus.streams import (
    META_KEY,
    Streams,
    StreamTransport,
    connect,
    exchange,
    low_key,
    stream_key,
)
from monitoring.pipeline.errors import BusFull, BusRefused, BusUnavailable, SettingsError, SignalUnknown
from tests.frames import Sender, event


@pytest.fixture
def bus(valkey):
    client = connect(valkey)
    yield Streams(client), StreamTransport(client, stream_length=10)
    client.close()


def test_a_server_without_an_instance_is_not_taken_for_ours(bus):
    streams, transport = bus
    with pytest.raises(BusRefused, match="monitoring up"):
        transport.partitions("logs")
    streams.announce({"logs": 3}, "instance")
    assert transport.partitions("logs") == 3


def test_a_signal_that_the_instance_does_not_take_is_told_from_a_server_without_one(bus):
    streams, transport = bus
    with pytest.raises(BusRefused, match="monitoring up"):
        transport.partitions("metrics")
    streams.announce({"logs": 3}, "instance")
    with pytest.raises(SignalUnknown, match="metrics"):
        transport.partitions("metrics")
    streams.announce({"logs": 3, "metrics": 1}, "instance")
    assert transport.partitions("metrics") == 1


def test_frames_are_read_in_order_and_only_the_committed_ones_vanish(bus):
    streams, transport = bus
    sender = Sender()
    frames = [sender.frame([event(number)]) for number in range(3)]
    ids = transport.publish("logs", 0, sender.lane, frames).ids
    key = stream_key("logs", 0)
    read = streams.read({key: "0-0"}, count=10, block_ms=None)[key]
    assert [entry.id for entry in read] == ids
    assert [entry.fields[b"payload"] for entry in read] == [frame.payload for frame in frames]
    streams.settle("logs", 0, [ids[1]], {sender.lane: 2})
    left = streams.read({key: "0-0"}, count=10, block_ms=None)[key]
    assert [entry.id for entry in left] == [ids[0], ids[2]]
    assert transport.publish("logs", 0, sender.lane, []).low == 2
    assert [transport.present("logs", 0, entry_id) for entry_id in ids] == [True, False, True]


def test_an_empty_stream_is_waited_for_and_nothing_comes(bus):
    streams, _ = bus
    assert streams.read({stream_key("logs", 0): "0-0"}, count=1, block_ms=10) == {}
    assert streams.oldest_created("logs", 0) is None


def test_the_oldest_frame_tells_when_it_was_sealed(bus):
    streams, transport = bus
    sender = Sender(created=12345)
    transport.publish("logs", 0, sender.lane, [sender.frame([event(1)])])
    assert streams.oldest_created("logs", 0) == 12345
    assert streams.length("logs", 0) == 1


def test_publishers_are_told_to_stop_at_the_length_cap_and_at_half_of_the_memory(bus, valkey):
    _, transport = bus
    sender = Sender()
    assert not transport.publish("logs", 0, sender.lane, [sender.frame([event(1)])]).full
    assert transport.publish("logs", 0, sender.lane, [sender.frame([event(1)]) for _ in range(9)]).full
    client = connect(valkey)
    client.config_set("maxmemory", int(client.info("memory")["used_memory"] * 1.9))
    fresh = StreamTransport(client, stream_length=1000)
    assert fresh.publish("logs", 0, sender.lane, []).full


def test_a_server_out_of_memory_refuses_and_still_lets_committed_frames_be_deleted(bus):
    streams, transport = bus
    sender = Sender()
    ids = transport.publish("logs", 0, sender.lane, [sender.frame([event(1)])]).ids
    streams.client.config_set("maxmemory", 1)
    with pytest.raises(BusFull):
        transport.publish("logs", 0, sender.lane, [sender.frame([event(2)])])
    with pytest.raises(BusFull):
        streams.settle("logs", 0, ids, {sender.lane: 1})
    assert streams.length("logs", 0) == 0


def test_a_server_that_evicts_is_refused_with_what_to_do(bus):
    streams, _ = bus
    streams.client.config_set("maxmemory-policy", "allkeys-lru")
    with pytest.raises(BusRefused, match="noeviction"):
        streams.announce({"logs": 1}, "instance")


def test_a_server_of_another_protocol_is_refused(bus):
    streams, transport = bus
    streams.client.hset(META_KEY, mapping={"version": "9", "partitions:logs": "1"})
    with pytest.raises(BusRefused, match="protocol"):
        transport.partitions("logs")


def test_a_dead_and_a_silent_server_are_unavailable(tmp_path):
    with pytest.raises(BusUnavailable):
        StreamTransport(connect(f"unix://{tmp_path}/nothing"), stream_length=1).partitions("logs")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        client = connect(f"redis://127.0.0.1:{silent.getsockname()[1]}", timeout_seconds=0.2)
        with pytest.raises(BusUnavailable):
            StreamTransport(client, stream_length=1).partitions("logs")


def test_reports_of_lanes_are_found_by_partition(bus):
    streams, transport = bus
    transport.report("logs", 0, "a" * 32, {"service": "api", "emitted": 3})
    transport.report("logs", 1, "b" * 32, {"service": "worker"})
    assert streams.reports("logs", 0) == {"a" * 32: {"service": "api", "emitted": 3}}


def test_watermarks_of_lanes_that_went_away_expire(bus):
    streams, _ = bus
    streams.settle("logs", 0, [], {"c" * 32: 7})
    assert 0 < streams.client.ttl(low_key("logs", 0, "c" * 32)) <= 86_400


@pytest.mark.parametrize(
    ("url", "told"),
    [("redis://x?bogus=1", "there is no option bogus"), ("redis://x?socket_timeout=x", "socket_timeout"), ("http://x", "redis://")],
)  # fmt: skip
def test_a_url_that_cannot_be_used_is_told_with_its_option(url, told):
    with pytest.raises(SettingsError, match=told):
        connect(url)


def test_where_nothing_listens_it_says_what_to_start(tmp_path):
    with pytest.raises(BusUnavailable, match=rf"nothing listens at {tmp_path}/socket: start `monitoring up`"):
        exchange(connect(f"unix://{tmp_path}/socket").ping)

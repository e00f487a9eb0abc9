"""The bus on a real cluster: keys by slot, slots that move, nodes that die or stand still, and nothing sent twice."""

from __future__ import annotations

import contextlib

import pytest
import redis

from monitoring.pipeline import settings
from monitoring.pipeline.bus.cluster import is_cluster, nodes_of
from monitoring.pipeline.bus.embedded import locate_queue
from monitoring.pipeline.bus.streams import Entry, Streams, StreamTransport, connect, stream_key
from monitoring.pipeline.errors import BusFull, BusRefused, BusUnavailable, SettingsError
from monitoring.pipeline.settings import mask_url
from tests.cluster import ValkeyCluster, free_ports, wait_until
from tests.frames import Sender, event

PARTITIONS = 6
"""As many as reach all three nodes."""


@pytest.fixture(scope="module")
def _cluster():
    cluster = ValkeyCluster(spare=1, node_timeout_ms=5000)
    cluster.start()
    yield cluster
    cluster.close()


@pytest.fixture
def cluster(_cluster):
    """The cluster, empty, all of it running."""
    for node in _cluster.nodes:
        node.client.flushall()
        node.client.config_set("maxmemory", 0)
        node.client.config_set("maxmemory-policy", "noeviction")
        node.client.config_set("requirepass", "")
    return _cluster


@pytest.fixture
def bus(cluster):
    client = connect(cluster.url)
    streams = Streams(client)
    yield streams, StreamTransport(client, stream_length=100)
    streams.close()


def _publish(transport, partition, count=1):
    sender = Sender()
    frames = [sender.frame([event(number)]) for number in range(count)]
    return sender, transport.publish("logs", partition, sender.lane, frames).ids


def _read(streams, wanted=range(PARTITIONS)):
    """Entries of every stream, once those of these partitions have answered."""
    cursors = {stream_key("logs", number): "0-0" for number in range(PARTITIONS)}
    found: dict[str, list[Entry]] = {}
    for _ in range(100):
        with contextlib.suppress(BusUnavailable):  # of a node that is away, while no other has anything new
            found |= streams.read(cursors, count=10, block_ms=100)
        if {stream_key("logs", number) for number in wanted} <= found.keys():
            break
    return found


def test_partitions_lie_on_all_nodes_and_only_committed_frames_vanish(bus, cluster):
    streams, transport = bus
    streams.announce({"logs": PARTITIONS, "metrics": 1}, "instance")
    assert transport.partitions("logs") == PARTITIONS
    sent = {number: _publish(transport, number, 3) for number in range(PARTITIONS)}
    assert len({cluster.owner(stream_key("logs", number)).name for number in range(PARTITIONS)}) == 3
    found = _read(streams)
    for number, (sender, ids) in sent.items():
        assert [entry.id for entry in found[stream_key("logs", number)]] == ids
        streams.settle("logs", number, ids[:2], {sender.lane: 2})
        assert transport.publish("logs", number, sender.lane, []).low == 2
        assert [transport.present("logs", number, entry_id) for entry_id in ids] == [False, False, True]
        transport.report("logs", number, sender.lane, {"service": "api"})
        assert streams.reports("logs", number) == {sender.lane: {"service": "api"}}
        assert streams.length("logs", number) == 1
        assert streams.oldest_created("logs", number) == 1_790_000_000_000_000_000


def test_whoever_waits_for_many_streams_sees_a_frame_in_any_of_them(bus, cluster):
    streams, transport = bus
    cursors = {stream_key("logs", number): "0-0" for number in range(PARTITIONS)}
    assert streams.read(cursors, count=10, block_ms=10) == {}
    for number in range(PARTITIONS):  # each reader waits already, and is not asked again
        sender, ids = _publish(transport, number)
        found = streams.read(cursors, count=10, block_ms=5000)
        assert {key: [entry.id for entry in entries] for key, entries in found.items()} == {
            stream_key("logs", number): ids
        }
        streams.settle("logs", number, ids, {sender.lane: 1})


def test_a_slot_may_move_to_a_new_node_while_its_stream_is_used(bus, cluster):
    streams, transport = bus
    sender, ids = _publish(transport, 0)
    key, old = stream_key("logs", 0), cluster.owner(stream_key("logs", 0))

    def use_it() -> None:
        """The stream has gone, the slot has not: its owner answers ASK, to a node that no table names yet."""
        ids.extend(transport.publish("logs", 0, sender.lane, [sender.frame([event(1)])]).ids)
        assert [entry.id for entry in streams.read({key: "0-0"}, count=10, block_ms=5000)[key]] == ids
        streams.settle("logs", 0, [ids.pop(0)], {sender.lane: 1})
        assert transport.publish("logs", 0, sender.lane, []).low == 1

    cluster.move(key, cluster.nodes[-1], between=use_it)
    use_it_there = transport.publish("logs", 0, sender.lane, [sender.frame([event(2)])]).ids
    assert cluster.owner(key) is cluster.nodes[-1]
    assert [entry.id for entry in streams.read({key: "0-0"}, count=10, block_ms=5000)[key]] == ids + use_it_there
    cluster.move(key, old)
    wait_until(lambda: cluster.owner(key) is old, "the slot is back")
    assert streams.length("logs", 0) == 2


def test_a_frame_whose_answer_was_lost_is_not_sent_again_by_the_client(cluster):
    client = connect(cluster.url, timeout_seconds=0.3)
    transport = StreamTransport(client, stream_length=100)
    _publish(transport, 0)
    owner = cluster.owner(stream_key("logs", 0))
    owner.pause()
    try:
        with pytest.raises(BusUnavailable):
            _publish(transport, 0, 3)
    finally:
        owner.resume()
    wait_until(lambda: owner.client.xlen(stream_key("logs", 0)) >= 4, "the server has done what it was sent")
    assert owner.client.xlen(stream_key("logs", 0)) == 4
    transport.close()


def test_a_dead_node_keeps_only_its_own_partitions_waiting(bus, cluster):
    streams, transport = bus
    for number in range(PARTITIONS):
        _publish(transport, number)
    dead = cluster.owner(stream_key("logs", 0))
    others = {number for number in range(PARTITIONS) if cluster.owner(stream_key("logs", number)) is not dead}
    _read(streams)
    dead.kill()
    try:
        with pytest.raises(BusUnavailable):
            _publish(transport, 0)
        with pytest.raises(BusUnavailable):
            streams.settle("logs", 0, ["1-1"], {})
        assert {stream_key("logs", number) for number in others} <= _read(streams, others).keys()
        for number in others:
            _publish(transport, number)
    finally:
        dead.start()
        wait_until(dead.answers, "the node is back")
        cluster.wait_until_well()

    def published() -> bool:
        with contextlib.suppress(BusUnavailable):
            return bool(_publish(transport, 0))
        return False

    wait_until(published, "its partitions are used again")
    assert stream_key("logs", 0) in _read(streams)


def test_each_node_has_its_own_memory_mark_and_its_own_refusal(bus, cluster):
    streams, transport = bus
    sender, ids = _publish(transport, 0)
    owner = cluster.owner(stream_key("logs", 0))
    other = next(n for n in range(PARTITIONS) if cluster.owner(stream_key("logs", n)) is not owner)
    owner.client.config_set("maxmemory", 1)
    with pytest.raises(BusFull):
        _publish(transport, 0)
    with pytest.raises(BusFull):
        streams.settle("logs", 0, ids, {sender.lane: 1})
    assert streams.length("logs", 0) == 0
    _publish(transport, other)


def test_an_instance_is_announced_only_where_no_node_evicts(bus, cluster):
    streams, _ = bus
    cluster.nodes[2].client.config_set("maxmemory-policy", "allkeys-lru")
    with pytest.raises(BusRefused, match=rf"{cluster.nodes[2].name}.* noeviction"):
        streams.announce({"logs": 1}, "instance")


def test_what_is_no_cluster_or_lets_nobody_in_is_refused_and_what_is_away_is_waited_for(cluster, valkey_servers):
    def ask(url: str) -> None:
        with contextlib.closing(StreamTransport(connect(url, timeout_seconds=2.0), stream_length=1)) as transport:
            transport.partitions("logs")

    with pytest.raises(BusUnavailable):
        ask("redis+cluster://127.0.0.1:1,127.0.0.1:2")
    with pytest.raises(BusRefused, match="monitoring up"):
        ask(f"redis+cluster://127.0.0.1:1,{cluster.nodes[1].name}/0")  # one node that answers is enough
    single = valkey_servers(port="0")
    with redis.Redis.from_url(single.url) as client:
        client.config_set("port", (port := free_ports(1)[0]))
    with pytest.raises(BusRefused, match="no cluster"):
        ask(f"redis+cluster://127.0.0.1:{port}")
    for node in cluster.nodes:
        node.client.config_set("requirepass", "secret")
    for url, words in ((cluster.url, "credentials"), (cluster.url.replace("//", "//:secret@"), "monitoring up")):
        with pytest.raises(BusRefused, match=words):
            ask(url)


def test_a_clusters_url_names_its_nodes_and_keeps_its_secret():
    assert nodes_of("redis+cluster://u:p%40@a:1,[::1]:2,c/0?socket_timeout=3") == [("a", 1), ("::1", 2), ("c", 6379)]
    assert mask_url("rediss+cluster://u:secret@a:1,b:2/0") == "rediss+cluster://u:********@a:1,b:2/0"
    assert is_cluster("rediss+cluster://a") and not is_cluster("redis://a") and not is_cluster("")
    for wrong in ("redis+cluster://", "redis+cluster://:7000", "redis+cluster://a:port", "redis+cluster://a:99999"):
        with pytest.raises(SettingsError, match="|".join(("host", "node", "Port"))):
            connect(wrong)


def test_a_cluster_carries_no_jobs_so_their_server_has_to_be_named():
    cluster = {"MONITORING_BUS_URL": "redis+cluster://a:1"}
    with pytest.raises(SettingsError, match="MONITORING_QUEUE_URL"):
        locate_queue(settings.load(cluster))
    with pytest.raises(SettingsError, match="MONITORING_QUEUE_URL"):
        locate_queue(settings.load({"REDIS_URL": "redis://a", "MONITORING_QUEUE_URL": "redis+cluster://a:1"}))
    assert locate_queue(settings.load({**cluster, "MONITORING_QUEUE_URL": "redis://b"})) == "redis://b"
    assert locate_queue(settings.load({"REDIS_URL": "redis://a"})) == "redis://a"

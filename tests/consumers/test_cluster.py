"""From POST to search over a bus that is a cluster, with the jobs on a server of their own."""

from __future__ import annotations

import contextlib
import time

import pytest
import redis

from monitoring.consumers.drain import Drain
from monitoring.consumers.ticker import Ticker
from monitoring.pipeline.bus.streams import META_KEY, OWNER_KEY, StreamTransport, connect, stream_key
from monitoring.pipeline.bus.tally import read_tally
from monitoring.pipeline.errors import BusRefused, BusUnavailable
from monitoring.pipeline.publish.publisher import Publisher
from monitoring.pipeline.publish.spool import Spool
from tests.cluster import ValkeyCluster, wait_until
from tests.frames import event
from tests.instance import PARTITIONS, Instance


@pytest.fixture(scope="module")
def cluster():
    cluster = ValkeyCluster(node_timeout_ms=5000)
    cluster.start()
    yield cluster
    cluster.close()


@pytest.fixture
def instance(cluster, valkey, tmp_path):
    for node in cluster.nodes:
        node.client.flushall()
    instance = Instance(tmp_path, cluster.url, MONITORING_QUEUE_URL=valkey)
    yield instance
    instance.close()


def test_what_is_posted_is_found_and_what_must_not_be_spread_is_counted_on_the_queues_server(instance, valkey):
    with instance.draining():
        for number in range(8):
            assert instance.post(b'{"message": "over the cluster %d"}' % number).status_code == 202
        assert len(instance.messages(8, "cluster")) == 8
        wait_until(lambda: instance.call("GET", "/readyz", None).status_code == 200, "the instance is ready")
        wait_until(lambda: not any(_lags(instance)), "everything is drained")
    client = redis.Redis.from_url(valkey)
    instance.runtime.tally.flush()
    assert any(name.startswith("requests|") for name in read_tally(client))
    assert "monitoring_up 1.0" in instance.call("GET", "/metrics").text
    client.close()


def _lags(instance):
    return [part["lag"]["frames"] for part in instance.get("/api/v1/status")["partitions"]]


def test_the_ticker_enqueues_on_the_queues_server_also_while_the_bus_is_away(instance, cluster, valkey):
    queue, bus = redis.Redis.from_url(valkey), connect(cluster.url, timeout_seconds=0.3)
    ticker = Ticker(instance.settings, bus, queue)
    meta = cluster.owner(META_KEY)
    meta.pause()
    try:
        with pytest.raises(BusUnavailable):
            ticker.tick(time.monotonic())
        assert queue.llen("rq:queue:monitoring-drain") == 1
    finally:
        meta.resume()
    wait_until(lambda: _ticks(ticker), "the bus is back")
    assert queue.get(OWNER_KEY) == bus.get(OWNER_KEY) == instance.catalog.instance.encode()
    queue.set(OWNER_KEY, "somebody else")
    with pytest.raises(BusRefused, match="another monitoring instance"):
        ticker.tick(time.monotonic())
    for each in (ticker, queue, bus):
        each.close()


def _ticks(ticker):
    with contextlib.suppress(BusUnavailable):
        ticker.tick(time.monotonic())
        return True
    return False


def test_what_a_failover_forgets_after_it_was_acknowledged_is_sent_again_and_stored_once(instance, cluster, tmp_path):
    """Replication is not awaited: a new primary may lack entries whose XADD was answered."""
    clock = [0.0]
    publisher = Publisher(
        lambda: StreamTransport(connect(cluster.url), stream_length=1000),
        service="producer", spool=Spool(tmp_path / "own-spool", max_bytes=1 << 30),
        choose_partition=lambda lane, count: 0,
        clock=lambda: time.monotonic() + clock[0],
    )  # fmt: skip
    for number in range(30):
        publisher.emit(event(number, message=f"acknowledged {number}"))
    assert publisher.flush(30, ack="bus")
    assert instance.streams.length("logs", 0) > 0
    cluster.owner(stream_key("logs", 0)).client.delete(stream_key("logs", 0))
    clock[0] = 60.0  # it is long since
    with instance.draining():
        assert publisher.flush(60, ack="store")
        assert sorted(instance.messages(30, "acknowledged")) == sorted(f"acknowledged {n}" for n in range(30))
    publisher.close()


def test_one_dead_node_does_not_keep_a_drain_from_the_others_partitions(instance, cluster):
    owners = [cluster.owner(stream_key("logs", number)) for number in range(PARTITIONS)]
    if owners[0] is owners[1]:
        cluster.move(stream_key("logs", 1), next(node for node in cluster.nodes if node is not owners[0]))
    client = connect(cluster.url)
    drain = Drain(instance.settings)
    owners[0].kill()
    try:
        publisher = Publisher(
            lambda: StreamTransport(client, stream_length=1000), service="producer",
            choose_partition=lambda lane, count: 1,
        )  # fmt: skip
        publisher.emit(event(1, message="from a node that lives"))
        ends = time.monotonic() + 60
        while not drain.done["events"] and time.monotonic() < ends:
            with contextlib.suppress(BusUnavailable):
                drain.step()
        assert drain.done["events"] == 1
        publisher.close()
    finally:
        owners[0].start()
        drain.close()
        client.close()
        wait_until(owners[0].answers, "the node is back")
        cluster.wait_until_well()

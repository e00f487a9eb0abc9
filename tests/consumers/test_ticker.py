"""The ticker against a real server and a real catalog."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from monitoring.consumers.ticker import MAINTENANCE_SECONDS, Observed, Ticker, drains_to_enqueue, drains_to_remove
from monitoring.pipeline import jobs
from monitoring.pipeline.bus.streams import META_KEY, StreamTransport, connect
from monitoring.pipeline.errors import BusFull, BusRefused, BusUnavailable
from monitoring.pipeline.settings import Settings, load
from monitoring.pipeline.store.catalog import CATALOG_FILE, Catalog
from monitoring.pipeline.store.lease import Holder

DRAIN_WORKERS = "rq:workers:monitoring-drain"
small = st.integers(0, 20)


@given(small, small, small, small)
def test_drains_are_as_many_as_partitions_and_workers_allow_and_never_pile_up(
    partitions: int, workers: int, live: int, queued: int
) -> None:
    seen = Observed(partitions, workers, live, queued)
    after = Observed(partitions, workers, live, queued + drains_to_enqueue(seen) - drains_to_remove(seen))
    assert after.live + after.queued >= after.desired
    assert after.queued <= max(1, min(partitions, workers))
    assert drains_to_enqueue(after) == 0
    assert drains_to_remove(after) == 0


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    Catalog.create_or_open(tmp_path / CATALOG_FILE, partitions=3).close()
    return load({"MONITORING_DATA_DIR": str(tmp_path)})


@pytest.fixture
def client(valkey: str) -> redis.Redis:
    return connect(valkey)


@pytest.fixture
def ticker(settings: Settings, client: redis.Redis) -> Iterator[Ticker]:
    ticker = Ticker(settings, client)
    yield ticker
    ticker.close()


def register(client: redis.Redis, name: str, *, seconds: int = 60) -> None:
    """As a drain worker announces itself."""
    client.set(f"rq:worker:{name}", "hash", ex=seconds)
    client.sadd(DRAIN_WORKERS, f"rq:worker:{name}")
    client.sadd("rq:workers", f"rq:worker:{name}")


def attend(settings: Settings) -> Callable[[], None]:
    """As a live drain does; returns how it leaves."""
    catalog = Catalog(settings.data / CATALOG_FILE)
    catalog.attend(Holder.this_process())
    return lambda: catalog.leave(Holder.this_process())


def test_the_first_tick_starts_a_drain_maintenance_and_alerts(ticker: Ticker, client: redis.Redis) -> None:
    assert sorted(ticker.tick(0)) == sorted([jobs.ALERTS, jobs.DRAIN, jobs.MAINTENANCE])
    assert [jobs.queued(client, name) for name in (jobs.ALERTS, jobs.DRAIN, jobs.MAINTENANCE)] == [1, 1, 1]


def test_a_job_that_waits_is_not_enqueued_again(ticker: Ticker, client: redis.Redis) -> None:
    ticker.tick(0)
    for second in range(1, 200):
        assert ticker.tick(second) == []
    assert jobs.queued(client, jobs.DRAIN) == jobs.queued(client, jobs.MAINTENANCE) == 1


def test_a_drain_that_lives_is_enough_and_one_that_left_is_replaced(
    ticker: Ticker, client: redis.Redis, settings: Settings
) -> None:
    leave = attend(settings)
    ticker.tick(0)
    assert jobs.queued(client, jobs.DRAIN) == 0
    leave()
    assert ticker.tick(1) == [jobs.DRAIN]


def test_two_workers_get_two_drains_and_ten_get_one_a_partition(ticker: Ticker, client: redis.Redis) -> None:
    for number in range(2):
        register(client, f"w{number}")
    ticker.tick(0)
    assert jobs.queued(client, jobs.DRAIN) == 2
    for number in range(10):
        register(client, f"w{number}")
    ticker.tick(1)
    assert jobs.queued(client, jobs.DRAIN) == 3


def test_workers_that_vanished_do_not_count_and_are_forgotten(ticker: Ticker, client: redis.Redis) -> None:
    for number in range(5):
        register(client, f"w{number}")
    client.delete(*[f"rq:worker:w{number}" for number in range(4)])
    ticker.tick(0)
    assert jobs.queued(client, jobs.DRAIN) == 1
    assert client.smembers(DRAIN_WORKERS) == client.smembers("rq:workers") == {b"rq:worker:w4"}


def test_jobs_beyond_what_is_wanted_are_taken_out_again(ticker: Ticker, client: redis.Redis) -> None:
    for _ in range(20):
        jobs.enqueue(client, jobs.DRAIN)
    ticker.tick(0)
    assert jobs.queued(client, jobs.DRAIN) == 1
    assert len(list(client.scan_iter("rq:job:*"))) == 3  # this one, maintenance and alerts


def test_maintenance_is_due_every_minute(ticker: Ticker, client: redis.Redis) -> None:
    ticker.tick(0)
    client.delete("rq:queue:monitoring-maintenance")
    assert ticker.tick(MAINTENANCE_SECONDS - 1) == []
    assert ticker.tick(MAINTENANCE_SECONDS) == [jobs.MAINTENANCE]


def test_what_plain_rq_would_leave_behind_is_swept(ticker: Ticker, client: redis.Redis) -> None:
    client.zadd("rq:wip:monitoring-drain", {"job:execution": 1})
    client.zadd("rq:failed:monitoring-drain", {"job": 1})
    client.rpush("rq:queue:monitoring-drain:intermediate", "job")
    ticker.tick(0)
    assert not client.exists("rq:wip:monitoring-drain", "rq:failed:monitoring-drain")
    assert not client.exists("rq:queue:monitoring-drain:intermediate")


def test_publishers_find_the_partitions_again_after_the_bus_lost_everything(
    ticker: Ticker, client: redis.Redis, valkey: str
) -> None:
    ticker.tick(0)
    client.flushall()
    ticker.tick(1)
    assert StreamTransport(connect(valkey), stream_length=16).partitions("logs") == 3
    assert jobs.queued(client, jobs.DRAIN) == 1


def test_a_bus_that_another_instance_uses_is_left_alone(ticker: Ticker, client: redis.Redis, tmp_path: Path) -> None:
    ticker.tick(0)
    Catalog.create_or_open(tmp_path / "other" / CATALOG_FILE, partitions=1).close()
    other = Ticker(load({"MONITORING_DATA_DIR": str(tmp_path / "other")}), client)
    with pytest.raises(BusRefused, match="another monitoring instance"):
        other.tick(0)
    assert client.hget(META_KEY, "partitions:logs") == b"3"
    client.delete("monitoring:owner")  # as it expires when the first has ended
    other.tick(1)
    assert client.hget(META_KEY, "partitions:logs") == b"1"
    with pytest.raises(BusRefused):
        ticker.tick(2)
    other.close()


def test_a_full_bus_is_said_and_the_next_tick_tries_again(ticker: Ticker, client: redis.Redis) -> None:
    ticker.tick(0)
    client.ltrim("rq:queue:monitoring-drain", 1, 0)
    client.config_set("maxmemory", "1")
    with pytest.raises(BusFull):
        ticker.tick(1)
    client.config_set("maxmemory", "0")
    assert ticker.tick(2) == [jobs.DRAIN]


def test_a_bus_that_is_away_is_said_too(settings: Settings, tmp_path: Path) -> None:
    ticker = Ticker(settings, connect(f"unix://{tmp_path}/nowhere"))
    with pytest.raises(BusUnavailable):
        ticker.tick(0)
    ticker.close()


PROGRAM = """
import sys
from monitoring.consumers import stop, ticker
from monitoring.pipeline.settings import load
stop.handle_signals()
ticker.run(load(), sys.argv[1])
"""


def spawn(settings: Settings, url: str) -> subprocess.Popen[bytes]:
    environ = {**os.environ, "MONITORING_DATA_DIR": str(settings.data)}
    return subprocess.Popen([sys.executable, "-c", PROGRAM, url], env=environ)


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_two_tickers_take_turns_and_both_end_with_0(settings: Settings, client: redis.Redis, valkey: str) -> None:
    first, second = spawn(settings, valkey), spawn(settings, valkey)
    try:
        wait_for(lambda: jobs.queued(client, jobs.DRAIN) == 1)
        first.send_signal(signal.SIGKILL)
        client.delete("rq:queue:monitoring-drain")
        wait_for(lambda: jobs.queued(client, jobs.DRAIN) == 1)
        second.terminate()
        assert second.wait(10) == 0
    finally:
        for process in (first, second):
            process.kill()
            process.wait()

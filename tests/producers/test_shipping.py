"""What was counted is stored exactly, whatever the bus does, over both transports, and nobody is told of no trouble."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.serving import make_server

from monitoring.pipeline.bus.streams import META_KEY
from monitoring.pipeline.events.delta import Delta
from monitoring.pipeline.publish.http import HttpTransport
from monitoring.pipeline.publish.publisher import Publisher
from monitoring.pipeline.publish.spool import Spool
from monitoring.producers.registry import Registry
from monitoring.producers.shipping import Reporter, seconds_until_next
from tests.instance import Instance
from tests.pipeline.publish.support import FlakyTransport, Store, publisher
from tests.producers.shipped import deltas, totals


class Clock:
    """A steady clock that a test may put forward."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead


@contextmanager
def reporting(some: Publisher) -> Iterator[tuple[Registry, Reporter]]:
    """A registry and its reporter; the publisher is closed at the end, and its threads are gone."""
    registry = Registry()
    try:
        yield registry, Reporter(registry, some, service="api", environment="test", release="1.2", host="h1")
    finally:
        some.close(0.1)
        for thread in threading.enumerate():
            if thread.name.startswith("monitoring-publisher"):
                thread.join(20)
                assert not thread.is_alive()


def metrics_publisher(url: str, **changes: Any) -> Publisher:
    return publisher(url, **{"signal": "metrics", **changes})


def ship(reporter: Reporter) -> bool:
    return reporter.ship(time.time_ns())


def test_what_was_recorded_is_on_the_bus_with_all_it_takes_to_store_it(valkey: str) -> None:
    store = Store(valkey, signal="metrics")
    before = time.time_ns()
    with store.running(), reporting(metrics_publisher(valkey)) as (registry, reporter):
        registry.counter("jobs_total", "Jobs.", labels=("outcome",)).inc(3, outcome="ok")
        registry.gauge("depth", across="max", unit="jobs").set(7)
        registry.histogram("took_seconds", buckets=(1, 5)).observe(2.5)
        assert ship(reporter) and ship(reporter)
        registry.counter("jobs").inc(2, outcome="ok")
        assert ship(reporter)
        assert reporter._publisher.flush(20)
        counters = reporter._publisher.counters()
    assert totals(store) == {
        ("jobs", '{"outcome":"ok"}'): 5,
        ("depth", "{}"): 7,
        ("took_seconds", "{}"): (2.5, [0, 1, 0]),
    }
    rows = deltas(store)
    assert len(rows) == counters.committed == 4, "nothing is said of what did not change"
    assert {row[2:6] for row in rows} == {("api", "test", "1.2", "h1")}
    assert all(before <= row.timestamp <= time.time_ns() and 0 <= row.window < 60 * 10**9 for row in rows)
    families = {found["name"]: found for found in (orjson.loads(row.family) for row in rows)}
    assert families["jobs"] == {"name": "jobs", "kind": "counter", "help": "Jobs."}
    assert families["depth"] == {"name": "depth", "kind": "gauge", "across": "max", "unit": "jobs"}
    assert families["took_seconds"]["bounds"] == [1.0, 5.0]
    store.assert_sound()


def test_what_the_publisher_does_not_take_adds_up_where_it_was_counted() -> None:
    taken: list[list[Delta]] = []
    answers = iter([False, False, True, True])

    class Choosy(Publisher):
        def offer(self, rows: Any) -> bool:
            if answer := next(answers):
                taken.append(rows)
            return answer

    registry = Registry()
    reporter = Reporter(registry, Choosy(lambda: None, signal="metrics"), service="api")  # type: ignore[arg-type,return-value]  # never called
    for shipped in (False, False, True, True):
        registry.counter("x").inc(2)
        assert ship(reporter) is shipped
    assert [[row.value for row in rows] for rows in taken] == [["6"], ["2"]]
    assert ship(reporter), "there is nothing to offer"


def test_a_handler_that_ships_in_the_middle_of_shipping_hands_over_nothing_twice(valkey: str) -> None:
    with reporting(metrics_publisher(valkey)) as (registry, reporter):
        registry.counter("x").inc()
        with registry.collect(1):
            assert not ship(reporter)
        assert ship(reporter)


def test_many_series_go_in_several_frames_and_add_up(valkey: str) -> None:
    store = Store(valkey, signal="metrics")
    with store.running(), reporting(metrics_publisher(valkey, frame_events=100)) as (registry, reporter):
        for number in range(950):
            registry.counter("x").inc(number, n=number)
        assert ship(reporter) and reporter._publisher.flush(30)
    assert len(store.frames) >= 10 and sum(totals(store).values()) == sum(range(950))
    store.assert_sound()


def test_a_bus_that_is_killed_and_comes_back_empty_costs_nothing(valkey_servers: Callable[..., Any]) -> None:
    server = valkey_servers()
    store = Store(server.url, signal="metrics")
    recorded = 0
    some = metrics_publisher(server.url, max_events=200)
    with reporting(some) as (registry, reporter):

        def work(rounds: int) -> list[bool]:
            nonlocal recorded
            shipped = []
            for _ in range(rounds):
                for label in range(20):
                    registry.counter("x").inc(3, n=label)
                    registry.histogram("h", buckets=(1, 2)).observe(1.5, n=label)
                    recorded += 1
                shipped.append(ship(reporter))
            return shipped

        with store.running():
            work(3)
            assert some.flush(20)
        work(2)
        assert some.flush(20, "bus")
        server.kill()
        assert False in work(20), "the buffer is full, and the rest waits in the registry"
        server.start()
        store.streams.announce({"logs": 1, "metrics": 1}, "test")
        with store.running():
            work(2)
            while not ship(reporter):
                threading.Event().wait(0.02)
            assert some.flush(60)
        assert some.counters().dropped == {}
    found = totals(store)
    assert sum(value for (name, _), value in found.items() if name == "x") == 3 * recorded
    assert sum(value[1][1] for (name, _), value in found.items() if name == "h") == recorded
    assert sum(value[0] for (name, _), value in found.items() if name == "h") == 1.5 * recorded
    store.assert_sound()


def test_lost_replies_double_nothing(valkey: str) -> None:
    store = Store(valkey, signal="metrics")
    calls = iter([False, False, True, False, False] * 100_000)
    some = Publisher(
        lambda: FlakyTransport(valkey, lambda when: next(calls)), signal="metrics", flush_interval_seconds=0.01
    )
    with store.running(), reporting(some) as (registry, reporter):
        for number in range(100):
            registry.counter("x").inc(number)
            assert ship(reporter)
        assert some.flush(60)
    assert totals(store) == {("x", "{}"): sum(range(100))}
    store.assert_sound()


def test_an_instance_without_metrics_is_no_trouble_and_all_is_there_once_it_takes_them(valkey: str) -> None:
    Store(valkey)
    troubles: list[str] = []
    clock = Clock()
    some = metrics_publisher(valkey, clock=clock, on_trouble=troubles.append)
    with reporting(some) as (registry, reporter):
        registry.counter("x").inc(5)
        assert ship(reporter), "it is not known yet"
        assert not some.flush(30)
        for _ in range(10):
            registry.counter("x").inc(2)
            assert not ship(reporter)
        assert some.trouble == "" and some.counters().dropped == {}
        store = Store(valkey, signal="metrics")
        with store.running():
            clock.ahead += 61
            while not some.flush(30):
                threading.Event().wait(0.02)
            assert ship(reporter) and some.flush(30)
    assert totals(store) == {("x", "{}"): 25}
    assert troubles == []


@pytest.fixture
def instance(tmp_path: Path, valkey: str) -> Iterator[Instance]:
    made = Instance(tmp_path / "data", valkey)
    yield made
    made.close()


@pytest.fixture
def address(instance: Instance) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, instance.app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_over_http_it_is_the_same(instance: Instance, address: str) -> None:
    instance.streams.client.hdel(META_KEY, "partitions:metrics")
    troubles: list[str] = []
    clock = Clock()
    some = Publisher(
        lambda: HttpTransport(address, instance.keys["ingest"]),
        signal="metrics",
        flush_interval_seconds=0.02,
        clock=clock,
        on_trouble=troubles.append,
    )
    with reporting(some) as (registry, reporter):
        registry.counter("x").inc(5)
        assert ship(reporter) and not some.flush(30)
        registry.counter("x").inc(2)
        assert not ship(reporter)
        store = Store(instance.url, signal="metrics")
        with store.running():
            clock.ahead += 61
            while not some.flush(30):
                threading.Event().wait(0.02)
            assert ship(reporter)
            registry.histogram("h", buckets=(1,)).observe(0.5)
            assert ship(reporter) and some.flush(30)
    assert totals(store) == {("x", "{}"): 7, ("h", "{}"): (0.5, [1, 0])}
    assert troubles == []
    store.assert_sound()


def test_prefork_workers_add_up_with_their_parent(valkey: str, tmp_path: Path) -> None:
    store = Store(valkey, signal="metrics")
    some = metrics_publisher(valkey, spool=Spool(tmp_path / "spool", max_bytes=1 << 30))
    children = []
    with store.running(), reporting(some) as (registry, reporter):
        kept = registry.counter("requests").labels(route="/")
        kept.inc(1000)
        assert ship(reporter)
        kept.inc(100)  # not handed over when the workers are forked
        for worker in range(3):
            child = os.fork()
            if child == 0:
                status = 1
                try:
                    for _ in range(10):
                        kept.inc(worker + 1)
                        ship(reporter)
                    registry.gauge("in_flight", across="sum").inc()
                    status = 0 if ship(reporter) and some.flush(60) and some.close() else 2
                finally:
                    os._exit(status)
            children.append(child)
        assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
        assert ship(reporter) and some.flush(60)
    assert totals(store)["requests", '{"route":"/"}'] == 1100 + 10 * (1 + 2 + 3)
    assert len(store.where) == 4, "a lane for each process"
    store.assert_sound()


@given(st.integers(0, 1 << 61), st.sampled_from([0.5, 1, 10, 15, 60]))
def test_windows_end_at_multiples_of_the_interval(now_ns: int, interval: float) -> None:
    pause = seconds_until_next(now_ns, interval)
    assert 0 < pause <= interval
    assert (now_ns + round(pause * 1e9)) % int(interval * 1e9) == 0

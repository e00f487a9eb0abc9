"""Metrics derived from logs count every event once, whenever the drain dies and however frames are repeated."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter

import apsw
import orjson
import pytest

from monitoring.consumers import stop
from monitoring.consumers.drain import Drain
from monitoring.pipeline import failpoint, settings
from monitoring.pipeline.bus.streams import Streams, StreamTransport, connect, stream_key
from monitoring.pipeline.derived.definition import definition_of
from monitoring.pipeline.store.catalog import CATALOG_FILE, Catalog, segment_path
from monitoring.pipeline.store.control import FILE_NAME, Control
from monitoring.pipeline.store.derived_metrics import DerivedMetrics
from monitoring.pipeline.store.verify import verify
from tests.deltas import totals
from tests.frames import Sender, event

NOW = time.time_ns()
DEFINITIONS = """
derived_metrics:
  - {name: errors_total, kind: counter, query: "level:error", labels: [service]}
  - {name: events, kind: counter, query: "*"}
  - {name: paid, kind: counter, query: "has:cents", field: cents}
  - {name: took, kind: histogram, query: "message:slow", field: ms, bounds: [10, 100]}
"""
POINTS = (
    "drain.read", "drain.mid_transaction", "derived.put", "drain.committed", "drain.settle", "derived.sent",
    "rollover.sealed", "rollover.created", "rollover.linked", "rollover.cataloged",
)  # fmt: skip
PROGRAM = """
from monitoring.consumers import drain, stop
from monitoring.pipeline.settings import load
stop.handle_signals()
while not stop.requested():
    drain.run(load())
"""


class Bench:
    """A data directory with definitions in a file, a bus, and producers of logs."""

    def __init__(self, data, url, definitions=DEFINITIONS, **environment):
        data.mkdir(exist_ok=True)
        file = data / "derived.yaml"
        file.write_text(definitions)
        self.environment = {
            "MONITORING_DATA_DIR": str(data),
            "MONITORING_BUS_URL": url,
            "MONITORING_DISK_RESERVE": "0",
            "MONITORING_DERIVED_FILE": str(file),
            **environment,
        }
        self.data = data
        self.settings = settings.load(self.environment)
        self.catalog = Catalog.create_or_open(data / CATALOG_FILE, partitions=2)
        self.streams = Streams(connect(url))
        self.streams.announce({"logs": 2, "metrics": 1}, self.catalog.instance)
        self.transport = StreamTransport(connect(url), stream_length=1000)
        self.senders = [Sender(number, created=NOW) for number in range(2)]

    def publish(self, partition, events):
        frame = self.senders[partition].frame(events)
        self.transport.publish("logs", partition, frame.lane, [frame])

    def drain(self, drain=None, *, until=lambda: True):
        """Drain until nothing waits, nothing is kept to be sent, and this holds."""
        drain = drain or Drain(self.settings)
        ends = time.monotonic() + 60
        while time.monotonic() < ends:
            drain.step()
            if not self._waiting() and not self._kept(drain) and until():
                break
        drain.close()
        return drain

    def _waiting(self):
        return sum(self.streams.length(signal, n) for signal, n in (("logs", 0), ("logs", 1), ("metrics", 0)))

    def _kept(self, drain):
        shippers = [held.shipper._way for held in drain._held.values() if held.partition.deriving]
        return len(shippers) < 2 or any(way is not None and not way.lane.idle for way in shippers)

    def close(self):
        self.catalog.close()
        self.transport.close()
        self.streams.client.close()


@pytest.fixture
def bench(tmp_path, valkey):
    made = Bench(tmp_path / "data", valkey)
    yield made
    failpoint.arm(None)
    stop.reset()
    made.close()


def drawn(chance, number, journal):
    """An event, and what the definitions should make of it."""
    journal["events"] += 1
    attributes, message = {}, "fast"
    level = chance.choice([9, 17])
    journal["errors"] += level == 17
    if chance.random() < 0.5:
        attributes["cents"] = chance.randrange(1000)
        journal["paid"] += attributes["cents"]
    if chance.random() < 0.5:
        attributes["ms"], message = chance.randrange(200), "a slow one"
        journal["took_sum"] += attributes["ms"]
        journal["took_count"] += 1
    return event(
        number, level=level, message=message, attributes=orjson.dumps(attributes).decode(),
        timestamp=NOW - chance.randrange(600) * 10**9, service=chance.choice(["shop", "api"]),
    )  # fmt: skip


def repeat(client, chance):
    """Put copies of what waits behind it, in another order."""
    for key in (stream_key("logs", 0), stream_key("logs", 1), stream_key("metrics", 0)):
        entries = client.xrange(key)
        for _, fields in chance.sample(entries, len(entries)):
            client.xadd(key, fields)


def test_events_are_counted_added_up_and_observed_as_they_are_defined(bench):
    journal, chance = Counter[str](), random.Random(1)
    for number in range(4):
        bench.publish(number % 2, [drawn(chance, n, journal) for n in range(50)])
    drain = bench.drain()
    assert drain.done["dead_letters"] == 0
    assert totals(bench.data) == dict(journal)
    assert verify(bench.catalog).findings == []


def test_totals_are_the_matching_events_though_the_drain_is_killed_at_every_step(tmp_path, valkey):
    points = tmp_path / "points"
    points.mkdir()
    bench = Bench(tmp_path / "data", valkey, MONITORING_SEGMENT_AGE="1s", MONITORING_FAILPOINT_DIR=str(points))
    journal, chance = Counter[str](), random.Random(5)
    environ = {**os.environ, **bench.environment}
    for point in chance.sample(POINTS, len(POINTS)):
        for partition in (0, 1, 0):
            bench.publish(partition, [drawn(chance, n, journal) for n in range(30)])
        repeat(bench.streams.client, chance)
        (points / point).touch()
        with subprocess.Popen([sys.executable, "-c", PROGRAM], env=environ) as process:
            try:
                assert process.wait(60) == -signal.SIGKILL, point
            finally:
                process.kill()
    bench.publish(0, [drawn(chance, n, journal) for n in range(30)])
    bench.drain()
    assert totals(bench.data) == dict(journal)
    assert len(bench.catalog.segments("logs")) > 2
    assert verify(bench.catalog).findings == []
    bench.close()


def test_a_bus_that_is_wiped_costs_no_increment(bench, monkeypatch):
    journal, chance = Counter[str](), random.Random(2)
    bench.publish(0, [drawn(chance, n, journal) for n in range(20)])
    monkeypatch.setattr("monitoring.pipeline.bus.lanes.REPLAY_AFTER_SECONDS", 0.01)
    drain = Drain(bench.settings)
    ends = time.monotonic() + 60
    while drain.done["events"] < 20 and time.monotonic() < ends:
        drain.step()
    bench.streams.client.flushall()
    bench.streams.announce({"logs": 2, "metrics": 1}, bench.catalog.instance)
    bench.publish(1, [drawn(chance, n, journal) for n in range(20)])
    bench.drain(drain)
    assert totals(bench.data) == dict(journal)


def test_a_definition_counts_from_when_it_is_made_until_it_is_removed_and_the_file_may_be_wrong(tmp_path, valkey):
    bench = Bench(tmp_path / "data", valkey, "derived_metrics: [{name: broken, kind: counter, query: '('}]")
    with contextlib.closing(Control(bench.data / FILE_NAME)) as control:
        metrics = DerivedMetrics(control, bench.settings.path("derived_file"))
        bench.publish(0, [event(1)])
        bench.drain()
        metrics.save(definition_of({"name": "events", "kind": "counter", "query": "*"}), "me", replace=False)
        bench.publish(0, [event(2), event(3)])
        bench.drain()
        metrics.remove("events")
        bench.publish(0, [event(4)])
        bench.drain()
    assert totals(bench.data) == {"events": 2}
    bench.close()


def test_a_lane_that_is_further_in_the_metric_store_is_left_and_nothing_that_is_new_is_lost(bench):
    for number in range(3):
        bench.publish(0, [event(number)])
        bench.drain()
    with contextlib.closing(apsw.Connection(str(segment_path(bench.data, "logs", 0, 1)))) as restored:
        restored.execute("DELETE FROM derived_frame; UPDATE derived_lane SET seq = 1, emitted = 1")
    for number in range(3, 6):
        bench.publish(0, [event(number)])
        bench.drain()
    assert totals(bench.data) == {"events": 6}

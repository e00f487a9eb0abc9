"""Metrics on their way through the drain: exact under kills, replays and roll-overs, and not held up by logs."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace

import pytest

from monitoring.consumers import maintenance, stop
from monitoring.consumers.drain import Drain
from monitoring.consumers.ticker import Ticker
from monitoring.pipeline import failpoint, settings
from monitoring.pipeline.bus.streams import Streams, StreamTransport, connect, stream_key
from monitoring.pipeline.status import gather
from monitoring.pipeline.store.catalog import CATALOG_FILE, Catalog
from monitoring.pipeline.store.lease import Holder
from monitoring.pipeline.store.metrics import open_metrics
from monitoring.pipeline.store.partition import Partition
from monitoring.pipeline.store.verify import verify
from monitoring.producers.registry import Registry
from monitoring.producers.shipping import Reporter
from tests.deltas import SECOND, T, delta, frame, total, totals, windows
from tests.frames import Sender, event
from tests.pipeline.publish.support import publisher

NOW = time.time_ns()


class Bench:
    """A data directory, a bus, and a transport to publish by."""

    def __init__(self, data, url, **environment):
        self.environment = {
            "MONITORING_DATA_DIR": str(data),
            "MONITORING_BUS_URL": url,
            "MONITORING_DISK_RESERVE": "0",
            **environment,
        }
        self.data = data
        self.settings = settings.load(self.environment)
        self.catalog = Catalog.create_or_open(data / CATALOG_FILE, partitions=2)
        self.streams = Streams(connect(url))
        self.streams.announce({"logs": 2, "metrics": 1}, self.catalog.instance)
        self.transport = StreamTransport(connect(url), stream_length=1000)

    def publish(self, *frames):
        self.transport.publish("metrics", 0, frames[0].lane, frames)

    def waiting(self):
        return self.streams.length("metrics", 0)

    def drain(self):
        """Drain until nothing waits, in a drain of its own."""
        with contextlib.closing(Drain(self.settings)) as drain:
            ends = time.monotonic() + 60
            while self.waiting() and time.monotonic() < ends:
                drain.step()
        return drain

    def close(self):
        self.catalog.close()
        self.transport.close()
        self.streams.client.close()


@pytest.fixture
def bench(tmp_path, valkey):
    made = Bench(tmp_path, valkey)
    yield made
    failpoint.arm(None)
    stop.reset()
    made.close()


def test_what_is_published_is_stored_deleted_acknowledged_and_in_the_books(bench):
    lane = Sender(created=NOW)
    bench.publish(frame(lane, [delta(1), delta(2, at=T + 10 * SECOND)]), frame(lane, [delta(-1), delta(4)]))
    drain = bench.drain()
    assert (drain.done["events"], drain.done["dead_letters"]) == (3, 1)
    assert windows(bench.data) == {-10: 5, 0: 2}
    assert bench.transport.publish("metrics", 0, lane.lane, []).low == 2
    report = verify(bench.catalog)
    assert report.findings == []
    assert [(part.signal, part.committed, part.dead_lettered) for part in report.partitions][-1] == ("metrics", 3, 1)
    status = gather(bench.catalog, bench.streams, now_ns=time.time_ns())
    (row,) = [part for part in status["partitions"] if part["signal"] == "metrics"]
    assert (row["emitted"], row["committed"], row["dead_lettered"], row["rows"], row["residual"]) == (4, 3, 1, 3, 0)
    assert row["lag"] == {"frames": 0, "seconds": 0.0}
    assert (status["metrics"]["committed"], status["totals"]["committed"], status["problems"]) == (3, 0, [])


def test_metrics_go_first_however_many_logs_wait(tmp_path, valkey, monkeypatch):
    bench = Bench(tmp_path, valkey, MONITORING_BATCH_EVENTS="500")
    logs = [Sender(number, created=NOW) for number in (1, 2)]
    for number, sender in enumerate(logs):
        frames = [sender.frame([event(n) for n in range(100)]) for _ in range(50)]
        bench.transport.publish("logs", number, sender.lane, frames)
    order = []
    write = Partition.write

    def noting(self, batch, **more):
        order.append(self.signal)
        write(self, batch, **more)

    monkeypatch.setattr(Partition, "write", noting)
    drain = Drain(bench.settings)
    drain.step()
    before = len(order)
    bench.publish(frame(Sender(3, created=NOW), [delta(1)]))
    drain.step()
    drain.close()
    assert order[before] == "metrics"
    assert sum(bench.streams.length("logs", number) for number in (0, 1)) > 0, "logs still waited then"
    bench.close()


def test_two_drains_have_their_share_of_the_logs_and_one_of_them_the_metrics(bench):
    first = Drain(bench.settings)
    first.step()
    assert next(iter(first._held)) == "monitoring:{metrics:0}"
    second = Drain(bench.settings, me=replace(Holder.this_process(), namespace="another"))
    ends = time.monotonic() + 60
    while (len(first.holding), len(second.holding)) != (1, 1) and time.monotonic() < ends:
        first.step()
        second.step()
    held = [key for drain in (first, second) for key in drain._held]
    assert sorted(held) == ["monitoring:{logs:0}", "monitoring:{logs:1}", "monitoring:{metrics:0}"]
    second.close()
    first.close()


def test_a_delta_that_kills_the_drain_is_dead_lettered_and_all_others_are_stored(bench, tmp_path, monkeypatch):
    class KilledError(BaseException):
        pass

    def kill(pid, number):
        raise KilledError

    points = tmp_path / "points"
    points.mkdir()
    (points / "poison").write_text("deadly")
    monkeypatch.setattr("monitoring.pipeline.failpoint.os.kill", kill)
    failpoint.arm(points)
    deltas = [delta(1, name="deadly" if number == 13 else f"fine {number}") for number in range(20)]
    deltas.insert(3, delta(-1))
    bench.publish(frame(Sender(created=NOW), deltas))
    for number in range(60):
        drain = Drain(bench.settings, me=Holder("another boot", "", number + 1, 1))
        try:
            while bench.waiting():
                drain.step()
        except KilledError:
            drain.abandon()
            continue
        drain.close()
        break
    assert bench.waiting() == 0
    assert totals(bench.data) == {"orders": 19}
    assert verify(bench.catalog).findings == []


PROGRAM = """
from monitoring.consumers import drain, stop
from monitoring.pipeline.settings import load
stop.handle_signals()
while not stop.requested():
    drain.run(load())
"""
POINTS = (
    "drain.read", "drain.mid_transaction", "drain.committed", "drain.settle",
    "rollover.sealed", "rollover.created", "rollover.linked", "rollover.cataloged",
)  # fmt: skip


class Producers:
    """Three producers with instruments, and the journal of what they counted."""

    def __init__(self, url, chance):
        self.chance = chance
        self.journal: Counter[str] = Counter()
        self._seconds = 0
        self._totals = [Counter[str]() for _ in range(3)]
        self._publishers = [publisher(url, signal="metrics") for _ in range(3)]
        self._registries = [Registry() for _ in range(3)]
        self._reporters = [
            Reporter(registry, some, service="shop", host=f"h{number % 2}")
            for number, (registry, some) in enumerate(zip(self._registries, self._publishers, strict=True))
        ]

    def count(self):
        for registry in self._registries:
            amount, size = self.chance.randrange(1, 1000), self.chance.randrange(20)
            registry.counter("orders").inc(amount, channel=self.chance.choice(["web", "import"]))
            registry.histogram("sizes", buckets=(1, 5, 10)).observe(size)
            registry.gauge("waiting", across="sum").set(size)
            self.journal.update({"orders": amount, "sizes_sum": size, "sizes_count": 1})

    def tell(self):
        """Cumulative totals of three more processes, each of which begins anew now and then."""
        self._seconds += 7
        for number, (some, known) in enumerate(zip(self._publishers, self._totals, strict=True)):
            if not known or self.chance.random() < 0.2:
                known.clear()
                known["start"] = NOW + self._seconds * SECOND + number
            amount = self.chance.randrange(1, 1000)
            known["value"] += amount
            at = (NOW - T) // SECOND + self._seconds + 5
            told = total(known["value"], at, start=known["start"], stream=str(number))
            assert some.offer([told, told])
            self.journal["requests"] += amount

    def send(self):
        """Hand over what was counted, as of some time in the last ten minutes, and wait until it is on the bus."""
        for reporter, some in zip(self._reporters, self._publishers, strict=True):
            assert reporter.ship(time.time_ns() - self.chance.randrange(600) * SECOND)
            assert some.flush(30, "bus")

    def close(self):
        return [some.close(30) for some in self._publishers]


def repeat(client, chance):
    """Put copies of some entries behind the others, in another order."""
    key = stream_key("metrics", 0)
    entries = client.xrange(key)
    for _, fields in chance.sample(entries, len(entries)):
        client.xadd(key, fields)


def test_totals_are_what_the_producers_journalled_though_the_drain_is_killed_at_every_step(tmp_path, valkey):
    points = tmp_path / "points"
    points.mkdir()
    bench = Bench(
        tmp_path / "data", valkey, MONITORING_SEGMENT_AGE="1s", MONITORING_FAILPOINT_DIR=str(points),
    )  # fmt: skip
    chance = random.Random(5)
    producers = Producers(valkey, chance)
    environ = {**os.environ, **bench.environment}
    for point in chance.sample(POINTS, len(POINTS)):
        for _ in range(3):
            producers.count()
            producers.tell()
            producers.send()
        repeat(bench.streams.client, chance)
        (points / point).touch()
        with subprocess.Popen([sys.executable, "-c", PROGRAM], env=environ) as process:
            try:
                assert process.wait(60) == -signal.SIGKILL, point
            finally:
                process.kill()
    producers.count()
    producers.send()
    bench.drain()
    assert all(producers.close())
    assert totals(bench.data) == dict(producers.journal)
    assert len(bench.catalog.segments("metrics")) > 1
    assert verify(bench.catalog).findings == []
    bench.close()


def test_sealed_segments_are_compacted_and_deleted_by_the_retention_of_metrics(bench):
    lane = Sender(created=NOW)
    for number in range(2):
        now = NOW // (10 * SECOND) * 10 * SECOND
        bench.publish(frame(lane, [delta(number + 1, at=now)]))
        bench.drain()
        writer = open_metrics(bench.settings).acquire(0, Holder.this_process())
        assert writer is not None
        writer.roll_over()
        writer.release()
    run = maintenance.run
    assert run(bench.settings) == {
        "deleted": 0, "freed_bytes": 0, "optimised": 2, "rolled_up": 2, "outlived_events": 0, "purged": 0, "expired": 0,
    }  # fmt: skip
    assert run(bench.settings.replace(retention_age=1.0))["deleted"] == 0, "that is the age of logs"
    assert run(bench.settings.replace(metrics_retention_age=1e-6))["deleted"] == 2
    assert totals(bench.data) == {}
    (report,) = [part for part in verify(bench.catalog).partitions if part.signal == "metrics"]
    assert (report.retired_rows, report.committed) == (2, 2) and verify(bench.catalog).findings == []


def test_publishers_learn_of_the_partition_from_the_ticker(bench):
    bench.streams.client.flushall()
    with contextlib.closing(Ticker(bench.settings, bench.streams.client)) as ticker:
        ticker.tick(0)
    assert bench.transport.partitions("metrics") == 1

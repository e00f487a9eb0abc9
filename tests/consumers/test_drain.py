"""The drain against a real server: what is published is stored once, whatever happens in between."""

from __future__ import annotations

import contextlib
import signal
import time
from dataclasses import replace

import pytest

from monitoring.consumers import drain as module
from monitoring.consumers import stop
from monitoring.consumers.drain import Drain
from monitoring.pipeline import failpoint, jobs, settings
from monitoring.pipeline.bus.streams import Streams, StreamTransport, connect
from monitoring.pipeline.store.catalog import CATALOG_FILE, Catalog, segment_path
from monitoring.pipeline.store.lease import Holder
from monitoring.pipeline.store.partition import Partition
from monitoring.pipeline.store.segment import open_readonly
from monitoring.pipeline.store.verify import verify
from tests.frames import Sender, event

NOW = time.time_ns()


class Bench:
    """A data directory, a bus, and a transport to publish by."""

    def __init__(self, tmp_path, url, **environment):
        self.settings = settings.load(
            {
                "MONITORING_DATA_DIR": str(tmp_path),
                "MONITORING_BUS_URL": url,
                "MONITORING_DISK_RESERVE": "0",
                **environment,
            }
        )
        self.catalog = Catalog.create_or_open(tmp_path / CATALOG_FILE, partitions=2)
        self.streams = Streams(connect(url))
        self.streams.announce({"logs": 2}, self.catalog.instance)
        self.transport = StreamTransport(connect(url), stream_length=1000)

    def publish(self, partition, *frames):
        return self.transport.publish("logs", partition, frames[0].lane, frames)

    def low(self, partition, lane):
        return self.transport.publish("logs", partition, lane, []).low

    def drain(self, events):
        """Drain until so many events are stored, in a drain of its own."""
        drain = Drain(self.settings)
        ends = time.monotonic() + 60
        while drain.done["events"] < events and time.monotonic() < ends:
            drain.step()
        return drain

    def stored(self):
        found = []
        for row in self.catalog.segments("logs"):
            with contextlib.closing(open_readonly(row.path)) as connection:
                found += [message for (message,) in connection.execute("SELECT message FROM log")]
        return sorted(found)

    def lengths(self):
        return [self.streams.length("logs", partition) for partition in (0, 1)]


@pytest.fixture
def bench(tmp_path, valkey):
    made = Bench(tmp_path, valkey)
    yield made
    failpoint.arm(None)
    stop.reset()
    made.catalog.close()
    made.transport.close()
    made.streams.client.close()


def test_frames_of_all_partitions_are_stored_deleted_and_acknowledged(bench):
    first, second = Sender(1, created=NOW), Sender(2, created=NOW)
    bench.publish(0, first.frame([event(1)]), first.frame([event(2)]))
    bench.publish(1, second.frame([event(3)]))
    drain = bench.drain(3)
    drain.close()
    assert bench.stored() == ["event number 1", "event number 2", "event number 3"]
    assert bench.lengths() == [0, 0]
    assert (bench.low(0, first.lane), bench.low(1, second.lane)) == (2, 1)
    assert verify(bench.catalog).findings == []


def test_a_drain_that_dies_before_it_settles_leaves_nothing_to_double(bench, monkeypatch):
    sender = Sender(created=NOW)
    bench.publish(0, sender.frame([event(1)]))
    dying = Drain(bench.settings)

    def die(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(dying.streams, "settle", die)
    with pytest.raises(KeyboardInterrupt):
        while True:
            dying.step()
    dying.abandon()
    assert bench.lengths() == [1, 0] and bench.stored() == ["event number 1"]
    bench.publish(0, sender.frame([event(2)]))
    bench.drain(1).close()
    assert bench.stored() == ["event number 1", "event number 2"]
    assert (bench.lengths(), bench.low(0, sender.lane)) == ([0, 0], 2)


def test_a_replay_of_what_is_stored_only_says_its_watermark_again(bench):
    sender = Sender(created=NOW)
    frame = sender.frame([event(1)])
    bench.publish(0, frame)
    drain = bench.drain(1)
    bench.streams.client.flushall()
    bench.publish(0, frame)
    ends = time.monotonic() + 30
    while not drain.done["replayed"] and time.monotonic() < ends:
        drain.step()
    drain.close()
    assert (bench.stored(), bench.low(0, sender.lane)) == (["event number 1"], 1)


def test_an_entry_that_must_wait_does_not_hold_up_those_behind_it(bench):
    sender = Sender(1, created=NOW)
    ahead = [sender.frame([event(number)]) for number in range(300)][-1]
    bench.publish(0, ahead)
    bench.publish(0, Sender(2, created=NOW).frame([event(1000)]))
    bench.drain(1).close()
    assert bench.stored() == ["event number 1000"]
    assert bench.lengths() == [1, 0], "the one ahead of its lane still waits"


def test_two_drains_share_the_partitions_and_one_takes_all_when_the_other_leaves(bench):
    first = Drain(bench.settings)
    first.step()
    assert first.holding == [0, 1]
    second = Drain(bench.settings, me=replace(Holder.this_process(), namespace="another"))
    ends = time.monotonic() + 60
    while (len(first.holding), len(second.holding)) != (1, 1) and time.monotonic() < ends:
        first.step()
        second.step()
    assert sorted(first.holding + second.holding) == [0, 1]
    second.close()
    while len(first.holding) < 2 and time.monotonic() < ends:
        first.step()
    assert first.holding == [0, 1] or first.holding == [1, 0]
    first.close()
    assert bench.catalog.drains() == []


def test_no_commit_holds_more_events_than_the_setting_says_but_for_a_frame_that_does(tmp_path, valkey, monkeypatch):
    bench = Bench(tmp_path, valkey, MONITORING_BATCH_EVENTS="50")
    sender = Sender(created=NOW)
    sizes = [20, 20, 20, 60, 10, 40]
    bench.publish(
        0, *[sender.frame([event(number * 100 + n) for n in range(size)]) for number, size in enumerate(sizes)]
    )
    commits: list[int] = []
    admit = Partition.admit

    def counting(self, entries):
        batch = admit(self, entries)
        commits.append(len(batch.rows))
        return batch

    monkeypatch.setattr(Partition, "admit", counting)
    bench.drain(sum(sizes)).close()
    assert commits == [40, 20, 60, 50]
    assert len(bench.stored()) == sum(sizes)


def test_small_segments_roll_over_while_draining_and_nothing_is_lost(tmp_path, valkey):
    bench = Bench(tmp_path, valkey, MONITORING_SEGMENT_EVENTS="100")
    sender = Sender(created=NOW)
    bench.publish(0, *[sender.frame([event(number * 50 + n) for n in range(50)]) for number in range(10)])
    bench.drain(500).close()
    assert len(bench.stored()) == len(set(bench.stored())) == 500
    assert len(bench.catalog.segments("logs")) > 1
    assert verify(bench.catalog).findings == []


def test_the_job_enqueues_its_successor_and_a_stop_ends_it_at_a_commit(bench):
    sender = Sender(created=NOW)
    bench.publish(0, sender.frame([event(1)]))
    chosen = bench.settings.replace(drain_slice=1.0)
    assert module.run(chosen)["events"] == 1
    assert jobs.queued(bench.streams.client, jobs.DRAIN) == 1
    stop.request()
    assert module.run(chosen)["events"] == 0
    assert jobs.queued(bench.streams.client, jobs.DRAIN) == 1, "a stopped drain leaves no successor"


def test_a_bus_that_goes_away_is_waited_for(tmp_path, valkey_servers):
    server = valkey_servers(appendonly="yes", appendfsync="always")
    bench = Bench(tmp_path, server.url)
    sender = Sender(created=NOW)
    bench.publish(0, sender.frame([event(1)]))
    drain = bench.drain(1)
    server.kill()
    drain.run(1.0)
    server.start()
    bench.publish(0, sender.frame([event(2)]))
    ends = time.monotonic() + 30
    while drain.done["events"] < 2 and time.monotonic() < ends:
        drain.run(0.5)
    drain.close()
    assert bench.stored() == ["event number 1", "event number 2"]


def test_a_damaged_partition_does_not_hold_up_the_others_and_is_taken_again_when_repaired(bench, monkeypatch, caplog):
    first, second = Sender(1, created=NOW), Sender(2, created=NOW)
    bench.publish(0, first.frame([event(number) for number in range(500)]))
    bench.drain(500).close()
    path = segment_path(bench.settings.data, "logs", 0, 1)
    sound = path.read_bytes()
    path.write_bytes(sound[:4096] + bytes(len(sound) - 4096))
    bench.publish(0, first.frame([event(1000)]))
    bench.publish(1, second.frame([event(1001)]))
    monkeypatch.setattr(module, "ASIDE_SECONDS", 0.1)
    drain = bench.drain(1)
    assert bench.lengths() == [1, 0] and "logs:0" in caplog.text
    path.write_bytes(sound)
    ends = time.monotonic() + 60
    while drain.done["events"] < 2 and time.monotonic() < ends:
        drain.step()
    drain.close()
    assert bench.lengths() == [0, 0] and len(bench.stored()) == 502


def test_a_full_disk_is_waited_for_and_nothing_is_lost(bench):
    sender = Sender(created=NOW)
    bench.publish(0, sender.frame([event(1)]))
    full = Drain(bench.settings.replace(disk_reserve=1 << 62))
    full.run(1.0)
    full.close()
    assert (bench.stored(), bench.lengths()) == ([], [1, 0])
    bench.drain(1).close()
    assert bench.stored() == ["event number 1"]


def poisoned(bench, directory, monkeypatch, limit=200):
    """Start drains until one survives, as a ticker would; how many died."""

    class KilledError(BaseException):
        pass

    def kill(pid, number):
        assert number == signal.SIGKILL
        raise KilledError

    monkeypatch.setattr("monitoring.pipeline.failpoint.os.kill", kill)
    failpoint.arm(directory)
    for deaths in range(limit):
        drain = Drain(bench.settings, me=Holder("another boot", "", deaths + 1, 1))
        try:
            ends = time.monotonic() + 60
            while sum(bench.lengths()) and time.monotonic() < ends:
                drain.step()
        except KilledError:
            drain.abandon()
            continue
        drain.close()
        return deaths
    raise AssertionError("the poison was not found")


def test_events_that_kill_the_drain_are_found_and_dead_lettered_and_all_others_stored(bench, tmp_path, monkeypatch):
    points = tmp_path / "points"
    points.mkdir()
    (points / "poison").write_text("deadly")
    events = [
        event(number, message=f"deadly {number}" if number in (7, 40) else f"fine {number}") for number in range(50)
    ]
    sender = Sender(created=NOW)
    bench.publish(
        0, sender.frame([event(0, message="before")]), sender.frame(events), sender.frame([event(0, message="behind")])
    )
    deaths = poisoned(bench, points, monkeypatch)
    expected = ["before", "behind", *(f"fine {number}" for number in range(50) if number not in (7, 40))]
    assert bench.stored() == sorted(expected)
    (row,) = [row for row in bench.catalog.segments("logs") if row.partition == 0]
    with contextlib.closing(open_readonly(row.path)) as connection:
        letters = connection.execute("SELECT kind, ordinal FROM dead_letter ORDER BY ordinal").fetchall()
        assert connection.execute("SELECT count(*) FROM poison").get == 0
    assert letters == [("poison", 7), ("poison", 40)]
    assert deaths < 30
    assert verify(bench.catalog).findings == []

"""What a process emits reaches the store once, or is counted; and the process never waits or fails for it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from monitoring.pipeline.bus.frame import decode_payload
from monitoring.pipeline.errors import BusFull, BusUnavailable, IngestRefused, SettingsError, StoreFull
from monitoring.pipeline.events.event import MAX_EVENT_BYTES, Event, Rejected
from monitoring.pipeline.publish.publisher import Counters, Publisher
from tests.pipeline.publish.support import (
    FlakyTransport,
    Store,
    delta,
    event,
    publisher,
    spool_in,
    spooled_lanes,
    transport,
)
from tests.pipeline.publish.test_spool import file_size_limit

INFO, WARNING = 9, 13


def settle(some: Publisher) -> Counters:
    """The counters, after checking that they add up."""
    counters = some.counters()
    assert counters.emitted == counters.committed + sum(counters.dropped.values()) + counters.buffered + counters.sealed
    return counters


@contextmanager
def closing(some: Publisher) -> Iterator[Publisher]:
    """Closed at the end, and its threads gone: they must not talk to the server when it is another test's."""
    try:
        yield some
    finally:
        some.close(0.1)
        for thread in threading.enumerate():
            if thread.name.startswith("monitoring-publisher"):
                thread.join(20)
                assert not thread.is_alive()


@pytest.fixture
def dead_end() -> Iterator[str]:
    """URL of a server that accepts connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        yield f"redis://127.0.0.1:{listener.getsockname()[1]}"


def nowhere() -> Any:
    raise BusUnavailable("there is no bus")


def test_everything_emitted_is_stored_once_and_counted(valkey: str) -> None:
    store = Store(valkey, partitions=2)
    with store.running(), closing(publisher(valkey)) as some:
        for number in range(25_000):
            assert some.emit(event(number))
        assert some.flush(30)
        assert settle(some) == Counters(25_000, 25_000, {}, 0, 0)
    assert store.timestamps() == list(range(25_000))
    store.assert_sound()


def test_a_single_event_goes_out_within_the_flush_interval_without_a_flush(valkey: str) -> None:
    store = Store(valkey)
    with closing(publisher(valkey)) as some:
        some.emit(event(1))
        with store.running():
            while store.timestamps() != [1]:
                threading.Event().wait(0.01)


def test_nothing_happens_before_the_first_event() -> None:
    made: list[int] = []

    def factory() -> Any:
        made.append(1)
        raise BusUnavailable("no")

    before = threading.active_count()
    some = Publisher(factory)
    assert some.flush(0.0) and some.counters() == Counters(0, 0, {}, 0, 0)
    assert threading.active_count() == before and not made
    assert some.close()


def test_rejected_input_travels_with_the_events(valkey: str) -> None:
    store = Store(valkey)
    with store.running(), closing(publisher(valkey)) as some:
        some.emit(event(1))
        assert some.reject(Rejected("no json", b"{", "a.log", 2))
        assert some.emit_all([event(2)], [Rejected("no json", b"[", "a.log", 3)])
        assert some.flush(20)
        assert settle(some).committed == 4
    rejected = [item for frame in store.frames.values() for item in decode_payload(frame).rejected]
    assert sorted(item.raw for item in rejected) == [b"[", b"{"]


def test_text_that_cannot_be_encoded_is_mended_and_what_is_too_large_is_counted(valkey: str) -> None:
    store = Store(valkey)
    with store.running(), closing(publisher(valkey)) as some:
        assert some.emit(event(1, message="a\ud800"))
        assert not some.emit(event(2, message="x" * (MAX_EVENT_BYTES + 1)))
        assert not some.emit(event(3, message="\u00e4" * (MAX_EVENT_BYTES * 3 // 4)))
        assert some.emit(event(4)._replace(request_id="x" * (MAX_EVENT_BYTES + 1)))
        assert not some.flush(20), "not everything is safe"
        assert settle(some) == Counters(4, 2, {"too_large": 2}, 0, 0)
        assert some.flush(20), "what was lost has been told"
    assert store.timestamps() == [1]
    assert sum(len(decode_payload(frame).rejected) for frame in store.frames.values()) == 1, "accepted, so not lost"


def test_flush_reaches_the_level_asked_for_and_no_further(valkey: str, tmp_path: Path) -> None:
    store = Store(valkey)
    with closing(publisher(valkey, spool=spool_in(tmp_path))) as some:
        some.emit(event(1))
        assert some.flush(20, "spool")
        assert some.flush(20, "bus")
        assert store.streams.length("logs", 0) == 1
        assert not some.flush(0.2, "store"), "nobody drains"
        assert settle(some).sealed == 1
        with store.running():
            assert some.flush(20, "store")


def test_without_a_spool_the_commit_is_what_makes_safe(valkey: str) -> None:
    store = Store(valkey)
    with closing(publisher(valkey)) as some:
        some.emit(event(1))
        assert not some.flush(0.2, "spool")
        with store.running():
            assert some.flush(20, "spool")


def test_threads_may_emit_and_flush_at_once(valkey: str) -> None:
    store = Store(valkey)
    flushed: list[bool] = []

    def work(start: int) -> None:
        for number in range(start, start + 2000):
            some.emit(event(number))
            if number % 500 == 0:
                flushed.append(some.flush(30))

    with store.running(), closing(publisher(valkey)) as some:
        threads = [threading.Thread(target=work, args=(start,)) for start in range(0, 12_000, 2000)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert some.flush(30) and all(flushed)
    assert store.timestamps() == list(range(12_000))
    store.assert_sound()


# the bus is away


def test_a_flood_into_a_dead_bus_keeps_its_bounds_and_the_warnings(valkey_servers: Callable[..., Any]) -> None:
    server = valkey_servers()
    store = Store(server.url)
    server.kill()
    with closing(publisher(server.url, max_events=5000, max_bytes=2 << 20)) as some:
        for number in range(200_000):
            some.emit(event(number, level=WARNING if number % 100 == 0 else INFO))
        counters = settle(some)
        assert counters.emitted == 200_000 and counters.buffered + counters.sealed <= 5000
        assert set(counters.dropped) == {"buffer_full", "shed"}
        server.start()
        store.streams.announce({"logs": 1}, "test")
        with store.running():
            assert not some.flush(60), "some were lost, and that is said"
            assert settle(some).committed == 200_000 - sum(settle(some).dropped.values())
            some.emit(event(200_000))
            assert some.flush(20)
    kept = store.timestamps()
    assert [number for number in kept if number % 100 == 0 and number < 200_000] == list(range(0, 200_000, 100))
    store.assert_sound()
    told = max(store.frames.values(), key=lambda frame: frame.seq).counters
    assert told == {"emitted": 200_001, "dropped": some.counters().dropped}


def test_a_bus_that_never_answers_blocks_nobody(dead_end: str) -> None:
    troubles: list[str] = []
    with closing(publisher(dead_end, max_events=1000, on_trouble=troubles.append)) as some:
        for number in range(5000):
            some.emit(event(number))
        assert not some.flush(0.1)
        assert settle(some).emitted == 5000
        assert not some.close(0.1)


def test_a_bus_that_never_answers_does_not_hold_up_who_waits_for_the_spool(dead_end: str, tmp_path: Path) -> None:
    with closing(publisher(dead_end, spool=spool_in(tmp_path))) as some:
        for number in range(20):
            some.emit(event(number))
            assert some.flush(4, "spool"), "the connection's own timeout is five seconds"
        assert settle(some).sealed == 20


def test_no_bus_at_all_is_told_once_and_events_wait_within_bounds() -> None:
    troubles: list[str] = []
    with closing(Publisher(nowhere, max_events=100, flush_interval_seconds=0.01, on_trouble=troubles.append)) as some:
        for number in range(500):
            some.emit(event(number))
        assert not some.flush(0.5)
        assert some.trouble == "there is no bus" and troubles == ["there is no bus"]
        counters = settle(some)
        assert counters.buffered <= 100 and counters.sealed == 0, "unsealed, so that the least can still be shed"


def test_lost_replies_double_nothing_and_lose_nothing(valkey: str) -> None:
    store = Store(valkey)
    calls = iter([False, False, True, False] * 100_000)
    with (
        store.running(),
        closing(
            Publisher(lambda: FlakyTransport(valkey, lambda when: next(calls)), flush_interval_seconds=0.01)
        ) as some,
    ):
        for number in range(3000):
            some.emit(event(number))
        assert some.flush(60)
    assert store.timestamps() == list(range(3000))
    store.assert_sound()


def test_a_bus_that_is_killed_and_emptied_on_the_way_loses_nothing(valkey_servers: Callable[..., Any]) -> None:
    server = valkey_servers()
    store = Store(server.url)
    with closing(publisher(server.url)) as some:
        for number in range(2000):
            some.emit(event(number))
        assert some.flush(20, "bus")
        server.restart()
        store.streams.announce({"logs": 1}, "test")
        with store.running():
            for number in range(2000, 4000):
                some.emit(event(number))
            assert some.flush(60)
    assert store.timestamps() == list(range(4000))
    store.assert_sound()


def test_a_full_bus_stops_the_sending_and_the_buffer_sheds(valkey_servers: Callable[..., Any]) -> None:
    server = valkey_servers(maxmemory="8mb")
    store = Store(server.url)
    with closing(publisher(server.url, max_events=2000, max_bytes=16 << 20)) as some:
        for number in range(6000):
            some.emit(event(number, message=f"{number} " + "x" * 4000))
            if number % 200 == 0:
                some.flush(0.05, "bus")
        counters = settle(some)
        assert sum(counters.dropped.values()) > 0
        with store.running():
            some.flush(60)
            assert settle(some).sealed == settle(some).buffered == 0
    assert len(store.timestamps()) == 6000 - sum(some.counters().dropped.values())
    store.assert_sound()


def test_the_drops_are_reported_when_the_bus_is_back(valkey_servers: Callable[..., Any]) -> None:
    server = valkey_servers()
    store = Store(server.url)
    with closing(publisher(server.url, max_events=1000)) as some:
        some.emit(event(0))
        assert some.flush(20, "bus")
        server.kill()
        for number in range(1, 5000):
            some.emit(event(number))
        server.start()
        store.streams.announce({"logs": 1}, "test")
        with store.running():
            some.flush(60)
            lost = settle(some).dropped
            assert lost
            while not (facts := store.reports()) or next(iter(facts.values()))["dropped"] != lost:
                threading.Event().wait(0.02)
        (report,) = store.reports().values()
    assert report["emitted"] == 5000 and report["service"] == "api"
    assert report["pid"] == os.getpid() and report["host"] == socket.gethostname()


def test_closing_says_goodbye(valkey: str) -> None:
    store = Store(valkey)
    with store.running(), closing(publisher(valkey)) as some:
        some.emit(event(1))
        assert some.flush(20)
        assert some.close()
        (report,) = store.reports().values()
        assert report["closed"] and (report["emitted"], report["sealed"], report["committed"]) == (1, 1, 1)
        assert not some.emit(event(2))
        assert settle(some).dropped == {"closed": 1}
        assert some.close(), "twice is no error"


# metrics


def test_a_batch_is_taken_whole_or_not_at_all_and_a_refusal_is_no_drop(valkey: str) -> None:
    store = Store(valkey, signal="metrics")
    with closing(publisher(valkey, signal="metrics", max_events=100)) as some:
        offered = taken = 0
        while some.offer([delta(number) for number in range(offered, offered + 30)]):
            offered += 30
        taken = offered
        assert settle(some).emitted == taken and some.counters().dropped == {}
        with store.running():
            assert some.flush(20)
            assert some.offer([delta(number) for number in range(taken, taken + 250)]), "alone, though larger than all"
            assert some.flush(20)
        assert settle(some).committed == taken + 250
    assert store.timestamps() == list(range(taken + 250))
    store.assert_sound()
    assert not some.offer([delta(0)]) and some.counters().dropped == {}, "closed"


def test_where_nobody_takes_metrics_that_is_no_trouble_and_nothing_is_lost_once_somebody_does(valkey: str) -> None:
    Store(valkey)
    troubles: list[str] = []
    ahead = [0.0]
    with closing(
        publisher(
            valkey,
            signal="metrics",
            on_trouble=troubles.append,
            clock=lambda: time.monotonic() + ahead[0],
        )
    ) as some:
        assert some.offer([delta(0)]), "it is not known yet"
        assert not some.flush(20), "and this does not take twenty seconds"
        assert not some.offer([delta(1)]) and some.trouble == ""
        assert settle(some) == Counters(1, 0, {}, 1, 0)
        store = Store(valkey, signal="metrics")
        with store.running():
            assert not some.flush(20), "it is asked once a minute"
            ahead[0] += 61
            assert some.flush(20)
            assert some.offer([delta(1)]) and some.flush(20)
    assert store.timestamps() == [0, 1]
    assert troubles == []


def test_a_process_that_ends_where_nobody_takes_metrics_does_not_wait(valkey: str, tmp_path: Path) -> None:
    Store(valkey)
    some = publisher(valkey, signal="metrics")
    some.offer([delta(0)])
    began = time.monotonic()
    assert not some.close(100)
    spooled = publisher(valkey, signal="metrics", spool=spool_in(tmp_path))
    spooled.offer([delta(0)])
    assert spooled.close(100), "it is safe until somebody does"
    assert time.monotonic() - began < 60
    assert len(spooled_lanes(tmp_path)) == 1


def test_a_bus_that_is_away_is_trouble_for_metrics_too(valkey_servers: Callable[..., Any]) -> None:
    server = valkey_servers()
    store = Store(server.url, signal="metrics")
    server.kill()
    troubles: list[str] = []
    with closing(publisher(server.url, signal="metrics", on_trouble=troubles.append)) as some:
        assert some.offer([delta(0)])
        assert not some.flush(0.5) and some.trouble and len(troubles) == 1
        server.start()
        store.streams.announce({"metrics": 1}, "test")
        with store.running():
            assert some.flush(30)
    assert store.timestamps() == [0]


# the spool


def test_an_outage_longer_than_the_memory_goes_to_the_spool(valkey_servers: Callable[..., Any], tmp_path: Path) -> None:
    server = valkey_servers()
    store = Store(server.url)
    server.kill()
    with closing(publisher(server.url, spool=spool_in(tmp_path), max_events=2000, max_bytes=1 << 20)) as some:
        for number in range(0, 20_000, 500):
            for offset in range(500):
                assert some.emit(event(number + offset, message="x" * 200))
            assert some.flush(20, "spool")
        counters = settle(some)
        assert counters.sealed == 20_000 and counters.dropped == {}
        server.start()
        store.streams.announce({"logs": 1}, "test")
        with store.running():
            assert some.flush(60)
    assert store.timestamps() == list(range(20_000))
    store.assert_sound()
    assert spooled_lanes(tmp_path) == [], "an empty lane leaves nothing behind"


def test_while_the_disk_is_full_events_go_on_from_memory(valkey: str, tmp_path: Path) -> None:
    store = Store(valkey)
    troubles: list[str] = []
    with closing(publisher(valkey, spool=spool_in(tmp_path), on_trouble=troubles.append)) as some:
        with file_size_limit(0), store.running():
            for number in range(100):
                some.emit(event(number))
            assert some.flush(20, "store"), "stored, though never spooled"
            assert "make room" in some.trouble
        with store.running():
            for number in range(100, 200):
                some.emit(event(number))
                assert some.flush(20, "spool")
            assert some.flush(20, "store")
        assert len(troubles) == 1
    assert store.timestamps() == list(range(200))
    store.assert_sound()


def test_a_spool_that_fills_up_on_the_way_loses_nothing(valkey: str, tmp_path: Path) -> None:
    store = Store(valkey)
    with closing(publisher(valkey, spool=spool_in(tmp_path))) as some:
        some.emit(event(0))
        assert some.flush(20, "spool")
        with file_size_limit(1000):
            for number in range(1, 500):
                some.emit(event(number))
            assert not some.flush(0.3, "spool")
            with store.running():
                assert some.flush(30, "spool"), "committed is safer than spooled"
        with store.running():
            some.emit(event(500))
            assert some.flush(30)
    assert store.timestamps() == list(range(501))
    store.assert_sound()


def test_required_raises_where_nothing_can_be_made_safe(valkey: str, tmp_path: Path) -> None:
    store = Store(valkey)
    with closing(publisher(valkey, spool=spool_in(tmp_path), required=True, max_events=100)) as some:
        with file_size_limit(0):
            some.emit(event(0))
            assert not some.flush(0.3, "spool")
            with pytest.raises(StoreFull, match="make room"):
                some.emit(event(1))
            with pytest.raises(StoreFull, match="make room"):
                some.emit_all([event(1)])
            assert store.streams.length("logs", 0) == 0, "nothing goes out that is not safe"
        with pytest.raises(IngestRefused, match="larger than"):
            while True:
                try:
                    some.emit(event(2, message="x" * (MAX_EVENT_BYTES + 1)))
                except StoreFull:
                    threading.Event().wait(0.02)  # until the spool has been tried again
        with store.running():
            some.flush(20)
    assert store.timestamps() == [0]
    store.assert_sound()


def test_required_raises_when_the_buffer_is_full_and_sheds_nothing(tmp_path: Path) -> None:
    some = Publisher(nowhere, spool=spool_in(tmp_path), required=True, max_events=100, flush_interval_seconds=60)
    with closing(some), pytest.raises(BusFull, match="buffer is full"):
        while True:
            some.emit_all([event(1)] * 20)
    assert settle(some).dropped == {}


def test_required_without_a_spool_is_an_error_of_the_settings() -> None:
    with pytest.raises(SettingsError, match="MONITORING_SPOOL_DIR"):
        Publisher(nowhere, required=True)


def test_a_publisher_sends_what_an_earlier_process_left_in_its_spool(valkey: str, tmp_path: Path) -> None:
    store = Store(valkey)
    with closing(Publisher(nowhere, spool=spool_in(tmp_path), flush_interval_seconds=0.01)) as first:
        for number in range(10):
            first.emit(event(number))
        assert first.flush(20, "spool")
        assert first.close(0.1), "it is safe"
    assert len(spooled_lanes(tmp_path)) == 1
    with store.running(), closing(publisher(valkey, spool=spool_in(tmp_path))) as second:
        second.emit(event(10))
        while store.timestamps() != list(range(11)):
            threading.Event().wait(0.02)
        while len(spooled_lanes(tmp_path)) > 1:
            threading.Event().wait(0.02)
    store.assert_sound()


_VICTIM = """
import sys
from pathlib import Path
from monitoring.pipeline.publish.publisher import Publisher
from tests.pipeline.publish.support import event, spool_in, transport
some = Publisher(lambda: transport(sys.argv[1]), spool=spool_in(Path(sys.argv[2])), flush_interval_seconds=0.005)
number = int(sys.argv[3])
while True:
    for _ in range(50):
        some.emit(event(number))
        number += 1
    if some.flush(30, "spool"):
        print(number, flush=True)
"""


def test_what_was_acknowledged_by_the_spool_survives_kill_9(valkey: str, tmp_path: Path) -> None:
    store = Store(valkey)
    promised: list[range] = []
    with store.running():
        for life in range(4):
            start = life * 1_000_000
            command = [sys.executable, "-c", _VICTIM, valkey, str(tmp_path), str(start)]
            environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
            with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
                assert process.stdout is not None
                for count, line in enumerate(process.stdout):
                    promised.append(range(start, int(line)))
                    if count >= 5 * (life + 1):
                        process.send_signal(signal.SIGKILL)
                        break
                promised += [range(start, int(line)) for line in process.stdout.read().split()[:-1]]
        with closing(publisher(valkey, spool=spool_in(tmp_path))) as last:
            last.emit(event(99_000_000))
            assert last.flush(30)
            while len(spooled_lanes(tmp_path)) > 1:
                threading.Event().wait(0.02)
    stored = Counter(store.timestamps())
    assert max(stored.values()) == 1
    for numbers in promised:
        assert all(stored[number] for number in numbers)
    store.assert_sound()


# forks and the end


def test_a_forked_child_publishes_on_a_lane_of_its_own_and_the_parents_events_are_sent_once(
    valkey: str, tmp_path: Path
) -> None:
    store = Store(valkey)
    with store.running(), closing(publisher(valkey, spool=spool_in(tmp_path), flush_interval_seconds=0.05)) as some:
        for number in range(100):
            some.emit(event(number))
        assert some.flush(20)
        for number in range(100, 200):
            some.emit(event(number))  # in the buffer at the moment of the fork
        child = os.fork()
        if child == 0:
            status = 1
            try:
                assert some.counters() == Counters(0, 0, {}, 0, 0)
                for number in range(1000, 1100):
                    some.emit(event(number))
                status = 0 if some.flush(20) and some.close() else 2
            finally:
                os._exit(status)
        for number in range(200, 300):
            some.emit(event(number))
        assert os.waitpid(child, 0)[1] == 0
        assert some.flush(20), "the child has not closed what is the parent's"
    assert store.timestamps() == [*range(300), *range(1000, 1100)]
    assert len(store.where) == 2
    store.assert_sound()


def test_a_child_forked_while_threads_are_emitting_does_not_hang(valkey: str) -> None:
    store = Store(valkey)
    stop = threading.Event()

    def noise() -> None:
        number = 0
        while not stop.is_set():
            some.emit(Event(number, 5, "noise"))
            number += 1

    with store.running(), closing(publisher(valkey, max_events=500)) as some:
        threads = [threading.Thread(target=noise) for _ in range(3)]
        for thread in threads:
            thread.start()
        children = []
        for _ in range(10):
            child = os.fork()
            if child == 0:
                status = 1
                try:
                    some.emit(event(1))
                    status = 0 if some.flush(30) else 2
                finally:
                    os._exit(status)
            children.append(child)
        statuses = [os.waitpid(child, 0)[1] for child in children]
        stop.set()
        for thread in threads:
            thread.join()
    assert statuses == [0] * 10
    store.assert_sound()


_SHORT = """
import atexit, sys
from monitoring.pipeline.publish.publisher import Publisher
from tests.pipeline.publish.support import event, transport
some = Publisher(lambda: transport(sys.argv[1]))
for number in range(100):
    some.emit(event(number))
if sys.argv[2] == "thread":
    import threading, time
    threading.Thread(target=lambda: [some.emit(event(9)) for _ in iter(int, 1)], daemon=True).start()
if sys.argv[2] == "late":
    atexit.register(lambda: some.emit(event(100)))
"""


@pytest.mark.parametrize("how", ["plain", "thread", "late"])
def test_the_end_of_the_interpreter_flushes_and_does_not_hang(valkey: str, how: str) -> None:
    store = Store(valkey)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    command = [sys.executable, "-c", _SHORT, valkey, how]
    with store.running():
        finished = subprocess.run(command, env=environment, timeout=60, capture_output=True, check=False)
        assert finished.returncode == 0, finished.stderr.decode()
        while len(store.timestamps()) < 100:
            threading.Event().wait(0.02)
    numbers = Counter(store.timestamps())
    assert all(numbers[number] for number in range(100))
    if how == "late":
        assert numbers[100] == 1


def test_the_end_of_the_interpreter_does_not_wait_for_a_bus_that_never_answers(dead_end: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    command = [sys.executable, "-c", _SHORT, dead_end, "plain"]
    assert subprocess.run(command, env=environment, timeout=60, check=False).returncode == 0


def test_a_transport_that_fails_in_a_way_nobody_foresaw_stops_nothing(valkey: str) -> None:
    store = Store(valkey)
    broken = iter([True])

    def factory() -> Any:
        if next(broken, False):
            raise ZeroDivisionError
        return transport(valkey)

    with store.running(), closing(Publisher(factory, flush_interval_seconds=0.01)) as some:
        some.emit(event(1))
        assert some.flush(30)
    assert store.timestamps() == [1]


def test_another_server_without_our_key_is_left_alone(valkey: str) -> None:
    with closing(publisher(valkey)) as some:
        some.emit(event(1))
        assert not some.flush(0.3)
        assert "monitoring up" in some.trouble
    with redis.Redis.from_url(valkey) as client:
        assert client.keys("*") == []


def test_a_process_that_ends_gives_a_bus_that_refuses_three_tries() -> None:
    asked: list[int] = []

    def refusing() -> Any:
        asked.append(1)
        raise BusUnavailable("no")

    with closing(Publisher(refusing, flush_interval_seconds=60)) as some:
        some.emit(event(1))
        assert not some.finish(600), "it does not wait for that long"
        assert len(asked) == 3


def test_a_process_that_ends_gives_one_try_to_a_bus_that_had_failed_before_and_so_does_its_child() -> None:
    asked = multiprocessing.Value("i", 0)

    def refusing() -> Any:
        with asked.get_lock():
            asked.value += 1
        raise BusUnavailable("no")

    with closing(Publisher(refusing, flush_interval_seconds=0.01)) as some:
        some.emit(event(1))
        while asked.value < 5:
            threading.Event().wait(0.01)
        child = os.fork()
        if child == 0:
            before = asked.value
            some.emit(event(2))
            done = some.finish(600)
            os._exit(0 if not done and asked.value - before <= 3 else 1)  # its own, and one or two of the parent's
        assert os.waitpid(child, 0)[1] == 0
        before = asked.value
        assert not some.finish(600)
        assert asked.value - before <= 2, "at once, and perhaps once while it was being asked to"


def test_what_is_emitted_after_the_finish_is_on_the_bus_before_emit_returns(valkey: str) -> None:
    store = Store(valkey)
    with closing(publisher(valkey)) as some:
        for number in range(10):
            some.emit(event(number))
        assert some.finish()
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("monitoring-publisher")]
        assert some.emit(event(10)) and some.emit(event(11))
        assert store.drain() and store.timestamps() == list(range(12))
        others: list[bool] = []
        thread = threading.Thread(target=lambda: others.append(some.emit(event(12))))
        thread.start()
        thread.join()
        assert others == [False] and settle(some).dropped == {"closed": 1}, "only the main thread has an end to reach"
        assert not some.flush(0, "bus") and some.flush(0, "bus"), "one was lost, and that is said once"
        assert some.emit(event(13)) and store.drain()
    store.assert_sound()
    (report,) = store.reports().values()
    assert (report["closed"], report["emitted"], report["dropped"]) == (True, 14, {"closed": 1})


def test_what_is_emitted_after_the_finish_is_saved_where_there_is_a_spool_and_no_bus(tmp_path: Path) -> None:
    with closing(Publisher(nowhere, spool=spool_in(tmp_path), flush_interval_seconds=0.01)) as some:
        some.emit(event(1))
        assert some.finish()
        assert some.emit(event(2))
        assert settle(some).sealed == 2 and settle(some).buffered == 0
    (lane,) = spooled_lanes(tmp_path)
    assert sum(path.stat().st_size > 0 for path in (tmp_path / lane).glob("*.frames")) >= 1


def test_a_flush_that_is_interrupted_can_be_asked_for_again(valkey: str) -> None:
    store = Store(valkey)
    with closing(publisher(valkey, flush_interval_seconds=60)) as some:
        some.emit(event(1))
        signal.signal(signal.SIGALRM, lambda number, frame: (_ for _ in ()).throw(KeyboardInterrupt()))
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(KeyboardInterrupt):
            some.flush(60)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        with store.running():
            assert some.flush(30)
    assert store.timestamps() == [1]

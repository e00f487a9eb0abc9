"""Each increment is handed over in one batch that was committed, or is still here; in a fork, on one side of it."""

from __future__ import annotations

import gc
import os
import re
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from monitoring.producers import metrics
from monitoring.producers.instruments import DEFAULT_BUCKETS
from monitoring.producers.registry import Collected, Registry


def values(collected: Collected) -> dict[tuple[str, str], Any]:
    return {(orjson.loads(row.family)["name"], row.labels): orjson.loads(row.value) for row in collected.rows}


def take(registry: Registry) -> dict[tuple[str, str], Any]:
    with registry.collect(1) as collected:
        collected.committed()
    return values(collected)


# definitions


def test_asking_again_gives_the_same_instrument() -> None:
    registry = Registry()
    assert registry.counter("x_total", "Help.", labels=("b", "a")) is registry.counter("x", labels=("a", "b"))
    assert registry.counter("x") is registry.counter("x_total")
    assert registry.gauge("g", across="sum") is registry.gauge("g")
    assert registry.histogram("h", buckets=(1, 2)) is registry.histogram("h")
    assert registry.timer("t_seconds").histogram is registry.histogram("t_seconds")
    assert len(registry.instruments) == 4


def test_asking_for_something_else_under_a_name_raises() -> None:
    registry = Registry()
    registry.counter("x", labels=("a",))
    registry.gauge("g", across="sum", unit="bytes")
    registry.histogram("h")
    registry.gauge("free")
    for ask in (
        lambda: registry.gauge("x"),
        lambda: registry.histogram("x"),
        lambda: registry.gauge("x_total"),
        lambda: registry.counter("x", labels=("a", "b")),
        lambda: registry.gauge("g", across="max"),
        lambda: registry.gauge("g", unit="seconds"),
        lambda: registry.histogram("h", buckets=(1, 2)),
        lambda: registry.gauge("h_sum"),
        lambda: registry.counter("h_count"),
        lambda: registry.gauge("free", labels=("a",)),
        lambda: registry.counter("not a name"),
    ):
        with pytest.raises(ValueError, match=r"\w"):
            ask()
    other: Any = "average"
    with pytest.raises(ValueError, match="across"):
        registry.gauge("y", across=other)
    assert {name for name, _ in take(registry)} == set()
    registry.gauge("h_total").set(1)
    assert take(registry) == {("h_total", "{}"): 1}, "a histogram has no total"


def test_what_a_metric_is_stands_in_its_family() -> None:
    registry = Registry()
    registry.gauge("g", "Help \ud800.", unit="bytes").set(1)
    registry.timer("t_seconds").histogram.observe(1)
    registry.counter("c").inc()
    registry.counter("c_total", "Later.", unit="tokens")
    with registry.collect(1) as collected:
        families = {found["name"]: found for found in (orjson.loads(row.family) for row in collected.rows)}
    assert families == {
        "g": {"name": "g", "kind": "gauge", "help": "Help ?.", "unit": "bytes", "across": "last"},
        "t_seconds": {"name": "t_seconds", "kind": "histogram", "unit": "seconds", "bounds": list(DEFAULT_BUCKETS)},
        "c": {"name": "c", "kind": "counter", "help": "Later.", "unit": "tokens"},
    }


def test_the_functions_of_the_module_share_a_registry() -> None:
    assert metrics.counter("tests_shared_total") is metrics.REGISTRY.counter("tests_shared")
    assert metrics.timer("tests_shared_seconds").histogram is metrics.histogram("tests_shared_seconds")
    assert metrics.gauge("tests_shared_level") in metrics.REGISTRY.instruments


# handing over


def test_what_is_returned_goes_on_adding_up_and_windows_become_one() -> None:
    now = [100.0]
    registry = Registry(clock=lambda: now[0])
    some = registry.counter("x")
    now[0] += 3
    for expected in ((2, 3), (4, 13)):
        some.inc(2)
        with registry.collect(77) as collected:
            assert (values(collected)["x", "{}"], collected.window / 1e9, collected.timestamp) == (*expected, 77)
        now[0] += 10
    with registry.collect(78) as collected:
        collected.committed()
        collected.committed()
        collected.returned()
    assert (values(collected)["x", "{}"], collected.window) == (4, 23_000_000_000)
    now[0] += 10
    some.inc()
    with registry.collect(79) as collected:
        assert (values(collected)["x", "{}"], collected.window) == (1, 10_000_000_000)


def test_a_registry_can_take_its_time_from_a_simulation() -> None:
    now = [1000.0]
    registry = Registry()
    counter = registry.counter("steps_total")
    registry.take_time_from(lambda: now[0])
    counter.inc()
    now[0] += 3600.0
    with registry.collect(5) as collected:
        assert (collected.timestamp, collected.window) == (5, 3600 * 10**9)


def test_one_collection_is_out_at_a_time() -> None:
    registry = Registry()
    registry.counter("x").inc(5)
    taken: list[Any] = []
    with registry.collect(1) as collected:
        thread = threading.Thread(target=lambda: taken.append(take(registry)))
        thread.start()
        with pytest.raises(RuntimeError, match="out"):
            registry.collect(1)
        registry.counter("x").inc(2)
        assert not taken
        collected.committed()
    thread.join()
    assert taken == [{("x", "{}"): 2}]


def test_collections_of_several_threads_hand_over_everything_once() -> None:
    registry = Registry()
    some, seen = registry.counter("x"), registry.histogram("h", buckets=(1, 2))
    totals: Counter[tuple[str, str]] = Counter()
    observed: Counter[int] = Counter()
    lock = threading.Lock()
    done = threading.Event()

    def collect(number: int) -> None:
        while True:
            last = done.is_set()
            with registry.collect(1) as collected:
                number += 1
                if number % 3:
                    collected.committed()
                    with lock:
                        for key, value in values(collected).items():
                            if key[0] == "x":
                                totals[key] += value
                            else:
                                observed.update(dict(enumerate(value["counts"])))
                    if last:
                        return

    def record() -> None:
        for number in range(5000):
            some.inc(n=number % 7)
            seen.observe(number % 4)

    collectors = [threading.Thread(target=collect, args=(number,)) for number in range(2)]
    recorders = [threading.Thread(target=record) for _ in range(3)]
    for thread in (*collectors, *recorders):
        thread.start()
    for thread in recorders:
        thread.join()
    done.set()
    for thread in collectors:
        thread.join()
    assert sum(totals.values()) == 15_000 and len(totals) == 7
    assert observed == {0: 7500, 1: 3750, 2: 3750}


def test_a_watched_function_may_define_and_record_and_hold_locks() -> None:
    registry = Registry()
    lock = threading.Lock()

    def depth() -> int:
        with lock:  # which another thread holds while it makes a new series
            registry.counter("asked").inc()
            return 3

    def record() -> None:
        for number in range(300):
            with lock:
                registry.counter("x").inc(n=number)

    registry.gauge("depth").watch(depth)
    thread = threading.Thread(target=record)
    thread.start()
    while thread.is_alive():
        take(registry)
    thread.join()
    take(registry)
    assert registry.counter("asked").labels().value > 0


class Handing(RuleBasedStateMachine):
    """Whatever is collected, returned, committed or left to a parent: the sums are those that were recorded."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.registry = Registry(max_series_each=4, clock=lambda: self.now)
        self.out: Collected | None = None
        self.recorded: Counter[str] = Counter()
        self.committed: Counter[str] = Counter()
        self.kept: dict[str, Any] = {}
        self.level: float | None = None
        self.reported: float | None = None

    @rule(amount=st.integers(0, 1 << 30).map(lambda n: n / 1024), label=st.integers(0, 6))
    def count(self, amount: float, label: int) -> None:
        self.registry.counter("c").inc(amount, n=label)
        self.recorded["c"] += Fraction(amount)  # type: ignore[assignment]  # a Counter of exact sums

    @rule(amount=st.integers(0, 50))
    def count_into_a_kept_series(self, amount: int) -> None:
        self.kept.setdefault("c", self.registry.counter("c").labels(n=0)).inc(amount)
        self.recorded["c"] += amount

    @rule(value=st.integers(-3000, 3000).map(lambda n: n / 1024), label=st.integers(0, 6))
    def observe(self, value: float, label: int) -> None:
        self.registry.histogram("h", buckets=(-1, 0, 1)).observe(value, n=label)
        self.recorded["sum"] += Fraction(value)  # type: ignore[assignment]  # as above
        self.recorded[f"bucket {sum(value > bound for bound in (-1, 0, 1))}"] += 1

    @rule(value=st.integers(-5, 5))
    def set(self, value: int) -> None:
        self.registry.gauge("g").set(value)
        self.level = value

    @precondition(lambda self: self.out is None)
    @rule()
    def collect(self) -> None:
        self.now += 10
        self.out = self.registry.collect(1)

    @precondition(lambda self: self.out is not None)
    @rule()
    def give_back(self) -> None:
        assert self.out is not None
        self.out.returned()
        self.out = None

    @precondition(lambda self: self.out is not None)
    @rule()
    def commit(self) -> None:
        assert self.out is not None
        for (name, _), value in values(self.out).items():
            if name == "c":
                self.committed["c"] += Fraction(value)  # type: ignore[assignment]  # as above
            elif name == "g":
                self.reported = value
            else:
                self.committed["sum"] += Fraction(value["sum"])  # type: ignore[assignment]  # as above
                self.committed.update({f"bucket {bucket}": n for bucket, n in enumerate(value["counts"])})
        self.out.committed()
        self.out = None

    @rule()
    def become_a_child(self) -> None:
        """What was recorded and not committed is the parent's; what it has out is nothing to this process."""
        self.registry.renew_after_fork()
        if self.out is not None:
            self.out.committed()
            self.out = None
        self.recorded = self.committed.copy()
        self.level = self.reported = None

    @invariant()
    def nothing_is_handed_over_that_was_not_recorded(self) -> None:
        assert all(self.committed[name] <= self.recorded[name] for name in self.committed if name != "sum")
        assert self.registry.series <= 5 + 5 + 1

    def teardown(self) -> None:
        if self.out is not None:
            self.out.returned()
        self.out = self.registry.collect(1)
        self.commit()
        assert +self.committed == +self.recorded or self.committed["sum"] <= 0
        assert {k: v for k, v in self.committed.items() if v} == {k: v for k, v in self.recorded.items() if v}
        assert self.reported == self.level


TestHanding = Handing.TestCase
TestHanding.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)


# forks


def told_by_child(registry: Registry, work: Any) -> dict[str, Any]:
    """What a forked child hands over after this work, by labels."""
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            text = orjson.dumps({f"{name}{labels}": value for (name, labels), value in take(registry).items()})
            os.write(send, text)
            status = 0
        finally:
            os._exit(status)
    os.close(send)
    with os.fdopen(receive, "rb") as pipe:
        found: dict[str, Any] = orjson.loads(pipe.read() or b"null")
    assert os.waitpid(child, 0)[1] == 0
    return found


def test_a_forked_child_has_its_own_and_the_parent_keeps_what_it_had() -> None:
    registry = Registry()
    some, level, seen = registry.counter("c"), registry.gauge("g"), registry.histogram("h", buckets=(1,))
    kept = some.labels(n="kept")
    level.watch(os.getpid, n="pid")
    kept.inc(5)
    level.set(1, n="set")
    seen.observe(3)
    some.inc(amount=-1)

    def work() -> None:
        assert registry.dropped == {}
        kept.inc(2)
        some.inc(n="new")
        seen.observe(0.5)

    child = told_by_child(registry, work)
    assert child.pop('g{"n":"pid"}') != os.getpid()
    assert child == {'c{"n":"kept"}': 2, 'c{"n":"new"}': 1, "h{}": {"sum": 0.5, "counts": [1, 0]}}
    kept.inc()
    assert take(registry) == {
        ("c", "{}"): 0, ("c", '{"n":"kept"}'): 6, ("g", '{"n":"set"}'): 1, ("g", '{"n":"pid"}'): os.getpid(),
        ("h", "{}"): {"sum": 3, "counts": [0, 1]},
    }  # fmt: skip
    assert registry.dropped == {"invalid": 1}


def test_a_child_that_is_forked_while_a_collection_is_out_hands_over_its_own() -> None:
    registry = Registry()
    some = registry.counter("c")
    some.inc(5)
    with registry.collect(1) as collected:

        def work() -> None:
            collected.committed()
            some.inc(2)

        assert told_by_child(registry, work) == {"c{}": 2}
        collected.committed()
    assert take(registry) == {}


def test_children_of_a_process_whose_threads_record_and_collect_do_not_hang_and_lose_nothing() -> None:
    registry = Registry(max_series_each=100_000, max_series=1_000_000)
    some = registry.counter("c")
    stop = threading.Event()
    recorded, total = [0, 0], 0
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)

    def record(who: int) -> None:
        while not stop.is_set():
            recorded[who] += 1
            some.inc(who=who, n=recorded[who])

    def collect() -> None:
        nonlocal total
        while not stop.is_set():
            total += sum(take(registry).values())

    threads = [*(threading.Thread(target=record, args=(who,)) for who in range(2)), threading.Thread(target=collect)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(8):

            def work() -> None:
                signal.alarm(60)
                for number in range(200):
                    some.inc(who="child", n=number)
                    some.inc(3, who=0, n=number + 1)

            child = told_by_child(registry, work)
            assert sum(child.values()) == 800 and len(child) == 400
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        sys.setswitchinterval(before)
    assert total + sum(take(registry).values()) == sum(recorded)


def test_a_registry_that_nobody_holds_is_gone() -> None:
    registry = Registry()
    registry.counter("x").inc()
    gone = weakref.ref(registry)
    del registry
    gc.collect()
    assert gone() is None


def test_a_handler_that_defines_and_records_in_the_middle_of_everything_loses_nothing() -> None:
    registry = Registry()
    handled = 0

    def handler(*_: object) -> None:
        nonlocal handled
        handled += 1
        registry.counter("x").inc(n=handled % 50)

    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)
    ours = total = 0
    ends = time.monotonic() + 60
    try:
        while handled < 300 and time.monotonic() < ends:
            ours += 1
            registry.counter("x").inc(n=ours % 100)
            if ours % 20 == 0:
                total += sum(take(registry).values())
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert total + sum(take(registry).values()) == ours + handled


def test_the_examples_of_the_page_run_as_they_stand() -> None:
    page = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
    examples = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(examples) == 3
    exec("\n".join(examples), {})
    assert metrics.counter("shop_orders_total").labels(channel="web").value == 2


_GREENLETS = """
from gevent import monkey
monkey.patch_all()
import gevent
from monitoring.producers.registry import Registry

registry = Registry()
count, level, took = registry.counter("c"), registry.gauge("g"), registry.timer("t_seconds", buckets=(0.04,))
total = 0

def work(number):
    with level.track(), took:
        for step in range(200):
            count.inc(n=step % 5)
            if step % 50 == number:
                gevent.sleep(0.01)

def collect():
    global total
    for _ in range(30):
        with registry.collect(1) as collected:
            collected.committed()
        total += sum(int(row.value) for row in collected.rows if row.family.startswith('{"name":"c"'))
        gevent.sleep(0.002)

gevent.joinall([gevent.spawn(work, number) for number in range(50)] + [gevent.spawn(collect) for _ in range(2)])
print(total, level.labels().value, took.histogram.labels().count)
"""


def test_greenlets_that_take_turns_lose_nothing() -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", _GREENLETS]
    finished = subprocess.run(command, env=environment, timeout=60, capture_output=True, text=True, check=True)
    assert finished.stdout.split() == ["10000", "0", "50"], finished.stderr

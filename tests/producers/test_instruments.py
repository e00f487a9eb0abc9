"""Labels lead to their series, whatever they are, within the limits; and recording never raises."""

from __future__ import annotations

import sys
import threading
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.producers.instruments import DEFAULT_BUCKETS, MAX_BOUNDS, check_bounds
from monitoring.producers.labels import MAX_LABELS, MAX_VALUE, OTHER
from monitoring.producers.registry import Registry


def rows(registry: Registry) -> dict[tuple[str, str], Any]:
    """What is handed over, by name and labels; it must not stand there twice."""
    with registry.collect(1) as collected:
        collected.committed()
    found = {(orjson.loads(row.family)["name"], row.labels): orjson.loads(row.value) for row in collected.rows}
    assert len(found) == len(collected.rows)
    return found


def test_labels_in_any_order_and_kind_are_one_series() -> None:
    registry = Registry()
    some = registry.counter("x")
    some.inc(a=1, b="2")
    some.inc(b=2, a="1")
    some.labels(a="1", b="2").inc()
    some.inc(a="1", b="2", c="")
    assert rows(registry) == {("x", '{"a":"1","b":"2"}'): 4}, "an empty value is none"
    assert registry.series == 1


def test_values_that_are_equal_and_say_something_else_are_different_series() -> None:
    registry = Registry()
    some = registry.counter("x")
    for value in (1, True, 1.0, "1"):
        some.inc(v=value)
    assert rows(registry) == {("x", '{"v":"1"}'): 2, ("x", '{"v":"True"}'): 1, ("x", '{"v":"1.0"}'): 1}


def test_every_instrument_records_by_labels_and_without() -> None:
    registry = Registry()
    registry.counter("c_total").inc()
    registry.counter("c").inc(2, a="x")
    level = registry.gauge("g")
    level.set(5)
    level.inc(2, a="x")
    level.dec(a="x")
    registry.histogram("h", buckets=(1, 2)).observe(1.5)
    registry.histogram("h").observe(3, a="x")
    assert rows(registry) == {
        ("c", "{}"): 1, ("c", '{"a":"x"}'): 2, ("g", "{}"): 5, ("g", '{"a":"x"}'): 1,
        ("h", "{}"): {"sum": 1.5, "counts": [0, 1, 0]}, ("h", '{"a":"x"}'): {"sum": 3, "counts": [0, 0, 1]},
    }  # fmt: skip
    with level.track(a="x"):
        assert level.labels(a="x").value == 2


def test_a_bound_series_is_known_before_it_counts() -> None:
    registry = Registry()
    registry.counter("jobs").labels(outcome="failed")
    assert rows(registry) == {("jobs", '{"outcome":"failed"}'): 0}


class _Mute:
    def __str__(self) -> str:
        raise ZeroDivisionError


@pytest.mark.parametrize(
    "labels",
    [{}, {"a": 1, "b": 2}, {"b": 1}, {"a": _Mute()}],
)
def test_labels_that_were_not_declared_are_counted_and_raise_nothing(labels: dict[str, Any]) -> None:
    registry = Registry()
    some, level, seen = (getattr(registry, kind)(kind, labels=("a",)) for kind in ("counter", "gauge", "histogram"))
    for record in (some.inc, level.inc, level.dec, some.labels, level.remove, level.track):
        record(**labels)
    for record in (level.set, seen.observe):
        record(1, **labels)
    level.watch(lambda: 1, **labels)
    some.labels(**labels).inc()
    assert rows(registry) == {} and registry.dropped == {"invalid": 10}


def test_names_that_no_label_may_have_are_counted() -> None:
    registry = Registry()
    registry.counter("x").inc(größe=1)
    registry.histogram("h").observe(1, le="5")
    registry.counter("x").inc(**{f"l{number}": 1 for number in range(MAX_LABELS + 1)})
    registry.counter("x").inc(self="a", amount=2)
    registry.counter("x").labels(amount="a").inc()
    assert registry.dropped == {"invalid": 3}
    assert rows(registry) == {("x", '{"self":"a"}'): 2, ("x", '{"amount":"a"}'): 1}


@given(st.dictionaries(st.text(max_size=4), st.one_of(st.text(st.characters(codec=None)), st.integers()), max_size=4))
def test_whatever_the_labels_are_it_is_recorded_or_counted(labels: dict[str, Any]) -> None:
    registry = Registry()
    labels.pop("amount", None)
    registry.counter("x").inc(3, **labels)
    assert (sum(rows(registry).values()) == 3) != bool(registry.dropped)


# limits


def test_what_is_beyond_the_limit_of_an_instrument_goes_to_one_series() -> None:
    registry = Registry(max_series_each=3)
    some = registry.counter("x")
    for number in range(10):
        some.inc(user=number)
        some.inc(user=number, extra=1)
    some.inc(user=0)
    registry.counter("y").inc(user=1)
    found = rows(registry)
    assert found["x", f'{{"extra":"{OTHER}","user":"{OTHER}"}}'] == 17 and sum(found.values()) == 22
    assert registry.overflowed == 17 and registry.series == 5


def test_the_limit_of_the_process_leaves_series_without_labels_alone() -> None:
    registry = Registry(max_series=2)
    registry.counter("a").inc(n=1)
    registry.counter("a").inc(n=2)
    registry.gauge("b", labels=("n",)).set(3, n=3)
    registry.gauge("b").set(4, n=4)
    assert rows(registry) == {("a", '{"n":"1"}'): 1, ("a", '{"n":"2"}'): 1, ("b", f'{{"n":"{OTHER}"}}'): 4}
    registry.counter("a").inc()
    assert rows(registry) == {("a", "{}"): 1}
    with pytest.raises(ValueError, match="label"):
        registry.counter("c")


def test_memory_does_not_grow_with_what_is_said() -> None:
    registry = Registry(max_series_each=10)
    some = registry.counter("x", labels=("a",))
    for number in range(2000):
        some.inc(a=number)
        some.inc(a="y" * MAX_VALUE + str(number))
    assert len(some._known) <= 40 and registry.series == 11
    assert sum(rows(registry).values()) == 4000


def test_long_values_are_cut_and_count_together() -> None:
    registry = Registry()
    for end in "ab":
        registry.counter("x").inc(v="y" * MAX_VALUE + end)
    assert rows(registry) == {("x", f'{{"v":"{"y" * MAX_VALUE}"}}'): 2}


# redaction


def test_values_are_redacted_once_and_those_that_look_alike_then_count_together() -> None:
    seen: list[str] = []

    def hook(value: str) -> str:
        seen.append(value)
        return "[REDACTED]" if value.startswith("sk-") else value

    registry = Registry(redact=hook)
    for _ in range(5):
        registry.counter("x").inc(key="sk-1", ok="y")
        registry.counter("x").inc(key="sk-2", ok="y")
    assert rows(registry) == {("x", '{"key":"[REDACTED]","ok":"y"}'): 10}
    assert seen == ["sk-1", "y", "sk-2", "y"] and registry.series == 1


def test_a_hook_that_fails_lets_nothing_out() -> None:
    def hook(value: str) -> str:
        raise ZeroDivisionError

    registry = Registry(redact=hook)
    registry.counter("x").inc(key="sk-1")
    registry.counter("x").inc()
    assert rows(registry) == {("x", "{}"): 1} and registry.dropped == {"invalid": 1}


def test_series_that_were_there_before_the_hook_are_redacted_and_lose_nothing() -> None:
    registry = Registry()
    kept = registry.counter("x").labels(key="sk-1")
    kept.inc(2)
    registry.counter("x").inc(3, key="sk-2")
    registry.redact_with(lambda value: "[REDACTED]")
    kept.inc(5)
    registry.counter("x").inc(7, key="sk-1")
    registry.counter("x").inc(11, key="sk-3")
    with registry.collect(1) as collected:
        collected.committed()
    assert {row.labels for row in collected.rows} == {'{"key":"[REDACTED]"}'}
    assert sum(orjson.loads(row.value) for row in collected.rows) == 28


# the rest


def test_a_gauge_that_is_over_is_forgotten_and_makes_room() -> None:
    registry = Registry(max_series_each=2)
    some = registry.gauge("loss", labels=("run",))
    for run in range(20):
        some.set(run, run=run)
        some.labels(run=str(run))
        some.remove(run=run)
    some.remove(run="never was")
    assert registry.series == 0 and rows(registry) == {} and not some._known
    some.set(1, run="last")
    assert rows(registry) == {("loss", '{"run":"last"}'): 1} and registry.overflowed == 0


def test_a_watched_function_is_asked_when_it_is_handed_over() -> None:
    registry = Registry()
    values = iter(range(5))
    assert registry.gauge("depth").watch(lambda: next(values)) is registry.gauge("depth")
    registry.gauge("pool").watch(lambda: 7, name="db")
    assert rows(registry) == {("depth", "{}"): 0, ("pool", '{"name":"db"}'): 7}
    assert rows(registry) == {("depth", "{}"): 1}


def test_threads_that_meet_at_a_new_series_make_one() -> None:
    registry = Registry()
    some = registry.counter("x")
    barrier = threading.Barrier(4)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)

    def record() -> None:
        barrier.wait()
        for number in range(500):
            some.inc(n=number)

    try:
        threads = [threading.Thread(target=record) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert set(rows(registry).values()) == {4} and registry.series == 500


@pytest.mark.parametrize(
    "bounds",
    [
        (),
        (2, 1),
        (1, 1),
        (float("nan"),),
        (float("-inf"), 1),
        (float("inf"),),
        (1, float("inf"), 2),
        range(MAX_BOUNDS + 1),
    ],
)
def test_bounds_that_cannot_be_are_said(bounds: Any) -> None:
    with pytest.raises(ValueError, match="buckets"):
        check_bounds(bounds)


def test_a_last_infinity_is_understood() -> None:
    assert check_bounds((1, 2.5, float("inf"))) == (1.0, 2.5)
    assert check_bounds(DEFAULT_BUCKETS) == DEFAULT_BUCKETS

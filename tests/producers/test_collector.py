"""Readings become counters that never go down and gauges of what is there."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.producers.collector import Levels, ReadingFailed, Totals, read_each
from monitoring.producers.registry import Registry
from tests.producers.shown import shown, value


def totals() -> tuple[Registry, Totals]:
    registry = Registry()
    return registry, Totals(registry.counter("x_total", "X", labels=("thing",)), ("thing",))


def test_the_first_reading_sets_the_base_and_shows_the_series() -> None:
    registry, made = totals()
    made.update({("a",): 1000.0})
    assert shown(registry)["x_total"] == {("a",): 0.0}


@given(st.lists(st.integers(0, 100), min_size=1, max_size=30))
def test_a_counter_gains_every_rise_and_nothing_else(readings: list[int]) -> None:
    registry, made = totals()
    for reading in readings:
        made.update({("a",): float(reading)})
    rises = sum(max(0, later - earlier) for earlier, later in pairwise(readings))
    assert value(registry, "x_total", "a") == rises


def test_what_returns_begins_anew() -> None:
    registry, made = totals()
    made.update({("a",): 1.0})
    made.update({})
    made.update({("a",): 100.0})
    assert value(registry, "x_total", "a") == 0


def test_a_base_can_be_given() -> None:
    registry, made = totals()
    made.rebase({("a",): 3.0})
    made.update({("a",): 5.0})
    assert value(registry, "x_total", "a") == 2


def test_a_gauge_shows_what_is_there_and_not_what_was() -> None:
    registry = Registry()
    made = Levels(registry.gauge("x", "X", labels=("thing",)), ("thing",))
    made.update({("a",): 1.0, ("b",): 2.0})
    made.update({("b",): 3.0})
    assert shown(registry)["x"] == {("b",): 3.0}
    made.clear()
    assert "x" not in shown(registry)


def test_all_parts_are_read_and_all_that_failed_are_named() -> None:
    read = []

    def broken() -> None:
        raise OSError("gone")

    with pytest.raises(ReadingFailed, match=r"^one: OSError: gone; three: OSError: gone$"):
        read_each(
            (("one", broken), ("two", lambda: read.append(2)), ("three", broken), ("four", lambda: read.append(4)))
        )
    assert read == [2, 4]

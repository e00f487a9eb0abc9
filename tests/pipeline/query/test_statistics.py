"""Statistics say what a naive computation over the same events says."""

from __future__ import annotations

import math
import statistics as naive_statistics
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from monitoring.pipeline.events.event import Event
from monitoring.pipeline.events.levels import LEVELS, group
from monitoring.pipeline.query import gathering
from monitoring.pipeline.query.aggregate import aggregates
from monitoring.pipeline.query.limits import Deadline
from monitoring.pipeline.query.quantiles import ACCURACY, Quantiles
from monitoring.pipeline.query.ranges import EARLIEST, LATEST
from monitoring.pipeline.query.statistics import Statistics, statistics
from tests.frames import T0, event
from tests.logstore import LogStore
from tests.pipeline.query import reference
from tests.pipeline.query.test_search import EXAMPLES

NAMES = ("service", "level", "host", "logger", "environment", "user_id", "a.b", "tags", "time")
AGGREGATES = ("count", "rate", "min(user_id)", "max(a)", "avg(a.b)", "sum(user_id)", "p50(user_id)", "p99(a)")


def told(store: LogStore, query: str, start: int, end: int, **more: Any) -> Statistics:
    wanted = aggregates(more.pop("wanted", "count"))
    return statistics(
        store.catalog, store.reader, query, start, end, wanted=wanted, limit=10_000,
        **{"group_by": (), "deadline": Deadline(60), **more},
    )  # fmt: skip


def _values(each: Event, name: str) -> list[Any]:
    if name == "level":
        return [LEVELS[group(each.level)]]
    if hasattr(each, name):
        return [getattr(each, name) or None]
    found = {text for item in reference.items(each, name) if (text := reference.spelled(item)) is not None}
    return list(found) or [None]


def _groups(events: list[Event], found: Statistics) -> dict[tuple[Any, ...], list[Event]]:
    groups: dict[tuple[Any, ...], list[Event]] = {}
    for each in events:
        keys: list[tuple[Any, ...]] = [()]
        for name in found.group_by:
            values = [found.grid.of(each.timestamp)] if name == "time" else _values(each, name)
            keys = [(*key, value) for key in keys for value in values]
        for key in keys:
            groups.setdefault(key, []).append(each)
    return groups


def _value(text: str, events: list[Event], width_ns: int) -> float | None:
    if text in ("count", "rate"):
        return len(events) if text == "count" else len(events) / (width_ns / 1e9)
    name, field = text.removesuffix(")").split("(")
    items = [item for each in events for item in reference.items(each, field)]
    read = [reference.read_number(item) if isinstance(item, str) else item for item in items]
    numbers = sorted(float(value) for value in read if value is not None and reference.is_number(value))
    if not numbers:
        return None
    if name == "p50":
        return naive_statistics.median(numbers)
    if name == "p99":
        place = 0.99 * (len(numbers) - 1)
        low, high = numbers[math.floor(place)], numbers[math.ceil(place)]
        return low + (high - low) * (place - math.floor(place))
    if name == "avg":
        return naive_statistics.fmean(numbers)
    return {"min": numbers[0], "max": numbers[-1], "sum": sum(numbers)}[name]


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    events=reference.spread_events,
    queries=st.lists(reference.queries, min_size=8, max_size=8),
    cut=st.integers(0, 25),
    group_by=st.lists(st.sampled_from(NAMES), max_size=3, unique=True) | st.sampled_from(
        [["service"], ["level", "service"], ["host", "level", "time"], ["time"], ["service", "time"]]),
    wanted=st.lists(st.sampled_from(AGGREGATES), min_size=1, max_size=4, unique=True) | st.just(["count", "rate"]),
    whole=st.booleans(),
)  # fmt: skip
def test_statistics_are_what_a_naive_computation_over_the_same_events_says(
    events: list[Event], queries: list[reference.Query], cut: int, group_by: list[str], wanted: list[str], whole: bool
) -> None:
    last = max(each.timestamp for each in events)
    start, end = (EARLIEST, LATEST) if whole else (T0 + (last - T0) // 4 + 1, last + 1)
    with tempfile.TemporaryDirectory() as directory, LogStore(Path(directory)) as store:
        store.add(events[:cut])
        store.roll_over()
        store.add(events[cut:])
        for query in queries:
            note(query.text)
            found = told(store, query.text, start, end, group_by=group_by, wanted=",".join(wanted), buckets=5)
            matching = [each for each in events if start <= each.timestamp < end and query.fits(each)]
            groups = _groups(matching, found)
            assert {row.group for row in found.rows} == set(groups)
            assert len(found.rows) == found.groups == len(groups)
            for row in found.rows:
                bucket = row.group[group_by.index("time")] if "time" in group_by else None
                edges = found.grid.begins, (0, found.grid.size) if bucket is None else (bucket, bucket + 1)
                width = edges[0](edges[1][1]) - edges[0](edges[1][0])
                for text in wanted:
                    expected = _value(text, groups[row.group], max(1, width))
                    assert row.values[text] == (expected if expected is None else pytest.approx(expected, rel=1e-9))


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), min_size=1), st.floats(0, 1))
def test_folded_quantiles_are_within_a_percent_of_a_number_of_that_rank(values: list[float], share: float) -> None:
    exact, folded = Quantiles(), Quantiles()
    for number, drawn in enumerate(values):
        exact.add(drawn)
        folded.add(drawn)
        if number == len(values) // 2:
            folded.fold()
    ranked = sorted(values)
    place = share * (len(ranked) - 1)
    value = folded.at(share)
    near = (ranked[math.floor(place)], ranked[math.ceil(place)])
    assert value is not None
    assert any(abs(value - rank) <= abs(rank) * ACCURACY * 1.001 + 1e-12 for rank in near)
    between = exact.at(share)
    assert between is not None
    assert near[0] - 1e-9 <= between <= near[1] + abs(near[1]) * 1e-9


def test_beyond_so_many_numbers_quantiles_say_that_they_are_approximate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gathering, "MAX_NUMBERS", 100)
    with LogStore(tmp_path) as store:
        store.add([event(number, service=str(number % 3)) for number in range(300)])
        found = told(store, "*", EARLIEST, LATEST, group_by=("service",), wanted="count,max(n),p50(n)")
        assert found.approximate
        for row in found.rows:
            assert row.values["count"] == 100
            assert row.values["p50(n)"] == pytest.approx(149, rel=0.03)
        assert max(row.values["max(n)"] or 0 for row in found.rows) == 299
        assert not told(store, "n:<50", EARLIEST, LATEST, wanted="p50(n)").approximate


def test_more_groups_than_memory_is_meant_for_make_the_answer_partial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gathering, "MAX_GROUPS", 10)
    with LogStore(tmp_path) as store:
        store.add([event(number) for number in range(50)])
        found = told(store, "*", EARLIEST, LATEST, group_by=("n",))
        assert (len(found.rows), found.partial_reason) == (10, "groups")
        assert found.rows[0].group == ("40",)


def test_a_group_of_time_counts_its_rate_over_its_own_part_of_the_range(tmp_path: Path) -> None:
    with LogStore(tmp_path) as store:
        store.add([event(0, timestamp=T0 + second * 1_000_000_000) for second in range(90)])
        found = told(store, "*", T0, T0 + 90_000_000_000, group_by=("time",), wanted="rate", buckets=2)
        assert [row.values["rate"] for row in found.rows] == [1.0] * found.groups

"""Histograms count what a naive filter over the same events counts, whichever way they go about it."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from monitoring.pipeline.clock import rfc3339
from monitoring.pipeline.events.event import Event
from monitoring.pipeline.events.levels import LEVELS, group
from monitoring.pipeline.query.histogram import MAX_BUCKETS, STEPS_NS, Histogram, grid, histogram
from monitoring.pipeline.query.limits import Deadline
from monitoring.pipeline.query.ranges import EARLIEST, LATEST
from tests.frames import T0, event
from tests.logstore import LogStore
from tests.pipeline.query import reference
from tests.pipeline.query.test_search import EXAMPLES

SECOND = 1_000_000_000
MINUTE = 60 * SECOND


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LogStore]:
    with LogStore(tmp_path, partitions=2) as made:
        yield made


def counted(store: LogStore, query: str, start: int = EARLIEST, end: int = LATEST, buckets: int = 60) -> Histogram:
    return histogram(store.catalog, store.reader, query, start, end, deadline=Deadline(60), buckets=buckets)


def total(found: Histogram) -> int:
    return sum(counts.total() for counts in found.counts)


def naive(events: list[Event], found: Histogram) -> list[Counter[str]]:
    counts: list[Counter[str]] = [Counter() for _ in range(found.grid.size)]
    for each in events:
        if found.grid.start <= each.timestamp < found.grid.end:
            counts[(each.timestamp - found.grid.first) // found.grid.interval][LEVELS[group(each.level)]] += 1
    return counts


_narrow = st.sampled_from([
    "*", "level:error", "service:api", "-service:api level:>=warning", "service:a* OR level:info", "level:notice",
    "service:absent", "level:error level:info api", "-level:info",
])  # fmt: skip


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    events=reference.spread_events,
    queries=st.lists(reference.queries, min_size=12, max_size=12),
    cut=st.integers(0, 25),
    slice_rows=st.sampled_from([0, 1, 3, 10, 100]),
    span=st.tuples(st.integers(-1, 40), st.integers(0, 45), st.sampled_from([0, 1, 999]), st.booleans()),
    buckets=st.sampled_from([1, 2, 7, 60, 1000]),
)
def test_a_histogram_counts_exactly_what_a_naive_filter_over_the_same_events_counts(
    events: list[Event], queries: list[reference.Query], cut: int, slice_rows: int, span: Any, buckets: int
) -> None:
    unit = max(1, (max(each.timestamp for each in events) - T0) // 40)
    start, end = (EARLIEST, LATEST) if span[3] else (T0 + span[0] * unit + span[2], T0 + span[1] * unit - span[2])
    with tempfile.TemporaryDirectory() as directory, LogStore(Path(directory)) as store:
        store.add(events[:cut])
        store.roll_over()
        store.add(events[cut:])
        if slice_rows:
            store.take_census(slice_rows)
        for query in queries:
            note(query.text)
            found = counted(store, query.text, start, end, buckets)
            assert found.counts == naive([each for each in events if query.fits(each)], found)
            assert found.partial_reason is None
            assert counted(store, query.text, start, end, buckets) == found  # what is remembered is what was counted


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    steps=st.lists(st.integers(0, 400), min_size=1, max_size=60),
    query=_narrow,
    start=st.integers(0, 400),
    length=st.integers(0, 400),
    buckets=st.sampled_from([1, 3, 30]),
)
def test_what_the_roll_ups_know_is_exact_at_the_edges_of_a_range_inside_a_minute(
    steps: list[int], query: str, start: int, length: int, buckets: int
) -> None:
    services = ("api", "worker", "API")
    events = [event(0, timestamp=T0 + step * 7 * SECOND, level=1 + (step * 5) % 24, service=services[step % 3])
              for step in steps]  # fmt: skip
    low = T0 + start * 7 * SECOND
    with tempfile.TemporaryDirectory() as directory, LogStore(Path(directory)) as store:
        store.add(events)
        found = counted(store, query, low, low + length * 7 * SECOND, buckets)
        ids = {(each["timestamp"], each["level"]) for each in store.found(query)}
        matching = [each for each in events if (rfc3339_ns(each), LEVELS[group(each.level)]) in ids]
        assert found.counts == naive(matching, found)


def rfc3339_ns(each: Event) -> str:
    text = rfc3339(each.timestamp)
    return text if "." in text else text.removesuffix("Z") + ".000000000Z"


@pytest.mark.parametrize("query", ["*", "same", "level:info", "service:api", "message:/same/", "same -level:error"])
@pytest.mark.parametrize("interval", [SECOND, MINUTE])
def test_rows_whose_ids_spilled_over_an_edge_count_in_the_bucket_of_their_time(
    store: LogStore, query: str, interval: int
) -> None:
    last = T0 + 10 * interval - T0 % MINUTE - 1000  # the last microsecond of a bucket
    for _ in range(3):
        store.add([event(0, timestamp=last + number % 1000, message="same") for number in range(3000)])
    store.add([event(0, timestamp=last + 1000, message="same")])
    found = counted(store, query, last + 1000 - 4 * interval, last + 1000 + 2 * interval, 6)
    assert found.grid.interval == interval
    assert [counts.total() for counts in found.counts] == [0, 0, 0, 9000, 1, 0]
    assert total(counted(store, query, last + 1000, LATEST)) == 1
    assert total(counted(store, query, EARLIEST, last + 500)) == 4500


def test_many_matches_of_a_prefix_are_counted_as_exactly_as_few(store: LogStore) -> None:
    events = [
        event(0, timestamp=T0 + at * SECOND // 3, level=(5, 9, 17)[at % 3], message=f"prefix{at % 7} x")
        for at in range(2000)
    ]
    store.add(events[:1500])
    store.roll_over()
    store.add(events[1500:])
    for query in ("prefix*", "prefix* level:error", "prefix* x", "-prefix1*"):
        found = counted(store, query, T0 + SECOND // 7, T0 + 600 * SECOND, 40)
        matching = [each for each in events if query != "-prefix1*" or "prefix1" not in each.message]
        matching = [each for each in matching if each.level == 17 or "error" not in query]
        assert found.counts == naive(matching, found)


def test_every_bucket_of_the_range_is_there_and_shows_the_levels_that_it_has(store: LogStore) -> None:
    store.add([event(0, timestamp=T0 + 65 * SECOND, level=17), event(0, timestamp=T0 + 185 * SECOND)])
    document = counted(store, "*", T0, T0 + 240 * SECOND, buckets=5).document()
    assert document["interval_seconds"] == 60
    assert [bucket["total"] for bucket in document["buckets"]] == [0, 1, 0, 1, 0]
    assert [bucket["levels"] for bucket in document["buckets"]] == [{}, {"ERROR": 1}, {}, {"INFO": 1}, {}]
    assert document["buckets"][0]["start"] == "2026-09-21T14:13:00Z"


def test_an_open_range_begins_and_ends_with_the_events_and_an_empty_store_has_none(store: LogStore) -> None:
    assert counted(store, "*").counts == []
    store.add([event(0, timestamp=T0), event(0, timestamp=T0 + 59 * SECOND)], partition=1)
    found = counted(store, "*")
    assert (found.grid.size, found.grid.interval, total(found)) == (60, SECOND, 2)
    assert counted(store, "*", T0 + SECOND, T0).counts == []


@given(st.integers(-(1 << 60), 1 << 60), st.integers(1, 1 << 60), st.integers(1, MAX_BUCKETS))
def test_a_grid_is_of_round_steps_covers_the_range_and_is_about_as_fine_as_asked(
    start: int, length: int, buckets: int
) -> None:
    found = grid(start, start + length, buckets)
    assert found.interval in STEPS_NS
    assert found.first % found.interval == 0
    assert found.first <= start < found.first + found.interval
    assert 0 <= found.first + found.size * found.interval - (start + length) < found.interval
    if found.interval < STEPS_NS[-1]:
        assert found.size <= buckets + 1
    place = STEPS_NS.index(found.interval)
    assert place == 0 or STEPS_NS[place - 1] * buckets < length


def test_a_histogram_that_runs_out_of_time_says_so_and_keeps_what_it_counted(store: LogStore) -> None:
    for start in (0, 5000):
        store.add([event(start + number) for number in range(5000)])
        store.roll_over()
    looks = iter(range(9))
    deadline = Deadline(50, clock=lambda: 0.0 if next(looks, None) is not None else 100.0)
    found = histogram(store.catalog, store.reader, "message:/event/", T0, T0 + SECOND, deadline=deadline)
    assert found.partial_reason == "time"
    assert 0 < total(found) < 10_000


def test_a_damaged_segment_is_named_and_the_others_are_counted(store: LogStore) -> None:
    store.add([event(1)])
    store.roll_over()
    store.add([event(2)])
    store.catalog.segments("logs")[0].path.write_bytes(b"no database" * 1000)
    found = counted(store, "event")
    assert "p0/000001" in (found.partial_reason or "")
    assert total(found) == 1

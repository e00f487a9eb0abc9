"""Counts of sealed segments are remembered within bounds, and never instead of what has changed."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import apsw
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitoring.pipeline.query.facets import facets
from monitoring.pipeline.query.histogram import histogram
from monitoring.pipeline.query.limits import Deadline
from monitoring.pipeline.query.ranges import EARLIEST, LATEST
from monitoring.pipeline.query.remembered import Remembered
from monitoring.pipeline.store.reader import Reader
from monitoring.pipeline.store.rows import id_floor
from tests.frames import T0, event
from tests.logstore import LogStore
from tests.pipeline.query.test_search import EXAMPLES

SECOND = 1_000_000_000


def test_what_was_not_asked_for_longest_is_forgotten_first() -> None:
    memory = Remembered(max_counts=10)
    for number in range(3):
        memory.put(number, {0: Counter(a=number, b=1)})  # 1 + 1 + 2
        memory.get(0)
    assert [memory.get(number) is None for number in range(3)] == [False, True, False]
    found = memory.get(2)
    assert found is not None
    assert found.counts == {0: {"a": 2, "b": 1}}


def total(store: LogStore, query: str, start: int = EARLIEST, end: int = LATEST) -> int:
    found = histogram(store.catalog, store.reader, query, start, end, deadline=Deadline(60))
    assert found.partial_reason is None
    return sum(counts.total() for counts in found.counts)


@pytest.mark.parametrize("query", ["event", "*", "message:/event/", "level:info -absent"])
def test_the_same_question_is_answered_the_same_without_opening_sealed_segments(tmp_path: Path, query: str) -> None:
    with LogStore(tmp_path) as store:
        for part in range(3):
            store.add([event(0, timestamp=T0 + (part * 10 + number) * SECOND) for number in range(10)])
            store.roll_over()
        for start, end in (
            (EARLIEST, LATEST),
            (T0 - 7 * SECOND, T0 + 50 * SECOND),
            (T0 + 5 * SECOND, T0 + 25 * SECOND),
        ):
            first = histogram(store.catalog, store.reader, query, start, end, deadline=Deadline(60), buckets=25)
            again = histogram(store.catalog, store.reader, query, start, end, deadline=Deadline(60), buckets=25)
            assert again == first
        assert total(store, query, T0 + 5 * SECOND, T0 + 25 * SECOND) == 20
        assert total(store, query, T0, T0 + 60 * SECOND) == 30
        store.add([event(0, timestamp=T0 + 31 * SECOND)])
        assert total(store, query, T0, T0 + 60 * SECOND) == 31
        by_service = facets(store.catalog, store.reader, query, EARLIEST, LATEST, fields=("service", "host"),
                            deadline=Deadline(60))  # fmt: skip
        assert [facet.values for facet in by_service.facets] == [[("api", 31)], [("h1", 31)]]


def test_what_was_cut_short_is_not_remembered(tmp_path: Path) -> None:
    with LogStore(tmp_path) as store:
        store.add([event(number) for number in range(5000)])
        store.roll_over()
        looks = iter(range(4))
        deadline = Deadline(50, clock=lambda: 0.0 if next(looks, None) is not None else 100.0)
        cut = histogram(store.catalog, store.reader, "message:/event/", T0, T0 + SECOND, deadline=deadline)
        assert cut.partial_reason == "time"
        assert total(store, "message:/event/", T0, T0 + SECOND) == 5000


@settings(max_examples=max(8, EXAMPLES // 3), deadline=None, suppress_health_check=list(HealthCheck))
@given(
    batches=st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=6), min_size=2, max_size=6),
    query=st.sampled_from(["event", "*", "level:error", "-event", "message:/ev/", "event OR x"]),
    unit=st.sampled_from([500, 7 * SECOND, 61 * SECOND]),
)
def test_what_is_remembered_of_an_active_segment_is_right_however_late_events_arrive(
    batches: list[list[int]], query: str, unit: int
) -> None:
    with tempfile.TemporaryDirectory() as directory, LogStore(Path(directory)) as store:
        for batch in batches:
            store.add([
                event(0, timestamp=T0 + at * unit, level=17 if at % 3 else 9, host=f"h{at % 2}", message="event")
                for at in batch
            ])  # fmt: skip
            start, end = T0 - 7200 * SECOND, T0 + 7200 * SECOND
            remembered, anew = (
                (histogram(store.catalog, reader, query, start, end, deadline=Deadline(60), buckets=9).counts,
                 facets(store.catalog, reader, query, start, end, deadline=Deadline(60), fields=("host", "level")))
                for reader in (store.reader, Reader())
            )  # fmt: skip
            assert remembered == anew


@pytest.mark.parametrize("query", ["event", "-event", "message:/ev/"])
def test_of_an_active_segment_only_what_is_new_is_counted(tmp_path: Path, query: str) -> None:
    with LogStore(tmp_path) as store:
        store.add([event(0, timestamp=T0 + number * SECOND) for number in range(100)])
        facets(store.catalog, store.reader, query, T0, T0 + 999 * SECOND, fields=("host",), deadline=Deadline(60))
        store.add([event(0, timestamp=T0 + 100 * SECOND)])
        with store.reader.view(store.catalog.segments("logs")[0].path, Deadline(60)) as view:
            connection = view.connection
        seen: list[int] = []

        def note(_: apsw.Cursor, sql: str, values: Any) -> bool:
            if "FROM log" in sql or "MATCH" in sql:
                seen.append(min(value for value in values if isinstance(value, int) and value > 1 << 61))
            return True

        connection.exec_trace = note
        found = facets(
            store.catalog, store.reader, query, T0, T0 + 999 * SECOND, fields=("host",), deadline=Deadline(60)
        )  # fmt: skip
        connection.exec_trace = None
        assert found.facets[0].events == (0 if query == "-event" else 101)
        assert seen
        assert min(seen) > id_floor(T0 + 98 * SECOND)

"""Counts of sealed segments are remembered within bounds, and never instead of what has changed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from monitoring.pipeline.query.facets import facets
from monitoring.pipeline.query.histogram import histogram
from monitoring.pipeline.query.limits import Deadline
from monitoring.pipeline.query.ranges import EARLIEST, LATEST
from monitoring.pipeline.query.remembered import Remembered
from tests.frames import T0, event
from tests.logstore import LogStore

SECOND = 1_000_000_000


def test_what_was_not_asked_for_longest_is_forgotten_first() -> None:
    memory = Remembered(max_counts=10)
    for number in range(3):
        memory.put(number, {0: Counter(a=number, b=1)})  # 1 + 1 + 2
        memory.get(0)
    assert [memory.get(number) is None for number in range(3)] == [False, True, False]
    assert memory.get(2) == {0: {"a": 2, "b": 1}}


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

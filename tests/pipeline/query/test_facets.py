"""Facets count what a naive count over the same events counts."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from monitoring.pipeline.events.event import Event
from monitoring.pipeline.events.levels import LEVELS, group
from monitoring.pipeline.query import sample
from monitoring.pipeline.query.facets import Facet, Facets, facets
from monitoring.pipeline.query.limits import Deadline
from monitoring.pipeline.query.ranges import EARLIEST, LATEST
from tests.frames import T0, event
from tests.logstore import LogStore
from tests.pipeline.query import reference
from tests.pipeline.query.test_search import EXAMPLES

FIELDS = ("service", "level", "host", "logger", "environment", "trace_id", "user_id", "a.b", "tags", "b.c")


def counted(store: LogStore, query: str, start: int = EARLIEST, end: int = LATEST, **more: Any) -> Facets:
    return facets(store.catalog, store.reader, query, start, end, **{"deadline": Deadline(60), **more})


def naive(events: list[Event], field: str, limit: int) -> Facet:
    values: Counter[str] = Counter()
    missing = 0
    for each in events:
        if field == "level":
            found = {LEVELS[group(each.level)]}
        elif hasattr(each, field):
            found = {getattr(each, field)} - {""}
        else:
            found = {text for item in reference.items(each, field) if (text := reference.spelled(item)) is not None}
        values.update(found)
        missing += not found
    ranked = sorted(values.items(), key=lambda pair: (-pair[1], pair[0]))
    return Facet(field, ranked[:limit], len(ranked), missing, len(events), False)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    events=reference.spread_events,
    queries=st.lists(reference.queries, min_size=8, max_size=8),
    cut=st.integers(0, 25),
    slice_rows=st.sampled_from([0, 1, 3, 10, 100]),
    span=st.tuples(st.integers(-1, 40), st.integers(0, 45), st.booleans()),
    limit=st.integers(1, 5),
)
def test_facets_are_what_a_naive_count_over_the_same_events_says(
    events: list[Event], queries: list[reference.Query], cut: int, slice_rows: int, span: Any, limit: int
) -> None:
    unit = max(1, (max(each.timestamp for each in events) - T0) // 40)
    start, end = (EARLIEST, LATEST) if span[2] else (T0 + span[0] * unit + 1, T0 + span[1] * unit + 999)
    with tempfile.TemporaryDirectory() as directory, LogStore(Path(directory)) as store:
        store.add(events[:cut])
        store.roll_over()
        store.add(events[cut:])
        if slice_rows:
            store.take_census(slice_rows)
        for query in queries:
            note(query.text)
            found = counted(store, query.text, start, end, fields=FIELDS, limit=limit)
            matching = [each for each in events if start <= each.timestamp < end and query.fits(each)]
            assert found.facets == [naive(matching, field, limit) for field in FIELDS]
            assert found.partial_reason is None


def test_beyond_the_newest_so_many_matches_attributes_are_sampled_and_dimensions_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample, "MAX_SAMPLE", 50)
    with LogStore(tmp_path) as store:
        store.add([event(number, attributes=f'{{"half":{number // 50}}}') for number in range(100)])
        half, service = counted(store, "event", fields=("half", "service")).facets
        assert (half.values, half.events, half.sampled) == ([("1", 50)], 50, True)
        assert (service.values, service.events, service.sampled) == ([("api", 100)], 100, False)
        assert not counted(store, "half:1", fields=("half",)).facets[0].sampled


def test_facets_that_run_out_of_time_say_so(tmp_path: Path) -> None:
    with LogStore(tmp_path) as store:
        store.add([event(1)])
        for fields in (("service",), ("n",)):
            assert counted(store, "*", fields=fields, deadline=Deadline(0)).partial_reason == "time"

"""Search answers what a naive filter over the same events answers, page by page, whatever is asked."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from tests.logstore import LogStore
from tests.pipeline.query import reference

EXAMPLES = int(os.environ.get("SEARCH_EXAMPLES", "25"))
"""Stores that are drawn; each is asked thirty queries. The long form: SEARCH_EXAMPLES=1000."""


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    events=reference.events,
    queries=st.lists(reference.queries, min_size=30, max_size=30),
    cut=st.integers(0, 25),
)
def test_a_query_finds_exactly_what_a_naive_filter_over_the_same_events_finds(events, queries, cut) -> None:
    with tempfile.TemporaryDirectory() as directory, LogStore(Path(directory)) as store:
        store.add(events[:cut])
        store.roll_over()
        store.add(events[cut:])
        for query in queries:
            note(query.text)
            found = sorted(int(event["release"]) for event in store.found(query.text))
            assert found == [number for number, event in enumerate(events) if query.fits(event)]

"""ClickHouse answers as SQLite does, whatever is asked: the same events, the same queries, the same answers.

The long form: `make test-clickhouse`, where CLICKHOUSE_EXAMPLES=100 asks 5,000 queries of 300 pairs of stores.
"""

from __future__ import annotations

import math
import os

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from monitoring.pipeline.query.aggregate import aggregates
from monitoring.pipeline.query.limits import Deadline
from monitoring.pipeline.query.ranges import EARLIEST, LATEST
from tests.pipeline.query import reference
from tests.pipeline.query import test_semantics as semantics
from tests.pipeline.store.clickhouse.both import Both, found

EXAMPLES = int(os.environ.get("CLICKHOUSE_EXAMPLES", "0"))
"""Pairs of stores that are drawn for each kind of question. The short form draws one, and asks it a third as much."""
SEARCHES, COUNTS, EVERY = (30, 10, 1) if EXAMPLES else (10, 3, 5)
"""Queries for each pair of stores; and which of the sentences are tried."""
QUIETLY = settings(max_examples=max(1, EXAMPLES), deadline=None, suppress_health_check=list(HealthCheck))
SENTENCES = [case for mark in vars(semantics.test_a_query_finds)["pytestmark"] for case in mark.args[1]]
STATS = "count,rate,sum(n),min(a),max(a),avg(a.b),p50(user_id),p95(a)"


@pytest.fixture(scope="module")
def both(clickhouse):
    return Both(clickhouse.fresh())


def test_each_form_of_the_language_finds_what_it_finds_in_files(both) -> None:
    by_message = {event.message: name for name, event in semantics.EVENTS.items()}
    events = list(semantics.EVENTS.values())
    with both.holding(events[:5], events[5:]) as (_, server):
        for query, names in SENTENCES[::EVERY]:
            expected = set(semantics.EVENTS) if names == "*" else set(names.split())
            assert (query, {by_message[event["message"]] for event in found(server, query)}) == (query, expected)


@QUIETLY
@given(
    events=reference.events,
    queries=st.lists(reference.queries, min_size=SEARCHES, max_size=SEARCHES),
    cut=st.integers(0, 25),
)
def test_a_search_finds_the_same_events_in_the_same_order(both, events, queries, cut) -> None:
    with both.holding(events[:cut], events[cut:]) as (files, server):
        for query in queries:
            note(query.text)
            assert found(server, query.text) == found(files, query.text)


@QUIETLY
@given(
    drawn=reference.spread_events,
    queries=st.lists(reference.queries, min_size=COUNTS, max_size=COUNTS),
    buckets=st.integers(1, 100),
    fields=st.lists(st.sampled_from(["level", "service", "host", "logger", "user_id", "a.b", "exception"]), min_size=1,
                    max_size=3),
)  # fmt: skip
def test_what_is_counted_is_the_same(both, drawn, queries, buckets, fields) -> None:
    with both.holding(drawn) as stores:
        for query in queries:
            note(query.text)
            asked = (query.text, EARLIEST, LATEST)
            files, server = (store.histogram(*asked, deadline=Deadline(60), buckets=buckets) for store in stores)
            assert server == files
            files, server = (store.facets(*asked, deadline=Deadline(60), fields=fields, limit=5) for store in stores)
            assert server == files
            files, server = (store.patterns(*asked, deadline=Deadline(60), limit=5).document() for store in stores)
            assert _without_ids(server) == _without_ids(files)


@QUIETLY
@given(
    drawn=reference.spread_events,
    queries=st.lists(reference.queries, min_size=COUNTS, max_size=COUNTS),
    group_by=st.lists(st.sampled_from(["level", "service", "time", "user_id", "tags", "a.b", "exception"]), max_size=3,
                      unique=True),
)  # fmt: skip
def test_statistics_are_the_same(both, drawn, queries, group_by) -> None:
    with both.holding(drawn) as stores:
        for query in queries:
            note(query.text)
            files, server = (
                store.statistics(query.text, EARLIEST, LATEST, deadline=Deadline(60), group_by=group_by,
                                 wanted=aggregates(STATS), buckets=7, limit=1000)
                for store in stores
            )  # fmt: skip
            assert [row.group for row in server.rows] == [row.group for row in files.rows]
            for mine, other in zip(server.rows, files.rows, strict=True):
                for name, value in other.values.items():
                    assert _alike(mine.values[name], value), (name, mine, other)
            assert (server.groups, server.grid, server.partial_reason) == (files.groups, files.grid, None)


def _alike(mine: float | None, other: float | None) -> bool:
    """Equal, but for the order in which doubles were added up."""
    if mine is None or other is None:
        return mine is other
    return math.isclose(mine, other, rel_tol=1e-9, abs_tol=1e-9) or not math.isfinite(other)


def _without_ids(document):
    for pattern in document["patterns"]:
        del pattern["example"]["id"]
    return document

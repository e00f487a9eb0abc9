"""A definition counts what a search for its query finds."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import orjson
import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from monitoring.pipeline.derived.definition import definition_of
from monitoring.pipeline.derived.gather import Gatherer
from monitoring.pipeline.store.deltas import read_family, read_labels, read_value
from monitoring.pipeline.store.rows import Dimensions
from tests.frames import T0, event
from tests.logstore import LogStore
from tests.pipeline.query import reference

EXAMPLES = int(os.environ.get("SEARCH_EXAMPLES", "5"))
"""Stores that are drawn; each is asked thirty queries. The long form: SEARCH_EXAMPLES=1000."""


def gathered(store, *definitions):
    """The deltas of these definitions over everything that the store holds."""
    connection = store.partitions[0].segment.connection
    dimensions = Dimensions(connection.execute("SELECT id, kind, value FROM dimension"))
    ids = [row_id for (row_id,) in connection.execute("SELECT id FROM log ORDER BY id")]
    return Gatherer(connection, [definition_of(each) for each in definitions]).gather(ids, dimensions)


def counter(query, **more):
    return {"name": "found", "kind": "counter", "query": query, **more}


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(events=reference.events, queries=st.lists(reference.queries, min_size=30, max_size=30))
def test_a_counter_counts_exactly_what_a_naive_filter_over_the_same_events_finds(events, queries) -> None:
    with tempfile.TemporaryDirectory() as directory, LogStore(Path(directory)) as store:
        store.add(events)
        for query in queries:
            note(query.text)
            deltas = gathered(store, counter(query.text, labels=["release"]))
            found = sorted(int(delta.release) for delta in deltas for _ in range(int(delta.value)))
            assert found == [number for number, event in enumerate(events) if query.fits(event)]


@pytest.fixture
def store(tmp_path):
    with LogStore(tmp_path) as made:
        yield made


def told(deltas):
    """Labels, origin and value of each delta, which the metric store must understand."""
    found = []
    for delta in deltas:
        origin = {
            name: text for name in ("service", "environment", "release", "host") if (text := getattr(delta, name))
        }
        value = read_value(read_family(delta.family), delta.value)
        found.append(({**read_labels(delta.labels), **origin}, value))
    return sorted(found, key=str)


def test_labels_are_fields_by_names_that_prometheus_allows_and_empty_ones_are_left_out(store):
    attributes = orjson.dumps({"http": {"status": 500}, "tags": ["b", "a"], "n": {"deep": 1}}).decode()
    store.add([event(1, attributes=attributes, level=17), event(2, attributes="")])
    labels = ["service", "level", "http.status", "tags", "n", "environment"]
    assert told(gathered(store, counter("*", labels=labels))) == [
        ({"service": "api", "level": "ERROR", "http_status": "500", "tags": "a,b"}, 1),
        ({"service": "api", "level": "INFO"}, 1),
    ]


def test_an_event_counts_in_the_window_of_its_own_time(store):
    store.add([event(1, timestamp=T0 + seconds * 10**9) for seconds in (0, 3, 20)])
    found = {(delta.timestamp, delta.window, delta.value) for delta in gathered(store, counter("*"))}
    end = T0 // 10**10 * 10**10 + 10**10
    assert found == {(end, 10**10, "2"), (end + 2 * 10**10, 10**10, "1")}


def test_a_counter_of_a_field_adds_up_its_numbers_and_leaves_out_what_is_none_or_negative(store):
    values = [1, 2.5, "3", "x", None, -4, True, [5, 6], {"a": 1}, 1e301]
    store.add([event(number, attributes=orjson.dumps({"v": value}).decode()) for number, value in enumerate(values)])
    assert told(gathered(store, counter("*", field="v"))) == [({}, 17.5)]
    assert gathered(store, counter("*", field="absent")) == []


def test_a_histogram_observes_each_number_in_the_bucket_that_prometheus_would_take(store):
    store.add([event(n, attributes=orjson.dumps({"v": v}).decode()) for n, v in enumerate([1, 1.5, 10, 11, -1])])
    definition = {"name": "sizes", "kind": "histogram", "query": "*", "field": "v", "bounds": [1, 10]}
    assert told(gathered(store, definition)) == [({}, (22.5, [2, 2, 1]))]

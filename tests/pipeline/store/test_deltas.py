"""Deltas are put into the windows they belong to, divided without a remainder, and refused where they make no sense."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.pipeline.events.delta import family_text
from monitoring.pipeline.store.deltas import (
    MOST_WINDOWS,
    WINDOW_NS,
    Buckets,
    DeltaInvalid,
    Family,
    merged,
    read_family,
    read_labels,
    read_value,
    shares,
    windows_of,
)

SECOND = 10**9


@pytest.mark.parametrize(
    ("at", "window", "last", "count"),
    [
        (20.0, 10.0, 1, 1),
        (20.003, 10.003, 1, 1),  # the producer woke a little late
        (19.999, 9.999, 1, 1),
        (24.0, 14.0, 1, 1),  # and here four seconds
        (20.003, 7.0, 1, 1),  # its first, begun at 13
        (24.0, 4.0, 2, 1),  # its last
        (12.003, 1.0, 1, 1),  # one that sends every second
        (20.0, 0.0, 2, 1),  # a moment
        (50.003, 30.003, 4, 3),
        (10_000.0, 9_999.0, 999, MOST_WINDOWS),
        (5.0, 10.0, 0, 1),
        (0.0, 10.0, 0, 1),
    ],
)
def test_a_delta_belongs_to_the_windows_in_which_it_was_gathered(at, window, last, count):
    assert windows_of(int(at * SECOND), int(window * SECOND)) == (last, count)
    assert WINDOW_NS == 10 * SECOND


numbers = st.one_of(st.integers(-(2**63), 2**63 - 1), st.floats(-1e300, 1e300))


@given(numbers, st.integers(1, MOST_WINDOWS), st.randoms(use_true_random=False))
def test_shares_add_up_to_exactly_the_whole_in_any_order(value, count, random):
    parts = shares(value, count)
    assert len(parts) == count and all(type(part) in (int, type(value)) for part in parts)
    random.shuffle(parts)
    assert sum(parts) == value


@given(st.floats(1, 1e6), st.integers(1, MOST_WINDOWS))
def test_shares_are_even(value, count):
    assert all(math.isclose(part, value / count, rel_tol=1e-9) for part in shares(value, count))
    assert max(shares(1000, 7)) - min(shares(1000, 7)) == 1


def test_a_family_is_read_as_the_sdk_writes_it():
    text = family_text(name="sizes", kind="histogram", unit="items", help="Sizes.", bounds=(1.0, 2.0))
    assert read_family(text) == Family("sizes", "histogram", "", (1.0, 2.0), "items", "Sizes.")
    assert read_family(family_text(name="up", kind="gauge")).across == "last"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no json",
        "[]",
        "{}",
        '{"name":"a b","kind":"counter"}',
        '{"name":"a","kind":"summary"}',
        '{"name":"a","kind":"counter","across":"sum"}',
        '{"name":"a","kind":"gauge","across":"mean"}',
        '{"name":"a","kind":"gauge","bounds":[1]}',
        '{"name":"a","kind":"histogram","bounds":[2,1]}',
        '{"name":"a","kind":"histogram","bounds":[1,"x"]}',
        '{"name":"a","kind":"counter","help":7}',
    ],
)
def test_a_family_that_makes_no_sense_is_refused(text):
    with pytest.raises(DeltaInvalid):
        read_family(text)


def test_an_empty_label_is_none_and_one_that_cannot_be_is_refused():
    assert read_labels('{"a":"1","b":""}') == {"a": "1"} and read_labels("") == {}
    for text in ("[1]", '{"a":1}', '{"__name__":"x"}', '{"a b":"x"}', '{"a":null}', "{"):
        with pytest.raises(DeltaInvalid):
            read_labels(text)


def test_where_a_series_comes_from_keeps_its_names_and_its_own_labels_get_others():
    found = merged({"service": "x", "exported_service": "y", "host": "z"}, ("shop", "", "1", ""))
    assert found == {
        "exported_exported_service": "x", "exported_service": "y", "host": "z", "release": "1", "service": "shop",
    }  # fmt: skip
    assert list(found) == sorted(found)


COUNTER, GAUGE = Family("a", "counter", "", ()), Family("a", "gauge", "last", ())
HISTOGRAM = Family("a", "histogram", "", (1, 2))


def test_values_keep_their_type_and_a_number_too_large_for_the_store_becomes_a_float():
    found = [read_value(COUNTER, text) for text in ("3", "2.5", str(2**63))]
    assert found == [3, 2.5, 2.0**63] and [type(value) for value in found] == [int, float, float]
    assert read_value(GAUGE, "-1") == -1
    assert read_value(HISTOGRAM, '{"sum":2.5,"counts":[1,0,2]}') == Buckets(2.5, [1, 0, 2])


@pytest.mark.parametrize(
    ("family", "text"),
    [
        (COUNTER, "-1"),
        (COUNTER, "-0.5"),
        (COUNTER, "NaN"),
        (COUNTER, "null"),
        (COUNTER, "true"),
        (COUNTER, '"1"'),
        (COUNTER, "1e400"),
        (COUNTER, "1e301"),
        (COUNTER, ""),
        (GAUGE, "Infinity"),
        (HISTOGRAM, "1"),
        (HISTOGRAM, '{"sum":1,"counts":[1,2]}'),
        (HISTOGRAM, '{"sum":1,"counts":[1,2,-1]}'),
        (HISTOGRAM, '{"sum":1,"counts":[1,2,0.5]}'),
        (HISTOGRAM, '{"counts":[1,2,3]}'),
        (HISTOGRAM, '{"sum":"x","counts":[1,2,3]}'),
    ],
)
def test_a_value_that_makes_no_sense_is_refused(family, text):
    with pytest.raises(DeltaInvalid):
        read_value(family, text)

"""Values of the application become JSON whatever they are: never an exception, never unbounded."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import decimal
import enum
import math
import pathlib
import uuid

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.producers.values import MAX_ITEMS, MAX_TEXT, bounded, encode, shown

_LIMIT = 1 << 18


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: int
    y: float


class Broken:
    def __repr__(self):
        raise RuntimeError("no")


class BadMapping(dict):  # type: ignore[type-arg]
    def items(self):
        raise RuntimeError("no")


def decoded(**fields):
    return orjson.loads(encode(fields))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (3, 3),
        ("text", "text"),
        (None, None),
        ([1, {"a": (2, 3)}], [1, {"a": [2, 3]}]),
        (dt.date(2026, 5, 1), "2026-05-01"),
        (uuid.UUID(int=1), str(uuid.UUID(int=1))),
        (Colour.RED, "red"),
        (Point(1, 2.5), {"x": 1, "y": 2.5}),
        (decimal.Decimal("1.10"), "Decimal('1.10')"),
        (pathlib.PurePosixPath("/a"), "PurePosixPath('/a')"),
        (b"a\xff", "a\\xff"),
        ({1}, [1]),
        ({1: "a", None: "b"}, {"1": "a", "null": "b"}),
        (ValueError("bad"), "ValueError: bad"),
        (collections.Counter("aa"), {"a": 2}),
        (1 << 70, str(1 << 70)),
        (1 << 100_000, "<int of 100001 bits>"),
        ("\ud800", "�"),
        ("\ud83d\ude00", "😀"),
        (Broken(), "<Broken: its repr raised RuntimeError>"),
    ],
    ids=lambda value: type(value).__name__,  # some cannot be shown, which is the point
)
def test_every_value_has_a_form(value, expected):
    assert decoded(value=value)["value"] == expected


@pytest.mark.parametrize(("value", "text"), [(math.nan, "NaN"), (math.inf, "Infinity"), (-math.inf, "-Infinity")])
def test_what_json_has_no_number_for_is_text_at_any_depth_and_not_null(value, text):
    assert decoded(loss=value, more={"deep": [value, None]}) == {"loss": text, "more": {"deep": [text, None]}}


def test_a_null_alone_changes_nothing():
    assert encode({"a": None, "b": "null", "c": Point(1, 2.0)}) == '{"a":null,"b":"null","c":{"x":1,"y":2.0}}'


def test_a_cycle_ends():
    value: dict[str, object] = {}
    value["self"] = value
    assert len(encode(value)) < 10_000


def test_nothing_is_larger_than_an_event_may_be():
    for fields in (
        {"text": "x" * 5_000_000},
        {f"name{number}": "y" * 10_000 for number in range(1000)},
        {"deep": [["z" * 5000] * 300] * 30},
        {"\n" * 1_000_000: 1},
    ):
        assert len(encode(fields)) < _LIMIT


def test_what_is_cut_says_so():
    assert decoded(text="x" * 5_000_000)["text"] == "x" * MAX_TEXT + "…"
    assert bounded(dict.fromkeys(range(300), 1))["…"] == f"{300 - MAX_ITEMS} more"
    assert bounded(list(range(300)))[-1] == f"… {300 - MAX_ITEMS} more"


def test_a_collection_that_raises_is_named():
    assert bounded(BadMapping(a=1)) == "<BadMapping: reading it raised RuntimeError>"


def test_what_is_encoded_is_what_it_was():
    value = [1]
    text = encode({"value": value})
    value.append(2)
    assert text == '{"value":[1]}'


def test_a_long_repr_is_cut():
    assert len(shown("x" * 10_000)) == 1025


_anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.decimals() | st.datetimes(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers() | st.none(), inner) | st.tuples(inner),
)


@given(st.dictionaries(st.text(st.characters()), _anything))
def test_it_never_raises_and_is_always_an_object(fields):
    assert type(orjson.loads(encode(fields))) is dict

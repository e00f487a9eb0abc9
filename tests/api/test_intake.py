"""From bodies to events."""

from __future__ import annotations

import gzip
import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.api.intake import parse
from monitoring.api.problems import Problem
from monitoring.pipeline.events.event import MAX_EVENT_BYTES
from monitoring.pipeline.events.lenient import Defaults
from monitoring.pipeline.ingest.intake import Intake

DEFAULTS = Defaults(received_ns=1_800_000_000 * 10**9, fallback_service="key")

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 60), 1 << 60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
ITEMS = st.lists(
    st.dictionaries(st.sampled_from(["message", "level", "time", "x", '"', "[", "a}"]), JSON, max_size=4) | JSON,
    max_size=12,
)


def read(body: bytes, most: int = 1000) -> Intake:
    return parse(body, DEFAULTS, "test", most)


@given(items=ITEMS, indent=st.sampled_from([None, 0, 2]), ascii_only=st.booleans())
def test_an_array_however_it_is_laid_out_means_the_same_as_its_items_as_lines(
    items: list[Any], indent: int | None, ascii_only: bool
) -> None:
    items = [{"message": "an object first: lines that begin with [ are an array"}, *items]
    one = read(json.dumps(items, indent=indent, ensure_ascii=ascii_only).encode())
    other = read(b"\n".join(orjson.dumps(item) for item in items))
    assert one.events == other.events
    assert [(x.line, x.reason) for x in one.rejected] == [(x.line, x.reason) for x in other.rejected]
    assert len(one.events) + len(one.rejected) == len(items)


@given(body=st.binary(max_size=300) | st.text(alphabet='[]{}",:\\ \n1ae', max_size=60).map(str.encode))
def test_no_body_makes_it_fail_otherwise_than_with_a_problem(body: bytes) -> None:
    try:
        found = read(body)
    except Problem as problem:
        assert problem.status in (400, 413)
        return
    for item in found.rejected:
        assert item.raw.strip()
        assert item.reason


@pytest.mark.parametrize("body", [b"", b" \n ", b"[]", b" [ ] \n", b"\xef\xbb\xbf", b"\r\n\r\n"])
def test_an_empty_body_holds_nothing(body: bytes) -> None:
    assert read(body) == Intake([], [])


@pytest.mark.parametrize("body", [b'{"message": "x"}', b'{\n "message": "x"\n}\n', b'\xef\xbb\xbf{"msg":"x"}'])
def test_one_object_may_span_lines(body: bytes) -> None:
    assert [event.message for event in read(body).events] == ["x"]


def test_a_bad_line_spoils_only_itself_and_is_named() -> None:
    found = read(b'{"message":"a"}\n\r\nhello\n{"message":"b"}\r\n[1]\n{"message":')
    assert [event.message for event in found.events] == ["a", "b"]
    assert [(x.line, x.raw, x.source) for x in found.rejected] == [
        (3, b"hello", "test"),
        (5, b"[1]", "test"),
        (6, b'{"message":', "test"),
    ]


def test_a_bad_item_of_an_array_spoils_only_itself_and_is_named() -> None:
    found = read(b'[{"message":"a"}, {"message" "b"}, 7, "],[", {"message":"]}"}, null]')
    assert [event.message for event in found.events] == ["a", "]}"]
    assert [(x.line, x.raw) for x in found.rejected] == [
        (2, b'{"message" "b"}'),
        (3, b"7"),
        (4, b'"],["'),
        (6, b"null"),
    ]


@pytest.mark.parametrize(
    "body",
    [
        b"[",
        b"[1",
        b"[1,",
        b"[1,]",
        b"[1 2]",
        b'[{"a":1}',
        b'[{"a":1}]]',
        b'["',
        b"[[]",
        b"[,1]",
        b'[{"a":"]}',
        b"[" * 9,
    ],
)
def test_an_array_that_is_cut_off_or_malformed_is_refused_whole(body: bytes) -> None:
    with pytest.raises(Problem) as caught:
        read(body)
    assert caught.value.status == 400
    assert "byte" in caught.value.detail


def test_compressed_bytes_that_nobody_announced_are_named() -> None:
    with pytest.raises(Problem, match="the body is gzip data"):
        read(gzip.compress(b"{}"))


def test_more_lines_or_items_than_allowed_are_refused_whole() -> None:
    assert len(read(b'{"message":"x"}\n' * 10, most=10).events) == 10
    assert len(read(b"[" + b",".join([b'{"message":"x"}'] * 10) + b"]", most=10).events) == 10
    for body in (b"\n" * 12, b"[" + b",".join([b"{}"] * 11) + b"]"):
        with pytest.raises(Problem) as caught:
            read(body, most=10)
        assert caught.value.status == 413


def test_an_event_that_is_too_large_or_would_become_so_is_rejected_and_its_neighbours_are_not() -> None:
    long = b'{"message":"' + b"x" * MAX_EVENT_BYTES + b'"}'
    grows = b'{"message":"' + b"\xff" * (MAX_EVENT_BYTES // 2) + b'"}'
    found = read(b'{"message":"a"}\n' + long + b"\n" + grows + b'\n{"message":"b"}')
    assert [event.message for event in found.events] == ["a", "b"]
    assert [x.line for x in found.rejected] == [2, 3]
    assert {x.reason for x in found.rejected} == {f"longer than {MAX_EVENT_BYTES} bytes"}


def test_an_event_that_names_no_service_has_the_keys_name() -> None:
    found = read(b'{"message":"a"}\n{"message":"b","service":"own"}')
    assert [event.service for event in found.events] == ["key", "own"]

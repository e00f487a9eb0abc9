"""Headers that carry ids are read and written as the standard says, whatever a client sends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.producers.trace import (
    MAX_REQUEST_ID,
    format_traceparent,
    is_trace,
    new_ids,
    parse_traceparent,
    sane_request_id,
    sane_tracestate,
)

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def _hex(digits: int) -> st.SearchStrategy[str]:
    return st.text("0123456789abcdef", min_size=digits, max_size=digits).filter(lambda text: set(text) != {"0"})


@given(_hex(32), _hex(16), st.sampled_from(["00", "01"]))
def test_what_is_written_is_read_again(trace_id: str, span_id: str, flags: str) -> None:
    assert is_trace(trace_id, span_id)
    assert parse_traceparent(format_traceparent(trace_id, span_id, flags)) == (trace_id, span_id, flags)


@given(st.one_of(st.text(max_size=80), st.from_regex(r"[0-9a-f]{2}-[0-9a-f ]{32}-[0-9A-f]{16}-[0-9a-f]{2}.?")))
def test_garbage_is_no_parent_and_never_raises(text: str) -> None:
    parent = parse_traceparent(text)
    if parent is not None:
        assert text[3:35] == parent.trace_id
        assert is_trace(parent.trace_id, parent.span_id)


@pytest.mark.parametrize(
    ("header", "flags"),
    [
        (f"00-{TRACE}-{SPAN}-01", "01"),
        (f"00-{TRACE}-{SPAN}-00", "00"),
        (f"00-{TRACE}-{SPAN}-03", "01"),  # level 2's random-trace-id flag is not ours to promise
        (f"cc-{TRACE}-{SPAN}-01", "01"),
        (f"cc-{TRACE}-{SPAN}-01-what-the-future-brings", "01"),
    ],
)
def test_a_parent_is_continued(header: str, flags: str) -> None:
    assert parse_traceparent(header) == (TRACE, SPAN, flags)


@pytest.mark.parametrize(
    "header",
    [
        "",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01-more",  # version 00 has four parts
        f"cc-{TRACE}-{SPAN}-01.more",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[:-1]}g-{SPAN}-01",
        f"00-{TRACE}_{SPAN}-01",
        f" 00-{TRACE}-{SPAN}-01"[:55],
        f"00-{TRACE}-{SPAN}-01,00-{TRACE}-{SPAN}-01",
        f"00-{chr(0xFF11) * 32}-{SPAN}-01",
    ],
)
def test_what_the_standard_forbids_is_no_parent(header: str) -> None:
    assert parse_traceparent(header) is None


@given(st.text(max_size=200))
def test_a_sane_request_id_can_end_no_header_and_no_quotation(text: str) -> None:
    kept = sane_request_id(text)
    assert kept in (text, "")
    assert len(kept) <= MAX_REQUEST_ID
    assert kept.isascii()
    assert not set(kept) & set("\r\n\t\0 \"'\\<>&;,|{}")


@pytest.mark.parametrize(
    "text",
    [
        "9b2c4a1e-5d5f-4a8e-9a55-2f0f3e9a1c11",
        "01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "Root=1-67891233-abcdef012345678912345678",
        "aGVsbG8td29ybGQ/PQ==",
        "gateway:eu-1~42",
        "a" * MAX_REQUEST_ID,
    ],
)
def test_ids_in_use_are_sane(text: str) -> None:
    assert sane_request_id(text) == text


@pytest.mark.parametrize(
    "text", ["", "a b", "a\r\nSet-Cookie: x", "ä", chr(0xFF11), "<script>", "a" * (MAX_REQUEST_ID + 1)]
)
def test_other_ids_are_not_taken(text: str) -> None:
    assert sane_request_id(text) == ""


@given(st.text(max_size=600))
def test_a_trace_state_is_carried_on_only_where_a_header_can_hold_it(text: str) -> None:
    kept = sane_tracestate(text)
    assert kept in (text, "")
    assert kept.isascii()
    assert "\n" not in kept
    assert "\r" not in kept


def test_new_ids_are_ids_and_never_the_same() -> None:
    made = [new_ids() for _ in range(1000)]
    assert all(is_trace(trace_id, span_id) and sane_request_id(request_id) for trace_id, span_id, request_id in made)
    assert len({one for ids in made for one in ids}) == 3000

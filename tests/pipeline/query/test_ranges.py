"""Moments: every notation, to the nanosecond, and errors that say what is understood."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.pipeline.errors import QuerySyntaxError
from monitoring.pipeline.query.ranges import EARLIEST, LATEST, format_ns, moment

NOW = 1_790_000_000_123_456_789
SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", NOW),
        ("NOW", NOW),
        ("-15m", NOW - 900 * SECOND),
        ("15m", NOW - 900 * SECOND),
        ("now-1h", NOW - 3600 * SECOND),
        ("now+1h", NOW + 3600 * SECOND),
        ("+1h", NOW + 3600 * SECOND),
        ("1h30m", NOW - 5400 * SECOND),
        ("1.5h", NOW - 5400 * SECOND),
        ("-250ms", NOW - 250_000_000),
        ("7d", NOW - 7 * 86_400 * SECOND),
        ("2w", NOW - 14 * 86_400 * SECOND),
        ("0", 0),
        ("1790000000", 1_790_000_000 * SECOND),
        ("1790000000.123456789", 1_790_000_000_123_456_789),
        ("1790000000123", 1_790_000_000_123_000_000),
        ("1790000000123456", 1_790_000_000_123_456_000),
        ("1790000000123456789", 1_790_000_000_123_456_789),
        ("1.79e9", 1_790_000_000 * SECOND),
        ("-1", -SECOND),
        ("1970-01-01", 0),
        ("1970-01-01T00:00:01Z", SECOND),
        ("1970-01-01t00:00:01z", SECOND),
        ("1970-01-01 00:01", 60 * SECOND),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1970-01-01T01:00:00+0100", 0),
        ("2026-09-21T14:13:20.123456789Z", NOW),
        ("2026-09-21T14:13:20.1234567891Z", NOW),
        ("1969-12-31T23:59:59.5Z", -SECOND // 2),
        ("9999-12-31T23:59:59Z", LATEST),
        ("9" * 20, LATEST),
        ("-" + "9" * 20, EARLIEST),
    ],
)
def test_a_moment_is_read_to_the_nanosecond(text: str, expected: int) -> None:
    assert moment(text, NOW) == expected


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "-", "now-", "now1h", "5x", "2026-13-01", "2026-02-30T00:00:00Z", "1h-", "now--1h", "9" * 400,
     "1e400", "nan", "٤٢", "2026-01-01T25:00:00Z"],
)  # fmt: skip
def test_what_is_no_moment_is_an_error_with_an_example(text: str) -> None:
    with pytest.raises(QuerySyntaxError) as raised:
        moment(text, NOW)
    assert "now" in raised.value.hint


@given(st.text(max_size=30) | st.from_regex(r"(now)?[+-]?([0-9]{1,4}(ms|s|m|h|d|w)){0,3}", fullmatch=True))
def test_no_text_raises_anything_but_a_syntax_error(text: str) -> None:
    with contextlib.suppress(QuerySyntaxError):
        assert EARLIEST <= moment(text, NOW) <= LATEST


@given(st.integers(-(2**31) * SECOND, 2**32 * SECOND))
def test_a_moment_survives_being_written_and_read(timestamp: int) -> None:
    assert moment(format_ns(timestamp), NOW) == timestamp

"""Times as others write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.pipeline.events.timestamps import SECOND_NS, from_number, from_text, leading

NOON = datetime(2024, 5, 1, 12, 0, 0, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")
NEW_YORK = ZoneInfo("America/New_York")


def ns(moment: datetime, nanoseconds: int = 0) -> int:
    return int(moment.replace(microsecond=0).timestamp()) * SECOND_NS + nanoseconds


REFERENCE = ns(datetime(2024, 6, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("text", "fraction"),
    [
        ("2024-05-01T12:00:00Z", 0),
        ("2024-05-01T12:00:00.5Z", 500_000_000),
        ("2024-05-01T12:00:00.123456789Z", 123_456_789),
        ("2024-05-01T12:00:00.1234567891234Z", 123_456_789),
        ("2024-05-01T12:00:00+00:00", 0),
        ("2024-05-01T14:00:00.25+02:00", 250_000_000),
        ("2024-05-01T14:00:00,25+0200", 250_000_000),
        ("2024-05-01T14:00:00+02", 0),
        ("2024-05-01 07:30:00.001 -0430", 1_000_000),
        ("2024-05-01 12:00:00,123", 123_000_000),
        ("2024-05-01 12:00:00 UTC", 0),
        ("2024-05-01 14:00:00 CEST", 0),
        ("2024-05-01 08:00:00 EDT", 0),
        ("2024/05/01 12:00:00", 0),
        ("2024.05.01 12:00:00", 0),
        ("2024-05-01  12:00:00", 0),
        ("2024-05-01_12:00:00", 0),
        ("20240501T120000Z", 0),
        ("20240501 12:00:00.5", 500_000_000),
        ("01/May/2024:14:00:00 +0200", 0),
        ("01/May/2024 12:00:00", 0),
        ("01 May 2024 12:00:00.123", 123_000_000),
        ("Wed, 01 May 2024 12:00:00 GMT", 0),
        ("Wed May  1 12:00:00 2024", 0),
        ("Wed May  1 12:00:00.123456 2024", 123_456_000),
        ("Wed May 01 08:00:00 EDT 2024", 0),
        ("May  1 12:00:00", 0),
        ("May 01 12:00:00.5", 500_000_000),
        ("May 1, 2024 12:00:00 PM", 0),
        ("5/1/2024 12:00:00 PM", 0),
        ("05/01/2024 12:00:00", 0),
        ("01.05.2024 12:00:00", 0),
        ("[2024-05-01 12:00:00]", 0),
        ("1714564800", 0),
        ("1714564800.123456789", 123_456_789),
        ("1714564800123", 123_000_000),
        ("1714564800123456", 123_456_000),
        ("1714564800123456789", 123_456_789),
        ("2024-05-01T12:00", 0),
        ("2024-W18-3T12:00:00", 0),
    ],
)
def test_a_time_is_understood_however_it_is_written(text: str, fraction: int) -> None:
    assert from_text(text, UTC, REFERENCE) == ns(NOON, fraction)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2024-13-01T00:00:00Z",
        "2024-02-30 00:00:00",
        "2024-05-01T25:00:00Z",
        "12:00:00 May",
        "Mayday 1",
    ],
)
def test_what_is_no_time_is_none(text: str) -> None:
    assert from_text(text, UTC, REFERENCE) is None


def test_a_date_alone_is_its_midnight() -> None:
    assert from_text("2024-05-01", UTC, REFERENCE) == ns(datetime(2024, 5, 1, tzinfo=UTC))
    assert from_text("2024-05-01", BERLIN, REFERENCE) == ns(datetime(2024, 4, 30, 22, tzinfo=UTC))


def test_a_leap_second_is_the_second_behind_it() -> None:
    assert from_text("2016-12-31T23:59:60Z", UTC, REFERENCE) == ns(datetime(2017, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    "text", ["2024-05-01 12:00:00", "2024-05-01T12:00:00.000", "May  1 12:00:00", "May 1, 2024 12:00:00 PM"]
)
@pytest.mark.parametrize("zone", [BERLIN, NEW_YORK, timezone(timedelta(hours=5, minutes=45))])
def test_a_time_without_zone_is_read_in_the_zone_given(text: str, zone: tzinfo) -> None:
    assert from_text(text, zone, REFERENCE) == ns(NOON.replace(tzinfo=zone))


def test_a_zone_in_the_text_wins_over_the_zone_given() -> None:
    assert from_text("2024-05-01T12:00:00Z", BERLIN, REFERENCE) == ns(NOON)
    assert from_text("2024-05-01 12:00:00,5 +0000", BERLIN, REFERENCE) == ns(NOON, 500_000_000)


def test_no_zone_given_means_this_machines_own() -> None:
    assert from_text("2024-05-01 12:00:00", None, REFERENCE) == ns(datetime(2024, 5, 1, 12).astimezone())


def test_a_time_that_a_clock_change_skipped_is_read_with_the_offset_before_it() -> None:
    """In Berlin, 2024-03-31 02:30 never was: by winter's offset it is 01:30 UTC, and clocks showed 03:30."""
    assert from_text("2024-03-31 02:30:00", BERLIN, REFERENCE) == ns(datetime(2024, 3, 31, 1, 30, tzinfo=UTC))


def test_a_time_that_occurred_twice_is_the_first_of_the_two() -> None:
    """In Berlin, 2023-10-29 02:30 was at 00:30 UTC in summer time and again at 01:30 UTC."""
    assert from_text("2023-10-29 02:30:00", BERLIN, REFERENCE) == ns(datetime(2023, 10, 29, 0, 30, tzinfo=UTC))


@pytest.mark.parametrize(
    ("text", "now", "expected"),
    [
        ("Dec 31 23:59:59", "2024-01-01 00:00:01", "2023-12-31 23:59:59"),
        ("Jan  1 00:00:01", "2024-01-01 00:00:02", "2024-01-01 00:00:01"),
        ("Jan  1 00:00:01", "2023-12-31 23:59:58", "2024-01-01 00:00:01"),
        ("Jun 15 12:00:00", "2024-06-14 13:00:00", "2024-06-15 12:00:00"),
        ("Jun 16 12:00:00", "2024-06-14 13:00:00", "2023-06-16 12:00:00"),
        ("Feb 29 12:00:00", "2026-01-01 00:00:00", "2024-02-29 12:00:00"),
        ("Feb 29 12:00:00", "2024-02-29 12:00:00", "2024-02-29 12:00:00"),
    ],
)
def test_a_time_without_year_belongs_to_the_nearest_past(text: str, now: str, expected: str) -> None:
    """A day ahead is allowed for, since clocks and zones differ."""
    reference = ns(datetime.fromisoformat(f"{now}+00:00"))
    assert from_text(text, UTC, reference) == ns(datetime.fromisoformat(f"{expected}+00:00"))


def test_the_year_is_that_of_the_zone_given() -> None:
    """New Year's Eve in New York while it is the first of January in UTC."""
    now = ns(datetime(2024, 1, 1, 3, tzinfo=UTC))
    assert from_text("Dec 31 22:00:00", NEW_YORK, now) == now


@given(st.integers(1_000_000_000, 1_900_000_000), st.integers(0, 364 * 86_400))
def test_the_year_is_found_again_for_anything_within_a_year(now: int, ago: int) -> None:
    moment = datetime.fromtimestamp(now - ago, UTC)
    assert from_text(f"{moment:%b %d %H:%M:%S}", UTC, now * SECOND_NS) == ns(moment)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("11:59:00.5", NOON - timedelta(minutes=1)), ("12:00:30", NOON), ("23:00:00", NOON - timedelta(hours=13))],
)
def test_a_clock_time_alone_belongs_to_the_last_day_that_it_fits(text: str, expected: datetime) -> None:
    found = from_text(text, UTC, ns(NOON))
    assert found is not None
    assert abs(found - ns(expected)) <= 31 * SECOND_NS


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (0, 0),
        (5, 5 * SECOND_NS),
        (99_999_999_999, 99_999_999_999 * SECOND_NS),
        (100_000_000_000, 100_000_000_000 * 1_000_000),
        (99_999_999_999_999, 99_999_999_999_999 * 1_000_000),
        (100_000_000_000_000, 100_000_000_000_000 * 1000),
        (99_999_999_999_999_999, 99_999_999_999_999_999 * 1000),
        (100_000_000_000_000_000, 100_000_000_000_000_000),
        (1_714_564_800.25, 1_714_564_800_250_000_000),
        (1_714_564_800.123456, 1_714_564_800_123_456_000),
        (1_714_564_800_123.5, 1_714_564_800_123_500_000),
        (-5, -5 * SECOND_NS),
    ],
)
def test_the_size_of_a_number_tells_its_unit(number: int | float, expected: int) -> None:
    assert from_number(number) == expected


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_is_none_is_refused(number: float) -> None:
    with pytest.raises(ValueError, match=r"."):
        from_number(number)


@given(st.integers(0, 4_102_444_800 * 10**9), st.sampled_from(["T", " "]), st.sampled_from(["Z", "+00:00", " UTC"]))
def test_any_time_is_read_back_to_the_nanosecond(moment: int, mark: str, zone: str) -> None:
    text = f"{datetime.fromtimestamp(moment // SECOND_NS, UTC):%Y-%m-%d{mark}%H:%M:%S}.{moment % SECOND_NS:09d}{zone}"
    assert from_text(text, BERLIN, REFERENCE) == moment


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("2024-05-01 12:00:00,123 - name - INFO - x", " - name - INFO - x"),
        ("2024-05-01T12:00:00.123456Z hello", " hello"),
        ("2024-05-01 12:00:00 -5 degrees", " -5 degrees"),
        ("2024-05-01 12:00:00 UTCish", " UTCish"),
        ("May  1 12:00:00 host app: x", " host app: x"),
        ("May  1 12:00:00 8080 app: x", " 8080 app: x"),
        ("01/May/2024:12:00:00 +0000] x", "] x"),
        ("1714564800.123 TCP_HIT/200", " TCP_HIT/200"),
    ],
)
def test_the_time_at_the_start_of_a_line_ends_where_the_rest_begins(text: str, rest: str) -> None:
    found = leading(text, UTC, REFERENCE)
    assert found is not None
    assert text[found.end :] == rest
    assert found.ns // SECOND_NS == ns(NOON) // SECOND_NS


@pytest.mark.parametrize(
    "text", ["", "12345 items", "10.0.0.1 - -", "1.2.3 released", "Maybe 3 12", "error: x", "17145648001 x", "2024"]
)
def test_a_line_that_starts_with_no_time_has_none(text: str) -> None:
    assert leading(text, UTC, REFERENCE) is None


@given(st.text(max_size=60))
def test_no_text_makes_it_fail(text: str) -> None:
    assert isinstance(from_text(text, UTC, REFERENCE), int | None)
    found = leading(text, BERLIN, REFERENCE)
    assert found is None or 0 < found.end <= len(text)

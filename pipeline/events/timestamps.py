"""Points in time as others write them: text with and without zone or year, and numbers of four units.

Inside, a time is whole nanoseconds since 1970 in UTC. Sources of the forms: RFC 3339, RFC 3164, RFC 5424,
RFC 822 (with its named zones), the Common Log Format, C's ctime, and the loggers that wrote the samples
in the tests.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import NamedTuple

__all__ = ["MAX_NS", "SECOND_NS", "Found", "from_number", "from_text", "leading", "usual"]

SECOND_NS = 1_000_000_000
MAX_NS = (1 << 63) - 1
"""The year 2262; what a signed 64-bit integer of nanoseconds can hold."""

_EPOCH_DAY = date(1970, 1, 1).toordinal()
_MONTHS = {
    month: number
    for number, month in enumerate(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), start=1
    )
}
# RFC 822 names the American zones; the European ones and Japan's are unambiguous in practice.
_ZONES = {
    "Z": 0, "UTC": 0, "GMT": 0, "UT": 0, "WET": 0, "EST": -300, "EDT": -240, "CST": -360, "CDT": -300, "MST": -420,
    "MDT": -360, "PST": -480, "PDT": -420, "WEST": 60, "CET": 60, "CEST": 120, "EET": 120, "EEST": 180, "MSK": 180,
    "JST": 540,
}  # fmt: skip

_CLOCK = r"(\d\d:\d\d:\d\d)(?:[.,](\d{1,9})\d*)?"
_NAMES = r"UTC|GMT|UT|W?EST|WET|E[DE]T|EEST|C[DS]T|CES?T|M[DS]T|MSK|P[DS]T|JST"
_ZONE = rf"( ?(?:Z|[+-]\d\d:?\d\d|(?:{_NAMES})\b)(?![\w:])|[+-]\d\d(?![\w:]))?"
_DAY_NAME = r"(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? +)?"
_MONTH = r"(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*\.?"

_ISO = re.compile(rf"(\d{{4}}[-/.]\d\d[-/.]\d\d)[T _t]{{1,2}}{_CLOCK}{_ZONE}")
_COMPACT = re.compile(rf"((?:19|20)\d\d)(\d\d)(\d\d)[T ]?(\d\d):?(\d\d):?(\d\d)(?:[.,](\d{{1,9}})\d*)?{_ZONE}(?!\d)")
_NO_YEAR = re.compile(rf"{_DAY_NAME}{_MONTH} +(\d\d?) {_CLOCK}{_ZONE}")
_CTIME = re.compile(rf"{_DAY_NAME}{_MONTH} +(\d\d?) {_CLOCK}{_ZONE} ((?:19|20)\d\d)\b")
_JAVA = re.compile(rf"{_MONTH} (\d\d?), (\d{{4}}),? (\d\d?:\d\d:\d\d)(?:\.(\d{{1,9}}))? ?([AP]M)?{_ZONE}")
_DAY_FIRST = re.compile(rf"{_DAY_NAME}(\d\d?)[ /-]{_MONTH}[ /-](\d{{4}})[: ]{_CLOCK}{_ZONE}")
_NUMERIC = re.compile(
    rf"(\d\d?)([/.-])(\d\d?)\2(\d{{4}}),? +(\d\d?:\d\d:\d\d)(?:[.,](\d{{1,9}}))? ?([AaPp][Mm]\b)?{_ZONE}"
)
_TIME_ONLY = re.compile(rf"{_CLOCK}(?![\w:])")
_EPOCH = re.compile(r"(1\d{9}|1\d{12}|1\d{15}|1\d{18})(?:\.(\d{1,9}))?(?![\w.:/-])")
_DIGITS = re.compile(r"(-?\d{1,19})(?:\.(\d{1,18}))?")


class Found(NamedTuple):
    """A time at the start of a text, and where the text goes on behind it."""

    ns: int
    end: int


def from_number(value: int | float) -> int:
    """Nanoseconds of a number: below 1e11 it counts seconds, 1e14 milliseconds, 1e17 microseconds, else nanoseconds.

    Fractions are kept to a microsecond of a second (a double holds no more). Raises ValueError for NaN and infinity.
    """
    try:
        size = abs(value)
        if size < 1e11:
            return value * SECOND_NS if type(value) is int else round(value * 1e6) * 1000
        if size < 1e14:
            return value * 1_000_000 if type(value) is int else round(value * 1e3) * 1000
        return int(value * 1000) if size < 1e17 else int(value)
    except OverflowError as error:
        raise ValueError("infinity is no time") from error


def from_text(text: str, zone: tzinfo | None, reference_ns: int) -> int | None:
    """Nanoseconds of a text that is a time and nothing else; None if it is not understood.

    `zone` is where a time without zone was written (None: this machine's local time); `reference_ns` is the
    latest it can be, for times without year or date.
    """
    ns = usual(text, zone)
    if ns is not None:
        return ns
    text = text.strip().removeprefix("[").removesuffix("]")
    found = leading(text, zone, reference_ns)
    if found is not None and found.end == len(text):
        return found.ns
    match = _DIGITS.fullmatch(text)
    if match is not None:
        return _digits(match[1], match[2] or "")
    return _iso_rest(text, zone)


def leading(text: str, zone: tzinfo | None, reference_ns: int) -> Found | None:
    """The time that `text` starts with, whatever follows it; None if it starts with none. See `from_text`."""
    first = text[:1]
    if first.isdecimal():
        match = _ISO.match(text)
        if match is not None:
            seconds = _iso_seconds(f"{match[1]}T{match[2]}", _zone(match[4], zone))
            return None if seconds is None else Found(seconds * SECOND_NS + _fraction(match[3]), match.end())
        forms = _AFTER_DIGIT
    elif first.isalpha():
        forms = _AFTER_LETTER
    else:
        return None
    for form, read in forms:
        match = form.match(text)
        if match is not None:
            ns = read(match, zone, reference_ns)
            if ns is not None:
                return Found(ns, match.end())
    return None


def usual(text: str, zone: tzinfo | None) -> int | None:
    """`from_text` for the form of nearly all structured logs: 2024-05-01T12:00:00.123456Z, +00:00 or no zone."""
    tail = text[19:]
    if tail[-1:] == "Z":
        fraction, zone = tail[:-1], UTC
    elif tail[-6:-5] in ("+", "-") and tail[-5:].replace(":", "").isdecimal():
        fraction, zone = tail[:-6], _zone(tail[-6:], zone)
    else:
        fraction = tail
    if not fraction:
        nanoseconds = 0
    elif fraction[0] in ".," and fraction[1:].isdecimal() and len(fraction) <= 10:
        nanoseconds = int((fraction[1:] + "00000000")[:9])
    else:
        return None
    seconds = _iso_seconds(text[:19], zone)
    return None if seconds is None else seconds * SECOND_NS + nanoseconds


@lru_cache(maxsize=8192)  # a busy log has thousands of lines of one second: 1.5 us -> 0.1 us
def _iso_seconds(text: str, zone: tzinfo | None) -> int | None:
    """Seconds since 1970 of YYYY-MM-DDTHH:MM:SS in a zone; None if it is another form, or no such day or time."""
    if len(text) != 19 or text[10] not in "T _t" or text[13] != ":" or text[16] != ":" or text[4] not in "-/.":
        return None
    try:
        return _seconds(
            int(text[:4]), int(text[5:7]), int(text[8:10]), int(text[11:13]), int(text[14:16]), int(text[17:]), zone
        )
    except ValueError:
        return None


def _seconds(year: int, month: int, day: int, hour: int, minute: int, second: int, zone: tzinfo | None) -> int:
    """Seconds since 1970. A local time that a clock change skipped is read with the offset before the change,
    one that occurred twice as the first (PEP 495, fold=0). Raises ValueError.
    """
    leap, second = (1, 59) if second == 60 else (0, second)
    try:
        if zone is UTC:
            moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
            days = moment.toordinal() - _EPOCH_DAY
            return days * 86_400 + hour * 3600 + minute * 60 + second + leap
        return int(datetime(year, month, day, hour, minute, second, tzinfo=zone).timestamp()) + leap
    except (OverflowError, OSError) as error:
        raise ValueError(f"year {year} is out of range") from error


def _fraction(digits: str | None) -> int:
    """Nanoseconds of the digits behind a decimal point."""
    return int((digits + "00000000")[:9]) if digits else 0


@lru_cache(maxsize=256)
def _fixed(minutes: int) -> tzinfo:
    return UTC if minutes == 0 else timezone(timedelta(minutes=minutes))


def _zone(name: str | None, otherwise: tzinfo | None) -> tzinfo | None:
    """The zone of Z, UTC, CET or +01:00; without one, the other. Offsets beyond a day are not believed."""
    if name is None:
        return otherwise
    name = name.strip()
    if name in _ZONES:
        return _fixed(_ZONES[name])
    minutes = int(name[1:3]) * 60 + int(name[3:].lstrip(":") or 0)
    if minutes >= 1440:
        return otherwise
    return _fixed(-minutes if name[0] == "-" else minutes)


def _digits(whole: str, fraction: str) -> int:
    """Nanoseconds of a number written in decimal, exact where a float would not be."""
    value = int(whole)
    if abs(value) < 10**11 and fraction and value >= 0:
        return value * SECOND_NS + _fraction(fraction[:9])
    return from_number(float(f"{whole}.{fraction}") if fraction and abs(value) < 10**14 else value)


def _iso_rest(text: str, zone: tzinfo | None) -> int | None:
    """The rarer forms of ISO 8601: without seconds, by week, a date alone."""
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=zone)
        return int(moment.replace(microsecond=0).timestamp()) * SECOND_NS + moment.microsecond * 1000
    except (ValueError, OverflowError, OSError):
        return None


_Reader = Callable[[re.Match[str], tzinfo | None, int], int | None]


def _moment(
    year: int, month: int, day: int, clock: str, fraction: str | None, zone: tzinfo | None, half: str | None = None
) -> int | None:
    hour, minute, second = map(int, clock.split(":"))
    if half:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if half in "PMpm" and half[0] in "Pp" else 0)
    try:
        return _seconds(year, month, day, hour, minute, second, zone) * SECOND_NS + _fraction(fraction)
    except ValueError:
        return None


def _compact(match: re.Match[str], zone: tzinfo | None, reference_ns: int) -> int | None:
    year, month, day, hour, minute, second, fraction, offset = match.groups()
    clock = f"{hour}:{minute}:{second}"
    return _moment(int(year), int(month), int(day), clock, fraction, _zone(offset, zone))


def _numeric(match: re.Match[str], zone: tzinfo | None, reference_ns: int) -> int | None:
    """01/02/2024 is January unless only the other reading is a date; 01.02.2024 and 01-02-2024 are February."""
    first, mark, second, year, clock, fraction, half, offset = match.groups()
    month, day = (int(first), int(second)) if mark == "/" else (int(second), int(first))
    if month > 12:
        month, day = day, month
    return _moment(int(year), month, day, clock, fraction, _zone(offset, zone), half)


def _ctime(match: re.Match[str], zone: tzinfo | None, reference_ns: int) -> int | None:
    month, day, clock, fraction, offset, year = match.groups()
    return _moment(int(year), _MONTHS[month.lower()], int(day), clock, fraction, _zone(offset, zone))


def _java(match: re.Match[str], zone: tzinfo | None, reference_ns: int) -> int | None:
    month, day, year, clock, fraction, half, offset = match.groups()
    return _moment(int(year), _MONTHS[month.lower()], int(day), clock, fraction, _zone(offset, zone), half)


def _day_first(match: re.Match[str], zone: tzinfo | None, reference_ns: int) -> int | None:
    day, month, year, clock, fraction, offset = match.groups()
    return _moment(int(year), _MONTHS[month.lower()], int(day), clock, fraction, _zone(offset, zone))


def _no_year(match: re.Match[str], zone: tzinfo | None, reference_ns: int) -> int | None:
    month, day, clock, fraction, offset = match.groups()
    seconds = _nearest_past_year(
        _MONTHS[month.lower()], int(day), clock, _zone(offset, zone), reference_ns // (3600 * SECOND_NS)
    )
    return None if seconds is None else seconds * SECOND_NS + _fraction(fraction)


@lru_cache(maxsize=8192)
def _nearest_past_year(month: int, day: int, clock: str, zone: tzinfo | None, reference_hour: int) -> int | None:
    """Seconds since 1970 in the last year that does not put the time more than a day behind the reference.

    The day allows for clocks and zones that differ; eight years back reach the leap day before 1900's kind.
    """
    hour, minute, second = map(int, clock.split(":"))
    latest = reference_hour * 3600 + 86_400
    year = datetime.fromtimestamp(latest, UTC).year + 1
    for candidate in range(year, year - 9, -1):
        try:
            seconds = _seconds(candidate, month, day, hour, minute, second, zone)
        except ValueError:
            continue
        if seconds <= latest:
            return seconds
    return None


def _time_only(match: re.Match[str], zone: tzinfo | None, reference_ns: int) -> int | None:
    """A clock time alone belongs to the last day that does not put it more than a minute behind the reference."""
    clock, fraction = match.groups()
    reference = reference_ns // SECOND_NS
    local = datetime.fromtimestamp(reference, UTC).astimezone(zone)
    for days in (0, 1):
        day = local.date() - timedelta(days=days)
        ns = _moment(day.year, day.month, day.day, clock, fraction, zone)
        if ns is not None and ns <= reference_ns + 60 * SECOND_NS:
            return ns
    return None


def _epoch(match: re.Match[str], zone: tzinfo | None, reference_ns: int) -> int | None:
    return _digits(match[1], match[2] or "")


_AFTER_DIGIT: tuple[tuple[re.Pattern[str], _Reader], ...] = (
    (_DAY_FIRST, _day_first),
    (_TIME_ONLY, _time_only),
    (_EPOCH, _epoch),
    (_COMPACT, _compact),
    (_NUMERIC, _numeric),
)
_AFTER_LETTER: tuple[tuple[re.Pattern[str], _Reader], ...] = (
    (_CTIME, _ctime),
    (_NO_YEAR, _no_year),
    (_JAVA, _java),
    (_DAY_FIRST, _day_first),
)

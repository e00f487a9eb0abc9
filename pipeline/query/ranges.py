"""Moments as people write them: RFC 3339, numbers since 1970, and relative to now."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation

from monitoring.pipeline.errors import QuerySyntaxError

__all__ = ["EARLIEST", "LATEST", "format_ns", "moment"]

_SECOND = 1_000_000_000
_UNITS = {
    "ns": 1,
    "us": 1_000,
    "ms": 1_000_000,
    "s": _SECOND,
    "m": 60 * _SECOND,
    "h": 3600 * _SECOND,
    "d": 86_400 * _SECOND,
    "w": 604_800 * _SECOND,
}
EARLIEST = -(1 << 62)
LATEST = 1 << 62
"""Nanoseconds since 1970; 146 years each way, further than ids go."""

_NUMBER = re.compile(r"[+-]?[0-9]{1,20}(?:\.[0-9]{1,20})?(?:[eE][+-]?[0-9]{1,2})?")
_STEP = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)(ns|us|ms|s|m|h|d|w)")
_RELATIVE = re.compile(rf"(?P<now>now)?(?P<sign>[+-])?(?P<steps>(?:{_STEP.pattern})*)", re.IGNORECASE)
_RFC3339 = re.compile(
    r"(?P<day>\d{4}-\d{2}-\d{2})(?:[T ](?P<time>\d{2}:\d{2}(?::\d{2})?)(?:[.,](?P<fraction>\d{1,12}))?)?"
    r"\s?(?P<zone>Z|[+-]\d{2}:?\d{2})?",
    re.IGNORECASE | re.ASCII,
)
_HINT = "like 2026-05-01T10:00:00Z, -15m, now or seconds since 1970"


def moment(text: str, now_ns: int) -> int:
    """The moment that a text means, nanoseconds since 1970.

    `now`, `now-1h`, `-15m`, `1h30m` (ago), `+5m`; RFC 3339, where the time, its seconds and the zone (UTC) may
    be left out; a number below 1e11 is seconds, below 1e14 milliseconds, below 1e17 microseconds, else
    nanoseconds. Raises QuerySyntaxError.
    """
    text = text.strip()
    for reading in (_number, _relative, _calendar):
        found = reading(text, now_ns)
        if found is not None:
            return min(max(found, EARLIEST), LATEST)
    raise QuerySyntaxError(f"{text[:40]!r} is no time", 1, _HINT)


def _number(text: str, now_ns: int) -> int | None:
    if _NUMBER.fullmatch(text) is None:
        return None
    try:
        value = Decimal(text)
    except InvalidOperation:
        return None
    size = abs(value)
    factor = next((factor for limit, factor in _MAGNITUDES if size < limit), 1)
    return int(value * factor)


_MAGNITUDES = ((Decimal("1e11"), _SECOND), (Decimal("1e14"), 1_000_000), (Decimal("1e17"), 1_000))


def _relative(text: str, now_ns: int) -> int | None:
    match = _RELATIVE.fullmatch(text)
    if match is None or not (match["now"] or match["steps"]) or bool(match["sign"]) > bool(match["steps"]):
        return None
    if match["now"] and match["steps"] and not match["sign"]:
        return None
    span = sum(int(Decimal(count) * _UNITS[unit.lower()]) for count, unit in _steps(match["steps"]))
    return now_ns + span if match["sign"] == "+" else now_ns - span


def _steps(text: str) -> list[tuple[str, str]]:
    return re.findall(_STEP.pattern, text, re.IGNORECASE)


def _calendar(text: str, now_ns: int) -> int | None:
    match = _RFC3339.fullmatch(text)
    if match is None:
        return None
    time = match["time"] or "00:00"
    zone = (match["zone"] or "Z").upper()
    try:
        parsed = datetime.fromisoformat(f"{match['day']}T{time}{'+00:00' if zone == 'Z' else zone}")
    except ValueError as error:
        raise QuerySyntaxError(f"{text!r} is no time: {error}", 1, _HINT) from None
    whole = (parsed - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1)
    return whole * _SECOND + int(((match["fraction"] or "") + "0" * 9)[:9])


def format_ns(timestamp: int) -> str:
    """RFC 3339 in UTC with nanoseconds, for a time (nanoseconds since 1970) that an event can have."""
    seconds, nanoseconds = divmod(timestamp, _SECOND)
    whole = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{nanoseconds:09d}Z"

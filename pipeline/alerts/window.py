"""Maintenance windows: times that come again, in which alerts that match are not told.

A window begins at a time of day on some weekdays, by the clocks of a time zone, and lasts for so long. Where a clock
is set forward over the beginning, the window begins when the clock jumps; where it is set back, it begins the first
time the clock shows it. Its length is real time in both cases.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from monitoring.pipeline.alerts.durations import duration, seconds_of
from monitoring.pipeline.alerts.rule import RuleInvalid
from monitoring.pipeline.alerts.silence import matchers_of, shown
from monitoring.pipeline.store.matchers import Matcher

__all__ = ["DAYS", "LONGEST_SECONDS", "MEMBERS", "Window", "window_of"]

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
LONGEST_SECONDS = 7 * 86_400
"""A window that lasts longer than its week never ends."""
MEMBERS = ("name", "matchers", "days", "start", "duration", "time_zone", "from", "until", "reason", "enabled")
_NAME = re.compile(r"[^\W_][\w .:-]{0,99}")
_SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Window:
    """`days` count from Monday, 0; `first` and `last` bound the local dates on which it begins."""

    name: str
    matchers: tuple[Matcher, ...]
    days: tuple[int, ...]
    start: time
    length_seconds: int
    zone: str
    first: date | None = None
    last: date | None = None
    reason: str = ""
    author: str = ""
    enabled: bool = True

    def begins(self, day: date) -> datetime | None:
        """When it begins on a local date, in UTC; None where it does not."""
        if day.weekday() not in self.days or (self.first and day < self.first) or (self.last and day > self.last):
            return None
        zone = ZoneInfo(self.zone)
        local = datetime.combine(day, self.start, zone)
        begin = local.astimezone(UTC)
        if begin.astimezone(zone).replace(tzinfo=None) != local.replace(tzinfo=None):
            return _jump(begin, zone)  # that time does not exist on this day
        return begin

    def active(self, now_ns: int) -> bool:
        """Whether a moment, nanoseconds since 1970, lies in it."""
        return self.enabled and self.ends(now_ns) is not None

    def ends(self, now_ns: int) -> int | None:
        """When the occurrence ends that holds this moment, nanoseconds since 1970; None where none does."""
        now = datetime.fromtimestamp(now_ns // _SECOND, UTC)
        today = now.astimezone(ZoneInfo(self.zone)).date()
        found = []
        for back in range(-1, self.length_seconds // 86_400 + 2):
            begin = self.begins(today - timedelta(days=back))
            if begin is not None and begin <= now < begin + timedelta(seconds=self.length_seconds):
                found.append(begin + timedelta(seconds=self.length_seconds))
        return int(max(found).timestamp()) * _SECOND if found else None

    def describe(self, now_ns: int) -> dict[str, Any]:
        """As JSON members."""
        return {**self.members(), "author": self.author, "active": self.active(now_ns)}

    def members(self) -> dict[str, Any]:
        """What `window_of` reads."""
        return {
            "name": self.name,
            "matchers": shown(self.matchers),
            "days": [DAYS[day] for day in self.days],
            "start": f"{self.start:%H:%M}",
            "duration": duration(self.length_seconds),
            "time_zone": self.zone,
            "from": self.first.isoformat() if self.first else None,
            "until": self.last.isoformat() if self.last else None,
            "reason": self.reason,
            "enabled": self.enabled,
        }


def _jump(after: datetime, zone: ZoneInfo) -> datetime:
    """The moment near this one at which the zone's clock is set forward, to the minute."""
    low, high = after - timedelta(hours=3), after + timedelta(hours=3)
    before = low.astimezone(zone).utcoffset()
    while high - low > timedelta(seconds=60):
        middle = low + timedelta(seconds=(high - low) // timedelta(seconds=2))
        if middle.astimezone(zone).utcoffset() == before:
            low = middle
        else:
            high = middle
    return high.replace(second=0, microsecond=0)


def window_of(members: Any, author: str = "") -> Window:
    """The window that these members mean. Raises RuleInvalid."""
    if not isinstance(members, Mapping):
        raise RuleInvalid("window", "not an object")
    given = {str(name): value for name, value in members.items() if value is not None}
    for name in given:
        if name not in MEMBERS:
            raise RuleInvalid.unknown(name, MEMBERS)
    label, reason, enabled = given.get("name"), given.get("reason", ""), given.get("enabled", True)
    if not isinstance(label, str) or _NAME.fullmatch(label) is None:
        raise RuleInvalid("name", "is needed", "1 to 100 letters, digits, blanks and . : -")
    if not isinstance(reason, str) or len(reason) > 1000:
        raise RuleInvalid("reason", "not a text of up to 1000 characters")
    if type(enabled) is not bool:
        raise RuleInvalid("enabled", "neither true nor false")
    length = seconds_of(given.get("duration"))
    if not length or length > LONGEST_SECONDS:
        raise RuleInvalid("duration", "how long it lasts is needed", f"up to {duration(LONGEST_SECONDS)}, like 2h")
    return Window(
        name=label, matchers=matchers_of(given.get("matchers")), days=_days(given), start=_start(given),
        length_seconds=length, zone=_zone(given), first=_date(given, "from"), last=_date(given, "until"),
        reason=reason, author=author, enabled=enabled,
    )  # fmt: skip


def _days(given: Mapping[str, Any]) -> tuple[int, ...]:
    found = given.get("days", list(DAYS))
    if not isinstance(found, list) or not found or any(day not in DAYS for day in found):
        raise RuleInvalid("days", "not a list of weekdays", f"of {', '.join(DAYS)}; leave it out for all")
    return tuple(sorted({DAYS.index(day) for day in found}))


def _start(given: Mapping[str, Any]) -> time:
    text = given.get("start")
    if not isinstance(text, str) or re.fullmatch(r"(?:[01]\d|2[0-3]):[0-5]\d", text) is None:
        raise RuleInvalid("start", "is needed", "a time of day like 22:30")
    return time(int(text[:2]), int(text[3:]))


def _zone(given: Mapping[str, Any]) -> str:
    text = given.get("time_zone", "UTC")
    try:
        ZoneInfo(text)
    except Exception:  # zoneinfo raises half a dozen types for what is no name, or is a path
        raise RuleInvalid("time_zone", f"{str(text)[:60]!r} is no time zone", "like Europe/Berlin or UTC") from None
    return str(text)


def _date(given: Mapping[str, Any], name: str) -> date | None:
    text = given.get(name)
    if text is None:
        return None
    try:
        return date.fromisoformat(str(text))
    except ValueError:
        raise RuleInvalid(name, f"{str(text)[:40]!r} is no date", "like 2026-12-24") from None

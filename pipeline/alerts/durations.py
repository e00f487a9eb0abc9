"""Durations as people write them in rules: `30s`, `5m`, `1h30m`, `7d`."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["LONGEST_SECONDS", "duration", "seconds_of"]

_UNITS = {"w": 604_800, "d": 86_400, "h": 3600, "m": 60, "s": 1}
_STEPS = re.compile(r"(?:[0-9]{1,9}[wdhms])+")
_STEP = re.compile(r"([0-9]+)([wdhms])")
LONGEST_SECONDS = 400 * 86_400
"""More than a year: what is longer is a slip."""


def seconds_of(value: Any) -> int | None:
    """Whole seconds of `5m`, `1h30m`, or of a number of seconds; None for what is no duration."""
    if type(value) in (int, float):
        return int(value) if 0 <= value <= LONGEST_SECONDS and value == int(value) else None
    if not isinstance(value, str) or _STEPS.fullmatch(value.strip()) is None:
        return 0 if value == "0" else None
    total = sum(int(count) * _UNITS[unit] for count, unit in _STEP.findall(value))
    return total if total <= LONGEST_SECONDS else None


def duration(seconds: int) -> str:
    """As it is written, in the largest units that keep it whole: 5400 is `1h30m`."""
    parts, left = [], seconds
    for unit, size in _UNITS.items():
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"

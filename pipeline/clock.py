"""Time as an argument: wall time for events, boot time for leases.

Leases must survive a wall clock that is set back, so they count CLOCK_BOOTTIME and name the boot they
belong to; a lease of another boot has no holder.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

__all__ = ["DAY_NS", "NowNs", "boot_id", "boot_seconds", "rfc3339", "wall_ns"]

DAY_NS = 86_400 * 1_000_000_000
NowNs = Callable[[], int]
"""A function that returns nanoseconds since 1970 in UTC."""

wall_ns: NowNs = time.time_ns

_BOOT_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def boot_seconds() -> float:
    """Seconds since this machine booted, sleep included; the same in every process of the machine."""
    return time.clock_gettime(_BOOT_CLOCK)


@cache
def boot_id() -> str:
    """Identity of this boot of this machine, or "" where the system does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def rfc3339(timestamp_ns: int) -> str:
    """Nanoseconds since 1970 as RFC 3339 in UTC, with as many digits behind the second as it needs: 0, 3, 6 or 9."""
    seconds, fraction = divmod(timestamp_ns, 1_000_000_000)
    digits = f"{fraction:09d}"
    while digits.endswith("000"):
        digits = digits[:-3]
    text = (_EPOCH + timedelta(seconds=seconds)).isoformat().removesuffix("+00:00")
    return f"{text}.{digits}Z" if digits else f"{text}Z"

"""Levels: six names at the edges, OpenTelemetry severity numbers 1-24 inside.

Source of the numbers: OpenTelemetry Logs Data Model, field SeverityNumber.
"""

from __future__ import annotations

__all__ = ["DEFAULT_LEVEL", "LEVELS", "group", "name", "parse", "severities"]

LEVELS = ("TRACE", "DEBUG", "INFO", "WARNING", "ERROR", "FATAL")
"""The six groups in rising order; group g covers the severities 4g+1 to 4g+4."""

DEFAULT_LEVEL = 9
"""An event that names no level is INFO."""

_ALIASES = {
    "notset": 1,
    "trace": 1,
    "finest": 1,
    "finer": 3,
    "verbose": 5,
    "debug": 5,
    "fine": 5,
    "config": 8,
    "info": 9,
    "information": 9,
    "informational": 9,
    "success": 9,
    "log": 9,
    "notice": 10,
    "warn": 13,
    "warning": 13,
    "error": 17,
    "err": 17,
    "severe": 17,
    "exception": 17,
    "critical": 21,
    "crit": 21,
    "fatal": 21,
    "alert": 22,
    "emergency": 24,
    "emerg": 24,
    "panic": 24,
    # one letter each: glog, klog, logcat, Go's zap console
    "t": 1,
    "v": 1,
    "d": 5,
    "i": 9,
    "n": 10,
    "w": 13,
    "e": 17,
    "c": 21,
    "f": 21,
}


def group(severity: int) -> int:
    """Index into LEVELS of a severity number 1-24."""
    return (severity - 1) >> 2


def name(severity: int) -> str:
    """Upper-case name of a severity number 1-24."""
    return LEVELS[(severity - 1) >> 2]


def severities(level: int) -> range:
    """All severity numbers of the group that `level` (1-24) belongs to."""
    first = group(level) * 4 + 1
    return range(first, first + 4)


def parse(text: str) -> int | None:
    """Severity number of a level's name, in any case and with OpenTelemetry's digit (`ERROR2`); else None."""
    key = text.strip().strip("[]<>:").lower()
    found = _ALIASES.get(key)
    if found is None and len(key) > 1 and key[-1] in "234":
        base = _ALIASES.get(key[:-1])
        if base is not None and (base - 1) % 4 == 0:
            return base + int(key[-1]) - 1
    return found

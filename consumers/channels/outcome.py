"""How a delivery ended, told by type: what is raised decides whether it is tried again."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime

from monitoring.pipeline.errors import PermanentError, RetryableError

__all__ = ["Refused", "TryLater", "retry_after_seconds", "shorten"]

_LONGEST_REPLY = 300


class Refused(PermanentError):
    """The far end will never take this message, or the channel cannot be used as it is configured."""


class TryLater(RetryableError):
    """The far end does not take the message now.

    `after_seconds` is how long it asked to be left alone, None where it did not; `progress` is for the next try.
    """

    def __init__(self, message: str, *, after_seconds: float | None = None, progress: str = "") -> None:
        super().__init__(message)
        self.after_seconds = after_seconds
        self.progress = progress


def retry_after_seconds(header: str | None, now_seconds: float | None = None) -> float | None:
    """A Retry-After header (RFC 9110, 10.2.3) in seconds from now; None where there is none that can be read."""
    if not header:
        return None
    text = header.strip()
    if text.isascii() and text.isdecimal():
        return float(text[:9])
    try:
        at = parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return None
    return max(0.0, at - (time.time() if now_seconds is None else now_seconds))


def shorten(text: str) -> str:
    """One printable line of what a far end said."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text[: 4 * _LONGEST_REPLY]).split())
    return line if len(line) <= _LONGEST_REPLY else line[: _LONGEST_REPLY - 1] + "…"

"""Bytes cut into lines, in bounded memory: of a line longer than an event may be only the start is kept."""

from __future__ import annotations

from typing import NamedTuple

from monitoring.pipeline.events.event import MAX_EVENT_BYTES
from monitoring.pipeline.events.lenient import MAX_RAW_BYTES

__all__ = ["LineCutter", "TooLong"]


class TooLong(NamedTuple):
    """A line that is too long for an event: its start, and its length in bytes with the newline."""

    prefix: bytes
    length: int


class LineCutter:
    """Cuts bytes into lines; at most one line's start and MAX_EVENT_BYTES are kept between calls."""

    def __init__(self) -> None:
        self._rest = b""
        self._prefix = b""
        self._length = 0

    def push(self, data: bytes) -> list[list[bytes] | TooLong]:
        """The lines that these bytes complete, without their newlines, in runs between those that are too long."""
        runs: list[list[bytes] | TooLong] = []
        if self._length:
            data = self._skip(data, runs)
        data = self._rest + data
        lines = data.split(b"\n")
        self._rest = lines.pop()
        if len(data) > MAX_EVENT_BYTES:
            runs.extend(_without_long(lines))
        elif lines:
            runs.append(lines)
        if len(self._rest) > MAX_EVENT_BYTES:
            self._prefix, self._length, self._rest = self._rest[:MAX_RAW_BYTES], len(self._rest), b""
        return runs

    def _skip(self, data: bytes, runs: list[list[bytes] | TooLong]) -> bytes:
        """Pass over the rest of a line that is too long; what is behind it."""
        end = data.find(b"\n")
        if end < 0:
            self._length += len(data)
            return b""
        runs.append(TooLong(self._prefix, self._length + end + 1))
        self._length = 0
        return data[end + 1 :]

    def last(self) -> bytes | TooLong:
        """The last line, which has no newline; b"" where there is none."""
        rest, self._rest = self._rest, b""
        if self._length:
            length, self._length = self._length, 0
            return TooLong(self._prefix, length)
        return rest


def _without_long(lines: list[bytes]) -> list[list[bytes] | TooLong]:
    runs: list[list[bytes] | TooLong] = []
    run: list[bytes] = []
    for line in lines:
        if len(line) <= MAX_EVENT_BYTES:
            run.append(line)
            continue
        if run:
            runs.append(run)
            run = []
        runs.append(TooLong(line[:MAX_RAW_BYTES], len(line) + 1))
    return [*runs, run] if run else runs

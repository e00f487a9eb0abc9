"""A copy of a body's beginning, for records that hold bodies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol
from urllib.parse import parse_qsl

import orjson

__all__ = ["BodyCopy", "CountedInput", "is_text"]

_TEXT = frozenset(
    {
        "application/graphql",
        "application/javascript",
        "application/json",
        "application/x-ndjson",
        "application/x-www-form-urlencoded",
        "application/xml",
    }
)
_FORM = "application/x-www-form-urlencoded"
_MARGIN = 1 << 10
"""Bytes beyond what is logged, so that a secret across the cut is recognised before it is cut."""
_MAX_FIELDS = 256
"""Of a form; more are shown as text."""


def is_text(content_type: str) -> bool:
    """Whether a body of this type says something to a reader."""
    kind = _kind(content_type)
    return kind in _TEXT or kind.startswith("text/") or kind.endswith(("+json", "+xml"))


def _kind(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


class _Counting(Protocol):
    request_bytes: int


class BodyCopy:
    """The first bytes of a body that passes by, and how many there were in all."""

    __slots__ = ("_kept", "_kind", "_limit", "total")

    def __init__(self, content_type: str, limit: int) -> None:
        self._kind = _kind(content_type)
        self._limit = limit
        self._kept = bytearray()
        self.total = 0

    def add(self, chunk: bytes) -> None:
        """Some more of it."""
        self.total += len(chunk)
        room = self._limit + _MARGIN - len(self._kept)
        if room > 0:
            self._kept += chunk[:room]

    def value(self, redact: Callable[[str], str]) -> Any:
        """The body as it is logged: JSON and forms as objects, so that redaction knows the names of what is in them.

        A body that is too long, or is not what its type says, is text that went through `redact`, and is then cut.
        """
        kept = bytes(self._kept)
        if self.total <= self._limit:
            parsed = self._parsed(kept)
            return redact(kept.decode("utf-8", "replace")) if parsed is None else parsed
        text = redact(kept.decode("utf-8", "replace"))
        return f"{text[: self._limit]}… ({self.total} bytes)"

    def _parsed(self, kept: bytes) -> Any:
        try:
            if self._kind == "application/json" or self._kind.endswith("+json"):
                return orjson.loads(kept)
            if self._kind == _FORM:
                return dict(parse_qsl(kept.decode(), keep_blank_values=True, max_num_fields=_MAX_FIELDS))
        except ValueError:
            return None
        return None


class CountedInput:
    """`wsgi.input`, counted and copied as the application reads it."""

    def __init__(self, source: Any, request: _Counting, copy: BodyCopy) -> None:
        self._source = source
        self._request = request
        self._copy = copy

    def _seen(self, data: bytes) -> bytes:
        self._copy.add(data)
        self._request.request_bytes = max(self._request.request_bytes, self._copy.total)
        return data

    def read(self, *size: int) -> bytes:
        """As the server's."""
        return self._seen(self._source.read(*size))

    def readline(self, *size: int) -> bytes:
        """As the server's."""
        return self._seen(self._source.readline(*size))

    def readlines(self, *hint: int) -> list[bytes]:
        """As the server's."""
        return [self._seen(line) for line in self._source.readlines(*hint)]

    def __iter__(self) -> Iterator[bytes]:
        return map(self._seen, self._source)

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._source, name)
        return self._reading_into(value) if name in ("readinto", "readinto1") else value

    def _reading_into(self, readinto: Callable[[Any], int | None]) -> Callable[[Any], int | None]:
        """Servers need not have it; where they do it is used."""

        def counted(buffer: Any) -> int | None:
            count = readinto(buffer)
            if count:
                self._seen(bytes(memoryview(buffer)[:count]))
            return count

        return counted

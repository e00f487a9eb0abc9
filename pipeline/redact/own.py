"""What the user adds and takes away: patterns of their own, and an allow-list."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import re2

from monitoring.pipeline.errors import SettingsError
from monitoring.pipeline.redact.engine import compile_text
from monitoring.pipeline.redact.spans import Span

__all__ = ["AllowList", "OwnPatterns"]

_KIND = re.compile(r"[a-z0-9][a-z0-9_.-]{0,39}")
_WHOLE_TEXT = ("\\A", "\\z", "(?s", "(?-m")


class OwnPatterns:
    """Patterns of the user's: kind to RE2 pattern; a group named `secret`, if there is one, is what is hidden.

    Raises SettingsError that names the pattern that cannot be used.
    """

    def __init__(self, patterns: Mapping[str, str]) -> None:
        self._patterns = [(kind, self._compiled(kind, pattern)) for kind, pattern in patterns.items()]
        self._lines = [compile_text(f"(?m:{pattern})") for pattern in patterns.values()]
        self._blind = any(part in pattern for pattern in patterns.values() for part in _WHOLE_TEXT)

    @staticmethod
    def _compiled(kind: str, pattern: str) -> re2._Regexp:
        if not _KIND.fullmatch(kind):
            raise SettingsError(
                f"redaction pattern {kind!r}: its name must be small letters, digits, _ . - (40 at most)"
            )
        try:
            compiled = compile_text(pattern)
        except re2.error as error:
            raise SettingsError(f"redaction pattern {kind!r}: {pattern!r} is no RE2 pattern: {_said(error)}") from None
        if compiled.search(b""):
            raise SettingsError(f"redaction pattern {kind!r}: {pattern!r} matches the empty text")
        return compiled

    def __bool__(self) -> bool:
        return bool(self._patterns)

    def hit(self, data: bytes) -> bool:
        """Whether one of them matches in this text."""
        return any(pattern.search(data) for _, pattern in self._patterns)

    def may_hit_json(self, data: bytes, text: bytes = b"") -> bool:
        """Whether one of them could match in a text within this JSON, or in another text beside it.

        Texts without escapes are in JSON as they stand: with newlines for its quotes each is a line of its own.
        """
        if not self._patterns:
            return False
        if self._blind or b"\\" in data:
            return True
        lines = text + b"\n" + data.replace(b'"', b"\n")
        return any(pattern.search(lines) for pattern in self._lines)

    def spans(self, data: bytes) -> Iterator[Span]:
        """What they match in this text."""
        for kind, pattern in self._patterns:
            group = pattern.groupindex.get(b"secret", 0)
            for found in pattern.finditer(data):
                start, end = found.span(group)
                if end > start >= 0:
                    yield Span(start, end, kind)


class AllowList:
    """Names and texts that are left alone: those that one of these RE2 patterns matches fully.

    Raises SettingsError that names the pattern that cannot be used.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        self._patterns = [self._compiled(pattern) for pattern in patterns]

    @staticmethod
    def _compiled(pattern: str) -> re2._Regexp:
        try:
            return compile_text(pattern)
        except re2.error as error:
            raise SettingsError(f"redaction allow-list: {pattern!r} is no RE2 pattern: {_said(error)}") from None

    def allows(self, name: str, value: bytes) -> bool:
        """Whether a find by this name ("" if by its shape) and of this text is left alone."""
        return any(
            pattern.fullmatch(value) or (name and pattern.fullmatch(name.encode(errors="surrogatepass")))
            for pattern in self._patterns
        )


def _said(error: Exception) -> str:
    said = error.args[0] if error.args else error
    return said.decode(errors="replace") if isinstance(said, bytes) else str(said)

"""Where a value begins and ends, by how it is written: in quotes of any depth, in brackets, as a header, bare."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from monitoring.pipeline.redact.engine import compile_bytes
from monitoring.pipeline.redact.spans import MARKER

__all__ = ["Extent", "Extents"]


class Extent(NamedTuple):
    """A value is `data[start:end]`. `bare`: it stands without quotes or brackets, so what it is must be guessed;
    `words`: it is several words in a row."""

    start: int
    end: int
    bare: bool = False
    words: bool = False


_OPENER = re.compile(rb"""(?:[bBuUrRfF]{0,2}|[A-Z]\w{0,40}\()(\\{0,7}["'`]|%22|&quot;|&#34;|&#39;)""")
_CLOSERS = {quote[0]: re.compile(b"[\r\n" + quote + b"]") for quote in (b'"', b"'", b"`")}
_LINE_END = re.compile(rb"[\r\n<]|\\[nr]|\Z")
_ENCODED_END = {
    ord("%"): re.compile(rb"%22|[\s<>&]|\Z"),
    ord("&"): re.compile(rb"&quot;|&#3[49];|[\r\n<>]|\Z"),
}
_HAS_MEMBERS = re.compile(rb"""["'=:]""")
_TOKEN = re.compile(rb"[A-Za-z._~+/-]*[0-9][A-Za-z0-9._~+/-]{5,}=*")
_LETTERS = re.compile(rb"[A-Za-z]+")
_BACKSLASH = ord("\\")
_JUDGED = 320
"""A bare value is read so far before it is judged: rejected values are read again from within."""


class Extents:
    """Reads values, none of them twice from its beginning."""

    def __init__(self) -> None:
        self._bare_end = compile_bytes(
            r"""[\s"'`<>;]|\\[nrt"'\\/]|%26|%22|%0[aAdD]|&quot;|\z"""
            r"""|(?:&amp;|[&,)\]}|])+(?:[\s"'\\;]|\z"""
            r"""|["']?[A-Za-z_][A-Za-z0-9_.-]{0,64}["']?(?:\[[a-z]*\])? ?(?:=|:|%3[dD]))""",
            captures=False,
        )
        self._scheme = compile_bytes(
            r"(?i)(?:bearer|basic|token|digest|negotiate|ntlm|api-?key|ssws|geniekey|splunk|bot|hawk|oauth|aws4-hmac-sha256"
            r"|aws|sharedaccesssignature|sharedkey(?:lite)?|key|mac|dpop|scram-sha-[0-9]+|vapid|googlelogin|jwt|pat|session)"
            r"(?:[ \t]+|%20|\+)",
            captures=False,
        )
        self._bearer = compile_bytes(r"(?i)(?:bearer|basic)(?:[ \t]+|%20|\+)", captures=False)
        value = r"""(?:\\?"[^"\n\\]*\\?"|[^\s,"']+)"""
        self._parameters = compile_bytes(rf"[A-Za-z_-]+={value}(?:, ?[A-Za-z_-]+={value})*", captures=False)
        self._cookies = compile_bytes(
            r"""[^\s=;,"'<>{}()\[\]\\]+=[^\s;"'<>\\]*(?:; ?[^\s=;,"'<>\\]+(?:=[^\s;"'<>\\]*)?)*""", captures=False
        )
        self._words = compile_bytes(r"[A-Za-z0-9_-]+(?:[ ,]+[A-Za-z]+){2,23}", captures=False)
        self._brackets = {
            opening: compile_bytes(pattern, captures=False)
            for opening, pattern in (
                (ord("{"), r"\{(?:[^{}]|\{[^{}]*\})*\}?"),
                (ord("["), r"\[(?:[^\[\]]|\[[^\[\]]*\])*\]?"),
                (ord("("), r"\((?:[^()]|\([^()]*\))*\)?"),
            )
        }

    def read(self, data: bytes, at: int, kind: str, *, phrase: bool = False) -> Extent | None:
        """The value of a name of this kind; None where there is none. With `phrase` it may be several words."""
        marked = MARKER.match(data, at)
        if marked or at >= len(data):
            return None
        found = self._quoted(data, at) or self._bracketed(data, at)
        if phrase and not found:
            words = self._words.match(data, at)
            found = Extent(at, words.end(), words=True) if words else None
        return found or self._special(data, at, kind) or self.bare(data, at)

    def line(self, data: bytes, at: int) -> Extent:
        """The value is the rest of a line, or the text of an element."""
        return Extent(at, _LINE_END.search(data, at).start())  # type: ignore[union-attr]  # \Z always matches

    def bare(self, data: bytes, at: int) -> Extent | None:
        """To the next blank, quote or `;`, or to signs after which another name or nothing follows.

        It may end at `_JUDGED` bytes; `whole` then says where it really ends.
        """
        found = self._bare_end.search(data, at, min(len(data), at + _JUDGED))
        end = found.start() if found else at + _JUDGED
        return Extent(at, end, bare=True) if end > at else None

    def whole(self, data: bytes, extent: Extent) -> Extent:
        """A value that was read as far as needed to judge it, to its end."""
        if not extent.bare or extent.end - extent.start < _JUDGED:
            return extent
        return extent._replace(end=self._bare_end.search(data, extent.end).start())

    @staticmethod
    def _quoted(data: bytes, at: int) -> Extent | None:
        """In quotes: plain, escaped, URL- or HTML-encoded ones, a literal's prefix before them. Quotes that are not
        closed on their line go to its end."""
        opener = _OPENER.match(data, at)
        if not opener:
            return None
        quote, start = opener[1], opener.end()
        encoded = _ENCODED_END.get(quote[0])
        if encoded:
            return Extent(start, encoded.search(data, start).start())  # type: ignore[union-attr]  # `\Z` always fits
        if data.startswith(quote * 2, start) and quote[0] != _BACKSLASH:  # three quotes
            end = data.find(quote * 3, start + 2)
            return Extent(start + 2, end if end > 0 else len(data))
        depth, after = len(quote) - 1, start
        while closer := _CLOSERS[quote[-1]].search(data, after):
            end, after = closer.start(), closer.end()
            if closer[0] in (b"\r", b"\n"):
                return Extent(start, end)
            slashes = 0
            while end - slashes > start and data[end - slashes - 1] == _BACKSLASH:
                slashes += 1
            if end > start and not depth and data[after : after + 1] == quote:
                after += 1  # a quote written twice is part of the text
            elif slashes <= depth if depth else slashes % 2 == 0:
                return Extent(start, end - min(slashes, depth))
        return Extent(start, len(data))

    def _bracketed(self, data: bytes, at: int) -> Extent | None:
        """A dictionary, list or tuple with members, or what ODBC puts in braces."""
        pattern = self._brackets.get(data[at])
        found = pattern.match(data, at) if pattern else None
        if found and (_HAS_MEMBERS.search(data, at, found.end()) or (data[at] == ord("{") and b" " not in found[0])):
            return Extent(at, found.end())
        return None

    def _special(self, data: bytes, at: int, kind: str) -> Extent | None:
        """Values with blanks in them: a scheme with its token or parameters, cookies."""
        if kind == "cookie":
            return self._matched(self._cookies, data, at)
        if kind in ("authorization", "token"):
            scheme = (self._scheme if kind == "authorization" else self._bearer).match(data, at)
            if scheme:
                token = self._matched(self._parameters, data, scheme.end()) or self.bare(data, scheme.end())
                return token and Extent(at, self.whole(data, token).end)
        if kind == "authorization":
            first = self.bare(data, at)
            if first and data[first.end : first.end + 1] == b" " and _LETTERS.fullmatch(data, at, first.end):
                token = self.bare(data, first.end + 1)
                if token and _TOKEN.fullmatch(data, token.start, token.end):
                    return Extent(at, self.whole(data, token).end)
        return None

    @staticmethod
    def _matched(pattern: Any, data: bytes, at: int) -> Extent | None:
        found = pattern.match(data, at)
        return Extent(at, found.end()) if found else None

"""How text falls into words: the tokenizer of the index, patterns over its tokens, the texts of an event.

The index answers which events hold a token. What it cannot (words in sequence, a part of a token, characters
that are no token) is decided here, on the text of the candidates.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

import apsw
import orjson

from monitoring.pipeline.query.ast import Pattern
from monitoring.pipeline.store.rows import TOKEN_MARK, leaves, plain

__all__ = ["Matcher", "Token", "Tokenizer", "json_texts", "matcher"]

_STAR = "\U0010fffd"
"""Stands for a wildcard while a pattern is split: the last private-use character, a letter to unicode61."""

_SCRIPTS = (
    "[\u0e00-\u0fff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u2e80-\u9fff\ua960-\ua97f\uac00-\ud7ff"
    "\uf900-\ufaff\uff66-\uffdc\U00020000-\U0003ffff]"
)
"""Scripts that put no blanks between words, where a token is a sentence: Thai, Lao, Tibetan, Burmese, Khmer,
Chinese, Japanese, and Korean, whose words carry their particles."""
_UNSPLITTABLE = re.compile(_SCRIPTS)
_UNSPLITTABLE_ALL = re.compile(_SCRIPTS + "+")


class Tokenizer:
    """The index's own tokenizer, of the SQLite behind this connection. As little for several threads as that."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._tokenizer = connection.fts5_tokenizer("unicode61", ["tokenchars", "_"])

    def __call__(self, text: str) -> list[str]:
        """The tokens of a text: case folded, diacritics removed."""
        found = self._split(text.encode("utf-8", "replace"), include_offsets=False)
        return cast("list[str]", found)

    def spans(self, text: str) -> list[tuple[str, str]]:
        """The tokens of a text, each with the piece of text that it was made of."""
        data = text.encode("utf-8", "replace")
        found = cast("list[tuple[int, int, str]]", self._split(data, include_offsets=True))
        return [(token, data[start:end].decode("utf-8")) for start, end, token in found]

    def _split(self, data: bytes, *, include_offsets: bool) -> object:
        return self._tokenizer(
            data, apsw.FTS5_TOKENIZE_DOCUMENT, None, include_offsets=include_offsets, include_colocated=False
        )


@dataclass(frozen=True, slots=True)
class Token:
    """A pattern for one token: its literal parts between wildcards, folded; and the first part as it was written."""

    parts: tuple[str, ...]
    source: str

    @property
    def exact(self) -> bool:
        """Whether it is one whole token."""
        return len(self.parts) == 1

    @property
    def prefix(self) -> bool:
        """Whether it is the beginning of a token."""
        return len(self.parts) == 2 and not self.parts[1] and bool(self.parts[0])

    def fits(self, token: str) -> bool:
        """Whether this token matches the pattern."""
        parts = self.parts
        if len(parts) == 1:
            return token == parts[0]
        first, *middle, last = parts
        if not token.startswith(first) or not token.endswith(last):
            return False
        position, end = len(first), len(token) - len(last)
        for part in middle:
            position = token.find(part, position, end)
            if position < 0:
                return False
            position += len(part)
        return position <= end


@dataclass(frozen=True, slots=True)
class Matcher:
    """What a text must contain: these tokens in sequence or, where there are none, this literal text."""

    tokens: tuple[Token, ...]
    literal: str

    @classmethod
    def of(cls, pattern: Pattern, split: Tokenizer) -> Matcher:
        """The matcher of a word or phrase."""
        return _matcher(cls.pieces(pattern, split), pattern)

    @staticmethod
    def pieces(pattern: Pattern, split: Tokenizer) -> list[Token]:
        """The tokens of a pattern's text, whole or in part."""
        spans = split.spans(_STAR.join(_user_text(part) for part in pattern.parts))
        return [Token(tuple(token.split(_STAR)), source.partition(_STAR)[0]) for token, source in spans]

    def key(self) -> str:
        """The matcher as text, for an SQL parameter; `matcher` reads it."""
        return orjson.dumps([[list(token.parts) for token in self.tokens], self.literal]).decode()

    def needle(self) -> str:
        """Text that stands in every text that contains it, but for case and diacritics; "" if none is known.

        It is ASCII, or of a script that knows neither case nor diacritics.
        """
        if not self.tokens:
            return self.literal
        parts = (part for token in self.tokens for part in token.parts)
        return max((part for part in parts if part.isascii() or _UNSPLITTABLE_ALL.fullmatch(part)), key=len, default="")

    def within(self, text: str, split: Tokenizer) -> bool:
        """Whether a text contains it."""
        if not self.tokens:
            return self.literal in text
        return bool(text) and self._in_sequence(split(text))

    def _in_sequence(self, found: Sequence[str]) -> bool:
        wanted = self.tokens
        first = wanted[0]
        if len(wanted) == 1:
            return first.parts[0] in found if first.exact else any(map(first.fits, found))
        rest = wanted[1:]
        for start in range(len(found) - len(rest)):
            if first.fits(found[start]) and all(
                token.fits(other) for token, other in zip(rest, found[start + 1 :], strict=False)
            ):
                return True
        return False


def _user_text(text: str) -> str:
    return text.replace(_STAR, "").replace(TOKEN_MARK, "")


def _matcher(tokens: list[Token], pattern: Pattern) -> Matcher:
    while len(tokens) > 1 and tokens[-1].parts == ("", ""):
        tokens.pop()  # `/api/*`: whatever comes behind, or nothing
    while len(tokens) > 1 and tokens[0].parts == ("", ""):
        tokens.pop(0)
    if not tokens or (len(tokens) == 1 and not any(tokens[0].parts)):
        return Matcher((), _user_text("".join(pattern.parts)))
    if any(_UNSPLITTABLE.search(part) for part in tokens[0].parts):
        tokens[0] = _widened(tokens[0], before=True)
    if any(_UNSPLITTABLE.search(part) for part in tokens[-1].parts):
        tokens[-1] = _widened(tokens[-1], before=False)
    return Matcher(tuple(tokens), "")


def _widened(token: Token, *, before: bool) -> Token:
    """The token as part of a longer one."""
    if before:
        return Token(("", *token.parts), "") if token.parts[0] else token
    return Token((*token.parts, ""), token.source) if token.parts[-1] else token


@lru_cache(maxsize=1024)
def matcher(key: str) -> Matcher:
    """The matcher of a key."""
    tokens, literal = orjson.loads(key)
    return Matcher(tuple(Token(tuple(parts), "") for parts in tokens), literal)


def json_texts(text: str) -> Iterator[str]:
    """The texts to search in a column of JSON: every key and every value is one. What is no JSON is one text."""
    if not text:
        return
    try:
        decoded = orjson.loads(text)
    except orjson.JSONDecodeError:
        yield plain(text)
        return
    for leaf in leaves(decoded):
        yield leaf.replace(TOKEN_MARK, "")

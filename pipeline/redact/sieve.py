"""The first look: whether a text can hold a secret at all.

Three automata read it, 1.5 ns a byte each, and mostly find nothing: one for names, one for what begins at the edge of a
word, one for marks within. They are three because the states of automata multiply: one for all would have a state of
its own for nearly every sign of every random id. A name that is found is judged at once.

They see texts as they are, JSON with its escapes too, and must not miss what the careful look would find. They may find
too much: that costs time only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from monitoring.pipeline.redact.engine import compile_bytes
from monitoring.pipeline.redact.keys import KeyBook
from monitoring.pipeline.redact.opacity import is_opaque
from monitoring.pipeline.redact.shape import Where, sought
from monitoring.pipeline.redact.shapes import SHAPES
from monitoring.pipeline.redact.stems import ANY_KEY, NUMERIC_STEMS, STRONG_STEMS, WEAK_STEMS, name_end, name_start

__all__ = ["Sieve", "patterns"]

_SPACE, _ASCII = ord(" "), 127
_SEPARATOR = "\x1e"
"""Between texts that are looked through in one go: ASCII's record separator, which valid JSON has only escaped."""

# Repetitions without a bound, though a bound would do: an automaton needs a state for each step of a count.
_NAME_END = "(?:[_.-][a-z0-9_.-]*|[0-9]+|secret|value|string|key|id)?"
_CLOSE = r"""(?:[\\"'`\]*]|%22|%5d|&quot;|&#3[49];)*"""
_BLANK = r"(?:[ \t]|\\+t)*"
_BY = rf"{_CLOSE}{_BLANK}(?:[:=>]|%3[ad]|&#61;)[:=>]*{_BLANK}"
_OPEN = r"""(?:[burf]{1,2}["'])?[\\"'(\[{`]*"""
_VALUE = (
    rf"{_OPEN}(?:[^0-9\s\\\"'(\[{{`+.,;)\]}}\x1e-]|-?[0-9]{{6}}|[+.-]+[^0-9\s\"'\\\x1e]"
    r"""|[+.-]*[0-9]+(?:[^0-9\s.,;:)\]}"'\\&|%e\x1e]|e[0-9]{3}|e[+-]?[0-9]*[^0-9\s.,;:)\]}"'\\&|+\x1e-]))"""
)
"""A value that is more than an amount: what follows `token` in the logs of a language model mostly is one."""
_ASIDE = "|".join(
    (
        rf"[\\\"'`]+{_BLANK},",
        rf"(?:[\\\"'`,;\s]|\\+[nrt])*value[\\\"'`]*{_BLANK}[:=]",
        r"[ \t]+(?:is|was|are|set)[ \t:]",
        r"(?:[ \t]*\r?\n|(?:\\+r)?\\+n)[ \t]+[^\n\x1e]*input_value=",
        r"""[\\"']+[ \t]*[\])][^\n\x1e]*["']input[\\"']""",
        r"[\\\"'`]*(?:(?:\r?\n|\\+r\\+n|\\+n){2})",
        r"[ \t]+[A-Za-z0-9_+/=.~%:-]{20}",
    )
)
"""What else may stand between a name and its value."""
_AFTER = f"{_BY}{_VALUE}|{_ASIDE}"
"""What must stand behind a name whose stem alone says little."""
_DIGITS = rf"(?:{_BY}{_OPEN}|[ \t]+)[0-9]"
_OPTION = rf"(?:[-<]|ENV )[a-z0-9_.:-]*(?:{WEAK_STEMS}|keys?)[a-z0-9_.-]*(?:[ \t>]|\\+t)"
_WORDS = sought(shape for shape in SHAPES if shape.where is Where.WORD)
_HEAD = 3
_HEADS = {
    head[:_HEAD].lower().encode()
    for shape in SHAPES
    if shape.where is Where.WORD
    for head in re.findall(r"[A-Za-z][A-Za-z-]{2,}", shape.trigger)
}
"""How triggers begin that are words."""
_CACHED = 4096
"""Harmless names that are kept: a service has some hundred."""
_FOLLOWING = re.compile(rb"""[\s\\"'`\]*,;:=>(\[{]{0,64}(value|is |was |set )?[burf"'\\]{0,4}([A-Za-z0-9_+/=.~%:-]*)""")
_ESCAPES = (
    r"\\u00[2-7]|\\x[2-7]|\\/|%(?:4[1-9A-Fa-f]|5[0-9Aa]|6[1-9A-Fa-f]|7[0-9Aa])|&#(?:[3-9][0-9]|1[01][0-9]|x[2-7])"
)
"""Signs of ASCII written as escapes, behind which a name or a token could hide."""


def patterns(own: str = "") -> tuple[str, str, str]:
    """The three patterns: names and words in any case, what begins at an edge, marks within."""
    stems = "|".join(filter(None, (own, STRONG_STEMS)))
    names = "|".join(
        (
            stems,
            f"(?:{WEAK_STEMS}){_NAME_END}(?:{_AFTER})",
            f"(?:{NUMERIC_STEMS}){_NAME_END}{_DIGITS}",
            rf"{ANY_KEY}{_NAME_END}{_BY}{_OPEN}[a-z0-9_+/=.-]{{7}}",
            rf"{ANY_KEY}{_NAME_END}(?:{_ASIDE})",
            _OPTION,
        )
    )
    edged = sought(shape for shape in SHAPES if shape.where in (Where.TOKEN, Where.EDGE, Where.LINE))
    inner = sought(shape for shape in SHAPES if shape.where is Where.ANY)
    return f"(?i:{names})|{_WORDS}", edged, f"{inner}|{_ESCAPES}"


class Sieve:
    """Tells which texts need the careful look. Thread-safe. `own` is a pattern of further names."""

    def __init__(self, keys: KeyBook, own: str = "") -> None:
        self._keys = keys
        self._names, self._edged, self._inner = (compile_bytes(pattern, captures=False) for pattern in patterns(own))
        self._words = compile_bytes(_WORDS, captures=False)
        self._harmless: set[bytes] = set()

    def hits(self, data: bytes) -> bool:
        """Whether this text needs the careful look."""
        return self._name(data, 0) >= 0 or any(pattern.search(data) for pattern in (self._edged, self._inner))

    def hits_among(self, texts: Sequence[str]) -> set[int]:
        """Which of these need it, by their index, looked through in one go. Raises TypeError where one is no text."""
        data = _SEPARATOR.join(texts).encode(errors="surrogatepass")
        if data.count(_SEPARATOR.encode()) != len(texts) - 1:
            return {index for index, text in enumerate(texts) if self.hits(text.encode(errors="surrogatepass"))}
        searches = (self._name, partial(_mark, self._edged), partial(_mark, self._inner))
        return {index for search in searches for index in _indices(data, search)}

    def _name(self, data: bytes, at: int) -> int:
        """Where the next name is that is sensitive by all its words, else -1."""
        while found := self._names.search(data, at):
            start: int
            start, end = found.span()
            at = name_end(data, start)
            if at == start or (end > at and (data[at] == _SPACE or data[at] > _ASCII)):
                return start  # a name of several words, or of other than ASCII letters, or in a tag
            name = data[name_start(data, start) : at]
            if name not in self._harmless and self._is_sensitive(data, start, at, name):
                return start
        return -1

    def _is_sensitive(self, data: bytes, start: int, end: int, name: bytes) -> bool:
        found = self._keys.find(name.decode("latin-1").lstrip("-"))
        if found and (found.strong or _could_be_secret(data, end)):
            return True
        if data[start : start + _HEAD].lower() in _HEADS:
            return self._words.match(data, start) is not None
        if not found and len(self._harmless) < _CACHED:
            self._harmless.add(name)
        return False


def _could_be_secret(data: bytes, at: int) -> bool:
    """Whether a word that looks like a secret follows an ambiguous name that ends here, in a list or as `value` too."""
    found = _FOLLOWING.match(data, at)
    return found is not None and (bool(found[1]) or is_opaque(found[2]))


def _mark(pattern: Any, data: bytes, at: int) -> int:
    """Where a pattern matches next from here on, else -1."""
    found = pattern.search(data, at)
    return int(found.start()) if found else -1


def _indices(data: bytes, search: Callable[[bytes, int], int]) -> Iterator[int]:
    """The texts, by their index among those joined here, in which a search finds something."""
    separator = _SEPARATOR.encode()
    at = index = 0
    while (start := search(data, at)) >= 0:
        start += data[start] == separator[0]  # it may be the edge that a find begins at
        index += data.count(separator, at, start)
        yield index
        at = data.find(separator, start)
        if at < 0:
            return

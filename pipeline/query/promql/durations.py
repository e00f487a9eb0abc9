"""Durations that are computed: `rate(x[2 * step()])`, `x offset (1h + 5m)`, as Prometheus has them since 3.14.

The parser knows only durations that are written out; the lexer asks here what an expression comes to.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple, NoReturn

from monitoring.pipeline.query.promql.errors import PromqlError

__all__ = ["operand", "parts"]

_TOKEN = re.compile(r"\s*(?:(?P<number>[0-9.][0-9a-zA-Z_.]*)|(?P<name>[a-z_]+)|(?P<sign>[-+*/%^(),:]))\s*")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0, "y": 31536000.0}
_PIECE = re.compile(r"([0-9]+)(ms|[smhdwy])")
_SUMS: dict[str, Callable[[float, float], float]] = {"+": operator.add, "-": operator.sub}
_PRODUCTS: dict[str, Callable[[float, float], float]] = {"*": operator.mul, "/": operator.truediv, "%": operator.mod}
_CHOICES: dict[str, Callable[[float, float], float]] = {"min_of": min, "max_of": max, "min": min, "max": max}


class Found(NamedTuple):
    """Seconds, and where in the text what they were read from ends."""

    seconds: float
    end: int


class _Reader:
    """One pass over the text. `known`: what step() and range() are, in seconds."""

    def __init__(self, text: str, place: int, known: Mapping[str, float]) -> None:
        self._text, self._known = text, known
        self.place = place
        self._token = _TOKEN.match(text, place)

    def _is(self, *signs: str) -> str:
        """The next token where it is one of the signs, or nothing."""
        sign = self._token["sign"] if self._token else None
        return sign if sign in signs else ""

    def _next(self) -> None:
        if self._token:
            self.place = self._token.end()
        self._token = _TOKEN.match(self._text, self.place)

    def fail(self) -> NoReturn:
        """What comes next has no place here."""
        rest = self._text[self.place : self.place + 20]
        raise PromqlError(f"parse error: unexpected {rest!r} in a duration expression", "bad_data")

    def _expect(self, sign: str) -> None:
        if not self._is(sign):
            self.fail()
        self._next()

    def _chain(self, below: Callable[[], float], operators: Mapping[str, Callable[[float, float], float]]) -> float:
        value = below()
        while sign := self._is(*operators):
            self._next()
            value = _computed(operators[sign], value, below())
        return value

    def sum(self) -> float:
        """Sums of products."""
        return self._chain(lambda: self._chain(self.signed, _PRODUCTS), _SUMS)

    def signed(self) -> float:
        """A value with its signs and its power."""
        if sign := self._is("+", "-"):
            self._next()
            return -self.signed() if sign == "-" else self.signed()
        value = self._atom()
        if self._is("^"):
            self._next()
            value = _computed(math.pow, value, self.signed())
        return value

    def _atom(self) -> float:
        token = self._token
        if token and token["number"]:
            self._next()
            return _seconds(token["number"])
        if token and token["name"]:
            self._next()
            return self._called(token["name"])
        self._expect("(")
        value = self.sum()
        self._expect(")")
        return value

    def _called(self, name: str) -> float:
        self._expect("(")
        if name in self._known:
            self._expect(")")
            return self._known[name]
        if name not in _CHOICES:
            self.fail()
        left = self.sum()
        self._expect(",")
        right = self.sum()
        self._expect(")")
        return _CHOICES[name](left, right)

    def split(self) -> bool:
        """Whether the next is a colon, which is passed."""
        if not self._is(":"):
            return False
        self._next()
        return True

    def done(self) -> bool:
        """Whether nothing is left."""
        if self._token is None and self.place < len(self._text):
            self.fail()
        return self._token is None


def _computed(compute: Callable[[float, float], float], left: float, right: float) -> float:
    try:
        return compute(left, right)
    except (ArithmeticError, ValueError):
        raise PromqlError("parse error: a duration expression has no finite value", "bad_data") from None


def _seconds(text: str) -> float:
    """`90`, `1.5e2` or `1m30s`."""
    pieces = _PIECE.findall(text)
    if pieces and "".join(map("".join, pieces)) == text:
        return sum(int(number) * _UNITS[unit] for number, unit in pieces)
    try:
        return float(text.replace("_", ""))
    except ValueError:
        raise PromqlError(f"parse error: bad number or duration syntax: {text!r}", "bad_data") from None


def parts(text: str, known: Mapping[str, float]) -> list[float | None]:
    """What stands between the brackets of a range (one part) or a subquery (two, of which the second may be None)."""
    reader = _Reader(text, 0, known)
    found: list[float | None] = [reader.sum()]
    if reader.split():
        found.append(None if reader.done() else reader.sum())
    if not reader.done():
        reader.fail()
    return found


def operand(text: str, place: int, known: Mapping[str, float]) -> Found:
    """What follows `offset` at a place of the text: a sign, and a number, a call or something in parentheses."""
    reader = _Reader(text, place, known)
    value = reader.signed()
    return Found(value, reader.place)

"""Finding secrets by their shape.

    text -> triggers of all shapes, three passes -> shapes it could have -> each of these by its own pattern -> checks

A text has triggers of one or two shapes at most. To search all patterns at once would cost more than to search a few
one after the other: their common automaton has a state of its own for nearly every sign of every random word.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import re2

from monitoring.pipeline.redact.commands import COMMANDS
from monitoring.pipeline.redact.engine import compile_bytes
from monitoring.pipeline.redact.formats import FORMATS
from monitoring.pipeline.redact.shape import Shape, Where, sought
from monitoring.pipeline.redact.spans import Span
from monitoring.pipeline.redact.tokens import TOKENS

__all__ = ["SHAPES", "ShapeFinder"]

SHAPES: tuple[Shape, ...] = (*TOKENS, *COMMANDS, *FORMATS)
"""All shapes in order of preference: a token whose issuer is known before a form that it also has."""

_LEFT = r"(?:\b|_|\\[nrtbfv0]|\\u00[01][0-9a-f]|\[[0-9;]{0,8}m|%[0-9A-Fa-f]{2})"
"""Where a word may begin: also behind an escape or the end of a colour in a log."""
_GROUPS = ((Where.TOKEN, Where.EDGE, Where.ANY), (Where.WORD,), (Where.LINE,))
_TRIGGER = 96
"""No trigger is longer, but those of lines."""
_SHORT = 64
"""A find of this length that proves to be none is searched again from its second sign; a longer one is skipped whole,
for else a text of nothing but such finds would be searched over and over."""


class ShapeFinder:
    """Finds all shapes of the table in a text. Thread-safe."""

    def __init__(self, shapes: Sequence[Shape] = SHAPES) -> None:
        self._shapes = shapes
        self._triggers = [
            compile_bytes(sought(shape for shape in shapes if shape.where in group), captures=False)
            for group in _GROUPS
        ]
        self._which = re2.Set.MatchSet(self._triggers[0].options)
        for shape in shapes:
            self._which.Add(sought((shape,)).encode())
        self._which.Compile()
        self._patterns: list[Any] = [None] * len(shapes)

    def spans(self, data: bytes) -> Iterator[Span]:
        """Secrets, shape by shape; those of one shape are in order and none is inside another."""
        for index in sorted(self._candidates(data)):
            yield from self._found(index, data)

    def _candidates(self, data: bytes) -> set[int]:
        found: set[int] = set()
        for triggers in self._triggers:
            at = 0
            while trigger := triggers.search(data, at):
                start, end = trigger.span()
                found.update(self._which.Match(data[start : max(end, start + _TRIGGER)]) or ())
                at = start + 1 if end - start <= _SHORT else end
        return found

    def _found(self, index: int, data: bytes) -> Iterator[Span]:
        shape, pattern = self._shapes[index], self._pattern(index)
        grouped, at = bool(pattern.groups), 0
        while found := pattern.search(data, at):
            start, end = found.span(1) if grouped else found.span()
            if shape.word and not grouped:
                start += _margin(data, start)
            if end > start and (shape.check is None or shape.check(data, start, end)):
                yield Span(start, end, shape.kind)
                at = max(found.end(), at + 1)
            else:
                at = found.end() if found.end() - found.start() > _SHORT else found.start() + 1

    def _pattern(self, index: int) -> Any:
        """Compiled when it is first needed: a service meets a few of the shapes in its life."""
        if self._patterns[index] is None:
            shape = self._shapes[index]
            self._patterns[index] = compile_bytes((_LEFT if shape.word else "") + f"(?:{shape.pattern})")
        return self._patterns[index]


def _margin(data: bytes, start: int) -> int:
    """How many signs of a find are only the edge it begins at."""
    sign = data[start : start + 1]
    if sign == b"_":
        return 1
    if sign == b"\\":
        return 6 if data[start + 1 : start + 2] == b"u" else 2
    if sign == b"%":
        return 3
    return data.index(b"m", start) + 1 - start if sign == b"[" else 0

"""Lines over time drawn with Braille characters: each holds two dots across and four down."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

import click

__all__ = ["COLOURS", "Line", "figure", "plot"]

COLOURS = ("cyan", "yellow", "green", "magenta", "blue", "red", "bright_cyan", "bright_yellow")
"""Of the lines, in turn; the eighth looks like the first to few people."""
_BLANK = 0x2800
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""Bits of a Braille character, by row and column."""
_PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_DAY_SECONDS = 86_400


class Line(NamedTuple):
    """A line: `points` are (seconds since 1970, value), rising in time; what is not finite leaves a gap."""

    label: str
    points: Sequence[tuple[float, float]]


def plot(lines: Sequence[Line], start: float, end: float, *, width: int, height: int) -> Iterator[str]:
    """The chart of [start, end] in so many columns and rows of text; its y axis begins at 0 where that is near."""
    values = [value for line in lines for _, value in line.points if math.isfinite(value)]
    low, high = _bounds(values)
    ticks = {
        row: figure(high - (high - low) * row / max(1, height - 1)) for row in sorted({0, height // 2, height - 1})
    }
    margin = max(map(len, ticks.values())) + 1
    columns = max(10, width - margin - 1)
    canvas = _Canvas(columns, height)
    for number, line in enumerate(lines):
        canvas.draw(line.points, start, end, low, high, COLOURS[number % len(COLOURS)])
    for row, text in enumerate(canvas.rows()):
        yield f"{ticks.get(row, ''):>{margin}}{'┤' if row in ticks else '│'}{text}"
    yield f"{'':>{margin}}└{'─' * columns}"
    left, right = _clock(start, end - start), _clock(end, end - start)
    yield f"{'':>{margin + 1}}{left}{right:>{max(1, columns - len(left))}}"


def figure(value: float) -> str:
    """A value in five or six characters."""
    if not math.isfinite(value):
        return "-"
    for size, prefix in _PREFIXES:
        if abs(value) >= size:
            return f"{value / size:.3g}{prefix}"
    return f"{value:.3g}"


def _bounds(values: Sequence[float]) -> tuple[float, float]:
    if not values:
        return 0.0, 1.0
    low, high = min(values), max(values)
    if 0 <= low <= high / 2 or low == high > 0:
        low = 0.0
    if low == high:
        low, high = low - 0.5, high + 0.5
    return low, high


def _clock(seconds: float, span: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().strftime("%m-%d %H:%M" if span > _DAY_SECONDS else "%H:%M:%S")


class _Canvas:
    """Characters with the colour of the line that came last."""

    def __init__(self, columns: int, rows: int) -> None:
        self._width, self._height = columns * 2, rows * 4
        self._cells = [[(_BLANK, "")] * columns for _ in range(rows)]

    def draw(
        self, points: Sequence[tuple[float, float]], start: float, end: float, low: float, high: float, colour: str
    ) -> None:
        """Dots, joined where both neighbours are finite."""
        before: tuple[int, int] | None = None
        for time, value in points:
            if not math.isfinite(value):
                before = None
                continue
            x = round((time - start) / max(end - start, 1e-9) * (self._width - 1))
            y = round((high - value) / (high - low) * (self._height - 1))
            for dot in _joined(before, (x, y)):
                self._set(*dot, colour)
            before = (x, y)

    def _set(self, x: int, y: int, colour: str) -> None:
        if 0 <= x < self._width and 0 <= y < self._height:
            row = self._cells[y // 4]
            row[x // 2] = (row[x // 2][0] | _DOTS[y % 4][x % 2], colour)

    def rows(self) -> Iterator[str]:
        """Each row as text, styled."""
        for row in self._cells:
            yield "".join(click.style(chr(dots), fg=colour) if colour else " " for dots, colour in row)


def _joined(one: tuple[int, int] | None, other: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """The dots of a straight line."""
    if one is None:
        yield other
        return
    steps = max(abs(other[0] - one[0]), abs(other[1] - one[1]), 1)
    for step in range(1, steps + 1):
        yield (
            one[0] + round((other[0] - one[0]) * step / steps),
            one[1] + round((other[1] - one[1]) * step / steps),
        )

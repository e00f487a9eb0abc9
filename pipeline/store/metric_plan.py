"""Which files answer a query of metrics: the resolution, the segments, their roll-ups, and where totals begin. Pure.

A series may have some 11,000 windows in a range: up to 30 hours are answered from windows of 10 s, up to a week by
minutes, what is longer by hours, as long as the caller can do with samples that are so far apart. Where the finer
points are deleted, what is left answers. What a segment has no roll-up of yet is added up from the segment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from monitoring.pipeline.store.deltas import WINDOW_NS
from monitoring.pipeline.store.metric_levels import LEVELS, Level, Rolled

__all__ = ["Plan", "Stored", "plan"]

_MOST_WINDOWS = 11_000
"""What Prometheus takes for the most points that a graph can have."""
_SPREADS = {6: ((120_000, 1), (0, 2)), 360: ((3_600_000, 4), (0, 24))}
"""In how many samples a window is shown, by how far apart the caller takes them, milliseconds: at least two in that,
two in the five minutes that an instant selector looks back, and four in the range of a `rate` of an hour."""
_COARSEST_MS = {6: 60_000, 360: 300_000}
"""A caller who takes samples no further apart than this cannot be served by this resolution: two must lie within."""


_FINEST_MS = 10_000
"""A step below what there is at the finest says nothing: that of a query of one moment."""


class Stored(NamedTuple):
    """A segment, there or deleted, with its first and last window; None where it is empty."""

    number: int
    extent: tuple[int, int] | None
    there: bool


class Plan(NamedTuple):
    """What to read: `base` is the file of hours whose carried totals begin, the numbers are those of segments.

    `oldest`: where there is no base, the file of hours that knows what was deleted before it.
    """

    scale: int
    spread: int
    base: Rolled | None
    oldest: Rolled | None
    segments: Sequence[int]
    rolled: Sequence[Rolled]


def plan(
    stored: Sequence[Stored], rolled: Mapping[str, Mapping[int, Rolled]], start_ms: int, end_ms: int, step_ms: int
) -> Plan:
    """What answers a query of this range, with samples no further apart than `step_ms` (0: it does not say)."""
    choices: list[Level | None] = [None, *LEVELS]
    wanted = next((place for place, level in enumerate(choices) if _enough(level, start_ms, end_ms)), len(choices) - 1)
    while wanted and _FINEST_MS <= step_ms < _COARSEST_MS[LEVELS[wanted - 1].scale]:
        wanted -= 1
    for level in choices[wanted:]:
        found = _sources(stored, rolled, level, start_ms)
        if found is not None or level is choices[-1]:
            break
    base, segments, files = found if found is not None else _left(stored, rolled, start_ms)
    scale = level.scale if level is not None else 1
    spread = next((count for least, count in _SPREADS.get(scale, ((0, 1),)) if step_ms >= least), 1)
    return Plan(scale, spread, base, None if base is not None else _oldest(stored, rolled), segments, files)


_Found = tuple[Rolled | None, list[int], list[Rolled]]


def _enough(level: Level | None, start_ms: int, end_ms: int) -> bool:
    length_ms = WINDOW_NS // 1_000_000 * (level.scale if level else 1)
    return end_ms - start_ms <= _MOST_WINDOWS * length_ms


def _base(
    stored: Sequence[Stored], rolled: Mapping[str, Mapping[int, Rolled]], start_ms: int, scale: int
) -> Rolled | None:
    """The file of hours of the last segment such that it and all before it ended well before the range."""
    hours, found = rolled[LEVELS[-1].name], None
    first = (start_ms * 1_000_000 // WINDOW_NS // scale - max(1, 30 // scale) - 1) * scale
    for number, extent, _ in stored:
        if extent is not None and extent[1] >= first:
            break
        found = hours.get(number, found)
    return found


def _oldest(stored: Sequence[Stored], rolled: Mapping[str, Mapping[int, Rolled]]) -> Rolled | None:
    """The file of hours of the first segment that anything is left of, where others were before it."""
    first = min((each.number for each in stored), default=1)
    return rolled[LEVELS[-1].name].get(first) if first > 1 else None


def _sources(
    stored: Sequence[Stored], rolled: Mapping[str, Mapping[int, Rolled]], level: Level | None, start_ms: int
) -> _Found | None:
    """What there is of this resolution; None where something of it is deleted."""
    base = _base(stored, rolled, start_ms, level.scale if level else 1)
    files = rolled[level.name] if level is not None else {}
    segments, chosen = [], []
    for number, extent, there in stored:
        if extent is None or (base is not None and number <= base.number):
            continue
        if number in files:
            chosen.append(files[number])
        elif there:
            segments.append(number)
        else:
            return None
    return base, segments, chosen


def _left(stored: Sequence[Stored], rolled: Mapping[str, Mapping[int, Rolled]], start_ms: int) -> _Found:
    """What is left where even hours are deleted, or were never made: the rest."""
    hours = rolled[LEVELS[-1].name]
    reachable = [each for each in stored if each.there or each.number in hours]
    found = _sources(reachable, rolled, LEVELS[-1], start_ms)
    if found is None:
        raise AssertionError("every segment that is left has a file")
    return found

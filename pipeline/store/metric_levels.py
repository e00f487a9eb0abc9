"""The resolutions of roll-ups and the files of each, by their names. No file is opened here.

metrics/p0/1m/000017-178560000-178568639.db       segment 17, whose first and last window of 10 s these are
metrics/p0/1h/000017-178560000-178568639.db
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from monitoring.pipeline.store.deltas import WINDOW_NS

__all__ = ["LEVELS", "Level", "Rolled", "files", "outlived", "rolled_up"]


class Level(NamedTuple):
    """A resolution: the name of its folder, how many windows of 10 s, and the setting of its retention."""

    name: str
    scale: int
    setting: str


LEVELS = (Level("1m", 6, "metrics_retention_age_1m"), Level("1h", 360, "metrics_retention_age_1h"))
"""From fine to coarse."""


class Rolled(NamedTuple):
    """A file of a roll-up: of which segment, with the first and last window of 10 s in it."""

    path: Path
    number: int
    first: int
    last: int


def files(directory: Path, level: Level) -> list[Rolled]:
    """The files of this resolution that a partition's directory has, by number."""
    found = []
    for path in sorted((directory / level.name).glob("[0-9]*-*-*.db")):
        number, first, last = map(int, path.stem.split("-"))
        found.append(Rolled(path, number, first, last))
    return found


def rolled_up(directory: Path) -> set[int]:
    """The numbers of the segments that have a file of every resolution."""
    return set.intersection(*({each.number for each in files(directory, level)} for level in LEVELS))


def outlived(found: Sequence[Rolled], level: Level, *, now_ns: int, max_age_seconds: float) -> list[Rolled]:
    """The files that are older than this (0: none are), by their last window or their making, whichever is later.

    The newest file of hours stays, for it carries what counters came to before.
    """
    if max_age_seconds <= 0:
        return []
    oldest = now_ns - int(max_age_seconds * 1e9)
    candidates = found[:-1] if level is LEVELS[-1] else found
    return [
        each for each in candidates if (each.last + 1) * WINDOW_NS < oldest and each.path.stat().st_mtime_ns < oldest
    ]

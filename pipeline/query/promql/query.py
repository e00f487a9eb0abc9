"""What all nodes of one query share: its source, its range, and what it has used up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from monitoring.pipeline.query.limits import Deadline
from monitoring.pipeline.query.promql.errors import PromqlError
from monitoring.pipeline.query.promql.notes import Notes
from monitoring.pipeline.query.promql.source import Matcher, Samples, Source, Times
from monitoring.pipeline.query.promql.tree import At

__all__ = ["DEFAULT_SUBQUERY_STEP_MS", "MAX_SAMPLES", "Grid", "Query"]

MAX_SAMPLES = 50_000_000
"""Samples that a query may load, its results between included: Prometheus' `--query.max-samples`. 400 MB of floats."""
DEFAULT_SUBQUERY_STEP_MS = 60_000
"""Step of a subquery that names none: Prometheus' default evaluation interval."""


class Grid(NamedTuple):
    """The steps that a node is evaluated for, in milliseconds since 1970, both ends included."""

    start: int
    end: int
    step: int

    @property
    def times(self) -> Times:
        """Every step."""
        return np.arange(self.start, self.end + 1, self.step, dtype=np.int64)

    @property
    def steps(self) -> int:
        """How many steps."""
        return max(0, (self.end - self.start) // self.step + 1)

    def first(self) -> Grid:
        """The first step alone."""
        return Grid(self.start, self.start, self.step)


@dataclass
class Query:
    """One query while it runs. `grid` is that of its outermost node, whose ends are `@ start()` and `@ end()`."""

    source: Source
    grid: Grid
    lookback_ms: int
    deadline: Deadline
    instant: bool
    delayed_names: bool = False
    """Whether functions leave `__name__` in place until the end (Prometheus' flag promql-delayed-name-removal)."""
    notes: Notes = field(default_factory=Notes)
    _used: int = 0
    _selected: dict[tuple[tuple[Matcher, ...], int, int, int], list[Samples]] = field(default_factory=dict)

    def check(self) -> None:
        """Raises PromqlError ("timeout") once the time is up."""
        if self.deadline.expired():
            raise PromqlError("query timed out in query execution", "timeout")

    def use(self, samples: int) -> None:
        """Count samples. Raises PromqlError where they become more than a query may load."""
        self._used += samples
        if self._used > MAX_SAMPLES:
            raise PromqlError("query processing would load too many samples into memory in query execution")

    def reserve(self, cells: int) -> None:
        """Raises PromqlError where a matrix of so many cells would be more than a query may load."""
        if cells > MAX_SAMPLES:
            self.use(cells)

    def moments(self, grid: Grid, at: At, offset_ms: int) -> Times:
        """The time that a selector or subquery looks back from, for every step of the grid."""
        times = grid.times
        if at is not None:
            fixed = self.grid.start if at == "start" else self.grid.end if at == "end" else at
            times = np.full_like(times, fixed)
        return times - offset_ms

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int, step_ms: int) -> list[Samples]:
        """What the source has; the same question is asked once."""
        question = (tuple(matchers), start_ms, end_ms, step_ms)
        if question not in self._selected:
            self.check()
            found = [series for series in self.source.select(matchers, start_ms, end_ms, step_ms) if len(series.times)]
            self.use(sum(len(series.times) for series in found))
            self._selected[question] = found
        return self._selected[question]

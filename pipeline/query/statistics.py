"""Statistics of the events that match: counts, rates and numbers out of them, by fields and time.

Counts and rates by one of level, service and host (and level beside it, and time) come from the roll-ups and the
index where these can; everything else is read from the events, the newest first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from monitoring.pipeline.clock import rfc3339
from monitoring.pipeline.events.levels import LEVELS
from monitoring.pipeline.query.aggregate import Aggregate
from monitoring.pipeline.query.ast import And, Level, Node
from monitoring.pipeline.query.counting import count, resolved
from monitoring.pipeline.query.gathering import TIME, Gathering, Row
from monitoring.pipeline.query.histogram import DEFAULT_BUCKETS, bucket_seconds, grid
from monitoring.pipeline.query.limits import Deadline
from monitoring.pipeline.query.parse import parse
from monitoring.pipeline.query.rollup import possible_groups
from monitoring.pipeline.query.sweep import Segments, Sweep
from monitoring.pipeline.query.tally import COUNTED, Dimension, Grid
from monitoring.pipeline.store.reader import Reader

__all__ = ["DEFAULT_ROWS", "MAX_GROUP_BY", "MAX_ROWS", "Statistics", "statistics"]

MAX_GROUP_BY = 5
DEFAULT_ROWS = 100
MAX_ROWS = 10_000
"""Rows of an answer."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """The groups, the largest first and by time where that is asked for; `groups` there are in all.

    `approximate` tells that quantiles are within a percent; `partial_reason` why events are missing.
    """

    group_by: tuple[str, ...]
    rows: list[Row]
    groups: int
    grid: Grid
    approximate: bool
    partial_reason: str | None

    def document(self) -> dict[str, Any]:
        """As the API shows it."""
        document: dict[str, Any] = {
            "rows": [{"group": self._named(row.group), "values": row.values} for row in self.rows],
            "groups": self.groups,
            "approximate": self.approximate,
        }
        if TIME in self.group_by:
            document["interval_seconds"] = bucket_seconds(self.grid.interval)
        return document

    def _named(self, values: tuple[Any, ...]) -> dict[str, Any]:
        return {
            name: rfc3339(self.grid.first + value * self.grid.interval) if name == TIME else value
            for name, value in zip(self.group_by, values, strict=True)
        }


def statistics(
    catalog: Segments,
    reader: Reader,
    query: str | Node,
    start_ns: int,
    end_ns: int,
    *,
    group_by: Sequence[str],
    wanted: Sequence[Aggregate],
    deadline: Deadline,
    buckets: int = DEFAULT_BUCKETS,
    limit: int = DEFAULT_ROWS,
    signal: str = "logs",
) -> Statistics:
    """The aggregates of the events in [start_ns, end_ns) that match, for each group. Raises QuerySyntaxError."""
    node = parse(query) if isinstance(query, str) else query
    sweep = Sweep(catalog, reader, start_ns, end_ns, deadline=deadline, signal=signal)
    start, end = resolved(sweep)
    names = tuple(dict.fromkeys(group_by))
    cells = grid(start, end, buckets) if TIME in names else Grid.whole(start, end)
    dimensions = [name for name in names if name != TIME]
    gathering = Gathering(names, wanted, cells)
    if _countable(dimensions, wanted):
        for key, number in _counted(sweep, node, cells, names):
            gathering.put(key, number)
    elif cells.size:
        sweep.run(node, gathering.visit)
    rows = gathering.rows()
    return Statistics(names, rows[:limit], len(rows), cells, gathering.approximate, sweep.partial_reason)


def _countable(dimensions: Sequence[str], wanted: Sequence[Aggregate]) -> bool:
    others = [name for name in dimensions if name != "level"]
    return not any(each.field for each in wanted) and len(others) <= 1 and all(name in COUNTED for name in others)


def _counted(sweep: Sweep, node: Node, cells: Grid, names: Sequence[str]) -> Iterator[tuple[tuple[Any, ...], int]]:
    """Groups and their counts, without looking at events where that can be helped."""
    by: Dimension = next((name for name in COUNTED if name in names and name != "level"), "level")
    levels = sorted(possible_groups(node)) if "level" in names and by != "level" else [None]
    found: Counter[tuple[Any, ...]] = Counter()
    for level in levels:
        narrowed = node if level is None else And((node, Level(4 * level + 1, 4 * level + 4)))
        for bucket, counts in enumerate(count(sweep, narrowed, cells, (by,))[by]):
            for value, number in counts.items():
                known = {TIME: bucket, by: value or None, **({} if level is None else {"level": LEVELS[level]})}
                found[tuple(known[name] for name in names)] += number
    yield from found.items()

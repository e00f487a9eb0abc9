"""Counting matches by time and by one dimension: every segment of the range, and what is remembered of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence

from monitoring.pipeline.query.ast import Node
from monitoring.pipeline.query.ranges import EARLIEST, LATEST
from monitoring.pipeline.query.remembered import Known, Remembered
from monitoring.pipeline.query.sweep import Part, Reach, Sweep
from monitoring.pipeline.query.tally import Dimension, Grid, Tally
from monitoring.pipeline.store.catalog import SegmentRow
from monitoring.pipeline.store.reader import View
from monitoring.pipeline.store.rows import ID_SHIFT, timestamp_ns

__all__ = ["count", "resolved"]

_MANY_NEW = 100_000
"""Rows that were added since a count: to count these takes 5 ms, and beyond it is no shorter way any more."""


def resolved(sweep: Sweep) -> tuple[int, int]:
    """The sweep's range; where it is open (EARLIEST, LATEST), it begins and ends with the events that there are."""
    start, end = sweep.start_ns, sweep.end_ns
    if start <= EARLIEST or end >= LATEST:
        there = sweep.extent() or (0, 0)
        start = there[0] if start <= EARLIEST else start
        end = there[1] if end >= LATEST else end
        sweep.start_ns, sweep.end_ns = start, end
    return start, end


def count(sweep: Sweep, node: Node, grid: Grid, by: Sequence[Dimension]) -> dict[Dimension, list[Counter[str]]]:
    """How many events match, for each dimension and bucket of the grid by level name, service or host.

    Exact unless the sweep says that it is partial. What was counted of a sealed segment is remembered.
    """
    counting = Tally(node, grid, by)
    if grid.size and counting.possible:
        memory = _Memory(sweep.remembered, node, counting)
        sweep.run(node, memory.visit, known=memory.known)
    return {
        dimension: [+counts.get(bucket, Counter[str]()) for bucket in range(grid.size)]
        for dimension, counts in counting.counts.items()
    }


class _Memory:
    """Visits segments, and remembers the counts of those that are wholly within the range.

    A sealed segment stays as it is. To an active one rows are added, mostly behind all others: of these only those that
    are new are counted. Where others came too, as the number of rows tells, everything is counted again.
    """

    def __init__(self, remembered: Remembered, node: Node, counting: Tally) -> None:
        self._remembered, self._node, self._counting = remembered, node, counting

    def visit(self, part: Part) -> None:
        """Count a segment."""
        counting = self._counting
        total, counting.counts = counting.counts, counting.empty()
        try:
            if part.view.head.sealed is None:
                self._go_on(part)
            else:
                counting.visit(part)
                for dimension, key in self._keys(part.segment).items():
                    self._remembered.put(key, _moved(counting.counts[dimension], self._offset))
        finally:  # what was counted before the time was up is shown
            fresh, counting.counts = counting.counts, total
            counting.add(fresh)

    def _go_on(self, part: Part) -> None:
        """Count an active segment from where it was counted the last time."""
        counting, head = self._counting, part.view.head
        keys = self._keys_of(part.segment, head, 0) if head.max_id is not None else {}
        by_minutes = counting.ways(part)[0]
        keys = {by: key for by, key in keys.items() if by not in by_minutes}  # to add these up is quicker
        found = [known for known in map(self._remembered.get, keys.values()) if known is not None]
        if len(found) < len(keys) or not _grown(part.view, found):
            counting.visit(part)
        else:
            counting.visit(part, behind=found[0].through if found else None)
            counting.add({by: _moved(known.counts, -self._offset) for by, known in zip(keys, found, strict=True)})
        for by, key in keys.items():
            counts = _moved(counting.counts[by], self._offset)
            self._remembered.put(key, counts, through=head.max_id or 0, rows=head.rows)

    def known(self, segment: SegmentRow) -> bool:
        """Whether the counts of a sealed segment are remembered, which adds them."""
        keys = self._keys(segment)
        found = {dimension: self._remembered.get(key) for dimension, key in keys.items()}
        if not keys or any(known is None for known in found.values()):
            return False
        self._counting.add({by: _moved(known.counts, -self._offset) for by, known in found.items() if known})
        return True

    @property
    def _offset(self) -> int:
        """From a bucket of this grid to the same one of all that are as wide."""
        grid = self._counting.grid
        return 0 if grid.first % grid.interval else grid.first // grid.interval

    def _keys(self, segment: SegmentRow) -> dict[Dimension, Hashable]:
        """What the counts of a sealed segment are remembered under; nothing where they depend on the range."""
        return self._keys_of(segment, segment, segment.rows) if segment.sealed else {}

    def _keys_of(self, segment: SegmentRow, reach: Reach, rows: int) -> dict[Dimension, Hashable]:
        grid = self._counting.grid
        if reach.min_id is None or reach.max_id is None:
            return {}
        first = timestamp_ns(reach.min_id - (reach.max_spill << ID_SHIFT), 0)
        if first < grid.start or timestamp_ns(reach.max_id, 0) + 1000 > grid.end:
            return {}
        width = None if grid.first % grid.interval else grid.interval  # None: one bucket, and all of it in there
        return {by: (segment.path, rows, segment.sealed_at, self._node, by, width) for by in self._counting.counts}


def _grown(view: View, found: list[Known]) -> bool:
    """Whether all rows that were added since lie behind those that were there, and are few enough to find that out."""
    if not found:
        return True
    _, through, rows = found[0]
    new = view.head.rows - rows
    if any(known[1:] != found[0][1:] for known in found) or not 0 <= new <= _MANY_NEW:
        return False
    return bool(view.connection.execute("SELECT count(*) FROM log WHERE id > ?", (through,)).get == new)


def _moved(counts: Mapping[int, Mapping[str, int]], offset: int) -> dict[int, Counter[str]]:
    return {bucket + offset: Counter(labels) for bucket, labels in counts.items()}

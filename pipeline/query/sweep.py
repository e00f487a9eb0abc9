"""Visiting every segment of a time range, the newest first, for answers that need all of a range's events.

What a visit has counted before the time is up stays counted; `partial_reason` says that more is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import apsw

from monitoring.pipeline.errors import StoreCorrupt
from monitoring.pipeline.query.ast import Node
from monitoring.pipeline.query.limits import Deadline
from monitoring.pipeline.query.remembered import Remembered
from monitoring.pipeline.query.sql import Compiled, Span, compile_query
from monitoring.pipeline.store.catalog import SegmentRow
from monitoring.pipeline.store.reader import OutOfTime, Reader, SegmentGone, View
from monitoring.pipeline.store.rows import ID_SHIFT, id_floor, timestamp_ns

__all__ = ["GREATEST_ID", "LEAST_ID", "Part", "Reach", "Segments", "Stopped", "Sweep", "clamped", "named", "span_of"]

LEAST_ID, GREATEST_ID = -(1 << 63), (1 << 63) - 1


class Segments(Protocol):
    """What is asked of the catalog; `Catalog` is one."""

    def segments(self, signal: str = ..., start_id: int | None = ..., end_id: int | None = ...) -> list[SegmentRow]:
        """Segments that may hold ids in [start_id, end_id), active ones always."""
        ...


class Reach(Protocol):
    """How far a segment's ids go: `Head` tells, and of a sealed one `SegmentRow`."""

    @property
    def min_id(self) -> int | None:
        """The least id; None where there is none."""
        ...

    @property
    def max_id(self) -> int | None:
        """The greatest id."""
        ...

    @property
    def max_spill(self) -> int:
        """How far an id lies behind its event's time at most, microseconds."""
        ...


class Stopped(Exception):
    """A visitor has what it wants, or all that it may have; `reason` is None for the former."""

    def __init__(self, reason: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Part:
    """A segment within its read transaction: the query compiled for it, and what of it lies in the range."""

    segment: SegmentRow
    view: View
    compiled: Compiled
    span: Span


def clamped(row_id: int) -> int:
    """The id, or the nearest that SQLite can hold."""
    return min(max(row_id, LEAST_ID), GREATEST_ID)


def named(path: Path) -> str:
    """A segment's name as users see it: `p0/000017`."""
    return f"{path.parent.name}/{path.stem}"


def span_of(head: Reach, start_ns: int, end_ns: int) -> Span | None:
    """The ids that events of [start_ns, end_ns) have in a segment; None where it has none."""
    if head.min_id is None or head.max_id is None or start_ns >= end_ns:
        return None
    low = max(clamped(id_floor(start_ns)), head.min_id)
    high = min(clamped(id_floor(end_ns - 1) + ((head.max_spill + 1) << ID_SHIFT) - 1), head.max_id)
    return Span(low, high, start_ns, end_ns) if low <= high else None


class Sweep:
    """One pass over [start_ns, end_ns). `partial_reason` is "time", "segment …", or what a visitor stopped for."""

    def __init__(
        self, catalog: Segments, reader: Reader, start_ns: int, end_ns: int, *, deadline: Deadline, signal: str = "logs"
    ) -> None:
        self._catalog, self._reader, self._signal = catalog, reader, signal
        self.start_ns, self.end_ns, self.deadline = start_ns, end_ns, deadline
        self.partial_reason: str | None = None

    @property
    def remembered(self) -> Remembered:
        """Counts of sealed segments."""
        return self._reader.remembered

    def run(
        self, node: Node, visit: Callable[[Part], None], *, known: Callable[[SegmentRow], bool] = lambda _: False
    ) -> None:
        """Show each segment that may hold matches to `visit`, until one raises Stopped; not those that are `known`."""

        def compiled(segment: SegmentRow, view: View) -> None:
            span = span_of(view.head, self.start_ns, self.end_ns)
            if span is None:
                return
            query = compile_query(node, view)
            if not query.empty:
                visit(Part(segment, view, query, span))

        self._run(compiled, known)

    def extent(self) -> tuple[int, int] | None:
        """The times from the first event of the range to behind the last, matching or not, to the microsecond."""
        low: list[int] = []
        high: list[int] = []

        def note(reach: Reach) -> None:
            span = span_of(reach, self.start_ns, self.end_ns)
            if span is not None:
                low.append(timestamp_ns(span.low, 0) - reach.max_spill * 1000)
                high.append(timestamp_ns(span.high, 0) + 1000)

        def known(segment: SegmentRow) -> bool:
            if segment.sealed:
                note(segment)
            return segment.sealed

        self._run(lambda _, view: note(view.head), known)
        return (max(self.start_ns, min(low)), min(self.end_ns, max(high))) if low else None

    def _run(self, visit: Callable[[SegmentRow, View], None], known: Callable[[SegmentRow], bool]) -> None:
        self._reader.sweep()
        for segment in self._segments():
            try:
                if self.deadline.expired():
                    raise OutOfTime("the time is up")
                if known(segment):
                    continue
                with self._reader.view(segment.path, self.deadline) as view:
                    visit(segment, view)
            except SegmentGone:
                continue  # retention took it, and what it held is no longer part of any answer
            except StoreCorrupt as error:
                self.partial_reason = f"segment {named(segment.path)}: {error}"
            except (OutOfTime, apsw.InterruptError):
                self.partial_reason = "time"
                return
            except Stopped as stopped:
                self.partial_reason = stopped.reason or self.partial_reason
                return

    def _segments(self) -> Iterator[SegmentRow]:
        low = clamped(id_floor(self.start_ns))
        high = clamped(id_floor(self.end_ns - 1) + (1 << ID_SHIFT))
        found = self._catalog.segments(self._signal, low, high) if low < high else []
        # an active segment has no known end, and is the newest of its partition
        yield from sorted(found, key=lambda row: GREATEST_ID if row.max_id is None else row.max_id, reverse=True)

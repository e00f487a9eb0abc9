"""Purging: taking the events that match a query out of the store, for good.

Sealed segments are written anew without them (rewrite.py), and dead letters that match are overwritten
(purged_letters.py), those of metrics too. An active one is its drain's alone: it is asked to seal it
(`rollover.request`), and what was in it is taken out then. What is on its way is waited for (`still_on_its_way`).
Copies such as backups are not reached; docs/operations.md says so.
"""

from __future__ import annotations

import contextlib
import time
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import apsw

from monitoring.pipeline.errors import StoreCorrupt
from monitoring.pipeline.events.signals import SIGNALS
from monitoring.pipeline.query.ast import Node
from monitoring.pipeline.query.completeness import Waiting, complete_through
from monitoring.pipeline.query.limits import Deadline
from monitoring.pipeline.query.parse import parse
from monitoring.pipeline.query.sql import compile_query, select_rows
from monitoring.pipeline.query.sweep import span_of
from monitoring.pipeline.store import purged_letters, rollover
from monitoring.pipeline.store.catalog import Catalog, SegmentRow
from monitoring.pipeline.store.partition import Limits, acquire
from monitoring.pipeline.store.reader import OutOfTime, Reader, SegmentGone
from monitoring.pipeline.store.rewrite import Outcome, is_past, rewrite, settle, turn
from monitoring.pipeline.store.segment import open_readonly, purged_rows

__all__ = ["Purged", "Wanted", "purge", "still_on_its_way", "survey"]

_LONGEST_SECONDS = 3600.0
"""For finding the matches in one segment: a regex over a million rows takes some seconds."""
_POLL_SECONDS = 0.2
_SURE_NS = 1 << 60
"""Later than any grace: only what waits counts."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to go: events of [start_ns, end_ns) that match. Nanoseconds since 1970."""

    query: str
    start_ns: int
    end_ns: int

    def node(self) -> Node:
        """The query's tree. Raises QuerySyntaxError."""
        return parse(self.query)


@dataclass(slots=True)
class Purged:
    """What was taken out, or would be: events, by segment, and dead letters. `complete`: nothing is left to do.

    `waiting` says what: segments that are still written to, or that somebody holds.
    """

    events: int = 0
    letters: int = 0
    segments: list[dict[str, Any]] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether nothing that matches is left."""
        return not self.waiting

    def add(self, row: SegmentRow, rows: int, outcome: Outcome = "done") -> None:
        """Add the matches of a segment, by what became of them."""
        if outcome == "stopped":
            self.waiting.append(f"{_name(row)}: the process was told to stop")
            return
        if outcome == "placed":
            self.waiting.append(f"{_name(row)} is being read: its old pages stay until nobody does")
        self.events += rows
        self.segments.append({"partition": row.partition, "segment": row.number, "rows": rows, "sealed": row.sealed})

    def document(self) -> dict[str, Any]:
        """As JSON members."""
        return {
            "events": self.events, "dead_letters": self.letters, "segments": self.segments, "complete": self.complete,
            "waiting": self.waiting,
        }  # fmt: skip


def survey(catalog: Catalog, reader: Reader, wanted: Wanted, *, deadline: Deadline) -> Purged:
    """What a purge would take out now. Raises QuerySyntaxError, and OutOfTime past the deadline."""
    found, node = Purged(), wanted.node()
    try:
        for row in catalog.segments("logs"):
            ids = _matches(reader, row, node, wanted, deadline)
            if ids:
                found.add(row, len(ids))
        for row in _all(catalog):
            found.letters += len(_letters(row, node, wanted))
    except apsw.InterruptError as error:
        raise OutOfTime("counting what would go took too long: narrow the range") from error
    return found


def purge(
    catalog: Catalog, wanted: Wanted, limits: Limits, *, now_ns: int, stopped: Callable[[], bool],
    patience_seconds: float, progress: Callable[[str], None] = lambda text: None,
) -> Purged:  # fmt: skip
    """Take them out, as far as that can be done now; the rest is in `waiting`, and the same call again goes on.

    Waits at most so long for active segments to be sealed. Raises QuerySyntaxError, StoreFull, RewriteBusy.
    """
    done, node, reader = Purged(), wanted.node(), Reader(max_open=1)
    try:
        with turn(catalog.data):
            _seal_active(catalog, reader, node, wanted, limits, stopped, patience_seconds)
            for row in catalog.segments("logs"):
                if stopped():
                    done.waiting.append("the process was told to stop")
                    break
                try:
                    ids = _matches(reader, row, node, wanted, Deadline(_LONGEST_SECONDS))
                    if not ids:
                        _finish(catalog, row, done, stopped)
                    elif not is_past(catalog, row):
                        done.waiting.append(f"{_name(row)} is written to, and is not sealed yet")
                    else:
                        progress(f"{_name(row)}: {len(ids)} events")
                        reserve = limits.disk_reserve_bytes
                        outcome = rewrite(catalog, row, ids, now_ns=now_ns, reserve_bytes=reserve, stopped=stopped)
                        done.add(row, len(ids), outcome)
                except StoreCorrupt as error:  # the others do not depend on it
                    done.waiting.append(str(error))
            _purge_letters(catalog, node, wanted, done, stopped)
    finally:
        reader.close()
    return done


def still_on_its_way(
    streams: Waiting, partitions: Sequence[int], asked_ns: int, *, patience_seconds: float,
    stopped: Callable[[], bool] = lambda: False,
) -> str | None:  # fmt: skip
    """Wait until what was sent before this moment is stored; what to say where it is not after so long.

    To be asked before purging, or what arrives in between stays. Raises what the bus raises.
    """
    ends = time.monotonic() + patience_seconds
    while complete_through(streams, partitions, asked_ns + _SURE_NS) < asked_ns:
        if stopped() or time.monotonic() >= ends:
            return "what was sent before this was asked for is still on its way, and goes when it has arrived"
        time.sleep(_POLL_SECONDS)
    return None


def _all(catalog: Catalog) -> list[SegmentRow]:
    return [row for signal in SIGNALS for row in catalog.segments(signal)]


def _letters(row: SegmentRow, node: Node, wanted: Wanted) -> list[int]:
    try:
        return purged_letters.suspects(row.path, node, wanted.start_ns, wanted.end_ns)
    except (FileNotFoundError, apsw.CantOpenError):
        return []  # retention took it


def _purge_letters(
    catalog: Catalog, node: Node, wanted: Wanted, done: Purged, stopped: Callable[[], bool]
) -> None:  # fmt: skip
    for row in _all(catalog):
        if stopped():
            done.waiting.append("the process was told to stop")
            return
        numbers = _letters(row, node, wanted)
        if not numbers:
            continue
        if not is_past(catalog, row):
            done.waiting.append(f"{_name(row)} of {row.signal} is written to, with {len(numbers)} dead letters")
        else:
            done.letters += len(numbers)
            if not purged_letters.overwrite(row.path, numbers):
                done.waiting.append(f"{_name(row)} is being read: its old pages stay until nobody does")


def _seal_active(
    catalog: Catalog, reader: Reader, node: Node, wanted: Wanted, limits: Limits, stopped: Callable[[], bool],
    patience_seconds: float,
) -> None:  # fmt: skip
    """Have active segments with matches sealed: by their drain where one lives, else here."""
    asked = set()
    for row in _all(catalog):
        if is_past(catalog, row):
            continue
        events = row.signal == "logs" and bool(_matches(reader, row, node, wanted, Deadline(_LONGEST_SECONDS)))
        if not events and not _letters(row, node, wanted):
            continue
        partition = None if catalog.drains() else acquire(catalog, row.signal, row.partition, limits)
        if partition is None:
            rollover.request(row.path)
            asked.add((row.signal, row.partition, row.number))
        else:
            try:
                partition.roll_over()
            except BaseException:
                partition.abandon()
                raise
            partition.release()
    ends = time.monotonic() + patience_seconds
    while asked and time.monotonic() < ends and not stopped():
        time.sleep(_POLL_SECONDS)
        past = [row for row in _all(catalog) if is_past(catalog, row)]
        asked -= {(row.signal, row.partition, row.number) for row in past}


def _finish(catalog: Catalog, row: SegmentRow, done: Purged, stopped: Callable[[], bool]) -> None:
    """Do what was left of a segment that was written anew and could not be settled."""
    if not row.sealed or row.optimised or not row.path.exists():
        return
    with contextlib.closing(open_readonly(row.path)) as connection:
        purged = purged_rows(connection)
    if purged and not settle(catalog, row, stopped):
        done.waiting.append(f"{_name(row)} is being read: its old pages stay until nobody does")


def _matches(reader: Reader, row: SegmentRow, node: Node, wanted: Wanted, deadline: Deadline) -> array[int]:
    """The ids of what matches in a segment, rising."""
    found = array("q")
    try:
        with reader.view(row.path, deadline) as view:
            span = span_of(view.head, wanted.start_ns, wanted.end_ns)
            compiled = compile_query(node, view)
            if span is not None and not compiled.empty:
                statement = select_rows(compiled, span, newest=False, columns="log.id")
                found.extend(row_id for (row_id,) in view.connection.execute(*statement))
    except SegmentGone:
        return array("q")  # retention took it
    return found


def _name(row: SegmentRow) -> str:
    return f"p{row.partition}/{row.number:06d}"

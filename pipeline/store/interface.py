"""What a store must do. Every backend passes the contract tests of `tests/pipeline/store/`: `contract.py` for logs,
`metric_contract.py` for metrics.

The writing half is for drains: one `Writer` a partition at a time, exactly once. The reading half is for
queries: any number of processes, while writing goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from pathlib import Path
from typing import Any, Protocol

from monitoring.pipeline.bus.frame import Frame, Payload
from monitoring.pipeline.bus.streams import Entry
from monitoring.pipeline.derived.definition import Definition
from monitoring.pipeline.derived.shipping import Kept
from monitoring.pipeline.query.aggregate import Aggregate
from monitoring.pipeline.query.context import Context
from monitoring.pipeline.query.facets import Facets
from monitoring.pipeline.query.histogram import Histogram
from monitoring.pipeline.query.limits import Deadline
from monitoring.pipeline.query.patterns import Patterns
from monitoring.pipeline.query.search import Order, Page
from monitoring.pipeline.query.statistics import Statistics
from monitoring.pipeline.store.batch import Batch
from monitoring.pipeline.store.catalog import Catalog
from monitoring.pipeline.store.contents import StoredRows, Understood
from monitoring.pipeline.store.dead_letters import Letter
from monitoring.pipeline.store.deltas import Family
from monitoring.pipeline.store.lease import Holder
from monitoring.pipeline.store.letter import DeadLetter
from monitoring.pipeline.store.marks import Mark
from monitoring.pipeline.store.matchers import Matcher
from monitoring.pipeline.store.metric_points import Points, Series
from monitoring.pipeline.store.suspects import Suspect
from monitoring.pipeline.store.verify import Report

__all__ = ["Doomed", "LogStore", "MetricStore", "Store", "Writer"]


class Doomed(Protocol):
    """A piece of a store that retention has to take as a whole: a file, a day."""

    @property
    def reason(self) -> str:
        """Why."""
        ...

    def describe(self) -> dict[str, Any]:
        """As JSON members: what it is, `rows`, `bytes`, `reason`."""
        ...


class Writer(Protocol):
    """A partition in the hands of one process.

    Each method that commits raises Fenced where another process has taken the lease, and StoreFull where
    there is no space; nothing is changed then. Not for several threads.
    """

    signal: str
    number: int
    clean: bool
    """Whether the last holder released the lease, rather than vanished."""

    def understand(self, frame: Frame, payload: Payload, now_ns: int) -> Understood:
        """What a payload comes to in rows, and in dead letters of this time. Commits nothing."""
        ...

    def admit(self, entries: Sequence[Entry]) -> Batch:
        """Sort entries into what is new, seen before, broken or must wait. Commits nothing."""
        ...

    def write(self, batch: Batch, *, cleared: Sequence[tuple[str, int]] = ()) -> None:
        """Commit the batch whole, durably; `cleared` frames (lane, seq) are no longer suspected."""
        ...

    def mark_for(self, lane: str) -> Mark:
        """What is remembered of a lane, to look at or to change a copy of; a fresh mark for an unknown one."""
        ...

    @property
    def suspected(self) -> Set[tuple[str, int]]:
        """Frames (lane, seq) that were attempted and not finished: parts of them may be stored, so `admit` must
        not see them."""
        ...

    def attempt(self, frame: Frame) -> Suspect:
        """Commit that a frame is tried that may kill this process. An attempt that ended in an error instead of
        a death does not count."""
        ...

    def save(self, frame: Frame, suspect: Suspect) -> None:
        """Commit how far a suspected frame was taken apart."""
        ...

    def write_piece(self, frame: Frame, suspect: Suspect, rows: StoredRows, letters: Sequence[DeadLetter]) -> None:
        """Commit a piece of a suspected frame together with what is left of it."""
        ...

    def finish(self, frame: Frame, suspect: Suspect, letters: Sequence[DeadLetter]) -> None:
        """Commit that a frame in pieces is done."""
        ...

    def renew(self) -> None:
        """Say that the lease is still held."""
        ...

    def tidy(self) -> None:
        """Do a piece of the work that makes reading faster, if there is any: a tenth of a second at most."""
        ...

    def derive(self, definitions: Sequence[Definition]) -> None:
        """Gather these metrics from the events that are written from now on, in the commit that writes them."""
        ...

    @property
    def deriving(self) -> Kept | None:
        """Where what was gathered is kept until the metric store has it; None where nothing is gathered."""
        ...

    def set_load(self, *, heavy: bool) -> None:
        """Spend memory on large batches, or give it back."""
        ...

    def roll_over_if_due(self) -> bool:
        """Close what is large or old enough, so that retention has whole files; whether it did."""
        ...

    def roll_over(self) -> None:
        """Do so now."""
        ...

    def release(self) -> None:
        """Give the lease back cleanly."""
        ...

    def abandon(self) -> None:
        """Let go without releasing: the next holder is told that this one vanished."""
        ...

    def facts(self) -> dict[str, Any]:
        """What a log line says of this partition."""
        ...


class Store(Protocol):
    """All partitions of one signal, as far as a drain needs them."""

    def partitions(self) -> list[int]:
        """Numbers of the partitions."""
        ...

    def acquire(self, partition: int, me: Holder) -> Writer | None:
        """Take the lease of a partition; None where a live process holds it. Raises LeaseBlocked."""
        ...

    def close(self) -> None:
        """Close all files."""
        ...


class LogStore(Store, Protocol):
    """All partitions of the logs."""

    @property
    def catalog(self) -> Catalog:
        """What the data directory knows of the store, wherever its events lie: partitions, drains, dead letters."""
        ...

    def attend(self, me: Holder) -> int:
        """Say that this drain lives; how many drains do."""
        ...

    def leave(self, me: Holder) -> None:
        """Say that this drain ends."""
        ...

    def search(
        self, query: str, start_ns: int, end_ns: int, *, deadline: Deadline, order: Order = "newest", limit: int = 100,
        cursor: str | None = None,
    ) -> Page:  # fmt: skip
        """A page of the events in [start_ns, end_ns) that match. Raises QuerySyntaxError."""
        ...

    def event(self, event_id: str, *, deadline: Deadline) -> dict[str, Any] | None:
        """One event by its public id; None where there is none."""
        ...

    def context(self, event_id: str, *, before: int, after: int, deadline: Deadline) -> Context | None:
        """An event with its neighbours in the same service and host; None where there is no such event."""
        ...

    def histogram(self, query: str, start_ns: int, end_ns: int, *, deadline: Deadline, buckets: int) -> Histogram:
        """The events in [start_ns, end_ns) that match, counted by time and level. Raises QuerySyntaxError."""
        ...

    def facets(
        self, query: str, start_ns: int, end_ns: int, *, fields: Sequence[str], limit: int, deadline: Deadline
    ) -> Facets:
        """The commonest values of fields among the events in [start_ns, end_ns) that match. Raises QuerySyntaxError."""
        ...

    def statistics(
        self, query: str, start_ns: int, end_ns: int, *, group_by: Sequence[str], wanted: Sequence[Aggregate],
        buckets: int, limit: int, deadline: Deadline,
    ) -> Statistics:  # fmt: skip
        """Aggregates of the events in [start_ns, end_ns) that match, for each group. Raises QuerySyntaxError."""
        ...

    def patterns(self, query: str, start_ns: int, end_ns: int, *, limit: int, deadline: Deadline) -> Patterns:
        """Templates of the newest messages in [start_ns, end_ns) that match. Raises QuerySyntaxError."""
        ...

    def letters(self, limit: int) -> list[Letter]:
        """The newest dead letters."""
        ...

    def doomed(self, now_ns: int, *, max_age_seconds: float, max_bytes: int) -> Sequence[Doomed]:
        """What retention would delete."""
        ...

    def delete(self, going: Sequence[Any]) -> int:
        """Delete what this store doomed; how many bytes that frees."""
        ...

    def verify(self, *, progress: Callable[[Path], None] = ...) -> Report:
        """Is every file whole and every event accounted for? Calls `progress` before each file."""
        ...


class MetricStore(Store, Protocol):
    """All partitions of the metrics. Names are base names, without `_total`, `_bucket`, `_sum` or `_count`."""

    def families(self) -> dict[Family, int]:
        """All families, each with how many deltas went to its `__other__` series."""
        ...

    def series(self, name: str | None, matchers: Sequence[Matcher], start_ns: int, end_ns: int) -> set[Series]:
        """Series of this name (None: of any) that match, in segments that reach into [start_ns, end_ns).

        Raises PermanentError for a regular expression that cannot be.
        """
        ...

    def points(
        self, name: str | None, matchers: Sequence[Matcher], start_ns: int, end_ns: int, *,
        deadline: Deadline | None = None,
    ) -> dict[Series, Points]:  # fmt: skip
        """What these series have in each window of 10 s that begins in [start_ns, end_ns), where they have anything.

        Raises OutOfTime at the deadline.


        Counters and histograms: what they gained, 0 included where a producer said so. Gauges: the values of the lanes
        that are alive, combined as `across` says.
        """
        ...

"""A partition's writer: lease, active segment, batches, roll-over.

    acquire -> Partition.write(entries) … -> release

Writing is exactly once: what was applied is remembered in the transaction that applies it, and a process that
lost its lease gets Fenced instead of a second copy.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import time
from collections.abc import Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw

from monitoring.pipeline import failpoint
from monitoring.pipeline.bus.frame import Frame, Payload
from monitoring.pipeline.bus.streams import Entry
from monitoring.pipeline.clock import NowNs, wall_ns
from monitoring.pipeline.derived.definition import Definition
from monitoring.pipeline.derived.keeping import Keeping
from monitoring.pipeline.errors import StoreFull
from monitoring.pipeline.settings import Settings
from monitoring.pipeline.store import lease, rollover, suspects
from monitoring.pipeline.store.batch import Batch, Memory, admit
from monitoring.pipeline.store.catalog import Catalog, partition_dir, segment_path
from monitoring.pipeline.store.contents import Contents, StoredRows, Understood
from monitoring.pipeline.store.kinds import check_followed_by, contents_of
from monitoring.pipeline.store.lease import Holder
from monitoring.pipeline.store.letter import DeadLetter
from monitoring.pipeline.store.marks import Mark
from monitoring.pipeline.store.segment import Segment, create
from monitoring.pipeline.store.space import space_needed
from monitoring.pipeline.store.suspects import Suspect

__all__ = ["Limits", "Partition", "acquire", "active_number", "limits_of"]

_log = logging.getLogger("monitoring.store")
TIDY_SECONDS = 10.0
"""Between two looks for work of `tidy`, where there was none: it comes up once in minutes."""


@dataclass(frozen=True, slots=True)
class Limits:
    """When a segment rolls over, and how many bytes of the disk stay free."""

    segment_events: int
    segment_bytes: int
    segment_age_seconds: float
    disk_reserve_bytes: int


def limits_of(chosen: Settings) -> Limits:
    """The limits of these settings."""
    return Limits(
        segment_events=chosen.whole("segment_events"),
        segment_bytes=chosen.whole("segment_bytes"),
        segment_age_seconds=chosen.number("segment_age"),
        disk_reserve_bytes=chosen.whole("disk_reserve"),
    )


def active_number(data: Path, signal: str, partition: int) -> int:
    """Number of the newest segment; 0 where there is none."""
    files = partition_dir(data, signal, partition).glob("[0-9]*.db")
    return max((int(path.stem) for path in files), default=0)


def acquire(
    catalog: Catalog, signal: str, partition: int, limits: Limits, *, me: Holder | None = None, now_ns: NowNs = wall_ns,
    kind: type[Contents] | None = None,
) -> Partition | None:  # fmt: skip
    """Take a partition's lease; None where another process holds it.

    Finishes a roll-over that was cut off. A segment that is not of the `kind` that is wanted (None: the signal's own)
    is followed by one that is; raises StoreCorrupt where that may not be. A holder that keeps the file locked past its
    lease is killed (`lease.evict`); raises LeaseBlocked where that is not permitted.
    """
    me = me or Holder.this_process()
    kind = kind or contents_of(signal)
    directory = partition_dir(catalog.data, signal, partition)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if active_number(catalog.data, signal, partition) == 0:
        path = segment_path(catalog.data, signal, partition, 1)
        create(path, signal=signal, partition=partition, number=1, now_ns=now_ns(), kind=kind)
        catalog.note_active(signal, partition, 1)
    while True:
        number = active_number(catalog.data, signal, partition)
        segment = Segment(segment_path(catalog.data, signal, partition, number))
        try:
            with space_needed(segment.path):
                taken = _take(segment, me)
                if taken is None:
                    segment.close()
                    return None
                epoch, clean = taken
                segment.epoch = epoch
                if segment.head().sealed is None and type(segment.contents) is not kind:
                    check_followed_by(type(segment.contents), kind, segment.path)
                    rollover.seal(segment, now_ns=now_ns())
                if segment.head().sealed is None:
                    catalog.note_overlooked(signal, partition, before=number)
                    catalog.note_active(signal, partition, number)
                    return Partition(catalog, segment, limits, me=me, clean=clean, now_ns=now_ns)
                rollover.follow(segment, catalog, now_ns=now_ns(), kind=kind)
        except BaseException:
            segment.close()
            raise
        segment.close()


def _take(segment: Segment, me: Holder) -> tuple[int, bool] | None:
    try:
        return lease.take(segment.connection, me)
    except apsw.BusyError:
        evicted = lease.evict(segment.connection)
        if evicted is None:
            return None
        _log.warning("killed process %d: it held %s locked past its lease", evicted.pid, segment.path)
        return lease.take(segment.connection, me)


class Partition:
    """A partition that this process may write to. `clean` tells whether its last holder released it."""

    def __init__(
        self, catalog: Catalog, segment: Segment, limits: Limits, *, me: Holder, clean: bool, now_ns: NowNs
    ) -> None:
        head = segment.head()
        self.signal, self.number, self.clean = head.signal, head.partition, clean
        self._created = head.created
        self._catalog, self._limits, self._me, self._now_ns = catalog, limits, me, now_ns
        self.segment = segment
        self._tidy_at = float("-inf")
        self._definitions: Sequence[Definition] = ()
        self._suspected = suspects.known(segment)
        # Attempts that nobody died of: all of them if the last holder left in order.
        self._survived = set(self._suspected) if clean else set()

    def admit(self, entries: Sequence[Entry]) -> Batch:
        """Sort entries into what must be written; nothing is yet."""
        segment = self.segment
        try:
            with space_needed(segment.path):  # reading too: it may have to make the index of a log
                memory = Memory(segment.mark, self._was_corrupt, segment.contents.understand, segment.contents.empty)
                return admit(entries, memory, now_ns=self._now_ns())
        except BaseException:
            segment.forget()
            raise

    def mark_for(self, lane: str) -> Mark:
        """A mark of this lane to change and store; a fresh one where the lane is unknown."""
        known = self.segment.mark(lane)
        return known.copy() if known else Mark(born=self._now_ns())

    def _was_corrupt(self, frame: Frame) -> bool:
        query = "SELECT 1 FROM dead_letter WHERE kind = 'corrupt' AND lane = ? AND seq = ?"
        return bool(self.segment.connection.execute(query, (frame.lane, frame.seq)).get)

    def write(self, batch: Batch, *, cleared: Sequence[tuple[str, int]] = ()) -> None:
        """Commit a batch; `cleared` frames (lane, seq) are no longer suspected as poison.

        Raises Fenced where the lease is lost, StoreFull where the disk is; nothing is written then.
        """
        if batch.empty and not cleared:
            return
        self._check_space()
        with self.segment.transaction():
            self.segment.insert(batch.rows, batch.letters, batch.changed_marks, now_ns=self._now_ns())
            for lane, seq in cleared:
                suspects.clear(self.segment, lane, seq)
        self._suspected.difference_update(cleared)

    def understand(self, frame: Frame, payload: Payload, now_ns: int) -> Understood:
        """What a payload comes to in rows, and in dead letters of this time; commits nothing."""
        return self.segment.contents.understand(frame, payload, now_ns)

    @property
    def suspected(self) -> Set[tuple[str, int]]:
        """Frames (lane, seq) that were attempted and not finished: parts of them may be stored."""
        return self._suspected

    def attempt(self, frame: Frame) -> Suspect:
        """Commit that a frame is tried that may kill this process; how often it was, and how far it came."""
        key = (frame.lane, frame.seq)
        suspect = suspects.attempt(self.segment, frame, survived=key in self._survived)
        self._suspected.add(key)
        self._survived.add(key)
        return suspect

    def save(self, frame: Frame, suspect: Suspect) -> None:
        """Commit how far a suspected frame was taken apart."""
        with self.segment.transaction():
            suspects.save(self.segment, frame, suspect)

    def write_piece(self, frame: Frame, suspect: Suspect, rows: StoredRows, letters: Sequence[DeadLetter]) -> None:
        """Commit a piece of a suspected frame together with what is left of it."""
        suspect.committed += len(rows)
        suspect.dead_lettered += len(letters)
        with self.segment.transaction():
            self.segment.insert(rows, letters, {}, now_ns=self._now_ns())
            suspects.save(self.segment, frame, suspect)

    def finish(self, frame: Frame, suspect: Suspect, letters: Sequence[DeadLetter]) -> None:
        """Commit the mark of a frame that was written in pieces; what was not stored counts as dead-lettered."""
        mark = self.mark_for(frame.lane)
        mark.apply(frame, committed=suspect.committed, dead_lettered=frame.count - suspect.committed)
        with self.segment.transaction():
            self.segment.insert(self.segment.contents.empty(), letters, {frame.lane: mark}, now_ns=self._now_ns())
            suspects.clear(self.segment, frame.lane, frame.seq)
        self._suspected.discard((frame.lane, frame.seq))

    def renew(self) -> None:
        """Say that the lease is still held. Raises Fenced if it is not."""
        self.segment.renew()

    def tidy(self) -> None:
        """Do a piece of the work that makes reading faster, if there is any. Raises Fenced, StoreFull."""
        if time.monotonic() < self._tidy_at:
            return
        contents = self.segment.contents
        with space_needed(self.segment.path):
            due = contents.untidy(self._now_ns())
        if not due:
            self._tidy_at = time.monotonic() + TIDY_SECONDS
            return
        self._check_space()
        with self.segment.transaction():
            contents.tidy(self._now_ns())

    def derive(self, definitions: Sequence[Definition]) -> None:
        """Gather these metrics from what is written from now on; of logs only."""
        self._definitions = definitions
        if (contents := self.deriving) is not None:
            contents.derive(definitions, self._now_ns)

    @property
    def deriving(self) -> Keeping | None:
        """The active segment's contents, with the outbox of what was derived; None of metrics."""
        contents = self.segment.contents
        return contents if isinstance(contents, Keeping) else None

    def set_load(self, *, heavy: bool) -> None:
        """Spend memory on large batches, or give it back."""
        self.segment.set_memory(large=heavy)

    def _check_space(self) -> None:
        free = shutil.disk_usage(self._catalog.data).free
        if free < self._limits.disk_reserve_bytes:
            raise StoreFull(
                f"{self._catalog.data}: {free >> 20} MiB are free and {self._limits.disk_reserve_bytes >> 20} MiB "
                "reserved (MONITORING_DISK_RESERVE): free disk space, ingest goes on by itself"
            )

    def roll_over_if_due(self) -> bool:
        """Seal the segment and follow it by a new one where it is large or old enough, or that was asked for."""
        with space_needed(self.segment.path):
            head = self.segment.head()
        age_seconds = (self._now_ns() - head.created) / 1e9
        limits = self._limits
        if head.rows + head.letters == 0 or not (
            head.rows >= limits.segment_events
            or self.segment.bytes() >= limits.segment_bytes
            or age_seconds >= limits.segment_age_seconds
            or rollover.requested(self.segment.path)
        ):
            return False
        self.roll_over()
        return True

    def roll_over(self) -> None:
        """Seal the segment and follow it by a new one. Raises Fenced, StoreFull."""
        old = self.segment
        rollover.seal(old, now_ns=self._now_ns())
        failpoint.hit("rollover.sealed")
        path = rollover.follow(old, self._catalog, now_ns=self._now_ns())
        self.segment = Segment(path)
        self.segment.epoch = old.epoch
        old.close()
        self.derive(self._definitions)

    def release(self) -> None:
        """Give the lease back cleanly and close the file."""
        with contextlib.closing(self.segment):
            lease.release(self.segment.connection, self.segment.epoch)

    def abandon(self) -> None:
        """Close the file and keep the lease as it is: after an error the next holder goes one frame at a time."""
        self.segment.close()

    def facts(self) -> dict[str, Any]:
        """What a log line says of this partition."""
        return {"partition": self.number, "segment": self.segment.path.stem, "epoch": self.segment.epoch}

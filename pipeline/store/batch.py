"""A batch: what a drain read, sorted into rows, dead letters and marks before any transaction begins."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import orjson

from monitoring.pipeline.bus.frame import Frame, Payload, decode_payload
from monitoring.pipeline.bus.streams import Entry
from monitoring.pipeline.errors import FrameCorrupt
from monitoring.pipeline.store.contents import StoredRows, Understood
from monitoring.pipeline.store.letter import DeadLetter
from monitoring.pipeline.store.marks import Mark
from monitoring.pipeline.store.rows import Rows

__all__ = ["Batch", "admit"]

RAW_BYTES = 1 << 20
"""Most bytes of an unreadable entry that are kept: a frame of ordinary size fits whole."""


@dataclass(slots=True)
class Batch:
    """What one transaction will write, and what the bus may forget afterwards.

    `settled` are the ids of entries that are dealt with once this is committed; `deferred` counts those that
    must wait where they are; `lows` are the watermarks to publish.
    """

    rows: StoredRows = field(default_factory=Rows)
    letters: list[DeadLetter] = field(default_factory=list)
    marks: dict[str, Mark] = field(default_factory=dict)
    settled: list[str] = field(default_factory=list)
    changed: set[str] = field(default_factory=set)
    frames: int = 0
    replayed: int = 0
    deferred: int = 0

    @property
    def lows(self) -> dict[str, int]:
        """Watermark of each lane that was met."""
        return {lane: mark.low for lane, mark in self.marks.items()}

    @property
    def changed_marks(self) -> dict[str, Mark]:
        """Marks of the lanes that got something new."""
        return {lane: self.marks[lane] for lane in self.changed}

    @property
    def empty(self) -> bool:
        """Whether there is nothing to write."""
        return not (self.rows or self.letters or self.changed)


@dataclass(slots=True)
class Memory:
    """What `admit` asks of the store: the mark of a lane, whether a corrupt frame came before, what a payload means."""

    mark: Callable[[str], Mark | None]
    was_corrupt: Callable[[Frame], bool]
    understand: Callable[[Frame, Payload, int], Understood]
    empty: Callable[[], StoredRows]


def admit(entries: Iterable[Entry], memory: Memory, *, now_ns: int) -> Batch:
    """Sort entries by what the marks say of them; see `Mark.verdict`. Changes nothing stored."""
    batch = Batch(rows=memory.empty())
    for entry in entries:
        try:
            frame = Frame.from_fields(entry.fields)
        except FrameCorrupt as error:
            batch.letters.append(_unreadable(entry, error, now_ns))
            batch.settled.append(entry.id)
            continue
        if frame.lane not in batch.marks:
            known = memory.mark(frame.lane)
            batch.marks[frame.lane] = known.copy() if known else Mark(born=now_ns)
        if _admit_frame(frame, batch, memory, now_ns):
            batch.settled.append(entry.id)
    return batch


def _admit_frame(frame: Frame, batch: Batch, memory: Memory, now_ns: int) -> bool:
    """Whether the frame's entry is dealt with once the batch is committed."""
    mark = batch.marks[frame.lane]
    verdict = mark.verdict(frame)
    if verdict == "ahead":
        batch.deferred += 1
        return False
    if verdict == "seen":
        batch.replayed += 1
        return True
    if verdict == "conflict":
        batch.letters.append(_letter(frame, "conflict", f"frame {frame.seq} of this lane is another one", now_ns))
        return True
    batch.frames += 1
    batch.changed.add(frame.lane)
    if verdict == "stale":
        reason = "sealed over a week before its lane was first seen here: it may have been stored and forgotten"
        batch.letters.append(_letter(frame, "stale", reason, now_ns))
        mark.apply(frame, committed=0, dead_lettered=frame.count)
        return True
    try:
        frame.verify()
    except FrameCorrupt as error:
        _reject_corrupt(frame, error, batch, memory, now_ns)
        return True
    try:
        payload = decode_payload(frame)
    except FrameCorrupt as error:
        batch.letters.append(_letter(frame, "frame", str(error), now_ns))
        mark.apply(frame, committed=0, dead_lettered=frame.count)
        return True
    understood = memory.understand(frame, payload, now_ns)
    batch.rows.extend(understood.rows)
    batch.letters += understood.letters
    mark.apply(frame, committed=len(understood.rows), dead_lettered=len(understood.letters))
    return True


def _reject_corrupt(frame: Frame, error: FrameCorrupt, batch: Batch, memory: Memory, now_ns: int) -> None:
    """Dead-letter bytes that were changed on the way.

    The producer still has the good frame and sends it again, so the seq stays open; only if the same frame
    arrives broken a second time does it count as applied, or its lane would wait for ever.
    """
    batch.letters.append(_letter(frame, "corrupt", str(error), now_ns))
    if memory.was_corrupt(frame):
        batch.marks[frame.lane].apply(frame, committed=0, dead_lettered=frame.count)


def _letter(frame: Frame, kind: str, reason: str, now_ns: int) -> DeadLetter:
    return DeadLetter(now_ns, kind, frame.lane, frame.seq, 0, reason, frame.to_record())


def _unreadable(entry: Entry, error: FrameCorrupt, now_ns: int) -> DeadLetter:
    raw = orjson.dumps({key.decode("utf-8", "replace"): value.decode("latin-1") for key, value in entry.fields.items()})
    return DeadLetter(now_ns, "frame", "", 0, 0, f"entry {entry.id}: {error}", raw[:RAW_BYTES])

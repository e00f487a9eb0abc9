"""Frames that kill the drain.

After a take-over without a clean release the frames go one at a time, each attempt committed before it is
made. A frame that was attempted three times without success is taken apart: a range of its events is tried,
a range that killed again is halved, and a single event that kills is dead-lettered. Ranges that work are
committed at once, each together with what is still to do, so that this too loses and doubles nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from monitoring.pipeline.bus.frame import Frame, decode_payload
from monitoring.pipeline.bus.streams import Entry
from monitoring.pipeline.errors import FrameCorrupt
from monitoring.pipeline.events.event import COLUMNS
from monitoring.pipeline.store.batch import Batch
from monitoring.pipeline.store.partition import Partition
from monitoring.pipeline.store.rows import Rows, rows_of
from monitoring.pipeline.store.segment import DeadLetter

__all__ = ["ATTEMPTS", "GIVE_UP", "write_alone"]

ATTEMPTS = 3
"""Deaths of a drain before its head frame is suspected: workers are also killed for reasons of their own."""
GIVE_UP = 64
"""Deaths before the rest of a frame is dead-lettered unread: halving 10,000 events down to one takes 14, so this
allows for four bad ones, and bounds what a frame can cost that kills before it is even decoded."""


@dataclass(slots=True)
class Suspect:
    """What is remembered of a frame under suspicion; ranges are [first, end) of its events."""

    attempts: int
    pending: list[list[int]]
    trying: list[int] | None
    committed: int
    dead_lettered: int


def write_alone(partition: Partition, entry: Entry) -> Batch:
    """Write one entry by itself, in pieces if it is suspected; returns its batch, committed."""
    try:
        frame = Frame.from_fields(entry.fields)
    except FrameCorrupt:
        return _write_whole(partition, entry)
    mark = partition.segment.mark(frame.lane)
    if mark is not None and mark.verdict(frame) != "new":
        return _write_whole(partition, entry)
    suspect = _attempt(partition, frame)
    if suspect.attempts <= ATTEMPTS:
        return _write_whole(partition, entry, cleared=(frame.lane, frame.seq))
    _write_in_pieces(partition, frame, suspect)
    batch = partition.admit([])
    final = partition.segment.mark(frame.lane)
    if final is None:
        raise AssertionError("a frame written in pieces has a mark")
    batch.marks[frame.lane] = final
    batch.settled.append(entry.id)
    return batch


def _write_whole(partition: Partition, entry: Entry, *, cleared: tuple[str, int] | None = None) -> Batch:
    batch = partition.admit([entry])
    partition.write(batch, cleared=[cleared] if cleared else [])
    return batch


def _attempt(partition: Partition, frame: Frame) -> Suspect:
    """Commit that this frame is attempted once more; what is known of it."""
    with partition.segment.transaction() as connection:
        connection.execute(
            "INSERT INTO poison VALUES(?, ?, 1, ?, '', 0, 0)"
            " ON CONFLICT(lane, seq) DO UPDATE SET attempts = attempts + 1",
            (frame.lane, frame.seq, orjson.dumps([[0, frame.count]]).decode()),
        )
        attempts, pending, trying, committed, dead_lettered = connection.execute(
            "SELECT attempts, pending, trying, committed, dead_lettered FROM poison WHERE lane = ? AND seq = ?",
            (frame.lane, frame.seq),
        ).get
    return Suspect(attempts, orjson.loads(pending), orjson.loads(trying) if trying else None, committed, dead_lettered)


def _write_in_pieces(partition: Partition, frame: Frame, suspect: Suspect) -> None:
    if suspect.attempts > GIVE_UP:
        _finish(partition, frame, suspect, [_letter(frame, 0, "killed the drain again and again", frame.to_record())])
        return
    rows, events, letters = _decoded(partition, frame)
    if suspect.trying is not None:  # the last holder died on it
        first, end = suspect.trying
        suspect.trying = None
        if end - first == 1:
            raw = orjson.dumps(events[first]) if first < len(events) else letters[first - len(events)].raw
            letter = _letter(frame, first, "this event killed the drain", raw)
            _commit_piece(partition, frame, suspect, Rows(), [letter])
        else:
            middle = (first + end) // 2
            suspect.pending += [[middle, end], [first, middle]]
    while suspect.pending:
        suspect.trying = suspect.pending.pop()
        _save(partition, frame, suspect)
        first, end = suspect.trying
        suspect.trying = None
        piece_letters = letters[max(0, first - len(rows)) : max(0, end - len(rows))]
        _commit_piece(partition, frame, suspect, rows[first:end], piece_letters)
    _finish(partition, frame, suspect, [])


def _decoded(partition: Partition, frame: Frame) -> tuple[Rows, list[dict[str, Any]], list[DeadLetter]]:
    payload = decode_payload(frame)
    rows = rows_of(frame, payload.columns, payload.events, partition.segment.dimensions)
    spread = [column if type(column) is list else [column] * payload.events for column in payload.columns]
    events = [dict(zip(COLUMNS, values, strict=True)) for values in zip(*spread, strict=True)]
    letters = [
        DeadLetter(
            frame.created, "input", frame.lane, frame.seq, ordinal, item.reason, item.raw, item.source, item.line
        )
        for ordinal, item in enumerate(payload.rejected)
    ]
    return rows, events, letters


def _letter(frame: Frame, ordinal: int, reason: str, raw: bytes) -> DeadLetter:
    return DeadLetter(frame.created, "poison", frame.lane, frame.seq, ordinal, reason, raw)


def _commit_piece(partition: Partition, frame: Frame, suspect: Suspect, rows: Rows, letters: list[DeadLetter]) -> None:
    suspect.committed += len(rows)
    suspect.dead_lettered += len(letters)
    with partition.segment.transaction():
        partition.segment.insert(rows, letters, {}, now_ns=frame.created)
        _save_row(partition, frame, suspect)


def _save(partition: Partition, frame: Frame, suspect: Suspect) -> None:
    with partition.segment.transaction():
        _save_row(partition, frame, suspect)


def _save_row(partition: Partition, frame: Frame, suspect: Suspect) -> None:
    trying = orjson.dumps(suspect.trying).decode() if suspect.trying else ""
    partition.segment.connection.execute(
        "UPDATE poison SET pending = ?, trying = ?, committed = ?, dead_lettered = ? WHERE lane = ? AND seq = ?",
        (
            orjson.dumps(suspect.pending).decode(),
            trying,
            suspect.committed,
            suspect.dead_lettered,
            frame.lane,
            frame.seq,
        ),
    )


def _finish(partition: Partition, frame: Frame, suspect: Suspect, letters: list[DeadLetter]) -> None:
    """Commit the frame's mark; whatever was not stored by now counts as dead-lettered."""
    mark = partition.mark_for(frame.lane)
    mark.apply(frame, committed=suspect.committed, dead_lettered=frame.count - suspect.committed)
    with partition.segment.transaction() as connection:
        partition.segment.insert(Rows(), letters, {frame.lane: mark}, now_ns=frame.created)
        connection.execute("DELETE FROM poison WHERE lane = ? AND seq = ?", (frame.lane, frame.seq))

"""Frames that kill the drain.

After a take-over without a clean release the frames go one at a time, each attempt committed before it is
made. A frame that was attempted three times without success is taken apart: a range of its events is tried,
a range that killed again is halved, and a single event that kills is dead-lettered. Ranges that work are
committed at once, each together with what is still to do, so that this too loses and doubles nothing.
"""

from __future__ import annotations

import orjson

from monitoring.pipeline.bus.frame import Frame, decode_payload
from monitoring.pipeline.bus.streams import Entry
from monitoring.pipeline.errors import FrameCorrupt
from monitoring.pipeline.events.signals import SIGNALS
from monitoring.pipeline.store.batch import Batch
from monitoring.pipeline.store.contents import StoredRows
from monitoring.pipeline.store.interface import Writer
from monitoring.pipeline.store.letter import DeadLetter
from monitoring.pipeline.store.suspects import Suspect

__all__ = ["ATTEMPTS", "GIVE_UP", "before_suspects", "write_alone"]

ATTEMPTS = 3
"""Deaths of a drain before its head frame is suspected: workers are also killed for reasons of their own."""
GIVE_UP = 64
"""Deaths before the rest of a frame is dead-lettered unread: halving 10,000 events down to one takes 14, so this
allows for four bad ones, and bounds what a frame can cost that kills before it is even decoded."""


def write_alone(writer: Writer, entry: Entry) -> Batch:
    """Write one entry by itself, in pieces if it is suspected; returns its batch, committed."""
    try:
        frame = Frame.from_fields(entry.fields)
    except FrameCorrupt:
        return _write_whole(writer, entry)
    if writer.mark_for(frame.lane).verdict(frame) != "new":
        return _write_whole(writer, entry, cleared=(frame.lane, frame.seq))
    suspect = writer.attempt(frame)
    if suspect.attempts <= ATTEMPTS:
        return _write_whole(writer, entry, cleared=(frame.lane, frame.seq))
    try:
        frame.verify()
        _write_in_pieces(writer, frame, suspect)
    except FrameCorrupt:  # nothing to take apart
        untouched = not suspect.committed and not suspect.dead_lettered
        return _write_whole(writer, entry, cleared=(frame.lane, frame.seq) if untouched else None)
    return Batch(marks={frame.lane: writer.mark_for(frame.lane)}, settled=[entry.id])


def before_suspects(writer: Writer, entries: list[Entry]) -> list[Entry]:
    """The entries that come before the first frame under suspicion; none where that is the first.

    Parts of such a frame may be stored. It may turn up anywhere in the stream, long after the take-over: the bus
    lost it, and its producer sent it again.
    """
    suspected = writer.suspected
    if suspected:
        for index, entry in enumerate(entries):
            if _identity(entry) in suspected:
                return entries[:index]
    return entries


def _identity(entry: Entry) -> tuple[str, int] | None:
    try:
        frame = Frame.from_fields(entry.fields)
    except FrameCorrupt:
        return None
    return frame.lane, frame.seq


def _write_whole(writer: Writer, entry: Entry, *, cleared: tuple[str, int] | None = None) -> Batch:
    batch = writer.admit([entry])
    writer.write(batch, cleared=[cleared] if cleared is not None and cleared in writer.suspected else [])
    return batch


def _write_in_pieces(writer: Writer, frame: Frame, suspect: Suspect) -> None:
    if suspect.attempts > GIVE_UP:
        letter = _letter(frame, 0, "killed the drain again and again", frame.to_record())
        writer.finish(frame, suspect, [letter])
        return
    rows, letters, raws = _decoded(writer, frame)
    if suspect.trying is not None:  # the last holder died on it
        first, end = suspect.trying
        suspect.trying = None
        if end - first == 1:
            raw = raws[first] if first < len(rows) else letters[first - len(rows)].raw
            writer.write_piece(frame, suspect, rows[:0], [_letter(frame, first, "this event killed the drain", raw)])
        else:
            middle = (first + end) // 2
            suspect.pending += [[middle, end], [first, middle]]
    while suspect.pending:
        suspect.trying = suspect.pending.pop()
        writer.save(frame, suspect)
        first, end = suspect.trying
        suspect.trying = None
        piece = letters[max(0, first - len(rows)) : max(0, end - len(rows))]
        writer.write_piece(frame, suspect, rows[first:end], piece)
    writer.finish(frame, suspect, [])


def _decoded(writer: Writer, frame: Frame) -> tuple[StoredRows, list[DeadLetter], list[bytes]]:
    """The frame's rows and letters, and the text of each row."""
    payload = decode_payload(frame)
    rows, letters, kept = writer.understand(frame, payload, frame.created)
    spread = [column if type(column) is list else [column] * payload.events for column in payload.columns]
    names = SIGNALS[frame.signal].columns
    return (
        rows,
        letters,
        [orjson.dumps(dict(zip(names, (column[place] for column in spread), strict=True))) for place in kept],
    )


def _letter(frame: Frame, ordinal: int, reason: str, raw: bytes) -> DeadLetter:
    return DeadLetter(frame.created, "poison", frame.lane, frame.seq, ordinal, reason, raw)

"""Frames under suspicion of killing the drain: how often each was attempted, and how far it was taken apart.

What is remembered of a frame changes in the transaction that commits a piece of it, so a frame that is
written in pieces is written once like any other.
"""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from monitoring.pipeline.bus.frame import Frame
from monitoring.pipeline.store.segment import Segment

__all__ = ["Suspect", "attempt", "clear", "save"]


@dataclass(slots=True)
class Suspect:
    """What is remembered of a frame under suspicion; ranges are [first, end) of its events."""

    attempts: int
    pending: list[list[int]]
    trying: list[int] | None
    committed: int
    dead_lettered: int


def attempt(segment: Segment, frame: Frame) -> Suspect:
    """Commit that this frame is attempted once more; what is known of it."""
    with segment.transaction() as connection:
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


def save(segment: Segment, frame: Frame, suspect: Suspect) -> None:
    """Remember how far the frame was taken apart; within a transaction of the caller's."""
    trying = orjson.dumps(suspect.trying).decode() if suspect.trying else ""
    segment.connection.execute(
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


def clear(segment: Segment, lane: str, seq: int) -> None:
    """Forget a frame that is dealt with; within a transaction of the caller's."""
    segment.connection.execute("DELETE FROM poison WHERE lane = ? AND seq = ?", (lane, seq))

"""Frames under suspicion of killing the drain: how often each was attempted, and how far it was taken apart.

What is remembered of a frame changes in the transaction that commits a piece of it, so a frame that is
written in pieces is written once like any other.
"""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from monitoring.pipeline.bus.frame import Frame
from monitoring.pipeline.store.segment import Segment

__all__ = ["Suspect", "attempt", "clear", "known", "save"]


@dataclass(slots=True)
class Suspect:
    """What is remembered of a frame under suspicion; ranges are [first, end) of its events."""

    attempts: int
    pending: list[list[int]]
    trying: list[int] | None
    committed: int
    dead_lettered: int


def known(segment: Segment) -> set[tuple[str, int]]:
    """Lane and seq of every frame under suspicion."""
    return set(segment.connection.execute("SELECT lane, seq FROM poison"))


def attempt(segment: Segment, frame: Frame, *, survived: bool) -> Suspect:
    """Commit that this frame is attempted once more; what is known of it.

    `survived` tells that the last attempt did not end in a death but in an error, such as a full disk: it does
    not count, and what was being tried is not to blame.
    """
    with segment.transaction() as connection:
        connection.execute(
            "INSERT INTO poison VALUES(?, ?, 1, ?, '', 0, 0)"
            " ON CONFLICT(lane, seq) DO UPDATE SET attempts = attempts + ?",
            (frame.lane, frame.seq, orjson.dumps([[0, frame.count]]).decode(), int(not survived)),
        )
        attempts, pending, trying, committed, dead_lettered = connection.execute(
            "SELECT attempts, pending, trying, committed, dead_lettered FROM poison WHERE lane = ? AND seq = ?",
            (frame.lane, frame.seq),
        ).get
    suspect = Suspect(
        attempts, orjson.loads(pending), orjson.loads(trying) if trying else None, committed, dead_lettered
    )
    if survived and suspect.trying is not None:
        suspect.pending.append(suspect.trying)
        suspect.trying = None
    return suspect


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

"""Frames out of a file of records that may be torn or damaged, so that the lane's sequence stays whole.

Pure. A torn tail (a write that never ended, so nobody was told that it is safe) is cut. A record that was
damaged later, between good ones, would stop its lane for ever, because no watermark passes a missing seq: in
its place goes a frame that says so, with one rejected input for each event that was in it. The same damage
gives the same frame, whoever reads it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from monitoring.pipeline.bus.frame import MAX_FRAME_EVENTS, Frame, encode_payload, iter_records, seal
from monitoring.pipeline.events.event import Rejected

__all__ = ["Salvage", "fill_gaps", "salvage"]

_MAGIC = b"MFR1"


class Salvage(NamedTuple):
    """The good frames of a file, and the offset behind the last of them: what follows is a torn tail."""

    frames: list[Frame]
    end: int


def salvage(data: bytes) -> Salvage:
    """All good records, also behind damaged ones."""
    frames: list[Frame] = []
    start = end = 0
    while True:
        for frame, offset in iter_records(data[start:] if start else data):
            frames.append(frame)
            end = start + offset
        start = data.find(_MAGIC, max(start + 1, end))
        if start < 0:
            return Salvage(frames, end)


def fill_gaps(frames: Sequence[Frame], *, lane: str, signal: str, after: int, through: int) -> list[Frame]:
    """The frames of this lane from seq `after` + 1 to `through`, with a stand-in for each that is missing."""
    good = {frame.seq: frame for frame in frames if frame.lane == lane and after < frame.seq <= through}
    behind = {frame.seq: frame for frame in frames if frame.lane == lane and frame.seq <= after}
    last = behind[max(behind)] if behind else None
    whole: list[Frame] = []
    seq = after + 1
    while seq <= through:
        if seq not in good:
            following = min((number for number in good if number > seq), default=through + 1)
            whole += _stand_ins(lane, signal, seq, following - seq, last, good.get(following))
            seq = following
            last = whole[-1]
            continue
        last = good[seq]
        whole.append(last)
        seq += 1
    return whole


def _stand_ins(
    lane: str, signal: str, first: int, number: int, before: Frame | None, behind: Frame | None
) -> list[Frame]:
    """Frames for `number` missing ones; the neighbours' counters tell how many events were in them."""
    lost, sealed = number, _sealed_events(before) if before else 0
    if behind is not None:
        ahead = _sealed_events(behind) - behind.count
        lost = max(number, ahead - sealed) if before or first == 1 else number
        sealed = max(0, ahead - lost)
    neighbour = before or behind
    frames = []
    for index in range(number):
        count = min(MAX_FRAME_EVENTS, lost // number + (index < lost % number))
        sealed += count
        dropped = dict(neighbour.counters["dropped"]) if neighbour else {}
        reason = f"record {lane}/{first + index} of the spool was damaged on disk"
        frames.append(
            seal(
                lane=lane,
                seq=first + index,
                released_below=before.released_below if before else 1,
                signal=signal,
                count=count,
                created=neighbour.created if neighbour else 0,
                counters={"emitted": sealed + sum(dropped.values()), "dropped": dropped},
                payload=encode_payload((), [Rejected(reason, b"", "spool", 0)] * count),
            )
        )
    return frames


def _sealed_events(frame: Frame) -> int:
    dropped: dict[str, int] = frame.counters["dropped"]
    return int(frame.counters["emitted"]) - sum(dropped.values())

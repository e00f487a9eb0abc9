"""A dead letter, before it is written."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DeadLetter"]


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """What could not be stored, and why.

    kind: "input" (a reader rejected it), "delta" (a metric's that makes no sense), "frame" (undecodable), "conflict"
    (another frame stands under its seq), "corrupt" (changed on the way), "stale" (its mark may have expired), "poison"
    (it killed the drain).
    """

    created: int
    kind: str
    lane: str
    seq: int
    ordinal: int
    reason: str
    raw: bytes
    source: str = ""
    line: int = 0

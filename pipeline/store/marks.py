"""Marks: what a partition remembers of a lane, so that each frame is applied once.

`low` says every seq up to it is applied; `above` holds the applied seqs beyond a gap. A producer keeps at
most 256 frames unreleased, so `above` is as narrow. Pure: the segment stores marks in the transaction that
writes the rows.

Conservation is checked a lane at a time. Every frame carries `through`: the events its producer had put in
frames up to and with this one (emitted - dropped). While nothing is lost or doubled, `through` of the frame
at `low` equals `accounted`, the sum of the counts of the frames that were applied up to `low`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

from monitoring.pipeline.bus.frame import Frame

__all__ = ["STALE_SECONDS", "WINDOW", "Applied", "Mark", "Verdict"]

WINDOW = 256
"""Frames a producer may hold unreleased; an applied seq lies at most this far beyond `low`."""
RECENT = 8
"""Digests kept at and below `low`, to tell a replay from another frame that claims a recent seq."""
STALE_SECONDS = 7 * 86_400
"""Marks are kept 8 days after their last frame; a day less, and a frame without a mark cannot be told from new."""

_APPLIED = struct.Struct("<q8sIq")

Verdict = Literal["new", "seen", "conflict", "ahead", "stale"]


class Applied(NamedTuple):
    """An applied seq: the head of its digest, how many events it had, and its `through`."""

    digest: bytes
    events: int
    through: int


@dataclass(slots=True)
class Mark:
    """State of one lane in one partition.

    `missing` counts events that their producer released and this store does not have (it was restored from a
    backup). `born` is when the lane was first seen, nanoseconds: what is a week older than that is stale.
    """

    born: int
    low: int = 0
    through: int = 0
    accounted: int = 0
    missing: int = 0
    above: dict[int, Applied] = field(default_factory=dict)
    recent: dict[int, Applied] = field(default_factory=dict)
    committed: int = 0
    dead_lettered: int = 0
    emitted: int = 0
    dropped: dict[str, int] = field(default_factory=dict)

    @property
    def residual(self) -> int:
        """Events that the producer counts up to `low` and the store does not; 0 unless something is wrong."""
        return self.through - self.accounted

    def verdict(self, frame: Frame) -> Verdict:
        """What to do with a frame; changes nothing.

        new: apply it. seen: it is applied. conflict: another frame was applied under its seq.
        ahead: it is further beyond `low` than any producer sends; leave it where it is.
        stale: it was sealed so long before the lane became known here that an earlier mark may have expired.
        """
        low = max(self.low, frame.released_below - 1)
        if frame.created < self.born - STALE_SECONDS * 1_000_000_000:
            return "stale"
        if frame.seq > low + WINDOW:
            return "ahead"
        if frame.seq > self.low and frame.seq not in self.above:
            return "new"
        known = self.above.get(frame.seq) or self.recent.get(frame.seq)
        return "conflict" if known is not None and known.digest != _head(frame) else "seen"

    def copy(self) -> Mark:
        """A mark that can be changed without changing this one."""
        return replace(self, above=dict(self.above), recent=dict(self.recent), dropped=dict(self.dropped))

    def apply(self, frame: Frame, *, committed: int, dead_lettered: int) -> None:
        """Remember a `new` frame; the numbers say what became of its events."""
        dropped = sum(frame.counters["dropped"].values())
        self._raise_low(frame.released_below - 1)
        self.above[frame.seq] = Applied(_head(frame), frame.count, frame.counters["emitted"] - dropped)
        self.committed += committed
        self.dead_lettered += dead_lettered
        if frame.counters["emitted"] >= self.emitted:
            self.emitted = frame.counters["emitted"]
            self.dropped = dict(frame.counters["dropped"])
        self._advance()

    def _raise_low(self, low: int) -> None:
        """Give up waiting for seqs that the producer has released: they are in a store that we do not have."""
        while self.low < low:
            nearest = min((seq for seq in self.above if seq <= low), default=low)
            if nearest in self.above:
                self._skip_to(nearest)
            else:
                self.low = low
                self.recent.clear()
                self.through = -1  # unknown until the next frame in order tells
        self._advance()

    def _advance(self) -> None:
        while self.low + 1 in self.above:
            self._skip_to(self.low + 1)

    def _skip_to(self, seq: int) -> None:
        applied = self.above.pop(seq)
        before = applied.through - applied.events
        if seq != self.low + 1 or self.through < 0:
            self.missing += max(0, before - self.accounted)
            self.accounted = max(self.accounted, before)
        self.low = seq
        self.through = applied.through
        self.accounted += applied.events
        self.recent[seq] = applied
        while len(self.recent) > RECENT:
            del self.recent[next(iter(self.recent))]

    def window(self) -> bytes:
        """`above` and `recent` as bytes."""
        known = {**self.recent, **self.above}
        return b"".join(_APPLIED.pack(seq, *applied) for seq, applied in sorted(known.items()))

    @classmethod
    def restore(cls, window: bytes, **values: Any) -> Mark:
        """A mark from its columns."""
        mark = cls(**values)
        for seq, digest, count, through in _APPLIED.iter_unpack(window):
            (mark.above if seq > mark.low else mark.recent)[seq] = Applied(digest, count, through)
        return mark


def _head(frame: Frame) -> bytes:
    return bytes.fromhex(frame.digest[:16])

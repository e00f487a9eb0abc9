"""A lane: one producer's sequence of frames for one partition, and what it remembers of each until it is committed.

Pure: no I/O, no clock, no randomness. Time, ids and bytes come in as arguments, decisions go out.

    sealed      1 ... low | low+1 ... loaded_to | loaded_to+1 ... next_seq-1
                released  | the window, held    | the tail: stored elsewhere (a spool), not held

Only the window is sent. It begins behind the watermark and is at most 256 frames long, which is what the
store's marks can tell apart out of order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from monitoring.pipeline.bus.frame import Frame, encode_payload
from monitoring.pipeline.bus.frame import seal as seal_frame
from monitoring.pipeline.events.event import Rejected
from monitoring.pipeline.events.signals import SIGNALS, Row

__all__ = ["REPLAY_AFTER_SECONDS", "RETAINED_FRAMES", "Doubt", "Lane"]

RETAINED_FRAMES = 256
"""Frames sent and not committed: the width of the bitmap that the store's marks keep behind `low`."""
REPLAY_AFTER_SECONDS = 5.0
"""A frame is not suspected before this age: a healthy drain commits within one second, a slow one within five."""


class Doubt(NamedTuple):
    """The oldest frame has been waiting for too long. `entry_id` None: whether it arrived is not known.

    With an id, look whether the stream still shows it: if so, say `seen`; else send the frame again.
    Without one, send it again.
    """

    frame: Frame
    entry_id: str | None


class _Held:
    """A frame of the window; `sent_at` is None until this process has sent it."""

    __slots__ = ("entry_id", "frame", "sent_at")

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.entry_id: str | None = None
        self.sent_at: float | None = None


class Lane:
    """One sequence of frames, each kept from its sealing until the store has committed it.

    Guarantees: seqs are 1, 2, 3, ... without gaps; a sealed frame never changes; no frame is forgotten that
    `committed` has not covered; at most 256 are held; `released_below` of a frame is the lowest seq not known
    to be committed when it was sealed.

    `lane` is 32 hex digits. `partition` may be unknown while the bus has not been reached; `place` fixes it,
    once, before anything is sent.
    """

    def __init__(self, lane: str, signal: str, partition: int | None = None) -> None:
        self.lane = lane
        self.signal = signal
        self.partition = partition
        self.next_seq = 1
        self.low = 0
        self.overtaken = False
        self.emitted = 0
        self.dropped: dict[str, int] = {}
        self.held_bytes = 0
        self._held: dict[int, _Held] = {}
        self._loaded_to = 0
        self._next_send = 1
        self._sent_to = 0

    def __repr__(self) -> str:
        return f"<Lane {self.lane} {self.signal}:{self.partition} low={self.low} next_seq={self.next_seq}>"

    @property
    def held(self) -> int:
        """Frames in the window."""
        return len(self._held)

    @property
    def tail(self) -> int:
        """Sealed frames behind the window, which are not held."""
        return self.next_seq - 1 - self._loaded_to

    @property
    def loaded_to(self) -> int:
        """The newest seq of the window, or `low` where it is empty."""
        return self._loaded_to

    @property
    def room(self) -> int:
        """How many more frames the window takes."""
        return RETAINED_FRAMES - len(self._held)

    @property
    def released_below(self) -> int:
        """Every seq below this one is committed and forgotten."""
        return self.low + 1

    @property
    def idle(self) -> bool:
        """Whether every sealed frame is committed."""
        return self.low >= self.next_seq - 1

    def place(self, partition: int) -> None:
        """Fix the partition. Raises ValueError if it was another one."""
        if self.partition not in (None, partition):
            raise ValueError(f"lane {self.lane} belongs to partition {self.partition}, not {partition}")
        self.partition = partition

    # sealing

    def draft(self, payload: bytes, count: int, now_ns: int, dropped: Mapping[str, int] | None = None) -> Frame:
        """The next frame, not yet part of the lane: the same call gives the same frame until `retain`.

        `count` is the payload's events, rejected ones included; `dropped` what was lost by reason since the
        frame before. Raises ValueError for a lane that must not be continued (`overtaken`).
        """
        if self.overtaken:
            raise ValueError(f"lane {self.lane} is further in the store than here: open a new lane")
        total = dict(self.dropped)
        for reason, number in (dropped or {}).items():
            total[reason] = total.get(reason, 0) + number
        return seal_frame(
            lane=self.lane,
            seq=self.next_seq,
            released_below=self.released_below,
            signal=self.signal,
            count=count,
            created=now_ns,
            counters={"emitted": self.sealed_events + count + sum(total.values()), "dropped": total},
            payload=payload,
        )

    def retain(self, frame: Frame, *, hold: bool = True) -> None:
        """Make the draft part of the lane; `hold` False where it is stored elsewhere and joins the tail.

        Raises ValueError where it is not the next one, or is to be held and the window has no place for it.
        """
        if frame.lane != self.lane or frame.seq != self.next_seq:
            raise ValueError(f"frame {frame.lane}/{frame.seq} does not follow {self.lane}/{self.next_seq - 1}")
        if hold and (self.tail or self.room <= 0):
            raise ValueError(f"lane {self.lane} holds {self.held} frames and {self.tail} wait behind them")
        self.next_seq += 1
        self._count(frame)
        if hold:
            self._hold(frame)

    def seal(
        self,
        rows: Sequence[Row],
        rejected: Sequence[Rejected] = (),
        *,
        now_ns: int,
        dropped: Mapping[str, int] | None = None,
    ) -> Frame:
        """Encode, draft and retain. Raises TypeError where a text holds lone surrogates; else as those do."""
        payload = encode_payload(rows, rejected, SIGNALS[self.signal])
        frame = self.draft(payload, len(rows) + len(rejected), now_ns, dropped)
        self.retain(frame)
        return frame

    def note_dropped(self, dropped: Mapping[str, int]) -> None:
        """Count losses that no frame is going to tell soon; the next frame tells them."""
        for reason, number in dropped.items():
            self.dropped[reason] = self.dropped.get(reason, 0) + number
            self.emitted += number

    @property
    def sealed_events(self) -> int:
        """Events in all frames from 1 to the last."""
        return self.emitted - sum(self.dropped.values())

    def _count(self, frame: Frame) -> None:
        self.emitted = int(frame.counters["emitted"])
        self.dropped = dict(frame.counters["dropped"])

    # what was there before

    def resume(self, low: int, last: Frame | None) -> None:
        """Continue a lane of an earlier life: committed up to `low`, `last` the newest frame that was stored.

        Nothing is held yet; `load` brings the frames in. They may have been sent, their ids are unknown:
        they are sent again under their old seqs, and the store skips what it has.
        """
        if self.next_seq != 1:
            raise ValueError(f"lane {self.lane} is in use already")
        if last is not None:
            self._count(last)
        self.next_seq = max(low, last.seq if last else 0) + 1
        self._sent_to = self.next_seq - 1
        self.low = self._loaded_to = low
        self._next_send = low + 1

    def restore(self, frames: Sequence[Frame]) -> None:
        """`resume` and `load` with all the frames that were not known to be committed, at most 256."""
        if frames:
            self.resume(frames[0].seq - 1, frames[-1])
            self.load(frames)

    def load(self, frames: Iterable[Frame]) -> None:
        """Bring the next frames of the tail into the window. Raises ValueError for any others, or too many."""
        for frame in frames:
            if frame.lane != self.lane or frame.seq != self._loaded_to + 1 or not self.tail or self.room <= 0:
                raise ValueError(f"frame {frame.lane}/{frame.seq} is not the next of {self.lane}/{self._loaded_to}")
            self._hold(frame)

    def _hold(self, frame: Frame) -> None:
        self._held[frame.seq] = _Held(frame)
        self._loaded_to = frame.seq
        self.held_bytes += len(frame.payload)

    # sending

    def unsent(self, max_frames: int, max_bytes: int) -> list[Frame]:
        """The next frames to send for the first time, in order; at least one if there is one."""
        frames: list[Frame] = []
        size = 0
        for seq in range(self._next_send, min(self._next_send + max_frames, self._loaded_to + 1)):
            frame = self._held[seq].frame
            size += len(frame.payload)
            if frames and size > max_bytes:
                break
            frames.append(frame)
        return frames

    def sent(self, seq: int, entry_id: str | None, at: float) -> None:
        """The frame went out at `at` (seconds of any steady clock); `entry_id` None: its reply was lost."""
        self._sent_to = max(self._sent_to, seq)
        self._next_send = max(self._next_send, seq + 1)
        held = self._held.get(seq)
        if held is not None:
            held.entry_id = entry_id
            held.sent_at = at

    def on_bus(self, seq: int) -> bool:
        """Whether every frame up to this seq is known to be on the bus or committed."""
        if seq > self._loaded_to:
            return False
        return all(self._held[number].entry_id is not None for number in range(self.low + 1, seq + 1))

    def committed(self, low: int) -> list[Frame]:
        """The store has every seq up to `low`. Returns the frames released by that, in order.

        A watermark beyond everything that was ever sent means that the lane lives elsewhere too (a copied
        spool, a restored disk): nothing unsent is released, and the lane becomes `overtaken`.
        """
        if low > self._sent_to:
            self.overtaken = True
            low = self._sent_to
        if low <= self.low:
            return []
        released = [self._held.pop(seq).frame for seq in range(self.low + 1, min(low, self._loaded_to) + 1)]
        self.held_bytes -= sum(len(frame.payload) for frame in released)
        self.low = low
        self._loaded_to = max(self._loaded_to, low)
        self._next_send = max(self._next_send, low + 1)
        return released

    def doubt(self, now: float) -> Doubt | None:
        """Whether the oldest frame, and only that one, has to be looked after: see Doubt.

        A slow drain must not bring forth a storm of replays, so a frame that is not the oldest waits for its
        turn, and one that the stream still shows waits for the drain.
        """
        held = self._held.get(self.low + 1)
        if held is None or held.sent_at is None or now - held.sent_at < REPLAY_AFTER_SECONDS:
            return None
        return Doubt(held.frame, held.entry_id)

    def seen(self, seq: int, at: float) -> None:
        """The stream still shows the frame: ask again in five seconds."""
        held = self._held.get(seq)
        if held is not None:
            held.sent_at = at

    def facts(self) -> dict[str, Any]:
        """The lane's figures for its report: seqs `sealed` and `committed`, events `emitted`, `dropped`."""
        return {
            "emitted": self.emitted,
            "dropped": dict(self.dropped),
            "sealed": self.next_seq - 1,
            "committed": self.low,
        }

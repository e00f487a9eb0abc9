"""The memory between `emit` and the frames: bounded by count and bytes, and it never makes the caller wait.

    emit -> incoming -> take -> frames          ordinary days: one append, one pop
             |
             +-> ranks: debug | info | warning  once it is 70 % full: sorted, so that the least is shed first

The common path takes no lock: `deque.append`, and an integer added between two points where the interpreter
may switch threads (so nothing is called inside an addition below). A signal handler or a finalizer that logs in
the middle of another log call can therefore not deadlock. Everything else is under one reentrant lock.

Only log events come one by one (`add`) and have ranks. Rows of other signals come in batches (`add_all`), which are
kept whole.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from monitoring.pipeline.events.event import MAX_EVENT_BYTES, Event, Rejected
from monitoring.pipeline.events.signals import LOGS, Row, Signal

__all__ = ["BASE_BYTES", "Batch", "Buffer", "Mark", "Tally", "text_bytes"]

BASE_BYTES = 100
"""What the short columns of a usual event (ids, logger, host) hold; only the three long ones are measured. A delta's
short columns are shared by all: this stands for its tuple."""
_INFO, _WARNING = 9, 13
_SHARES = (0.7, 0.85, 1.0)
"""Part of the bounds open to debug, to info, and to warning and above: the last 15 % are for trouble alone."""
_LARGE = MAX_EVENT_BYTES // 4
"""Fewer code points than this are surely fewer bytes than an event may have."""
_NEVER = 1 << 62
_Item = TypeVar("_Item")


class Batch(NamedTuple):
    """What is sealed next, rows of the signal. Give `text_bytes` of it back with `settle` once it is sealed."""

    events: list[Any]
    rejected: list[Rejected]


class Mark(NamedTuple):
    """A point in time: everything buffered before it has left once each rank has let so many go."""

    gone: tuple[int, ...]


class Tally(NamedTuple):
    """Rows offered so far: sealed in frames, still waiting, dropped by reason."""

    sealed: int
    waiting: int
    dropped: dict[str, int]


def text_bytes(rows: Sequence[tuple[Any, ...]], rejected: Sequence[Rejected] = (), signal: Signal = LOGS) -> int:
    """The estimate that the buffer's byte bound goes by."""
    one, two, three = signal.long
    return sum([len(row[one]) + len(row[two]) + len(row[three]) + BASE_BYTES for row in rows]) + sum(
        _rejected_bytes(item) for item in rejected
    )


def _rejected_bytes(item: Rejected) -> int:
    return len(item.raw) + len(item.source) + len(item.reason)


def _long_bytes(event: Event) -> int:
    long = (event[7], event[11], event[12])
    return sum(len(str(text).encode(errors="surrogatepass")) for text in long)  # str: whatever the caller put there


def _rank(event: Event) -> int:
    level: object = event[1]  # whatever the caller put there
    if not isinstance(level, int) or level < _INFO:
        return 0
    return 2 if level >= _WARNING else 1


def _popped(queue: deque[_Item], number: int) -> Iterator[_Item]:
    """The first `number` of the queue, fewer where a signal handler that logs comes in between."""
    pop = queue.popleft
    try:
        for _ in range(number):
            yield pop()
    except IndexError:
        return


class Buffer:
    """Events waiting to be sealed. Thread-safe; made anew after a fork.

    `max_bytes` bounds the estimate of `text_bytes`. With `shed` an event that finds its share used up drives
    out the oldest of a lower rank, else is dropped itself; both are counted by reason in `dropped`. Without
    `shed` nothing that was accepted is ever driven out, and `add` answers False uncounted.

    `wake` is called, from `add`, when more events wait than `arm` asked for; it must not block.
    """

    __slots__ = (
        "_append",
        "_dropped",
        "_evict",
        "_in_hand",
        "_incoming",
        "_limits",
        "_lock",
        "_open_bytes",
        "_open_count",
        "_out",
        "_ranks",
        "_rejected",
        "_rejected_out",
        "_signal",
        "_sorted",
        "_taken",
        "_used_bytes",
        "_wake",
        "_wake_at",
        "max_bytes",
        "max_events",
    )

    def __init__(
        self,
        max_events: int,
        max_bytes: int,
        wake: Callable[[], object],
        *,
        shed: bool = True,
        signal: Signal = LOGS,
    ) -> None:
        self.max_events = max_events
        self.max_bytes = max_bytes
        self._signal = signal
        self._dropped: dict[str, int] = {}
        shares = _SHARES if shed and signal.sheds else (1.0, 1.0, 1.0)
        self._evict = shed and signal.sheds
        self._limits = [(int(max_events * share), int(max_bytes * share)) for share in shares]
        self._open_count, self._open_bytes = self._limits[0]
        self._lock = threading.RLock()
        self._incoming: deque[Any] = deque()
        self._append = self._incoming.append
        self._ranks: tuple[deque[Any], ...] = (deque(), deque(), deque())
        self._rejected: deque[Rejected] = deque()
        self._out = [0, 0, 0]
        self._rejected_out = 0
        self._sorted = 0
        self._taken = 0
        self._in_hand = 0
        self._used_bytes = 0
        self._wake = wake
        self._wake_at = _NEVER

    # the caller's side

    def add(self, event: Event) -> bool:
        """Keep the log event. False where it was dropped; never raises, never waits."""
        try:
            size = len(event[7]) + len(event[11]) + len(event[12]) + BASE_BYTES  # message, exception, attributes
        except (TypeError, IndexError):
            return self._refuse("invalid")
        if len(self._incoming) >= self._open_count or self._used_bytes > self._open_bytes or size > _LARGE:
            return self._add_near_the_cap(event, size)
        self._used_bytes += size
        self._append(event)
        if len(self._incoming) > self._wake_at:
            self._rouse()
        return True

    def add_rejected(self, item: Rejected) -> bool:
        """Keep an input that could not be understood, like an event of the highest rank."""
        size = _rejected_bytes(item)
        with self._lock:
            if not self._make_room(2, size):
                return self._refuse("buffer_full")
            self._used_bytes += size
            self._rejected.append(item)
            self._open_count -= 1
            self._rouse()
        return True

    def add_all(self, rows: Sequence[Row], rejected: Sequence[Rejected] = (), *, alone: bool = False) -> bool:
        """Keep all of them or, where they do not fit, none; nothing is driven out for them, nothing counted.

        `alone`: while nothing waits, take them even if they are more than the bounds.
        """
        size = text_bytes(rows, rejected, self._signal)
        with self._lock:
            many = len(rows) + len(rejected)
            fits = self.count + many <= self.max_events and self._used_bytes + size <= self.max_bytes
            if not fits and (self.count or not alone):
                return False
            self._used_bytes += size
            self._incoming.extend(rows)
            self._rejected.extend(rejected)
            number = len(rejected)
            self._open_count -= number
            self._rouse()
        return True

    def inherit(self, other: Buffer) -> None:
        """In a forked child: add copies of what waits in the parent's buffer, whose lock may be locked for ever."""
        for event in (*other._ranks[2], *other._ranks[1], *other._ranks[0], *other._incoming):
            self.add(event)
        for item in other._rejected:
            self.add_rejected(item)

    def _drop(self, reason: str, number: int = 1) -> None:
        with self._lock:
            self._dropped[reason] = self._dropped.get(reason, 0) + number

    def refuse(self, reason: str, number: int) -> None:
        """Count events that were never taken in."""
        self._drop(reason, number)

    def _refuse(self, reason: str) -> bool:
        if self._evict or reason != "buffer_full":
            self._drop(reason)
        return False

    def _add_near_the_cap(self, event: Event, size: int) -> bool:
        if size > _LARGE and _long_bytes(event) > MAX_EVENT_BYTES:
            return self._refuse("too_large")
        with self._lock:
            if not self._make_room(_rank(event), size):
                return self._refuse("buffer_full")
            self._used_bytes += size
            self._incoming.append(event)
            self._rouse()
        return True

    def _make_room(self, rank: int, size: int) -> bool:
        """Whether one more of this rank fits, after driving out lower ranks if need be."""
        max_events, max_bytes = self._limits[rank]
        if self.count < max_events and self._used_bytes + size <= max_bytes:
            return True
        if not self._evict or size > max_bytes:
            return False
        self._sort()
        while self.count >= max_events or self._used_bytes + size > max_bytes:
            lower = next((index for index in range(rank) if self._ranks[index]), None)
            if lower is None:
                return False
            self._drive_out(lower)
        return True

    def _drive_out(self, rank: int) -> None:
        try:
            event = self._ranks[rank].popleft()
        except IndexError:  # a signal handler that logged came first
            return
        self._out[rank] += 1
        self._sorted -= 1
        self._open_count += 1
        size = text_bytes((event,))
        self._used_bytes -= size
        self._drop("shed")

    def _sort(self) -> None:
        """Move what has come in to its rank."""
        for event in _popped(self._incoming, len(self._incoming)):
            self._ranks[_rank(event)].append(event)
            self._sorted += 1
            self._open_count -= 1

    def _rouse(self) -> None:
        if self.count > self._wake_at:
            self._wake_at = _NEVER
            self._wake()

    # the flusher's side

    @property
    def count(self) -> int:
        """Events and rejected input that wait."""
        return len(self._incoming) + self._sorted + len(self._rejected)

    @property
    def used_bytes(self) -> int:
        """The estimate of what is held, batches in hand included."""
        return self._used_bytes

    def arm(self, more_than: int) -> bool:
        """Call `wake` once, when more than this many wait. True where they do already (it is not called then)."""
        self._wake_at = more_than
        if self.count > more_than:
            self._wake_at = _NEVER
            return True
        return False

    def take(self, max_events: int) -> Batch:
        """The next ones to seal, the important ones first where there is a backlog. Empty where none wait."""
        with self._lock:
            rejected = list(_popped(self._rejected, max_events))
            number = len(rejected)
            self._rejected_out += number
            self._open_count += number
            wanted = max_events - number
            events = self._take_ranked(wanted) if self._sorted else list(_popped(self._incoming, wanted))
            number += len(events)
            self._taken += number
            self._in_hand += number
        return Batch(events, rejected)

    def _take_ranked(self, wanted: int) -> list[Any]:
        self._sort()
        events: list[Any] = []
        for rank in (2, 1, 0):
            some = list(_popped(self._ranks[rank], wanted - len(events)))
            events += some
            self._out[rank] += len(some)
        number = len(events)
        self._sorted -= number
        self._open_count += number
        return events

    def settle(self, batch: Batch, size_bytes: int, dropped: Mapping[str, int]) -> None:
        """Give back the room of a batch that was taken and sealed, except what was `dropped` in doing so.

        `size_bytes` is its `text_bytes`.
        """
        number = len(batch.events) + len(batch.rejected)
        with self._lock:
            self._in_hand -= number
            self._used_bytes -= size_bytes
            for reason, number in dropped.items():
                self._taken -= number
                self._drop(reason, number)
            if not self._in_hand and not self.count:
                self._used_bytes = 0  # an addition lost to a thread switch does not add up for ever

    def lose(self, reason: str, number: int) -> None:
        """Count events as dropped that had been sealed."""
        with self._lock:
            self._taken -= number
            self._drop(reason, number)

    def mark(self) -> Mark:
        """A mark behind everything that waits now."""
        with self._lock:
            self._sort()
            lengths = (*map(len, self._ranks), len(self._rejected))
            gone = (*self._out, self._rejected_out)
            return Mark(tuple(left + length for left, length in zip(gone, lengths, strict=True)))

    def passed(self, mark: Mark) -> bool:
        """Whether everything that waited at the mark was taken or dropped."""
        with self._lock:
            gone = (*self._out, self._rejected_out)
            return all(left >= target for left, target in zip(gone, mark.gone, strict=True))

    def tally(self) -> Tally:
        """All that was ever offered, by what became of it, at one moment."""
        with self._lock:
            return Tally(self._taken - self._in_hand, self.count + self._in_hand, dict(self._dropped))

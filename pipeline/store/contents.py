"""The contents of a segment: what differs from signal to signal.

A segment itself knows leases, marks, dead letters and suspects, which are the same for all. Its contents know the
tables of one signal: how the rows of a frame are understood, written, counted again and compacted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol, Self

import apsw

from monitoring.pipeline.bus.frame import Frame, Payload
from monitoring.pipeline.store.letter import DeadLetter

__all__ = ["Contents", "Extent", "StoredRows", "Understood", "rejected_letters"]


class StoredRows(Protocol):
    """Rows that are ready to be written, of a signal's own form."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice) -> Self:
        """Some of them."""
        ...

    def extend(self, other: Any) -> None:
        """Put the rows of another, of the same form, behind these."""
        ...


class Understood(NamedTuple):
    """What a frame's payload comes to: as many rows and letters together as the frame announces.

    `kept` are the places in the payload that the rows had.
    """

    rows: StoredRows
    letters: list[DeadLetter]
    kept: Sequence[int]


class Extent(NamedTuple):
    """How far rows go, as the head row says it: first and last id, and `max_spill`."""

    first: int
    last: int
    spill: int = 0


class Contents(Protocol):
    """The tables of one signal in one segment. `schema` is the SQL that makes them.

    What is remembered of the file is read from it when first needed; `forget` drops it, as after a failed commit.
    """

    schema: ClassVar[str]

    def __init__(self, connection: apsw.Connection) -> None: ...

    def set_memory(self, *, large: bool) -> None:
        """Spend memory on large batches, or give it back."""
        ...

    def untidy(self, now_ns: int) -> bool:
        """Whether there is work for `tidy`."""
        ...

    def tidy(self, now_ns: int) -> None:
        """Do a bounded piece of the work that makes reading faster, within a transaction of the caller's."""
        ...

    def forget(self) -> None:
        """Drop what is remembered of the file."""
        ...

    def empty(self) -> StoredRows:
        """No rows."""
        ...

    def understand(self, frame: Frame, payload: Payload, now_ns: int) -> Understood:
        """A frame's rows, and letters of this time for what cannot be stored. Writes nothing."""
        ...

    def insert(self, rows: Any) -> Extent | None:
        """Write rows of `understand`, within a transaction of the caller's; None where there are none."""
        ...

    @staticmethod
    def carried(connection: apsw.Connection, oldest_ns: int) -> Iterator[tuple[str, list[tuple[Any, ...]]]]:
        """What the next segment must know of this one, sealed, as far as it was seen since `oldest_ns`.

        As statements, each with the rows that it is executed for in the new file.
        """
        ...

    @staticmethod
    def disagreements(connection: apsw.Connection, rows: int, extent: tuple[int | None, int | None]) -> Iterator[str]:
        """What the tables say otherwise than the head row with so many rows and this first and last id."""
        ...

    @staticmethod
    def received_since(connection: apsw.Connection, minute_ns: int) -> int:
        """Rows from this minute on, by their own time, counted from a roll-up."""
        ...

    @staticmethod
    def compact(connection: apsw.Connection, stopped: Callable[[], bool]) -> bool:
        """Compact a sealed segment's tables; False where `stopped` said so first."""
        ...


def rejected_letters(frame: Frame, payload: Payload, now_ns: int) -> list[DeadLetter]:
    """Letters for what the producer itself could not understand."""
    return [
        DeadLetter(now_ns, "input", frame.lane, frame.seq, ordinal, item.reason, item.raw, item.source, item.line)
        for ordinal, item in enumerate(payload.rejected)
    ]

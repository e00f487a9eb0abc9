"""Cumulative totals made into increments, with what was seen last kept in the segment.

A total is that of one sequence: a series, a process that counts into it (`stream`) and the moment it began (`start`).
So a restart, which begins anew, is another sequence and needs no guess; two processes that count into the same series
do not disturb each other. What is seen last of a sequence is changed in the transaction that adds its increment, goes
along at roll-over, and is forgotten with the marks, 8 days after it was last seen.

| the point is                                         | what is gained                                             |
|------------------------------------------------------|------------------------------------------------------------|
| of a sequence that is known, later and not smaller   | the difference, since the point before                     |
| later and smaller                                    | all of it, since the point before: it was reset in between |
| not later than the last                              | nothing: it was repeated, or overtaken ("passed")          |
| the first, its start known                           | all of it, since the start                                 |
| the first, its start not known, or the point itself  | nothing: what follows counts from it                       |
| the first, its start longer ago than is remembered   | nothing: it may have been counted and forgotten            |

The last three rows follow OpenTelemetry's data model ("Cumulative streams: inserting true reset points", "Resets and
gaps": a start equal to the time is an unknown one).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Any, Literal, NamedTuple

import apsw
import orjson

from monitoring.pipeline.store.deltas import Buckets, Family, Number, Total
from monitoring.pipeline.store.marks import STALE_SECONDS

__all__ = ["SCHEMA", "Counted", "Gain", "Sequences", "Stand", "carried", "counted", "gain_of"]

SCHEMA = """
CREATE TABLE IF NOT EXISTS cumulative(
  key BLOB PRIMARY KEY, at INTEGER NOT NULL, value NOT NULL, counts TEXT, seen INTEGER NOT NULL) WITHOUT ROWID;
"""
_COPY = "INSERT INTO cumulative VALUES(?, ?, ?, ?, ?)"
_KEY_BYTES = 16
_REMEMBERED_NS = STALE_SECONDS * 1_000_000_000
"""A sequence is kept for 8 days after its last point; a day less, and one that is not there is surely new."""

Reason = Literal["rise", "reset", "passed", "first", "base", "forgotten"]


class Counted(NamedTuple):
    """A cumulative point of the sequence with this key, start and receipt in nanoseconds."""

    key: bytes
    start: int
    received: int
    value: Number | Buckets


class Stand(NamedTuple):
    """How a sequence stood when it was seen last, nanoseconds."""

    at: int
    value: Number | Buckets


class Gain(NamedTuple):
    """What a point adds, since when; `value` is None where it adds nothing."""

    reason: Reason
    since: int
    value: Number | Buckets | None


def counted(total: Total, family: Family, labels: str, origin: tuple[str, ...], received_ns: int) -> Counted:
    """The point with its key, which does not depend on the segment's numbers."""
    parts = (family.name, family.kind, family.bounds, labels, origin, total.stream, total.start)
    key = hashlib.blake2b(orjson.dumps(parts), digest_size=_KEY_BYTES).digest()
    return Counted(key, total.start, received_ns, total.value)


def gain_of(stand: Stand | None, at: int, point: Counted) -> Gain:
    """What the point adds to how its sequence stood; None: it is the first. Pure, see the table above."""
    value = point.value
    if stand is None:
        if not 0 < point.start < at:
            return Gain("base", at, None)
        if point.start < point.received - _REMEMBERED_NS:
            return Gain("forgotten", at, None)
        return Gain("first", point.start, value)
    if at <= stand.at:
        return Gain("passed", at, None)
    if isinstance(value, Buckets):
        difference: Number | Buckets | None = _rise(stand.value, value)
    else:
        before = stand.value
        difference = None if isinstance(before, Buckets) or value < before else value - before
    return Gain("reset", stand.at, value) if difference is None else Gain("rise", stand.at, difference)


def _rise(before: Number | Buckets, after: Buckets) -> Buckets | None:
    """What a histogram gained; None where it counts less than before.

    A single bucket may fall while all together rise, where an exponential histogram became coarser on its way: its
    observations are then in a higher bucket. What is gained up to each bound never falls with the bound, and all of
    it together is what the count gained.
    """
    if not isinstance(before, Buckets) or sum(after.counts) < sum(before.counts):
        return None
    counts = [new - old for new, old in zip(after.counts, before.counts, strict=True)]
    if min(counts) < 0:
        whole = sum(counts)
        below = [min(max(0, one), whole) for one in accumulate(accumulate(counts), max)]
        counts = [one - other for one, other in zip(below, [0, *below[:-1]], strict=True)]
    return Buckets(after.sum - before.sum, counts)


class Sequences:
    """The sequences of a segment, within one transaction of the caller's."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._stands: dict[bytes, Stand | None] = {}
        self._changed: dict[bytes, int] = {}

    def gain(self, at: int, point: Counted) -> Gain:
        """What a point of this time adds. Points of a sequence come in order of time."""
        key = point.key
        if key not in self._stands:
            self._stands[key] = self._read(key)
        found = gain_of(self._stands[key], at, point)
        if found.reason != "passed":
            self._stands[key] = Stand(at, point.value)
        self._changed[key] = point.received
        return found

    def _read(self, key: bytes) -> Stand | None:
        row = self._connection.execute("SELECT at, value, counts FROM cumulative WHERE key = ?", (key,)).get
        if row is None:
            return None
        at, value, counts = row
        return Stand(at, value if counts is None else Buckets(value, orjson.loads(counts)))

    def write(self) -> None:
        """Write how they stand now."""
        self._connection.executemany("INSERT OR REPLACE INTO cumulative VALUES(?, ?, ?, ?, ?)", self._rows())

    def _rows(self) -> Iterable[tuple[Any, ...]]:
        for key, received in sorted(self._changed.items()):
            stand = self._stands[key]
            if stand is None:
                raise AssertionError("a sequence that was met stands somewhere")
            if isinstance(stand.value, Buckets):
                yield key, stand.at, stand.value.sum, orjson.dumps(stand.value.counts).decode(), received
            else:
                yield key, stand.at, stand.value, None, received


def carried(connection: apsw.Connection, oldest_ns: int) -> Iterator[tuple[str, list[tuple[Any, ...]]]]:
    """See Contents."""
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'cumulative'").get:
        yield _COPY, list(connection.execute("SELECT * FROM cumulative WHERE seen >= ?", (oldest_ns,)))

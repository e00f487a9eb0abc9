"""The outbox: a lane whose spool is two tables in a segment of logs.

Increments are sealed into frames in the transaction that stores the events they were gathered from, so both are there
or neither. Frames stay until the metric store has committed them, and go along at roll-over, as marks do; whoever
drains the partition sends them under their lane and seqs, and the metric store's marks see to it that each counts once.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import apsw

from monitoring.pipeline.bus.frame import Frame, encode_payload, iter_records, seal
from monitoring.pipeline.events.delta import Delta
from monitoring.pipeline.events.signals import METRICS

__all__ = ["SCHEMA", "Outbox", "Position", "carried"]

SCHEMA = """
CREATE TABLE IF NOT EXISTS derived_lane(
  one INTEGER PRIMARY KEY CHECK(one = 1), lane TEXT NOT NULL, seq INTEGER NOT NULL, emitted INTEGER NOT NULL,
  sealed INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS derived_frame(seq INTEGER PRIMARY KEY, record BLOB NOT NULL);
"""
_FRAME_DELTAS = 500
_FRAME_BYTES = 1 << 20
"""Most of a frame: what the SDK sends at a time, far below what a frame may be."""
_QUIET_NS = 86_400 * 1_000_000_000
"""A lane that had nothing to send for a day ends: the metric store forgets a lane after eight."""


class Position(NamedTuple):
    """The lane that is in use, its newest seq, the deltas in all its frames, and when the newest was sealed."""

    lane: str
    seq: int
    emitted: int
    sealed: int


class Outbox:
    """The outbox of one segment, open for writing. What changes it runs in a transaction of the caller's."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    @property
    def there(self) -> bool:
        """Whether this file ever had anything to send."""
        found = self._connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'derived_lane'").get
        return bool(found and self.position is not None)

    @property
    def position(self) -> Position | None:
        """Where the lane stands; None before its first frame."""
        row = self._connection.execute("SELECT lane, seq, emitted, sealed FROM derived_lane").get
        return Position(*row) if row else None

    @property
    def oldest(self) -> int | None:
        """The oldest seq that is kept; None where all are committed."""
        found: int | None = self._connection.execute("SELECT min(seq) FROM derived_frame").get
        return found

    def put(self, deltas: Sequence[Delta], now_ns: int) -> None:
        """Seal deltas into frames and keep them."""
        self._connection.execute(SCHEMA)
        position = self.position
        oldest = self.oldest
        if position is None or (oldest is None and now_ns - position.sealed > _QUIET_NS):
            position = Position(uuid.uuid4().hex, 0, 0, now_ns)
        for portion in _portions(deltas):
            position = Position(position.lane, position.seq + 1, position.emitted + len(portion), now_ns)
            oldest = position.seq if oldest is None else oldest
            self._insert(_sealed(position, encode_payload(portion, (), METRICS), len(portion), oldest))
        self._connection.execute("INSERT OR REPLACE INTO derived_lane VALUES(1, ?, ?, ?, ?)", position)

    def after(self, seq: int, limit: int) -> list[Frame]:
        """The kept frames behind this seq, in order, at most so many."""
        query = "SELECT record FROM derived_frame WHERE seq > ? ORDER BY seq LIMIT ?"
        return [_read(record) for (record,) in self._connection.execute(query, (seq, limit))]

    def newest(self) -> Frame | None:
        """The newest frame that is kept."""
        record = self._connection.execute("SELECT record FROM derived_frame ORDER BY seq DESC LIMIT 1").get
        return _read(record) if record else None

    def release(self, lane: str, low: int) -> None:
        """Forget the frames up to this seq, which are committed, if the lane is still this one."""
        position = self.position
        if position is not None and position.lane == lane:
            self._connection.execute("DELETE FROM derived_frame WHERE seq <= ?", (low,))

    def renew(self, lane: str, low: int) -> None:
        """Forget the frames up to this seq and put the others on a lane of their own, if the lane is still this one.

        For a lane that is further in the metric store than here, as after a backup was restored: what is sealed since
        has seqs that are taken there.
        """
        position = self.position
        if position is None or position.lane != lane:
            return
        frames = self.after(low, -1)
        self._connection.execute("DELETE FROM derived_frame")
        position = Position(uuid.uuid4().hex, 0, 0, position.sealed)
        for frame in frames:
            position = Position(position.lane, position.seq + 1, position.emitted + frame.count, frame.created)
            self._insert(_sealed(position, frame.payload, frame.count, 1))
        self._connection.execute("INSERT OR REPLACE INTO derived_lane VALUES(1, ?, ?, ?, ?)", position)

    def _insert(self, frame: Frame) -> None:
        self._connection.execute("INSERT INTO derived_frame VALUES(?, ?)", (frame.seq, frame.to_record()))


def carried(connection: apsw.Connection) -> Iterator[tuple[str, list[tuple[Any, ...]]]]:
    """What the next segment must know of this outbox. See Contents."""
    if Outbox(connection).there:
        yield "INSERT INTO derived_lane VALUES(?, ?, ?, ?, ?)", list(connection.execute("SELECT * FROM derived_lane"))
        yield "INSERT INTO derived_frame VALUES(?, ?)", list(connection.execute("SELECT * FROM derived_frame"))


def _portions(deltas: Sequence[Delta]) -> Iterator[list[Delta]]:
    portion: list[Delta] = []
    size = 0
    for delta in deltas:
        grows = len(delta.labels) + len(delta.value) + len(delta.family)
        if portion and (len(portion) >= _FRAME_DELTAS or size + grows > _FRAME_BYTES):
            yield portion
            portion, size = [], 0
        portion.append(delta)
        size += grows
    if portion:
        yield portion


def _sealed(position: Position, payload: bytes, count: int, oldest: int) -> Frame:
    return seal(
        lane=position.lane, seq=position.seq, released_below=oldest, signal=METRICS.name, count=count,
        created=position.sealed, counters={"emitted": position.emitted, "dropped": {}}, payload=payload,
    )  # fmt: skip


def _read(record: bytes) -> Frame:
    return next(iter_records(record))[0]

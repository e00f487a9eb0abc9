"""Promises: work that may be asked for twice and must be done once.

It is recorded here before it is done: the time that its frames carry (and under an Idempotency-Key their lane
and partition) follows from the record, so whoever repeats the work after a crash seals the very same frames
and the store's marks absorb them. The result is added when the work is safe.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from monitoring.pipeline.clock import NowNs, wall_ns
from monitoring.pipeline.store.control import Control

__all__ = ["KEEP_NS", "Promise", "Promises", "Replay", "Replays"]

KEEP_NS = 24 * 3600 * 10**9
"""How long a value stands for one request; afterwards it may be used for another."""
_FORGET_NS = 9 * 24 * 3600 * 10**9
"""Marks are kept 8 days. A value that is used again before then must get another lane than the first time,
or its frames would look like changed copies of the old ones."""
_PURGE_ROWS = 100
"""Purged a claim: more than a claim adds, so the table shrinks, and few enough not to be felt."""
_LANES = uuid.UUID("6f0e8f0a-5d43-4d0a-8a53-6c1b8c0f0b7e")


@dataclass(frozen=True, slots=True)
class Promise:
    """One record. `created` is nanoseconds; `result` is what was answered, None while it is not known."""

    lane: str
    digest: bytes
    created: int
    partition: int
    result: bytes | None


class Promises:
    """What was answered under Idempotency-Keys. `scope` is the API key's id, `value` what its owner sent."""

    def __init__(self, control: Control, *, now_ns: NowNs = wall_ns) -> None:
        self._control = control
        self._now_ns = now_ns

    def claim(self, scope: str, value: str, digest: bytes, partitions: int) -> Promise:
        """The record of this value, made and fsynced if there is none of the last 24 h.

        The caller compares the digest: another one means that the value was used for another request.
        """
        now = self._now_ns()
        with self._control.transaction() as connection:
            found = connection.execute(
                "SELECT generation, digest, created, partition, result FROM promise WHERE scope = ? AND value = ?",
                (scope, value),
            ).get
            if found is not None and found[2] > now - KEEP_NS:
                return Promise(lane(scope, value, found[0]), *found[1:])
            connection.execute(
                "DELETE FROM promise WHERE (scope, value) IN "
                "(SELECT scope, value FROM promise WHERE created < ? ORDER BY created LIMIT ?)",
                (now - _FORGET_NS, _PURGE_ROWS),
            )
            generation = 0 if found is None else found[0] + 1
            fresh = lane(scope, value, generation)
            partition = int(fresh, 16) % partitions
            connection.execute(
                "INSERT OR REPLACE INTO promise(scope, value, generation, digest, created, partition) "
                "VALUES(?,?,?,?,?,?)",
                (scope, value, generation, digest, now, partition),
            )
        return Promise(fresh, digest, now, partition, None)

    def keep(self, scope: str, value: str, result: bytes) -> None:
        """Record what was answered; the first answer stays."""
        with self._control.transaction() as connection:
            connection.execute(
                "UPDATE promise SET result = coalesce(result, ?) WHERE scope = ? AND value = ?",
                (result, scope, value),
            )

    def find(self, scope: str, value: str) -> Promise | None:
        """The record of this value whatever its age, or None."""
        rows = self._control.rows(
            "SELECT generation, digest, created, partition, result FROM promise WHERE scope = ? AND value = ?",
            scope,
            value,
        )
        return Promise(lane(scope, value, rows[0][0]), *rows[0][1:]) if rows else None


def lane(scope: str, value: str, generation: int) -> str:
    """UUID5 of scope and value; each later use of an old value has another."""
    suffix = f"\n{generation}" if generation else ""
    return uuid.uuid5(uuid.uuid5(_LANES, scope), value + suffix).hex


@dataclass(frozen=True, slots=True)
class Replay:
    """A dead letter that was sent again. `created` is nanoseconds; `events` is None until they are stored."""

    created: int
    events: int | None


class Replays:
    """Which dead letters were sent again; kept for good, so that a letter is never stored twice."""

    def __init__(self, control: Control, *, now_ns: NowNs = wall_ns) -> None:
        self._control = control
        self._now_ns = now_ns

    def begin(self, letter: str) -> Replay:
        """The record of this letter, made and fsynced if there is none."""
        with self._control.transaction() as connection:
            connection.execute("INSERT OR IGNORE INTO replay(letter, created) VALUES(?, ?)", (letter, self._now_ns()))
            return Replay(*connection.execute("SELECT created, events FROM replay WHERE letter = ?", (letter,)).get)

    def finish(self, letter: str, events: int) -> None:
        """Record that its events are stored."""
        with self._control.transaction() as connection:
            connection.execute("UPDATE replay SET events = ? WHERE letter = ?", (events, letter))

    def done(self) -> set[str]:
        """Letters whose events are stored."""
        return {letter for (letter,) in self._control.rows("SELECT letter FROM replay WHERE events IS NOT NULL")}

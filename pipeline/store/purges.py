"""Purges that were asked for over HTTP: kept in control.db until maintenance has done them.

The query may be what has to go, a leaked secret say. So it is kept only as long as it is needed, and what the audit
log and the list of purges know of it afterwards is its SHA-256: enough to tell whether this was the one.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import orjson

from monitoring.pipeline.clock import NowNs, rfc3339, wall_ns
from monitoring.pipeline.query.ranges import EARLIEST, LATEST
from monitoring.pipeline.store.control import Control
from monitoring.pipeline.store.purge import Purged, Wanted

__all__ = ["Purges", "Request", "traces"]

_KEPT = 100
"""Requests that the list shows: a purge is rare, the audit log has them all."""


def traces(wanted: Wanted) -> dict[str, Any]:
    """What may be written down of what was to go: not the query itself."""
    return {
        "query_sha256": hashlib.sha256(wanted.query.encode()).hexdigest(),
        "start": None if wanted.start_ns == EARLIEST else rfc3339(wanted.start_ns),
        "end": None if wanted.end_ns == LATEST else rfc3339(wanted.end_ns),
    }


@dataclass(frozen=True, slots=True)
class Request:
    """A purge that was asked for. `state` is waiting | done | failed; times in nanoseconds since 1970."""

    id: int
    actor: str
    created: int
    state: str
    ended: int | None
    result: dict[str, Any]
    wanted: Wanted | None

    def describe(self) -> dict[str, Any]:
        """As JSON members, without the query."""
        return {
            "id": self.id,
            "actor": self.actor,
            "created": rfc3339(self.created),
            "state": self.state,
            "ended": None if self.ended is None else rfc3339(self.ended),
            **self.result,
        }


class Purges:
    """The requests in a control.db."""

    def __init__(self, control: Control, *, now_ns: NowNs = wall_ns) -> None:
        self._control = control
        self._now_ns = now_ns

    def add(self, wanted: Wanted, actor: str) -> Request:
        """Ask for a purge; fsynced."""
        with self._control.transaction() as connection:
            number = connection.execute(
                "INSERT INTO purge(actor, created, query, start, end, result) VALUES(?,?,?,?,?,?) RETURNING id",
                (actor, self._now_ns(), wanted.query, wanted.start_ns, wanted.end_ns, orjson.dumps(traces(wanted))),
            ).get
        return next(request for request in self.all() if request.id == number)

    def waiting(self) -> list[Request]:
        """What is still to do, the oldest first."""
        return self._find("state = 'waiting' ORDER BY id")

    def all(self) -> list[Request]:
        """The newest requests first."""
        return self._find(f"1 ORDER BY id DESC LIMIT {_KEPT}")

    def note(self, request: Request, done: Purged) -> dict[str, Any]:
        """Add what was done to a request: done, or still waiting for the rest. What is known of it now."""
        before = request.result
        result = {
            **before,
            "events": before.get("events", 0) + done.events,
            "dead_letters": before.get("dead_letters", 0) + done.letters,
            "waiting": done.waiting,
        }
        self._end(request, "done" if done.complete else "waiting", result)
        return result

    def fail(self, request: Request, error: Exception) -> None:
        """Give a request up, for a reason that does not pass."""
        self._end(request, "failed", {**request.result, "error": str(error)})

    def _end(self, request: Request, state: str, result: dict[str, Any]) -> None:
        over = state != "waiting"
        with self._control.transaction() as connection:
            connection.execute("PRAGMA secure_delete = 1").fetchall()  # the query must not survive in a free page
            connection.execute(
                "UPDATE purge SET state = ?, ended = ?, query = iif(?, NULL, query), result = ? WHERE id = ?",
                (state, self._now_ns() if over else None, over, orjson.dumps(result), request.id),
            )
        if over:  # the log of control.db holds the query too; who reads just now keeps it until the next checkpoint
            self._control.rows("PRAGMA wal_checkpoint(TRUNCATE)")

    def _find(self, where: str) -> list[Request]:
        rows = self._control.rows(
            f"SELECT id, actor, created, state, ended, result, query, start, end FROM purge WHERE {where}"  # noqa: S608 - own words
        )
        return [
            Request(
                number, actor, created, state, ended, orjson.loads(result),
                None if query is None else Wanted(query, start, end),
            )
            for number, actor, created, state, ended, result, query, start, end in rows
        ]  # fmt: skip

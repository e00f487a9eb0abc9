"""The outbox: notices that must be delivered, in control.db, written in the transaction that caused them.

    waiting -> sent | failed | dropped            (a notice; `failed` and `dropped` say why in `error`)

Notices are delivered as messages. A message is made of the waiting notices of one channel and grouping, when the
first of them has waited for company, and is never recomposed after that: tried again after a crash it has the same
id, which goes out as its idempotency key, and the same content. A grouping has one open message at a time, so what
is said of an alert arrives in order. Whoever delivers a message holds a lease on its channel, which takes one at a
time; when its holder is dead, the message is taken again as soon as the lease has run out.

Guarantee: a notice is delivered at least once, or ends as `failed` or `dropped`; twice only under the same id.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import apsw

from monitoring.pipeline.clock import DAY_NS, NowNs, rfc3339, wall_ns
from monitoring.pipeline.store.control import Control

__all__ = ["GROUP_WAIT_NS", "LEASE_NS", "Entry", "Message", "Notice", "Outbox", "deliveries", "put"]

_SECOND_NS = 1_000_000_000
GROUP_WAIT_NS = 2 * _SECOND_NS
"""How long the first notice of a group waits for others: what one evaluation finds is put within milliseconds, and
what one cause does to several rules shows within their next turns."""
LEASE_NS = 8 * _SECOND_NS
"""As that of a partition; renewed every second or two. So late is a message when its worker was killed."""
MOST_NOTICES = 200
"""Of one message: a storm of thousands becomes tens of messages, and what the largest carries stays below 1 MiB."""
LONGEST_WAIT_NS = 3600 * _SECOND_NS
"""Neither a backoff nor what a far end asks for is longer: after that it is worth a look."""
MOST_EARLIER = 10
"""Earlier messages that one refers to: mail programs need the first of a thread and the last."""
KEPT_NS = 30 * DAY_NS
"""How long ended notices are kept to be looked at: as long as the logs they belong to."""
STATES = ("waiting", "sent", "failed", "dropped")
_CLOCK_STEP_NS = 5 * _SECOND_NS
"""What was put so far in the future was put before the wall clock was set back, and is due."""
_PLAIN = re.compile(r"[\x21-\x7e]{1,200}")


class Notice(NamedTuple):
    """What somebody must be told. Times are nanoseconds since 1970.

    `key` is stable over all tries, `event` is firing | resolved | escalated | acknowledged | undeliverable | test,
    `body` the alert as JSON; notices of one channel with the same `grouping` may become one message, "" stays alone.
    """

    key: str
    channel: str
    event: str
    grouping: str
    body: bytes
    due: int


class Message(NamedTuple):
    """Notices that are told together: what is sent, retried and timed out as one.

    `created` is when its oldest notice was put, `attempts` counts this one, `progress` is what the last try left.
    `earlier` are the ids of messages that told this channel of the same alerts before, the oldest first.
    """

    id: str
    channel: str
    notices: tuple[Notice, ...]
    created: int
    attempts: int
    progress: str
    earlier: tuple[str, ...] = ()


class Entry(NamedTuple):
    """A notice as it stands: what has become of it, and what the far end said."""

    key: str
    channel: str
    event: str
    created: int
    due: int
    attempts: int
    state: str
    error: str
    ended: int | None
    reply: str


def put(connection: apsw.Connection, notices: Iterable[Notice], now_ns: int) -> None:
    """Add notices within the caller's transaction; a key that is there already stays as it is."""
    connection.executemany(
        "INSERT OR IGNORE INTO outbox(key, channel, event, grouping, body, created, due) VALUES(?,?,?,?,?,?,?)",
        [(*notice[:5], now_ns, notice.due) for notice in notices],
    )


def deliveries(control: Control, alert: str) -> dict[int, list[dict[str, Any]]]:
    """What has become of the notices of an alert, as JSON members, by the number of their entry in its history."""
    rows = control.rows(f"{_ENTRY} WHERE o.key >= ?1 || ':' AND o.key < ?1 || ';' ORDER BY o.channel", alert)
    found: dict[int, list[dict[str, Any]]] = {}
    for entry in (Entry(*row) for row in rows):
        number = entry.key.split(":")[1]
        if number.isdecimal():
            found.setdefault(int(number), []).append({
                "channel": entry.channel, "state": entry.state, "attempts": entry.attempts,
                "at": rfc3339(entry.ended) if entry.ended is not None else None, "said": entry.reply or entry.error,
            })  # fmt: skip
    return found


class Outbox:
    """The delivering side. Safe between threads; several processes may deliver at the same time."""

    def __init__(self, control: Control, *, now_ns: NowNs = wall_ns) -> None:
        self._control, self._now_ns = control, now_ns

    def due_at(self) -> int | None:
        """When something is to be done next, nanoseconds since 1970; None where nothing waits."""
        now = self._now_ns()
        ((message_due, group_due),) = self._control.rows(_DUE, **_bounds(now))
        found = [due for due in (message_due, group_due) if due is not None]
        return min(found) if found else None

    def counts(self) -> dict[str, int]:
        """How many notices are in each state: all that wait, and what ended within `KEPT_NS`."""
        found = dict(self._control.rows("SELECT state, count(*) FROM outbox GROUP BY state"))
        return {state: int(found.get(state, 0)) for state in STATES}

    def claim(self, most: int, pace: Callable[[str], float]) -> list[Message]:
        """Take up to `most` due messages, the oldest of each channel that is free; these channels are leased.

        `pace(channel)` is how many messages a minute the channel takes. Each taken message counts as a try.
        """
        now = self._now_ns()
        with self._control.transaction() as connection:
            _compose(connection, now)
            taken, found = set[str](), list[Message]()
            rows: list[Any] = connection.execute(_OPEN, _bounds(now)).fetchall()
            for identity, channel, created, attempts, progress in rows:
                if channel not in taken and len(found) < most:
                    taken.add(channel)
                    if _spend(connection, channel, pace(channel), now):
                        found.append(_take(connection, identity, channel, created, attempts + 1, progress))
        return found

    def renew(self, channels: Iterable[str]) -> None:
        """Keep the leases of channels in which a delivery goes on."""
        until = self._now_ns() + LEASE_NS
        with self._control.transaction() as connection:
            connection.executemany(
                "UPDATE pace SET leased = ? WHERE channel = ?", [(until, channel) for channel in channels]
            )

    def retry(self, identity: str, error: str, wait_ns: int, *, progress: str = "", pause: bool = False) -> None:
        """The delivery failed and is due again after `wait_ns`; with `pause` the whole channel waits so long."""
        due = self._now_ns() + wait_ns
        with self._control.transaction() as connection:
            connection.execute(
                "UPDATE message SET due = ?, progress = ? WHERE id = ? AND ended IS NULL",
                (due, progress, identity),
            )
            connection.execute(f"UPDATE outbox SET due = ?, error = ? WHERE {_PARTS}", (due, error, identity))  # noqa: S608 - a constant
            connection.execute(
                "UPDATE pace SET leased = 0, resume = max(resume, ?) WHERE channel ="
                " (SELECT channel FROM message WHERE id = ?)",
                (due if pause else 0, identity),
            )

    def sent(self, identity: str, reply: str) -> None:
        """The far end has taken it, and said `reply`."""
        self._end(identity, "sent", "", reply)

    def fail(self, identity: str, error: str) -> None:
        """It cannot be delivered, for good: its notices are `failed`."""
        self._end(identity, "failed", error, error)

    def drop(self, identity: str, reason: str) -> None:
        """It is not wanted any more."""
        self._end(identity, "dropped", reason, reason)

    def find(self, key: str) -> Entry | None:
        """A notice by its key."""
        found = self._control.rows(f"{_ENTRY} WHERE o.key = ?", key)
        return Entry(*found[0]) if found else None

    def overdue_ns(self) -> int:
        """For how long the oldest waiting notice has been there without having been told."""
        ((oldest,),) = self._control.rows("SELECT min(created) FROM outbox WHERE state = 'waiting'")
        return 0 if oldest is None else max(0, self._now_ns() - oldest)

    def prune(self) -> None:
        """Forget what ended long ago."""
        before = self._now_ns() - KEPT_NS
        if not self._control.rows("SELECT 1 FROM outbox WHERE ended < ? LIMIT 1", before):
            return
        with self._control.transaction() as connection:
            connection.execute("DELETE FROM part WHERE key IN (SELECT key FROM outbox WHERE ended < ?)", (before,))
            connection.execute("DELETE FROM outbox WHERE ended < ?", (before,))
            connection.execute("DELETE FROM message WHERE ended < ?", (before,))

    def _end(self, identity: str, state: str, error: str, reply: str) -> None:
        now = self._now_ns()
        with self._control.transaction() as connection:
            connection.execute(
                f"UPDATE outbox SET state = ?, error = ?, ended = ? WHERE {_PARTS}",  # noqa: S608 - a constant
                (state, error, now, identity),
            )
            connection.execute(
                "UPDATE message SET ended = ?, reply = ? WHERE id = ? AND ended IS NULL", (now, reply, identity)
            )
            connection.execute(
                "UPDATE pace SET leased = 0 WHERE channel = (SELECT channel FROM message WHERE id = ?)", (identity,)
            )


_PARTS = "state = 'waiting' AND key IN (SELECT key FROM part WHERE message = ?)"
_ENTRY = (
    "SELECT o.key, o.channel, o.event, o.created, o.due, o.attempts, o.state, o.error, o.ended, coalesce(m.reply, '')"
    " FROM outbox o LEFT JOIN part p ON p.key = o.key LEFT JOIN message m ON m.id = p.message"
)
_FREE = """
    state = 'waiting' AND key NOT IN (SELECT key FROM part)
    AND NOT EXISTS (SELECT 1 FROM message m WHERE m.ended IS NULL AND o.grouping <> ''
                    AND m.channel = o.channel AND m.grouping = o.grouping)
"""
"""Notices that are in no message and whose grouping has none open."""
_RIPE = f"min(CASE WHEN created > :clock THEN 0 ELSE due + CASE grouping WHEN '' THEN 0 ELSE {GROUP_WAIT_NS} END END)"
_OPEN_DUE = """
    max(CASE WHEN m.created > :clock OR m.due > :wait THEN 0 ELSE m.due END,
        CASE WHEN p.leased IS NULL OR p.leased > :lease THEN 0 ELSE p.leased END,
        CASE WHEN p.resume IS NULL OR p.resume > :wait THEN 0 ELSE p.resume END)
"""
"""When an open message may be tried. Times further ahead than any can be are of a wall clock that was set back."""
_OPEN_MESSAGES = "FROM message m LEFT JOIN pace p ON p.channel = m.channel WHERE m.ended IS NULL"
_DUE = f"SELECT (SELECT min({_OPEN_DUE}) {_OPEN_MESSAGES}), (SELECT {_RIPE} FROM outbox o WHERE {_FREE})"  # noqa: S608 - constants
_OPEN = f"""
    SELECT m.id, m.channel, m.created, m.attempts, m.progress {_OPEN_MESSAGES} AND {_OPEN_DUE} <= :now
    ORDER BY m.created, m.id
"""


def _bounds(now: int) -> dict[str, int]:
    """This time, and those beyond which `created`, `due` and `resume`, and `leased` cannot honestly lie."""
    return {"now": now, "clock": now + _CLOCK_STEP_NS, "wait": now + LONGEST_WAIT_NS, "lease": now + LEASE_NS}


def _compose(connection: apsw.Connection, now: int) -> None:
    """Make messages of the notices whose group has waited long enough."""
    ripe = connection.execute(
        f"SELECT channel, grouping FROM outbox o WHERE {_FREE} GROUP BY channel, grouping HAVING {_RIPE} <= :now",  # noqa: S608 - constants
        _bounds(now),
    ).fetchall()
    for channel, grouping in ripe:
        rows: list[Any] = connection.execute(
            "SELECT key, created FROM outbox WHERE state = 'waiting' AND channel = ? AND grouping = ?"
            " AND key NOT IN (SELECT key FROM part) AND (due <= ? OR created > ?) ORDER BY created, key LIMIT ?",
            (channel, grouping, now, now + _CLOCK_STEP_NS, MOST_NOTICES),
        ).fetchall()
        together = [rows] if grouping else [[row] for row in rows]
        for group in together:
            keys = [key for key, _ in group]
            identity = message_id(keys)
            connection.execute(
                "INSERT INTO message(id, channel, grouping, created, due) VALUES(?, ?, ?, ?, ?)",
                (identity, channel, grouping, group[0][1], now),
            )
            connection.executemany("INSERT INTO part VALUES(?, ?)", [(key, identity) for key in keys])


def message_id(keys: list[str]) -> str:
    """The id of the message with these notices: a lone notice's own key, where that may stand in a header."""
    if len(keys) == 1 and _PLAIN.fullmatch(keys[0]):
        return keys[0]
    return "group:" + hashlib.sha256("\n".join(keys).encode()).hexdigest()[:32]


def _spend(connection: apsw.Connection, channel: str, per_minute: float, now: int) -> bool:
    """Take a token out of the channel's bucket, which holds a minute's; False, and a time to come back, if empty."""
    found = connection.execute("SELECT tokens, at FROM pace WHERE channel = ?", (channel,)).fetchone()
    tokens, at = found or (per_minute, now)
    tokens = min(per_minute, tokens + max(0, now - at) * per_minute / 60e9)
    enough = tokens >= 1
    resume, leased = (0, now + LEASE_NS) if enough else (now + int((1 - tokens) * 60e9 / per_minute), 0)
    connection.execute(
        "INSERT OR REPLACE INTO pace VALUES(?, ?, ?, ?, ?)",
        (channel, tokens - 1 if enough else tokens, now, resume, leased),
    )
    return enough


def _take(
    connection: apsw.Connection, identity: str, channel: str, created: int, attempts: int, progress: str
) -> Message:
    connection.execute("UPDATE message SET attempts = ? WHERE id = ?", (attempts, identity))
    connection.execute(f"UPDATE outbox SET attempts = ? WHERE {_PARTS}", (attempts, identity))  # noqa: S608 - a constant
    rows: list[tuple[Any, ...]] = connection.execute(
        "SELECT key, channel, event, grouping, body, due FROM outbox WHERE key IN"
        " (SELECT key FROM part WHERE message = ?) ORDER BY created, key",
        (identity,),
    ).fetchall()
    notices = tuple(Notice(*row) for row in rows)
    earlier = _earlier(connection, identity, channel, notices)
    return Message(identity, channel, notices, created, attempts, progress, earlier)


def _earlier(
    connection: apsw.Connection, identity: str, channel: str, notices: tuple[Notice, ...]
) -> tuple[str, ...]:  # fmt: skip
    """Messages made before this one with notices of the same alerts, which their keys begin with."""
    found: dict[int, str] = {}
    for alert in list(dict.fromkeys(notice.key.partition(":")[0] for notice in notices))[:MOST_EARLIER]:
        rows: list[Any] = connection.execute(
            "SELECT DISTINCT m.rowid, m.id FROM part p JOIN message m ON m.id = p.message"
            " WHERE p.key >= ?1 || ':' AND p.key < ?1 || ';' AND m.channel = ?2"
            " AND m.rowid < (SELECT rowid FROM message WHERE id = ?3) ORDER BY m.rowid DESC LIMIT ?4",
            (alert, channel, identity, MOST_EARLIER),
        ).fetchall()
        found |= dict(rows)
    return tuple(found[number] for number in sorted(found)[-MOST_EARLIER:])

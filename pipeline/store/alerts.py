"""The alerts of control.db with their history, and the one transaction in which an evaluation takes effect.

A transition, its line in the history and the notices it makes necessary are one commit: after a crash either all of
it is there or nothing, and then the rule is still due. The history only grows; the file refuses to change it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import apsw

from monitoring.pipeline.alerts import lifecycle, notice
from monitoring.pipeline.alerts.alert import OPEN, STATES, Alert, Entry
from monitoring.pipeline.alerts.rule import SEVERITIES, Rule
from monitoring.pipeline.alerts.telling import Told, tell_after
from monitoring.pipeline.clock import NowNs, rfc3339, wall_ns
from monitoring.pipeline.errors import PermanentError
from monitoring.pipeline.store.control import Control
from monitoring.pipeline.store.outbox import Notice, deliveries, put
from monitoring.pipeline.store.seen import forget

__all__ = ["MAX_ALERTS", "AlertMissing", "Alerts", "Rows", "Samples", "close_all", "firing", "latest_of", "write"]

MAX_ALERTS = 1000
"""Of one answer."""
LONGEST_COMMENT = 4000
Samples = Mapping[str, Sequence[Mapping[str, Any]]]
"""Log lines by fingerprint."""
Rows = Callable[[str, Sequence[Any]], Iterable[Sequence[Any]]]


class AlertMissing(PermanentError):
    """There is no alert of this id."""


class Alerts:
    """The alerts. Safe between threads and processes. `base_url` is where links lead."""

    def __init__(self, control: Control, *, base_url: str = "", now_ns: NowNs = wall_ns) -> None:
        self._control, self._base, self._now_ns = control, base_url, now_ns

    def all(self, states: Sequence[str] = OPEN, *, rule: str | None = None, limit: int = MAX_ALERTS) -> list[Alert]:
        """Alerts in one of these states, the newest first."""
        marks = ", ".join("?" * len(states))
        condition, more = ("", ()) if rule is None else (" AND rule = ?", (rule,))
        rows = self._control.rows(
            f"SELECT data FROM alert WHERE state IN ({marks}){condition} ORDER BY started DESC LIMIT ?",  # noqa: S608 - only marks
            *states, *more, limit,
        )  # fmt: skip
        return [Alert.from_json(data) for (data,) in rows]

    def counts(self) -> dict[str, int]:
        """How many are in each state."""
        found = dict(self._control.rows("SELECT state, count(*) FROM alert GROUP BY state"))
        return {state: int(found.get(state, 0)) for state in STATES}

    def summary(self) -> dict[str, Any]:
        """How many are active and acknowledged, and the worst severity among those; None where there are none."""
        sql = "SELECT state, severity, count(*) FROM alert WHERE state IN ('active', 'acknowledged') GROUP BY 1, 2"
        found = self._control.rows(sql)
        counts = {state: sum(row[2] for row in found if row[0] == state) for state in ("active", "acknowledged")}
        worst = max((row[1] for row in found), key=SEVERITIES.index, default=None)
        return {**counts, "worst": worst}

    def get(self, identity: str) -> Alert:
        """The one of this id. Raises AlertMissing."""
        rows = self._control.rows("SELECT data FROM alert WHERE id = ?", identity)
        if not rows:
            raise AlertMissing(f"id: there is no alert {identity}")
        return Alert.from_json(rows[0][0])

    def links(self, alert: Alert) -> dict[str, str]:
        """Addresses that belong to an alert."""
        rows = self._control.rows("SELECT data FROM rule WHERE name = ?", alert.rule)
        return notice.links(self._base, alert, _rule_of(rows[0][0] if rows else None, alert))

    def history(self, identity: str) -> list[dict[str, Any]]:
        """All that happened to an alert, the oldest first. Raises AlertMissing.

        A notification says what became of it in each channel, as long as the outbox remembers.
        """
        self.get(identity)
        became = deliveries(self._control, identity)
        rows = self._control.rows(
            "SELECT number, at, kind, before, after, actor, note, value FROM transition WHERE alert = ?"
            " ORDER BY number",
            identity,
        )
        return [
            {"number": number, "at": rfc3339(at), "kind": kind, "from": before or None, "to": after, "actor": actor,
             "note": note, "value": value, **({"deliveries": became.get(number, [])} if kind == "notification" else {})}
            for number, at, kind, before, after, actor, note, value in rows
        ]  # fmt: skip

    def acknowledge(self, identity: str, actor: str, comment: str = "") -> Alert:
        """Somebody takes care of it; who was told of it hears so. Raises AlertMissing, PermanentError."""
        return self._by_hand(identity, actor, comment, lifecycle.acknowledge)

    def resolve(self, identity: str, actor: str, comment: str = "") -> Alert:
        """Somebody says that it is over. Raises AlertMissing, PermanentError."""
        return self._by_hand(identity, actor, comment, lifecycle.resolve)

    def comment(self, identity: str, actor: str, text: str) -> Alert:
        """Add to the history. Raises AlertMissing, PermanentError."""

        def said(alert: Alert, actor: str, text: str, at: int) -> tuple[Alert, list[Entry]]:
            return alert, [Entry("comment", alert.state, alert.state, actor, text)]

        if not text.strip():
            raise PermanentError("comment: a text is needed")
        return self._by_hand(identity, actor, text, said)

    def _by_hand(self, identity: str, actor: str, comment: str, act: Callable[..., Any]) -> Alert:
        if len(comment) > LONGEST_COMMENT:
            raise PermanentError(f"comment: {LONGEST_COMMENT} characters at most")
        now = self._now_ns()
        with self._control.transaction() as connection:
            data = connection.execute("SELECT data FROM alert WHERE id = ?", (identity,)).get
            if data is None:
                raise AlertMissing(f"id: there is no alert {identity}")
            before = Alert.from_json(data)
            after, entries = act(before, actor, comment.strip(), now)
            told = tell_after(before, after, f"by {actor}")
            rule = _rule_of(connection.execute("SELECT data FROM rule WHERE name = ?", (after.rule,)).get, after)
            if rule.kind == "heartbeat" and before.open and not after.open:
                forget(connection, rule.name, [after.fingerprint])  # it counts again once it has come back
            return write(connection, before, told, entries, rule, now, self._base)


def write(
    connection: apsw.Connection, before: Alert | None, told: Told, entries: Sequence[Entry], rule: Rule, now: int,
    base_url: str, samples: Sequence[Mapping[str, Any]] = (),
) -> Alert:  # fmt: skip
    """Store an alert as it is now, with what its history gains and the notices, within the caller's transaction."""
    everything = [*entries, *told.entries]
    if told.alert == before and not everything:
        return told.alert
    found = notice.links(base_url, told.alert, rule)
    alert = notice.with_texts(told.alert, rule, found, samples) if samples or told.alert.open else told.alert
    alert = replace(alert, number=alert.number + len(everything))
    connection.execute(
        "INSERT OR REPLACE INTO alert VALUES(?, ?, ?, ?, ?, ?, ?)",
        (alert.id, alert.rule, alert.state, alert.severity, alert.started, alert.updated, alert.to_json()),
    )
    first = told.alert.number + 1
    connection.executemany(
        "INSERT INTO transition VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (alert.id, first + index, now, each.kind, each.before, each.after, each.actor, each.note, each.value)
            for index, each in enumerate(everything)
        ],
    )
    number = first + len(entries)
    for offset, telling in enumerate(told.tellings):
        text = notice.body(alert, telling.event, found, samples)
        put(
            connection,
            [
                Notice(f"{alert.id}:{number + offset}:{channel}", channel, telling.event, alert.rule, text, now)
                for channel in telling.channels
            ],
            now,
        )
    return alert


def latest_of(rows: Rows, rule: Rule, now: int) -> dict[str, Alert]:
    """By fingerprint: the open alert of each group of a rule, or the one that ended a short while ago.

    `rows` answers a reading statement: within a transaction its connection's, else the file's.
    """
    since = now - max(lifecycle.REOPEN_NS, rule.cooldown_seconds * 1_000_000_000)
    found = rows(
        "SELECT data FROM alert WHERE rule = ?1 AND (state <> 'resolved' OR updated >= ?2) ORDER BY started",
        (rule.name, since),
    )
    return {alert.fingerprint: alert for alert in _alerts(found)}


def close_all(connection: apsw.Connection, rule: str, actor: str, note: str, now: int, base_url: str = "") -> None:
    """End the open alerts of a rule that is gone or switched off, within the caller's transaction."""
    data = connection.execute("SELECT data FROM rule WHERE name = ?", (rule,)).get
    rows = connection.execute("SELECT data FROM alert WHERE rule = ? AND state <> 'resolved'", (rule,)).fetchall()
    for before in _alerts(rows):
        after, entries = lifecycle.close(before, actor, note, now)
        write(connection, before, tell_after(before, after, note), entries, _rule_of(data, after), now, base_url)


def _alerts(rows: Iterable[Sequence[Any]]) -> list[Alert]:
    return [Alert.from_json(data) for (data,) in rows]


def _rule_of(data: bytes | None, alert: Alert) -> Rule:
    """The alert's rule; what is left of it where it was removed."""
    return Rule.from_json(data) if data is not None else Rule(alert.rule, alert.kind, severity=alert.severity)


def firing(connection: apsw.Connection) -> list[Alert]:
    """All that are active or acknowledged."""
    return _alerts(connection.execute("SELECT data FROM alert WHERE state IN ('active', 'acknowledged')"))

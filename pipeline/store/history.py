"""How long the history of alerts and the audit log are kept: they only grow, and are bounded by age alone.

control.db refuses to delete an entry that is younger than 30 days, whoever asks through SQLite; what is older goes
when MONITORING_HISTORY_AGE says so, a bounded number of rows a transaction, so that nobody waits for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import apsw

from monitoring.pipeline.clock import DAY_NS, rfc3339
from monitoring.pipeline.store.audit import Audit
from monitoring.pipeline.store.control import Control

__all__ = ["Expired", "expire"]

_ROWS = 1000
"""A transaction: some milliseconds, in which others wait to write."""
_ALERTS = 100


class Expired(NamedTuple):
    """What went: entries of the audit log, alerts with their histories, silences."""

    audit: int = 0
    alerts: int = 0
    silences: int = 0


def expire(control: Control, age_seconds: float, *, now_ns: int, stopped: Callable[[], bool]) -> Expired:
    """Delete what is older. The audit log gets an entry that says how many of its entries went, once a day at most.

    An alert goes with its whole history when it has ended, and its newest entry is older; open ones keep theirs.
    """
    before = now_ns - int(age_seconds * 1e9)
    return Expired(
        _audit(control, before, now_ns, stopped),
        _in_batches(control, lambda connection: _some_alerts(connection, before), stopped),
        _in_batches(control, lambda connection: _some_silences(connection, before), stopped),
    )


def _audit(control: Control, before: int, now_ns: int, stopped: Callable[[], bool]) -> int:
    ((oldest,),) = control.rows("SELECT min(at) FROM audit")
    if oldest is None or oldest >= before - DAY_NS:
        return 0  # entries come all day: a line a day says which went, not one a minute
    gone = _in_batches(control, lambda connection: _some_entries(connection, before), stopped)
    if gone:
        Audit(control, now_ns=lambda: now_ns).record(
            None, "monitoring", "audit.expire", "MONITORING_HISTORY_AGE",
            after={"entries": gone, "before": rfc3339(before)},
        )  # fmt: skip
    return gone


def _in_batches(control: Control, some: Callable[[apsw.Connection], int], stopped: Callable[[], bool]) -> int:
    gone = 0
    while not stopped():
        with control.transaction() as connection:
            done = some(connection)
        gone += done
        if not done:
            break
    return gone


def _some_entries(connection: apsw.Connection, before: int) -> int:
    connection.execute(
        "DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE at < ? ORDER BY at LIMIT ?)", (before, _ROWS)
    )
    return connection.changes()


def _some_alerts(connection: apsw.Connection, before: int) -> int:
    rows = connection.execute(
        "SELECT id FROM alert WHERE state = 'resolved' AND updated < ?1 AND NOT EXISTS"
        " (SELECT 1 FROM transition WHERE alert = alert.id AND at >= ?1) LIMIT ?2",
        (before, _ALERTS),
    ).fetchall()
    connection.executemany("DELETE FROM transition WHERE alert = ?", rows)
    connection.executemany("DELETE FROM alert WHERE id = ?", rows)
    return len(rows)


def _some_silences(connection: apsw.Connection, before: int) -> int:
    connection.execute(
        "DELETE FROM silence WHERE id IN (SELECT id FROM silence WHERE ends < ? LIMIT ?)", (before, _ROWS)
    )
    return connection.changes()

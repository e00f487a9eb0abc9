"""Silences and maintenance windows of control.db."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import apsw
import orjson

from monitoring.pipeline.alerts.silence import Silence, matchers_of, shown
from monitoring.pipeline.alerts.window import Window, window_of
from monitoring.pipeline.clock import DAY_NS, NowNs, wall_ns
from monitoring.pipeline.errors import PermanentError
from monitoring.pipeline.store.control import Control
from monitoring.pipeline.store.matchers import Matcher

__all__ = ["Silences", "Windows", "silences_at", "windows_at"]

_LONGEST_NS = 366 * DAY_NS
_LONGEST_REASON = 1000
_MOST = 1000
_KEPT_NS = 30 * DAY_NS
"""How long an expired silence is still listed."""


class Silences:
    """The silences. Safe between threads and processes."""

    def __init__(self, control: Control, *, now_ns: NowNs = wall_ns) -> None:
        self._control, self._now_ns = control, now_ns

    def all(self) -> list[Silence]:
        """Those in force, to come, and expired in the last month, the newest first."""
        rows = self._control.rows(_SELECT + " WHERE ends > ? ORDER BY created DESC", self._now_ns() - _KEPT_NS)
        return [_silence(row) for row in rows]

    def get(self, identity: str) -> Silence | None:
        """The one of this id."""
        rows = self._control.rows(_SELECT + " WHERE id = ?", identity)
        return _silence(rows[0]) if rows else None

    def add(self, matchers: Sequence[Matcher], starts: int, ends: int, author: str, reason: str) -> Silence:
        """Silence alerts that match from one moment to another. Raises PermanentError."""
        now = self._now_ns()
        made = Silence(uuid.uuid4().hex[:12], tuple(matchers), starts, ends, author, reason.strip(), now)
        _check(made, now)
        with self._control.transaction() as connection:
            if connection.execute("SELECT count(*) FROM silence WHERE ends > ?", (now,)).get >= _MOST:
                raise PermanentError(f"matchers: {_MOST} silences are in force already; end one")
            connection.execute("INSERT INTO silence VALUES(?, ?, ?, ?, ?, ?, ?)", _row(made))
        return made

    def change(self, identity: str, matchers: Sequence[Matcher], ends: int, author: str, reason: str) -> Silence | None:
        """Change a silence that has not expired; None where there is none of this id. Raises PermanentError."""
        now, found = self._now_ns(), self.get(identity)
        if found is None:
            return None
        if found.ends <= now:
            raise PermanentError("id: the silence has expired; make another one")
        made = Silence(identity, tuple(matchers), found.starts, ends, author, reason.strip(), found.created)
        _check(made, now)
        with self._control.transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO silence VALUES(?, ?, ?, ?, ?, ?, ?)", _row(made))
        return made

    def expire(self, identity: str) -> Silence | None:
        """End it now; it stays listed. None where there is none of this id."""
        with self._control.transaction() as connection:
            connection.execute("UPDATE silence SET ends = min(ends, ?) WHERE id = ?", (self._now_ns(), identity))
        return self.get(identity)


class Windows:
    """The maintenance windows. Safe between threads and processes."""

    def __init__(self, control: Control) -> None:
        self._control = control

    def all(self) -> list[Window]:
        """All of them, by name."""
        return [_window(row) for row in self._control.rows("SELECT data, author FROM maintenance_window ORDER BY name")]

    def get(self, name: str) -> Window | None:
        """The one of this name."""
        rows = self._control.rows("SELECT data, author FROM maintenance_window WHERE name = ?", name)
        return _window(rows[0]) if rows else None

    def save(self, window: Window) -> Window:
        """Save a window, in place of what had its name. Raises PermanentError."""
        with self._control.transaction() as connection:
            query = "SELECT count(*) FROM maintenance_window WHERE name <> ?"
            if connection.execute(query, (window.name,)).get >= _MOST:
                raise PermanentError(f"name: there are {_MOST} windows already; remove one")
            connection.execute(
                "INSERT OR REPLACE INTO maintenance_window VALUES(?, ?, ?)",
                (window.name, orjson.dumps(window.members()), window.author),
            )
        return window

    def remove(self, name: str) -> Window | None:
        """Forget it; None where there is none of this name."""
        found = self.get(name)
        with self._control.transaction() as connection:
            connection.execute("DELETE FROM maintenance_window WHERE name = ?", (name,))
        return found


def silences_at(connection: apsw.Connection, now: int) -> list[Silence]:
    """The silences in force at a moment."""
    query = _SELECT + " WHERE starts <= ?1 AND ends > ?1"
    return [_silence(row) for row in connection.execute(query, (now,))]


def windows_at(connection: apsw.Connection, now: int) -> list[Window]:
    """The maintenance windows in force at a moment."""
    found = [_window(row) for row in connection.execute("SELECT data, author FROM maintenance_window")]
    return [window for window in found if window.active(now)]


_SELECT = "SELECT id, starts, ends, matchers, author, reason, created FROM silence"


def _silence(row: Sequence[Any]) -> Silence:
    identity, starts, ends, matchers, author, reason, created = row
    return Silence(identity, matchers_of(orjson.loads(matchers)), starts, ends, author, reason, created)


def _row(silence: Silence) -> tuple[Any, ...]:
    matchers = orjson.dumps(shown(silence.matchers))
    return (silence.id, silence.starts, silence.ends, matchers, silence.author, silence.reason, silence.created)


def _window(row: Sequence[Any]) -> Window:
    return window_of(orjson.loads(row[0]), row[1])


def _check(silence: Silence, now: int) -> None:
    if silence.ends <= max(now, silence.starts):
        raise PermanentError("ends_at: the silence would be over already; name a later moment")
    if silence.ends - now > _LONGEST_NS:
        raise PermanentError("ends_at: a silence lasts a year at most; switch the rule off instead")
    if not silence.reason or len(silence.reason) > _LONGEST_REASON:
        raise PermanentError(f"reason: say why, in up to {_LONGEST_REASON} characters")

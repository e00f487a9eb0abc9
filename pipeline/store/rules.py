"""The rules of control.db: who made each, when it is due, and how its last evaluation went."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import apsw

from monitoring.pipeline.alerts.rule import Rule
from monitoring.pipeline.clock import NowNs, rfc3339, wall_ns
from monitoring.pipeline.errors import PermanentError
from monitoring.pipeline.store import alerts
from monitoring.pipeline.store.control import Control

__all__ = ["CLAIM_NS", "MAX_RULES", "ReadOnlyRule", "RuleExists", "Rules", "Stored", "close", "drop", "next_due", "put"]

_SECOND = 1_000_000_000
CLAIM_NS = 60 * _SECOND
"""How long due rules belong to the worker that took them; one that died is followed after this. A job gives back what
it does not come to in 20 s."""
MAX_RULES = 5000
"""Five times what one worker evaluates in a minute."""
_SELECT = (
    "SELECT name, source, file, line, data, due, claim, status, note, evaluated, took_ms, groups, changed, changed_by"
    " FROM rule"
)
_CLOCK_STEP_NS = 2 * _SECOND
"""So far a clock may be set back without a rule being due for it."""
_DUE = (
    "CASE WHEN claimed_until > :now AND claimed_until <= :claims THEN claimed_until"
    " WHEN ifnull(evaluated, changed) > :ahead THEN 0 ELSE due END"
)
"""When a rule is due that nobody is at: at once where it was evaluated, or taken, under a clock that was ahead: else
nobody would hear of anything until the clock has come that far again."""


class RuleExists(PermanentError):
    """There is a rule of this name already."""


class ReadOnlyRule(PermanentError):
    """A rule comes from a file: it is changed there."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A rule with what is known of it. `source`: default | api | file; `status`: new | ok | pending | firing | stale |
    error. Times are nanoseconds since 1970."""

    rule: Rule
    source: str
    file: str
    line: int
    due: int
    claim: str
    status: str
    note: str
    evaluated: int | None
    took_ms: float | None
    groups: int
    changed: int
    changed_by: str

    def describe(self) -> dict[str, Any]:
        """As JSON members."""
        return {
            **self.rule.describe(),
            "source": self.source,
            "read_only": self.source == "file",
            **({"file": self.file, "line": self.line} if self.source == "file" else {}),
            "changed_at": rfc3339(self.changed),
            "changed_by": self.changed_by,
            "status": {
                "state": self.status if self.rule.enabled else "disabled",
                "note": self.note,
                "evaluated_at": rfc3339(self.evaluated) if self.evaluated is not None else None,
                "due_at": rfc3339(self.due) if self.rule.enabled else None,
                "took_ms": self.took_ms,
                "groups": self.groups,
            },
        }


class Rules:
    """The rules. Safe between threads and processes. `base_url` is where links in notices lead."""

    def __init__(self, control: Control, *, base_url: str = "", now_ns: NowNs = wall_ns) -> None:
        self._control, self._base, self._now_ns = control, base_url, now_ns

    def all(self) -> list[Stored]:
        """All of them, by name."""
        return [_stored(row) for row in self._control.rows(_SELECT + " ORDER BY name")]

    def get(self, name: str) -> Stored | None:
        """The one of this name."""
        rows = self._control.rows(_SELECT + " WHERE name = ?", name)
        return _stored(rows[0]) if rows else None

    def create(self, rule: Rule, actor: str) -> Stored:
        """Add a rule. Raises PermanentError where one has its name or there are too many."""
        with self._control.transaction() as connection:
            if _find(connection, rule.name) is not None:
                raise RuleExists(f"name: there is a rule {rule.name!r} already")
            if connection.execute("SELECT count(*) FROM rule").get >= MAX_RULES:
                raise PermanentError(f"name: there are {MAX_RULES} rules already; remove one")
            put(connection, rule, "api", actor, self._now_ns())
        return self._there(rule.name)

    def replace(self, name: str, rule: Rule, actor: str) -> Stored | None:
        """Put a rule in the place of one; None where there is none of the name. Raises ReadOnlyRule, PermanentError."""
        with self._control.transaction() as connection:
            found = _find(connection, name)
            if found is None:
                return None
            _writable(found)
            if rule.name != name:
                raise PermanentError("name: a rule keeps its name; create another one and remove this")
            if found.rule.enabled and not rule.enabled:
                close(connection, name, actor, f"the rule was switched off by {actor}", self._now_ns(), self._base)
            put(connection, rule, "api", actor, self._now_ns())
        return self._there(name)

    def enable(self, name: str, actor: str, *, enabled: bool) -> Stored | None:
        """Switch a rule on or off; off ends its alerts. None where there is none. Raises ReadOnlyRule."""
        found = self.get(name)
        return None if found is None else self.replace(name, replace(found.rule, enabled=enabled), actor)

    def remove(self, name: str, actor: str) -> Stored | None:
        """Remove a rule, which ends its alerts; None where there is none. Raises ReadOnlyRule."""
        with self._control.transaction() as connection:
            found = _find(connection, name)
            if found is None:
                return None
            _writable(found)
            drop(connection, name, actor, f"the rule was removed by {actor}", self._now_ns(), self._base)
        return found

    def add_defaults(self, rules: Iterable[Rule]) -> None:
        """Add the rules that come with the product, each once in the life of the data directory."""
        wanted = {rule.name: rule for rule in rules}
        known = {name for (name,) in self._control.rows("SELECT name FROM rule_default")}
        if known >= set(wanted):
            return
        with self._control.transaction() as connection:
            for name, rule in wanted.items():
                connection.execute("INSERT OR IGNORE INTO rule_default VALUES(?)", (name,))
                if connection.changes() and _find(connection, name) is None:
                    put(connection, rule, "default", "monitoring", self._now_ns())

    def claim(self, limit: int) -> list[Stored]:
        """Take up to so many due rules that nobody else has; they are this caller's for CLAIM_NS."""
        now, token = self._now_ns(), secrets.token_hex(8)
        with self._control.transaction() as connection:
            connection.execute(
                "UPDATE rule SET claim = :token, claimed_until = :until WHERE name IN (SELECT name FROM rule"  # noqa: S608 - a constant
                f" WHERE enabled AND {_DUE} <= :now ORDER BY due LIMIT :limit)",
                {"token": token, "until": now + CLAIM_NS, "limit": limit, **_bounds(now)},
            )
            return [_stored(row) for row in connection.execute(_SELECT + " WHERE claim = ?", (token,))]

    def release(self, claimed: Sequence[Stored]) -> None:
        """Give back what was taken and not evaluated."""
        with self._control.transaction() as connection:
            connection.executemany(
                "UPDATE rule SET claim = '', claimed_until = 0 WHERE name = ? AND claim = ?",
                [(each.rule.name, each.claim) for each in claimed],
            )

    def _there(self, name: str) -> Stored:
        found = self.get(name)
        if found is None:
            raise PermanentError(f"name: the rule {name!r} was removed meanwhile")
        return found


def next_due(control: Control, now: int) -> int | None:
    """When the next rule is due that nobody is at, nanoseconds since 1970; None where no rule is enabled."""
    found = control.rows(f"SELECT min({_DUE}) FROM rule WHERE enabled", **_bounds(now))[0][0]  # noqa: S608 - a constant
    return None if found is None else int(found)


def put(
    connection: apsw.Connection, rule: Rule, source: str, actor: str, now: int, file: str = "", line: int = 0
) -> None:
    """Write a rule within the caller's transaction; it is due at once."""
    connection.execute(
        "INSERT INTO rule(name, source, file, line, data, enabled, due, changed, changed_by) VALUES(?,?,?,?,?,?,?,?,?)"
        " ON CONFLICT DO UPDATE SET source = excluded.source, file = excluded.file, line = excluded.line,"
        " data = excluded.data, enabled = excluded.enabled, due = excluded.due, changed = excluded.changed,"
        " changed_by = excluded.changed_by, claim = '', claimed_until = 0, status = 'new', note = ''",
        (rule.name, source, file, line, rule.to_json(), rule.enabled, now, now, actor),
    )


def close(connection: apsw.Connection, name: str, actor: str, note: str, now: int, base_url: str) -> None:
    """End the alerts of a rule within the caller's transaction."""
    alerts.close_all(connection, name, actor, note, now, base_url)


def drop(connection: apsw.Connection, name: str, actor: str, note: str, now: int, base_url: str) -> None:
    """Forget a rule within the caller's transaction, and end its alerts."""
    close(connection, name, actor, note, now, base_url)
    connection.execute("DELETE FROM seen WHERE rule = ?", (name,))
    connection.execute("DELETE FROM rule WHERE name = ?", (name,))


def _find(connection: apsw.Connection, name: str) -> Stored | None:
    for row in connection.execute(_SELECT + " WHERE name = ?", (name,)):
        return _stored(row)
    return None


def _writable(found: Stored) -> None:
    if found.source == "file":
        raise ReadOnlyRule(
            f"name: the rule {found.rule.name!r} comes from {found.file}, line {found.line}: change it there"
        )


def _stored(row: Sequence[Any]) -> Stored:
    return Stored(Rule.from_json(row[4]), row[1], row[2], row[3], *row[5:])


def _bounds(now: int) -> dict[str, int]:
    return {"now": now, "claims": now + CLAIM_NS + _CLOCK_STEP_NS, "ahead": now + _CLOCK_STEP_NS}

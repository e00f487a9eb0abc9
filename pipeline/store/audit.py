"""The audit log, in control.db: who changed what, when, from where, and who could not prove who they are.

It is append-only: triggers refuse to change an entry, and to delete one that is younger than 30 days, whoever asks
through SQLite; history.py deletes those that are older than MONITORING_HISTORY_AGE. What an entry says of
the state before and after is redacted by whoever records it; texts are cut, so that no request makes it swell.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import apsw
import orjson

from monitoring.pipeline.clock import NowNs, rfc3339, wall_ns
from monitoring.pipeline.store.control import Control

__all__ = ["MAX_STATE_BYTES", "Audit", "Entry", "Wanted"]

MAX_STATE_BYTES = 16 << 10
"""Of one state, as JSON: a rule or a channel has a tenth of it. A longer one is kept as the beginning of its text."""
_MAX_TEXT = 256
_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the log. `at` is in nanoseconds since 1970; `before` and `after` are JSON values, None for unknown.

    `id` rises by one: a gap says that somebody has taken entries out of the file.
    """

    id: int
    at: int
    actor: str
    action: str
    object: str
    address: str
    request_id: str
    before: Any
    after: Any

    def describe(self) -> dict[str, Any]:
        """As JSON members."""
        return {
            "id": self.id,
            "at": rfc3339(self.at),
            "actor": self.actor,
            "action": self.action,
            "object": self.object,
            "address": self.address,
            "request_id": self.request_id,
            "before": self.before,
            "after": self.after,
        }


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which entries are asked for; "" and None ask for any. `text` is looked for in every column, states included."""

    text: str = ""
    actor: str = ""
    action: str = ""
    object: str = ""
    start: int | None = None
    end: int | None = None

    def condition(self) -> tuple[str, list[Any]]:
        """As SQL with its bindings. `action` may end in `.*`, for all of a kind."""
        parts, bindings = ["1"], list[Any]()
        for column, value in (("actor", self.actor), ("object", self.object)):
            if value:
                parts.append(f"{column} = ?")
                bindings.append(value)
        if self.action.endswith(".*"):
            parts.append("substr(action, 1, ?) = ?")
            bindings += [len(self.action) - 1, self.action[:-1]]
        elif self.action:
            parts.append("action = ?")
            bindings.append(self.action)
        if self.text:
            columns = "actor || ' ' || action || ' ' || object || ' ' || address || ' ' || request_id"
            parts.append(f"instr(lower({columns} || ' ' || ifnull(before, '') || ' ' || ifnull(after, '')), lower(?))")
            bindings.append(self.text)
        for sign, time in ((">=", self.start), ("<", self.end)):
            if time is not None:
                parts.append(f"at {sign} ?")
                bindings.append(time)
        return " AND ".join(parts), bindings


class Audit:
    """The audit log of a control.db."""

    def __init__(self, control: Control, *, now_ns: NowNs = wall_ns) -> None:
        self._control = control
        self._now_ns = now_ns

    def record(
        self,
        connection: apsw.Connection | None,
        actor: str,
        action: str,
        object: str,  # noqa: A002 - the name of the column, and keyword-friendly for callers
        before: Any = None,
        after: Any = None,
        address: str = "",
        *,
        request_id: str = "",
    ) -> None:
        """Append an entry, inside the caller's transaction where one is given, else fsynced in one of its own."""
        row = (self._now_ns(), *(text[:_MAX_TEXT] for text in (actor, action, object, address, request_id)),
               _state(before), _state(after))  # fmt: skip
        if connection is not None:
            connection.execute(_INSERT, row)
            return
        with self._control.transaction() as own:
            own.execute(_INSERT, row)

    def find(self, wanted: Wanted, *, limit: int, below: int | None = None) -> list[Entry]:
        """The newest entries first; `below`: only those with a smaller id, for the next page."""
        where, bindings = wanted.condition()
        if below is not None:
            where += " AND id < ?"
            bindings.append(below)
        rows = self._control.rows(
            f"SELECT {_COLUMNS} FROM audit WHERE {where} ORDER BY id DESC LIMIT ?",  # noqa: S608 - constants and question marks
            *bindings, limit,
        )  # fmt: skip
        return [_entry(row) for row in rows]

    def export(self, wanted: Wanted) -> Iterator[bytes]:
        """All entries, the oldest first, a line of JSON each. Reads a page at a time: nobody waits for the reader."""
        where, bindings = wanted.condition()
        last = 0
        while True:
            rows = self._control.rows(
                f"SELECT {_COLUMNS} FROM audit WHERE {where} AND id > ? ORDER BY id LIMIT ?",  # noqa: S608 - constants and question marks
                *bindings, last, _PAGE,
            )  # fmt: skip
            if not rows:
                return
            entries = [_entry(row) for row in rows]
            last = entries[-1].id
            yield b"".join(orjson.dumps(entry.describe(), option=orjson.OPT_APPEND_NEWLINE) for entry in entries)


_COLUMNS = "id, at, actor, action, object, address, request_id, before, after"
_INSERT = (
    "INSERT INTO audit(at, actor, action, object, address, request_id, before, after) VALUES(?, ?, ?, ?, ?, ?, ?, ?)"
)


def _state(value: Any) -> str | None:
    if value is None:
        return None
    text = orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS)
    if len(text) > MAX_STATE_BYTES:
        text = orjson.dumps({"cut": text[: MAX_STATE_BYTES // 2].decode(errors="replace")})
    return text.decode()


def _entry(row: tuple[Any, ...]) -> Entry:
    *facts, before, after = row
    return Entry(*facts, *(None if state is None else orjson.loads(state) for state in (before, after)))

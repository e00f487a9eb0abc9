"""Saved searches: queries by a name, in control.db."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from monitoring.pipeline.clock import NowNs, rfc3339, wall_ns
from monitoring.pipeline.errors import PermanentError
from monitoring.pipeline.query.parse import parse
from monitoring.pipeline.store.control import Control

__all__ = ["MAX_SEARCHES", "SavedSearch", "Searches"]

MAX_SEARCHES = 1000
"""Kept at a time: a team's, with room; a list is read whole."""
_NAME = re.compile(r"[\w][\w .-]{0,63}")


@dataclass(frozen=True, slots=True)
class SavedSearch:
    """A query and the name it goes by. `saved` is nanoseconds since 1970."""

    name: str
    query: str
    saved: int

    def describe(self) -> dict[str, Any]:
        """As JSON members."""
        return {"name": self.name, "query": self.query, "saved": rfc3339(self.saved)}


class Searches:
    """The saved searches. Safe between threads."""

    def __init__(self, control: Control, *, now_ns: NowNs = wall_ns) -> None:
        self._control, self._now_ns = control, now_ns

    def all(self) -> list[SavedSearch]:
        """All of them, by name."""
        rows = self._control.rows("SELECT name, query, saved FROM saved_search ORDER BY name")
        return [SavedSearch(*row) for row in rows]

    def get(self, name: str) -> SavedSearch | None:
        """The one of this name."""
        rows = self._control.rows("SELECT name, query, saved FROM saved_search WHERE name = ?", name)
        return SavedSearch(*rows[0]) if rows else None

    def save(self, name: str, query: str) -> SavedSearch:
        """Save a query by a name, in place of what had it. Raises PermanentError, QuerySyntaxError."""
        if _NAME.fullmatch(name) is None:
            raise PermanentError("name: 1 to 64 letters, digits, blanks and . _ -, the first a letter or digit")
        parse(query)
        found = SavedSearch(name, query, self._now_ns())
        with self._control.transaction() as connection:
            others = connection.execute("SELECT count(*) FROM saved_search WHERE name <> ?", (name,)).get
            if others >= MAX_SEARCHES:
                raise PermanentError(f"name: {MAX_SEARCHES} searches are saved already; remove one")
            connection.execute("INSERT OR REPLACE INTO saved_search VALUES(?, ?, ?)", (name, query, found.saved))
        return found

    def remove(self, name: str) -> SavedSearch | None:
        """Forget it; None where there is none of this name."""
        found = self.get(name)
        with self._control.transaction() as connection:
            connection.execute("DELETE FROM saved_search WHERE name = ?", (name,))
        return found

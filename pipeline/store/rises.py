"""By how much counters rose of late, where only their totals are known: what was seen of them is kept in control.db."""

from __future__ import annotations

from collections.abc import Mapping

from monitoring.pipeline.store.control import Control

__all__ = ["Rises"]


class Rises:
    """Totals as they were seen, and what they rose by each time. Writes only when a total has changed."""

    def __init__(self, control: Control) -> None:
        self._control = control

    def last(self, name: str, totals: Mapping[str, int], *, now_ns: int, window_ns: int) -> dict[str, int]:
        """By how much each total of this name rose in the window, as far as it was looked at.

        The first look ever at a name only takes note. A total that falls (what it was made of has expired) did not
        rise, and counts on from there. The result also has keys that are not in `totals` any more, as long as they
        rose in the window.
        """
        since = now_ns - window_ns
        seen = self._control.rows("SELECT key, total, max(at) FROM rise WHERE name = ? GROUP BY key", name)
        before = {str(key): int(total) for key, total, _ in seen}  # of the latest look; "" says that there was one
        changed = {key: total for key, total in totals.items() if before.get(key, 0) != total}
        if changed or not before:
            with self._control.transaction() as connection:
                connection.executemany(
                    "INSERT OR REPLACE INTO rise VALUES(?, ?, ?, ?, ?)",
                    [(name, key, now_ns, total, max(0, total - before.get(key, 0)) if before else 0)
                     for key, total in {**changed, "": 0}.items()],
                )  # fmt: skip
                connection.execute(
                    "DELETE FROM rise WHERE name = ?1 AND at < ?2"
                    " AND at < (SELECT max(at) FROM rise AS later WHERE later.name = ?1 AND later.key = rise.key)",
                    (name, since),
                )
        rows = self._control.rows(
            "SELECT key, sum(iif(at >= ?2, by, 0)) FROM rise WHERE name = ?1 AND key <> '' GROUP BY key", name, since
        )
        return {str(key): int(risen) for key, risen in rows}

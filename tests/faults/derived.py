"""A metric that the product derives from the logs it stores, counted a second time: its totals are the rows of `log`.

Standard library only: the checker stands on this.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from pathlib import Path

from tests.faults import evidence

__all__ = ["DEFINITION", "DERIVED", "events_by_service", "unsent"]

DERIVED = "faults_stored"
DEFINITION = f"""
derived_metrics:
  - {{name: {DERIVED}_total, kind: counter, query: "*", labels: [service]}}
"""


def events_by_service(data: Path) -> Counter[str]:
    """Events in all segments of logs."""
    found: Counter[str] = Counter()
    query = "SELECT value, count(*) FROM log JOIN dimension ON dimension.id = service GROUP BY value"
    for paths in evidence.partitions(data).values():
        for path in paths:
            with evidence.connect(path) as connection:
                found.update(dict(connection.execute(query)))
    return found


def unsent(data: Path) -> int:
    """Frames of derived metrics that stand in the logs' newest segments and that the metric store has not committed."""
    lows = _lows(data)
    return sum(max(0, seq - lows.get(lane, 0)) for lane, seq in _lanes(data))


def _lanes(data: Path) -> list[tuple[str, int]]:
    """The lane of each partition, and its newest frame."""
    found: list[tuple[str, int]] = []
    for paths in evidence.partitions(data).values():
        with evidence.connect(paths[-1]) as connection:
            if _has(connection, "derived_lane"):
                found += connection.execute("SELECT lane, seq FROM derived_lane").fetchall()
    return found


def _lows(data: Path) -> dict[str, int]:
    """How far each lane is in the metric store without a gap."""
    lows: dict[str, int] = {}
    for paths in evidence.partitions(data, "metrics").values():
        with evidence.connect(paths[-1]) as connection:
            lows |= dict(connection.execute("SELECT lane, low FROM mark"))
    return lows


def _has(connection: sqlite3.Connection, table: str) -> bool:
    return bool(connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone())

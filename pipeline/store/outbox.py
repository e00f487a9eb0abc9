"""The outbox: notices that are to be delivered, put there in the transaction that made them necessary."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import apsw

__all__ = ["Notice", "put"]


class Notice(NamedTuple):
    """One notice for one channel. `key` is stable; `body` is JSON; `due` is nanoseconds since 1970."""

    key: str
    channel: str
    event: str
    grouping: str
    body: bytes
    due: int


def put(connection: apsw.Connection, notices: Iterable[Notice], now_ns: int) -> None:
    """Add notices within the caller's transaction; one that is there already stays as it is."""
    rows = [(each.key, each.channel, each.event, each.grouping, each.body, now_ns, each.due) for each in notices]
    connection.executemany(
        "INSERT OR IGNORE INTO outbox(key, channel, event, grouping, body, created, due) VALUES(?, ?, ?, ?, ?, ?, ?)",
        rows,
    )

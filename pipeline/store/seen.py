"""Groups that rules have seen: what falls silent, or is new, is told by these."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import apsw
import orjson

from monitoring.pipeline.store.control import Control

__all__ = ["MAX_SEEN", "Seen", "forget", "keep", "seen_of"]

MAX_SEEN = 10_000
"""Groups kept for a rule: more services than anybody has, and more kinds of messages than are told apart."""


class Seen(NamedTuple):
    """A group of a rule: since when, and when last, it was there; nanoseconds since 1970."""

    labels: Mapping[str, str]
    first: int
    last: int


def seen_of(control: Control, rule: str) -> dict[str, Seen]:
    """What a rule has seen, by fingerprint."""
    rows = control.rows("SELECT fingerprint, labels, first, last FROM seen WHERE rule = ?", rule)
    return {mark: Seen(orjson.loads(labels), first, last) for mark, labels, first, last in rows}


def keep(connection: apsw.Connection, rule: str, groups: Mapping[str, Seen], since: int) -> None:
    """Write what was seen within the caller's transaction, and forget what was last there before `since`."""
    connection.executemany(
        "INSERT INTO seen VALUES(?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET last = max(last, excluded.last)",
        [(rule, mark, orjson.dumps(dict(each.labels)), each.first, each.last) for mark, each in groups.items()],
    )
    connection.execute("DELETE FROM seen WHERE rule = ? AND last < ?", (rule, since))


def forget(connection: apsw.Connection, rule: str, marks: Iterable[str]) -> None:
    """Forget groups: somebody said that they are gone for good."""
    connection.executemany("DELETE FROM seen WHERE rule = ? AND fingerprint = ?", [(rule, mark) for mark in marks])

"""Purging dead letters: what a letter held is overwritten where a query finds it; that there was one stays known.

A letter is no event. It is looked at as the events of its frame where it is one that can be read; else as one event
whose message is its text, with the members of that as attributes where it is JSON.
"""

from __future__ import annotations

import contextlib
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import apsw
import orjson

from monitoring.pipeline.bus.frame import iter_records
from monitoring.pipeline.errors import FrameCorrupt, PermanentError
from monitoring.pipeline.events.event import Event
from monitoring.pipeline.events.signals import SIGNALS
from monitoring.pipeline.query.ast import Node
from monitoring.pipeline.query.functions import register
from monitoring.pipeline.query.sql import on_rows
from monitoring.pipeline.query.tokens import Tokenizer
from monitoring.pipeline.store.dead_letters import frame_events
from monitoring.pipeline.store.log_segment import LogContents
from monitoring.pipeline.store.rows import Dimensions
from monitoring.pipeline.store.segment import open_readonly

__all__ = ["overwrite", "overwritten", "suspects"]


_INFO = 9


@dataclass(slots=True)
class _Looked:
    """The few events of a letter, as a segment that `on_rows` is compiled for."""

    dimensions: dict[str, dict[str, int]]
    split: Tokenizer

    @property
    def common(self) -> Callable[[str], bool]:
        return lambda token: False


class _Glass:
    """Looks at letters one by one, in a table in memory."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._connection = apsw.Connection(":memory:")
        self._split = register(self._connection)
        self._connection.execute(LogContents.schema)

    def close(self) -> None:
        self._connection.close()

    def fits(self, events: Sequence[Event]) -> bool:
        """Whether one of these matches."""
        known = Dimensions()
        self._connection.execute("DELETE FROM log")
        self._connection.executemany(
            "INSERT INTO log VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?)",
            [_row(number, event, known) for number, event in enumerate(events)],
        )
        wanted = on_rows(self._node, _Looked(known.by_kind(), self._split))
        query = f"SELECT 1 FROM log WHERE {wanted.text} LIMIT 1"  # noqa: S608 - compiled, with bound values
        return self._connection.execute(query, wanted.values).get is not None


def _row(number: int, event: Event, known: Dimensions) -> tuple[object, ...]:
    facts = {"environment": event.environment, "release": event.release}
    resource = orjson.dumps({name: value for name, value in facts.items() if value}).decode()
    numbers = (
        known.number(kind, value)
        for kind, value in (
            ("service", event.service), ("resource", resource), ("logger", event.logger), ("host", event.host)
        )
    )  # fmt: skip
    return (
        number, 0, event.level, *numbers, event.message, event.trace_id, event.span_id, event.request_id,
        event.exception, event.attributes,
    )  # fmt: skip


def suspects(path: Any, node: Node, start_ns: int, end_ns: int) -> list[int]:
    """The numbers of a segment's letters that match and came in this range; of those that were not overwritten yet."""
    found = []
    with contextlib.closing(open_readonly(path)) as connection, contextlib.closing(_Glass(node)) as glass:
        rows = connection.execute(
            "SELECT id, reason, source, raw FROM dead_letter WHERE created >= ? AND created < ? AND length(raw)",
            (start_ns, end_ns),
        )
        for number, reason, source, raw in rows:
            if any(glass.fits([event]) for event in _events(bytes(raw), reason, source)):
                found.append(number)
    return found


def _events(raw: bytes, reason: str, source: str) -> Iterator[Event]:
    with contextlib.suppress(
        PermanentError, FrameCorrupt, LookupError, TypeError, ValueError
    ):  # it is looked at as text then
        for frame, _ in iter_records(raw):
            for each in frame_events(frame, SIGNALS[frame.signal]):
                yield each if isinstance(each, Event) else _as_text(" ".join(map(str, each)))
    text = raw.decode("utf-8", "replace")
    members: dict[str, Any] = {}
    with contextlib.suppress(orjson.JSONDecodeError):
        parsed = orjson.loads(raw)
        members = parsed if isinstance(parsed, dict) else {}
    attributes = orjson.dumps({**members, "dead_letter": {"reason": reason, "source": source}}).decode()
    yield _as_text(text, attributes)


def _as_text(text: str, attributes: str = "") -> Event:
    return Event(timestamp=0, level=_INFO, service="", message=text, attributes=attributes)


def overwrite(path: Any, numbers: Sequence[int]) -> bool:
    """Take what these letters of a sealed segment held out of its file; False where somebody reads the old pages."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    with contextlib.closing(connection):
        connection.set_busy_timeout(1000)
        connection.execute("PRAGMA synchronous = FULL; PRAGMA secure_delete = 1").fetchall()
        try:
            with connection:
                _write_anew(connection, numbers)
        except apsw.BusyError:
            return False
        return overwritten(connection)


def _write_anew(connection: apsw.Connection, numbers: Sequence[int]) -> None:
    """Put another table in place of the letters'. To change rows would leave copies in the slack of pages, from when
    rows were moved; pages that are freed are overwritten whole."""
    made: str = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'dead_letter'").get
    connection.execute(made.replace("dead_letter", "left_letter", 1))
    gone = "id IN (SELECT value FROM carray(?1))"
    connection.execute(
        f"INSERT INTO left_letter SELECT id, created, kind, lane, seq, ordinal,"  # noqa: S608 - own words
        f" iif({gone}, 'purged (' || id || ')', reason), iif({gone}, '', source), line, iif({gone}, X'', raw)"
        " FROM dead_letter",
        (apsw.carray(array("q", numbers)),),
    )
    connection.execute("DROP TABLE dead_letter; ALTER TABLE left_letter RENAME TO dead_letter")


def overwritten(connection: apsw.Connection) -> bool:
    """Empty the log of a segment, which may hold pages as they were; False where somebody reads them."""
    try:
        return not connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").get[0]
    except apsw.BusyError:
        return False

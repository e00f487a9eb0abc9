"""From events that were just stored to increments: which events a definition means, and what they add to its series.

The query is the one that a search would run, as a condition on the rows (`sql.on_rows`), so a definition counts what
a search for it finds. It runs inside the transaction that wrote the rows, on those rows alone.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import apsw
import orjson

from monitoring.pipeline.derived.definition import Definition
from monitoring.pipeline.events.delta import Delta, family_text
from monitoring.pipeline.query import functions
from monitoring.pipeline.query.clause import FALSE, Clause
from monitoring.pipeline.query.rendering import EventId, event_of
from monitoring.pipeline.query.sql import COLUMNS, on_rows
from monitoring.pipeline.query.tokens import Tokenizer
from monitoring.pipeline.query.values import LONGEST_VALUE, numbers_of, texts_of
from monitoring.pipeline.store.deltas import RESOURCE, WINDOW_NS
from monitoring.pipeline.store.rows import Dimensions, timestamp_ns

__all__ = ["Gatherer"]

_LARGEST = 1e300  # as everywhere in the metric store: a hundred million of these still add up to a number
_WHOLE = 2.0**53
_Key = tuple[int, tuple[str, ...]]
"""A window, by its number since 1970, and the values of the labels."""


@dataclass(slots=True)
class _Sum:
    """What a series gained in a window."""

    value: int | float = 0
    counts: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Names:
    """The dimensions of a segment, as the compiler asks for them."""

    dimensions: Mapping[str, Mapping[str, int]]
    split: Tokenizer

    def common(self, token: str) -> bool:
        """The index is not asked, so no token of it is worth leaving out."""
        return False


class Gatherer:
    """Tries definitions on rows of one segment. Bound to its connection, which it teaches the functions of queries."""

    def __init__(self, connection: apsw.Connection, definitions: Sequence[Definition]) -> None:
        self._connection, self._definitions = connection, definitions
        self._split = functions.register(connection)
        self._families = [_family(definition) for definition in definitions]
        self._known = -1
        self._conditions: list[Clause] = []
        self._names: dict[int, str] = {}

    def forget(self) -> None:
        """Drop what is remembered of the segment."""
        self._known = -1

    def gather(self, ids: Sequence[int], dimensions: Dimensions) -> list[Delta]:
        """The increments of these rows, rising ids of `log`, by definition, window and labels."""
        self._compile(dimensions)
        found: list[Delta] = []
        rows = apsw.carray(array("q", ids))
        for definition, condition, family in zip(self._definitions, self._conditions, self._families, strict=True):
            if condition != FALSE:
                found += self._deltas(definition, family, self._matching(rows, condition))
        return found

    def _compile(self, dimensions: Dimensions) -> None:
        """Conditions name dimensions by their numbers, so new ones make new conditions."""
        if len(dimensions) == self._known:
            return
        names = _Names(dimensions.by_kind(), self._split)
        self._conditions = [on_rows(definition.node, names) for definition in self._definitions]
        self._names = {number: value for numbers in names.dimensions.values() for value, number in numbers.items()}
        self._known = len(dimensions)

    def _matching(self, rows: Any, condition: Clause) -> apsw.Cursor:
        return self._connection.execute(
            f"SELECT {COLUMNS} FROM carray(?) AS new JOIN log ON log.id = new.value WHERE {condition.text}",  # noqa: S608 - own names, bound values
            (rows, *condition.values),
        )

    def _deltas(self, definition: Definition, family: str, rows: apsw.Cursor) -> list[Delta]:
        sums: dict[_Key, _Sum] = defaultdict(_Sum)
        for row in rows:
            seen = _Seen(row, self._names)
            numbers = _numbers(seen, definition)
            if numbers:
                key = (seen.window, tuple(seen.label(field) for _, field in definition.labels))
                _add(sums[key], definition, numbers)
        return [_delta(definition, family, *key, gained) for key, gained in sums.items()]


class _Seen:
    """A row, decoded as far as is asked for: counting by level or service needs no JSON."""

    def __init__(self, row: tuple[Any, ...], names: dict[int, str]) -> None:
        self._row, self._names = row, names

    @property
    def window(self) -> int:
        """The window that the event lies in."""
        return timestamp_ns(self._row[0], self._row[1]) // WINDOW_NS

    @cached_property
    def event(self) -> dict[str, Any]:
        """The event as searches show it."""
        return event_of(EventId(self._row[0], 0, 0), self._row, self._names)

    def label(self, field: str) -> str:
        """A field's value; of several, all of them in their order as text."""
        if field in _PLACES:
            return self._names[self._row[_PLACES[field]]][:LONGEST_VALUE]
        return ",".join(sorted(texts_of(self.event, field)))[:LONGEST_VALUE]


_PLACES = {"service": 3, "logger": 5, "host": 6}
"""Columns of COLUMNS that are a dimension and nothing else."""


def _numbers(seen: _Seen, definition: Definition) -> list[float]:
    if not definition.field:
        return [1]
    numbers = [number for number in numbers_of(seen.event, definition.field) if abs(number) <= _LARGEST]
    return numbers if definition.kind == "histogram" else [number for number in numbers if number >= 0]


def _add(gained: _Sum, definition: Definition, numbers: Sequence[float]) -> None:
    for number in numbers:
        gained.value += int(number) if abs(number) < _WHOLE and number == int(number) else number
        if definition.kind == "histogram":
            gained.counts = gained.counts or [0] * (len(definition.bounds) + 1)
            gained.counts[bisect_left(definition.bounds, number)] += 1


def _family(definition: Definition) -> str:
    return family_text(
        name=definition.family, kind=definition.kind, help=definition.help, bounds=definition.bounds,
    )  # fmt: skip


def _delta(definition: Definition, family: str, window: int, values: tuple[str, ...], gained: _Sum) -> Delta:
    named = {name: value for (name, _), value in zip(definition.labels, values, strict=True) if value}
    origin = {name: named.pop(name, "") for name in RESOURCE}
    value = gained.value if definition.kind == "counter" else {"sum": gained.value, "counts": gained.counts}
    return Delta(
        timestamp=(window + 1) * WINDOW_NS,
        window=WINDOW_NS,
        **origin,
        family=family,
        labels=orjson.dumps(named, option=orjson.OPT_SORT_KEYS).decode(),
        value=_json(value),
    )


def _json(value: Any) -> str:
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # a sum of whole numbers beyond 64 bits
        as_float = {**value, "sum": float(value["sum"])} if isinstance(value, dict) else float(value)
        return orjson.dumps(as_float).decode()

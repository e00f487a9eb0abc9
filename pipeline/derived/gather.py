"""From events that were just stored to increments: which events a definition means, and what they add to its series.

The query is the one that a search would run, as a condition on the rows (`sql.on_rows`), so a definition counts what
a search for it finds. It runs inside the transaction that wrote the rows, on those rows alone.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import apsw
import orjson

from monitoring.pipeline.derived.definition import Definition
from monitoring.pipeline.events.delta import Delta, family_text
from monitoring.pipeline.events.levels import name
from monitoring.pipeline.query import functions
from monitoring.pipeline.query.clause import FALSE, Clause
from monitoring.pipeline.query.fields import DIMENSIONS, IDS, RESOURCES
from monitoring.pipeline.query.rendering import attributes_of, exception_of
from monitoring.pipeline.query.sql import TRUE_TIME, on_rows
from monitoring.pipeline.query.tokens import Tokenizer
from monitoring.pipeline.query.values import LONGEST_VALUE, numbers_of, texts_of
from monitoring.pipeline.store.deltas import RESOURCE, WINDOW_NS
from monitoring.pipeline.store.rows import Dimensions

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
                found += self._deltas(definition, family, rows, condition)
        return found

    def _compile(self, dimensions: Dimensions) -> None:
        """Conditions name dimensions by their numbers, so new ones make new conditions."""
        if len(dimensions) == self._known:
            return
        names = _Names(dimensions.by_kind(), self._split)
        self._conditions = [on_rows(definition.node, names) for definition in self._definitions]
        self._names = {number: value for numbers in names.dimensions.values() for value, number in numbers.items()}
        self._known = len(dimensions)

    def _deltas(self, definition: Definition, family: str, rows: Any, condition: Clause) -> Iterator[Delta]:
        columns = [f"({TRUE_TIME}) / {WINDOW_NS}", *(["log.attributes"] if definition.field else [])]
        readers = [_reader(field) for _, field in definition.labels]
        matching = self._connection.execute(
            f"SELECT {', '.join([*columns, *(column for column, _ in readers)])}"  # noqa: S608 - own names
            f" FROM carray(?) AS new JOIN log ON log.id = new.value WHERE {condition.text}",
            (rows, *condition.values),
        )
        sums: dict[_Key, _Sum] = defaultdict(_Sum)
        for (window, *read), count in Counter(matching).items():  # mostly few that differ, each of which is read once
            numbers = _numbers(read.pop(0), definition) if definition.field else [1]
            if numbers:
                labels = tuple(
                    _label(reader(value, self._names)) for value, (_, reader) in zip(read, readers, strict=True)
                )
                _add(sums[window, labels], definition, numbers * count)
        for key, gained in sums.items():
            yield _delta(definition, family, *key, gained)


_Reader = Callable[[Any, Mapping[int, str]], Iterable[str]]
_attributes = lru_cache(maxsize=1)(attributes_of)
"""Of the row at hand, which several labels may ask for."""


def _reader(field: str) -> tuple[str, _Reader]:
    """The column that holds a field, and how its texts are read from it, given the names of dimensions."""
    if field == "level":
        return "log.level", lambda value, names: [name(value)]
    if field in DIMENSIONS:
        return f"log.{field}", lambda value, names: [names[value]]
    if field in RESOURCES:
        return "log.resource", lambda value, names: [orjson.loads(names[value]).get(field, "")]
    if field in IDS:
        return f"log.{field}", lambda value, names: [value]
    if field == "exception":
        return "log.exception", lambda value, names: texts_of({"exception": exception_of(value)}, field)
    return "log.attributes", lambda value, names: texts_of({"attributes": _attributes(value)}, field)


def _label(texts: Iterable[str]) -> str:
    """A label's value; of several texts, all of them in their order."""
    return ",".join(sorted(texts))[:LONGEST_VALUE]


def _numbers(attributes: str, definition: Definition) -> list[float]:
    found = numbers_of({"attributes": _attributes(attributes)}, definition.field)
    numbers = [number for number in found if abs(number) <= _LARGEST]
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

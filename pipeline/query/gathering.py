"""Groups of events and what is told of each, gathered row by row in bounded memory."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any, NamedTuple, TypeVar

import orjson

from monitoring.pipeline.events.levels import LEVELS, group
from monitoring.pipeline.query.aggregate import Aggregate
from monitoring.pipeline.query.fields import DIMENSIONS, IDS, RESOURCES, TEXTS, is_attribute, splits
from monitoring.pipeline.query.quantiles import Quantiles
from monitoring.pipeline.query.sql import TRUE_TIME, select_rows
from monitoring.pipeline.query.sweep import Part, Stopped
from monitoring.pipeline.query.tally import Grid
from monitoring.pipeline.query.values import numbers_of, texts_of

__all__ = ["MAX_GROUPS", "TIME", "Gathering", "Row", "ranked"]

_T = TypeVar("_T")

TIME = "time"
"""The name that groups by time rather than by an attribute of that name."""
MAX_GROUPS = 20_000
"""Groups that are kept while counting: each costs a kilobyte or so."""
MAX_NUMBERS = 1_000_000
"""Numbers that are kept for exact quantiles, 8 MB; beyond, they are within a percent."""
_AT_ONCE = 64
"""Numbers that are added up together, which takes a fraction of the time; more would be memory for each group."""
_MANY_KEYS = 10_000
"""Groups by the values of a row's columns that are looked up rather than made out again, in a segment."""
_NONE = (None,)
"""The group of events without the field."""


class Row(NamedTuple):
    """A group (its bucket's number for "time", None where events lack the field) and its aggregates by their text."""

    group: tuple[Any, ...]
    values: dict[str, float | int | None]


@dataclass(slots=True)
class _Numbers:
    """What is known of the numbers of a field in a group, once it is settled: they are taken in some at a time."""

    count: int = 0
    total: float = 0.0
    least: float = math.inf
    most: float = -math.inf
    quantiles: Quantiles | None = None
    waiting: array[float] = field(default_factory=lambda: array("d"))

    def add(self, value: float) -> None:
        self.waiting.append(value)
        if len(self.waiting) >= _AT_ONCE:
            self.settle()

    def settle(self) -> None:
        values = self.waiting
        if not values:
            return
        self.count += len(values)
        self.total += sum(values)
        self.least = min(self.least, *values)
        self.most = max(self.most, *values)
        if self.quantiles is not None:
            self.quantiles.extend(values)
        self.waiting = array("d")

    def fold(self) -> None:
        self.settle()
        if self.quantiles is not None:
            self.quantiles.fold()


@dataclass(slots=True)
class _Tally:
    count: int = 0
    numbers: dict[str, _Numbers] = field(default_factory=dict)


class Gathering:
    """Groups in the making."""

    def __init__(self, names: tuple[str, ...], wanted: Sequence[Aggregate], cells: Grid) -> None:
        self._names, self._wanted, self._grid = names, wanted, cells
        self._fields = {each.field for each in wanted if each.field}
        self._ranked = {each.field for each in wanted if each.name == "quantile"}
        self._kept = 0
        self.approximate = False
        self._tallies: dict[tuple[Any, ...], _Tally] = {}

    def visit(self, part: Part) -> None:
        """Take the events of a segment."""
        dimensions = [name for name in self._names if name != TIME]
        reads = _Reads(part.view.names, {*dimensions, *self._fields})
        plain = not any(is_attribute(name) or name in TEXTS for name in dimensions)
        first, interval = self._grid.first, self._grid.interval
        place = self._names.index(TIME) if TIME in self._names else None
        fields = [(name, splits(name) == ((name,),)) for name in self._fields]
        known: dict[tuple[Any, ...], list[tuple[Any, ...]]] = {}
        found = select_rows(part.compiled, part.span, newest=True, columns=reads.columns)
        for time, *row in part.view.connection.execute(*found):
            event = None
            raw = tuple(row[:-1] if fields else row)  # attributes stand last
            keys = known.get(raw) if plain else None
            if keys is None:
                event = reads.event(row)
                # an array's elements each have a group
                keys = list(product(*(texts_of(event, name) or _NONE for name in dimensions)))
                if plain and len(known) < _MANY_KEYS:
                    known[raw] = keys
            numbers: dict[str, Sequence[float]] = {}
            if fields:
                attributes = event["attributes"] if event else _decoded(row[-1])
                numbers = {name: _numbers(attributes, name, alone) for name, alone in fields}
            for key in keys:
                if place is not None:
                    key = (*key[:place], (time - first) // interval, *key[place:])
                self._add(key, numbers)

    def put(self, key: tuple[Any, ...], count: int) -> None:
        """Take a group whose count is known."""
        self._tallies[key] = _Tally(count)

    def _add(self, key: tuple[Any, ...], numbers: dict[str, Sequence[float]]) -> None:
        tally = self._tallies.get(key)
        if tally is None:
            if len(self._tallies) >= MAX_GROUPS:
                raise Stopped("groups")
            tally = self._tallies[key] = _Tally(0, {name: self._new(name) for name in self._fields})
        tally.count += 1
        for name, values in numbers.items():
            known = tally.numbers[name]
            for value in values:
                known.add(value)
            if name in self._ranked and not self.approximate:
                self._kept += len(values)
        if self._kept > MAX_NUMBERS and not self.approximate:
            self._fold()

    def _new(self, name: str) -> _Numbers:
        found = _Numbers(quantiles=Quantiles() if name in self._ranked else None)
        if found.quantiles is not None and self.approximate:
            found.quantiles.fold()
        return found

    def _fold(self) -> None:
        self.approximate = True
        for tally in self._tallies.values():
            for numbers in tally.numbers.values():
                numbers.fold()

    def rows(self) -> list[Row]:
        """The groups: by time, then the largest first, then by name."""
        return [
            Row(key, {each.text: self._value(each, key, tally) for each in self._wanted})
            for key, _, tally in ranked(
                ((key, tally.count, tally) for key, tally in self._tallies.items()), self._names
            )
        ]

    def _value(self, wanted: Aggregate, key: tuple[Any, ...], tally: _Tally) -> float | int | None:
        if wanted.name == "count":
            return tally.count
        if wanted.name == "rate":
            bucket = key[self._names.index(TIME)] if TIME in self._names else None
            return tally.count / (self._grid.width(bucket) / 1e9)
        numbers = tally.numbers[wanted.field]
        numbers.settle()
        if not numbers.count:
            return None
        if wanted.name == "quantile":
            return numbers.quantiles.at(wanted.share) if numbers.quantiles else None
        values = {"min": numbers.least, "max": numbers.most, "sum": numbers.total}
        return values[wanted.name] if wanted.name in values else numbers.total / numbers.count


def ranked(groups: Iterable[tuple[tuple[Any, ...], int, _T]], names: Sequence[str]) -> list[tuple[Any, int, _T]]:
    """Groups (key, count, anything) in the order in which they are shown: by time, the largest first, by name."""
    place = names.index(TIME) if TIME in names else None

    def order(group: tuple[tuple[Any, ...], int, _T]) -> tuple[Any, ...]:
        key, count, _ = group
        return (0 if place is None else key[place], -count, tuple(map(str, key)))

    return sorted(groups, key=order)


class _Reads:
    """Which columns the wanted fields stand in, and how they become an event that has just these fields."""

    def __init__(self, names: dict[int, str], wanted: set[str]) -> None:
        self._readers: list[Callable[[dict[str, Any], Any], None]] = []
        columns = [TRUE_TIME]
        for name in ("level", *DIMENSIONS, *IDS, *TEXTS):
            if name in wanted:
                columns.append(f"log.{name}")
                self._readers.append(_reading(name, names))
        if wanted & set(RESOURCES):
            columns.append("log.resource")
            self._readers.append(lambda event, value: event.update(orjson.loads(names[value])))
        if any(map(is_attribute, wanted)):
            columns.append("log.attributes")
            self._readers.append(_attributes)
        self.columns = ", ".join(columns)

    def event(self, row: Sequence[Any]) -> dict[str, Any]:
        """The wanted fields of a row."""
        event: dict[str, Any] = {}
        for read, value in zip(self._readers, row, strict=True):
            read(event, value)
        return event


def _reading(name: str, names: dict[int, str]) -> Callable[[dict[str, Any], Any], None]:
    if name == "level":
        return lambda event, value: event.__setitem__(name, LEVELS[group(value)])
    if name in DIMENSIONS:
        return lambda event, value: event.__setitem__(name, names[value])
    if name == "exception":
        return lambda event, value: event.__setitem__(name, _json(value) if value else None)
    return lambda event, value: event.__setitem__(name, value)


def _attributes(event: dict[str, Any], text: str) -> None:
    event["attributes"] = _decoded(text)


def _decoded(text: str) -> dict[str, Any]:
    found = _json(text) if text else None
    return found if isinstance(found, dict) else {}


def _numbers(attributes: dict[str, Any], name: str, alone: bool) -> Sequence[float]:
    """See `numbers_of`; `alone`: the name can be read in one way only."""
    if alone:
        value = attributes.get(name)
        if value is None:
            return ()
        if type(value) is int or (type(value) is float and math.isfinite(value)):
            return (float(value),)
    return numbers_of({"attributes": attributes}, name)


def _json(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text

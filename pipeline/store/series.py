"""The series of a metric segment: families, label sets and their index, and the numbers of lanes.

What a delta says of its series is looked up by its texts as they stand; only what is new is parsed, numbered, and
written with the points that need it. There are limits, for a label that holds ids would fill memory and disk:
deltas beyond them go to a series whose labels say `__other__`, so totals stay right, and are counted in the family.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

import apsw
import orjson

from monitoring.pipeline.store.deltas import OTHER, DeltaInvalid, Family, merged, read_family, read_labels

__all__ = ["MAX_FAMILIES", "MAX_SERIES", "MAX_SERIES_EACH", "Known", "SeriesBook", "SeriesLimits"]

MAX_FAMILIES = 5_000
MAX_SERIES_EACH = 20_000
"""Series of a family in a segment, which lasts a day: 50 routes with 4 outcomes on 100 hosts."""
MAX_SERIES = 200_000
"""Series of a segment; a drain keeps 250 bytes of each in memory."""
_CACHED = 400_000
"""Texts that are remembered: releases and hosts come and go, and each is a part of the key."""


class SeriesLimits(NamedTuple):
    """How many there may be in a segment."""

    families: int = MAX_FAMILIES
    series_each: int = MAX_SERIES_EACH
    series: int = MAX_SERIES


class Known(NamedTuple):
    """A series: its number, that of its family, the family; whether it stands for what is beyond the limits."""

    series: int
    family_number: int
    family: Family
    overflow: bool


_Origin = tuple[str, str, str, str]


class SeriesBook:
    """The series of one segment. What is new is kept until `write_new`."""

    def __init__(self, connection: apsw.Connection, limits: SeriesLimits) -> None:
        self._connection = connection
        self._limits = limits
        self._known: dict[tuple[str, str, _Origin], Known] = {}
        self._read_families: dict[str, Family] = {}
        self._families: dict[tuple[Any, ...], int] = {}
        self._prose: dict[int, tuple[str, ...]] = {}
        for number, name, kind, across, bounds, *prose in connection.execute(
            "SELECT id, name, kind, across, bounds, unit, help, type FROM family"
        ):
            self._families[name, kind, across, bounds] = number
            self._prose[number] = tuple(prose)
        self._series = {
            (family, labels): number
            for number, family, labels in connection.execute("SELECT id, family, labels FROM series")
        }
        self._each = Counter(family for family, _ in self._series)
        self._labels = {
            (name, value): number for number, name, value in connection.execute("SELECT id, name, value FROM label")
        }
        self._lanes = dict(connection.execute("SELECT lane, id FROM source"))
        self._forget_new()

    def _forget_new(self) -> None:
        self._new_families: dict[int, tuple[Any, ...]] = {}
        self._new_series: list[tuple[int, int, str]] = []
        self._new_labels: list[tuple[int, str, str]] = []
        self._new_labelled: list[tuple[int, int]] = []
        self._new_lanes: list[tuple[int, str]] = []

    def find(self, family: str, labels: str, origin: _Origin) -> Known:
        """The series of a delta with these texts, a new one if there is none. Raises DeltaInvalid."""
        key = (family, labels, origin)
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= _CACHED:
                self._known.clear()
            found = self._known[key] = self._find(self._family(family), labels, origin)
        return found

    def describe(self, family: str) -> Known:
        """Take over what a family's text says of it; of a series without a number. Raises DeltaInvalid."""
        found = self._family(family)
        return Known(0, self._number_of(found), found, overflow=False)

    def lane(self, lane: str) -> int:
        """The number of a lane."""
        found = self._lanes.get(lane)
        if found is None:
            found = self._lanes[lane] = len(self._lanes) + 1
            self._new_lanes.append((found, lane))
        return found

    def _family(self, text: str) -> Family:
        found = self._read_families.get(text)
        if found is None:
            if len(self._read_families) >= self._limits.families:
                self._read_families.clear()
            found = self._read_families[text] = read_family(text)
        return found

    def _find(self, family: Family, labels: str, origin: _Origin) -> Known:
        own = read_labels(labels)
        if family.kind == "histogram" and "le" in own:
            raise DeltaInvalid("le cannot name a label of a histogram: its buckets have it")
        number = self._number_of(family)
        known = self._numbered(number, merged(own, origin), self._limits.series_each, self._limits.series)
        if known is not None:
            return Known(known, number, family, overflow=False)
        # A tenth more for what keeps its origin, and then one series that is all that is left of the rest.
        hidden = merged(dict.fromkeys(own, OTHER), origin)
        room = self._limits.series_each // 10, self._limits.series // 10
        known = self._numbered(number, hidden, self._limits.series_each + room[0], self._limits.series + room[1])
        if known is None:
            known = self._numbered(number, {"service": OTHER}, None, None)
        if known is None:
            raise AssertionError("a series without a limit has a number")
        return Known(known, number, family, overflow=True)

    def _number_of(self, family: Family) -> int:
        bounds = orjson.dumps(family.bounds).decode()
        key = (family.name, family.kind, family.across, bounds)
        found = self._families.get(key)
        prose: tuple[str, ...] = (family.unit, family.help, family.type)
        if found is not None:  # what somebody does not know another may have said
            prose = tuple(new or old for new, old in zip(prose, self._prose[found], strict=True))
        if found is None:
            if len(self._families) >= self._limits.families:
                raise DeltaInvalid(f"there are {self._limits.families} metrics already: put what differs into a label")
            found = self._families[key] = len(self._families) + 1
        elif self._prose[found] == prose:
            return found
        self._prose[found] = prose
        self._new_families[found] = (found, *key, *prose)
        return found

    def _numbered(self, family: int, labels: dict[str, str], most_each: int | None, most: int | None) -> int | None:
        """The number of the series with these labels; None where it is new and there are as many as may be."""
        text = orjson.dumps(labels).decode()
        found: int | None = self._series.get((family, text))
        if found is not None:
            return found
        if (most_each is not None and self._each[family] >= most_each) or (
            most is not None and len(self._series) >= most
        ):
            return None
        found = self._series[family, text] = len(self._series) + 1
        self._each[family] += 1
        self._new_series.append((found, family, text))
        self._new_labelled += [(self._label(name, value), found) for name, value in labels.items()]
        return found

    def _label(self, name: str, value: str) -> int:
        found = self._labels.get((name, value))
        if found is None:
            found = self._labels[name, value] = len(self._labels) + 1
            self._new_labels.append((found, name, value))
        return found

    def write_new(self) -> None:
        """Write what is new, within a transaction of the caller's."""
        many = self._connection.executemany
        many(
            "INSERT INTO family(id, name, kind, across, bounds, unit, help, type) VALUES(?,?,?,?,?,?,?,?)"
            " ON CONFLICT(id) DO UPDATE SET unit = excluded.unit, help = excluded.help, type = excluded.type",
            list(self._new_families.values()),
        )
        many("INSERT INTO series VALUES(?, ?, ?)", self._new_series)
        many("INSERT INTO label VALUES(?, ?, ?)", self._new_labels)
        many("INSERT INTO labelled VALUES(?, ?)", self._new_labelled)
        many("INSERT INTO source VALUES(?, ?)", self._new_lanes)
        self._forget_new()

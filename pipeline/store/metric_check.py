"""What verification finds out about packed rows and roll-ups: can they be read, and do their totals agree?"""

from __future__ import annotations

import contextlib
import itertools
import math
import operator
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import apsw
import orjson

from monitoring.pipeline.errors import StoreCorrupt
from monitoring.pipeline.store.deltas import WINDOW_NS
from monitoring.pipeline.store.metric_codec import Codec, Packed
from monitoring.pipeline.store.metric_levels import LEVELS, files
from monitoring.pipeline.store.metric_pack import PACK, packed_blocks, packed_rows, packed_totals
from monitoring.pipeline.store.metric_rollup import FORGET_WINDOWS

__all__ = ["Inside", "inside", "rollups"]


class Inside(NamedTuple):
    """First and last window of all packed points, None where there are none, and what is wrong with them."""

    first: int | None
    last: int | None
    findings: list[str]


def inside(connection: apsw.Connection) -> Inside:
    """Look into every packed row of a segment."""
    codec, ends, findings = Codec(), list[int](), list[str]()
    kinds = dict(connection.execute("SELECT series.id, kind FROM series JOIN family ON family = family.id"))
    for block in packed_blocks(connection):
        totals = dict(connection.execute("SELECT id, total FROM packed WHERE id >> 44 = ?", (block,)))
        for row in packed_rows(connection, [block]):
            where = f"block {block} of series {row.series}"
            if row.series not in kinds:
                findings.append(f"{where} is of no series")
                continue
            try:
                packed = codec.decode(row.data)
            except StoreCorrupt as error:
                findings.append(f"{where}: {error}")
                continue
            ends += [block * PACK + place for place in _ends(packed, kinds[row.series])]
            findings += _totals_differ(where, kinds[row.series], packed, totals.get(row.id))
    return Inside(min(ends, default=None), max(ends, default=None), findings)


def _ends(packed: Packed, kind: str) -> tuple[int, int]:
    if kind == "sample":
        window_ms = WINDOW_NS // 1_000_000
        times = packed.columns[0][0]
        return int(times[0]) // window_ms, int(times[-1]) // window_ms
    return int(packed.places[0]), int(packed.places[-1])


def _totals_differ(where: str, kind: str, packed: Packed, total: object) -> Iterator[str]:
    if kind in ("counter", "histogram") and packed_totals(packed, kind) != total:
        yield f"{where}: its total is another than its points come to"


def rollups(directory: Path, segments: Mapping[int, Path]) -> Iterator[str]:
    """What roll-ups say otherwise than the segments they are made from, and than each other.

    `segments` are the sealed segments that are still there, by number.
    """
    made = {level: {each.number: each for each in files(directory, level)} for level in LEVELS}
    carried: _Totals | None = None
    lasts: _Totals = {}
    for number in sorted({number for by in made.values() for number in by}):
        totals = _totals_in(segments[number]) if number in segments else None
        for level, by in made.items():
            if number not in by:
                continue
            path = by[number].path
            try:
                yield from _broken(path)
                here = _totals_in(path)
                if totals is None:
                    totals = here
                yield from _different(path, totals, here, "its source")
                if level is LEVELS[-1]:
                    sums, before, lasts = _carried_in(path, "total"), lasts, _carried_in(path, "last")
                    if carried is not None:
                        for key in _forgotten(before, lasts) - here.keys():
                            del carried[key]
                        yield from _different(path, _plus(carried, here), sums, "what was carried on to it")
                    carried = sums
            except (apsw.Error, StoreCorrupt) as error:
                yield f"{path}: {error}"
                totals = None


_Totals = dict[tuple[Any, ...], list[int | float]]
_NAMED = "JOIN series ON series = series.id JOIN family ON family = family.id"


def _broken(path: Path) -> Iterator[str]:
    with contextlib.closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)) as connection:
        for (text,) in connection.execute("PRAGMA integrity_check(10)"):
            if text != "ok":
                yield f"{path}: {text}"
        for block in packed_blocks(connection):
            codec = Codec()
            for row in packed_rows(connection, [block]):
                codec.decode(row.data)


def _totals_in(path: Path) -> _Totals:
    """What each series of a file gained in all of it; of a segment what is packed."""
    points = "(SELECT id >> 24 & 1048575 AS series, total FROM packed WHERE total IS NOT NULL)"
    return _summed(path, f"SELECT name, kind, bounds, labels, total FROM {points} {_NAMED}")  # noqa: S608 - own names


def _carried_in(path: Path, column: str) -> _Totals:
    return _summed(path, f"SELECT name, kind, bounds, labels, {column} FROM carried {_NAMED}")  # noqa: S608 - own names


def _forgotten(before: _Totals, after: _Totals) -> set[tuple[Any, ...]]:
    """Series that may have been left behind: they gained nothing for longer than totals are carried on."""
    newest = max((last for (last,) in after.values()), default=0)
    return {key for key in before.keys() - after.keys() if newest - before[key][0] > FORGET_WINDOWS}


def _summed(path: Path, query: str) -> _Totals:
    found: _Totals = {}
    with contextlib.closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)) as connection:
        for *key, total in connection.execute(query):
            sums = orjson.loads(total) if isinstance(total, str) else [total]
            before = found.get(tuple(key))
            found[tuple(key)] = sums if before is None else list(map(operator.add, before, sums))
    return found


def _plus(one: _Totals, other: _Totals) -> _Totals:
    both = {key: list(map(operator.add, one[key], other[key])) for key in one.keys() & other.keys()}
    return {**one, **other, **both}


def _different(path: Path, wanted: _Totals, found: _Totals, what: str) -> Iterator[str]:
    """Whole numbers are equal, floats up to rounding."""
    for key in {**wanted, **found}:
        pairs = itertools.zip_longest(wanted.get(key, []), found.get(key, []), fillvalue=0)
        if not all(one == other or math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9) for one, other in pairs):
            yield f"{path}: {key[0]}{key[-1]} comes to another total than in {what}"

"""Roll-ups: what is in a sealed segment of metrics, by minute and by hour, in a file of its own for each.

A file is made whole from one segment, which does not change any more, and put into its place with a link: it is there
or not, and never counts anything twice. A delta that is late lies in the segment that was active when it came, and in
that segment's roll-ups, by its own time; a query adds them all up. So totals are equal in every resolution.

The tables are those of a segment as far as they say what there is (`family`, `series`, `label`, `labelled`), and
`packed`, of blocks of 1440 minutes or hours; of gauges the columns are what was said last, the least, the greatest and
the sum of the windows, and how many there were. Of raw samples the last, the least and the greatest of each minute or
hour are kept with their own times, and both sides of each fall, which is what a counter's reset looks like.

The file of hours also carries, in `carried`, what every counter and histogram came to through this segment since it
exists: its predecessor's, and what was gained here. So a total has its true base though what it counted is deleted.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import apsw
import numpy as np
import orjson

from monitoring.pipeline import failpoint
from monitoring.pipeline.durable import sync
from monitoring.pipeline.query.promql.source import Times
from monitoring.pipeline.store.deltas import WINDOW_NS
from monitoring.pipeline.store.metric_coarse import coarse, summary, thinned
from monitoring.pipeline.store.metric_codec import Codec, Column, Packed
from monitoring.pipeline.store.metric_grid import Grid, Lanes
from monitoring.pipeline.store.metric_levels import LEVELS, Level, Rolled
from monitoring.pipeline.store.metric_pack import (
    PACK,
    PACK_MS,
    PACKED_SCHEMA,
    packed_blocks,
    packed_id,
    packed_rows,
    packed_totals,
)
from monitoring.pipeline.store.rows import timestamp_ns
from monitoring.pipeline.store.segment import Head
from monitoring.pipeline.store.space import space_needed

__all__ = ["APPLICATION_ID", "FORGET_WINDOWS", "SCHEMA_VERSION", "build"]


_SCHEMA = (
    """
CREATE TABLE family(
  id INTEGER PRIMARY KEY, name TEXT NOT NULL, kind TEXT NOT NULL, across TEXT NOT NULL, bounds TEXT NOT NULL,
  unit TEXT NOT NULL, help TEXT NOT NULL, UNIQUE(name, kind, across, bounds));
CREATE TABLE series(id INTEGER PRIMARY KEY, family INTEGER NOT NULL, labels TEXT NOT NULL, UNIQUE(family, labels));
CREATE TABLE label(id INTEGER PRIMARY KEY, name TEXT NOT NULL, value TEXT NOT NULL, UNIQUE(name, value));
CREATE TABLE labelled(label INTEGER, series INTEGER, PRIMARY KEY(label, series)) WITHOUT ROWID;
CREATE TABLE carried(series INTEGER PRIMARY KEY, total NOT NULL, last INTEGER NOT NULL);
"""
    + PACKED_SCHEMA
)
APPLICATION_ID = 0x4D4F4E52  # "MONR"
SCHEMA_VERSION = 1
_CHUNK = 200
"""Series at a time: of histograms of 15 buckets a day of windows is 200 MB in arrays, at 10 s."""
FORGET_WINDOWS = 400 * 8640
"""A series that gained nothing for so long, as long as hours are kept, is carried no further: it begins anew."""


def build(path: Path, level: Level, before: Rolled | None, stopped: Callable[[], bool]) -> Rolled | None:
    """Make the file of a sealed segment all of whose points are packed; None where `stopped` said so before the end.

    `before`: the file of hours of the segment before, whose totals go on. A file that is there is left as it is.
    """
    with contextlib.closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)) as source:
        source.execute("BEGIN")
        head = Head.read(source)
        if head.min_id is None or head.max_id is None:
            first = last = -1
        else:
            first, last = (timestamp_ns(each, 0) // WINDOW_NS for each in (head.min_id, head.max_id))
        directory = path.parent / level.name
        directory.mkdir(mode=0o700, exist_ok=True)
        made = Rolled(directory / f"{head.number:06d}-{max(first, 0)}-{max(last, 0)}.db", head.number, first, last)
        if made.path.exists():
            return made
        beside = made.path.with_suffix(f".{os.getpid()}.tmp")
        beside.unlink(missing_ok=True)
        with space_needed(beside), contextlib.closing(apsw.Connection(str(beside))) as target:
            target.execute("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF").fetchall()
            target.execute("BEGIN")
            target.execute(_SCHEMA)
            target.execute(f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION}")
            _copy_names(source, target)
            roll = _Roll(source, target, level, (first, last))
            for chunk in roll.chunks():
                if stopped():
                    break
                roll.add(chunk)
            else:
                roll.complete = True
            if level is LEVELS[-1]:
                _carry(target, before)
            target.execute("COMMIT")
    if not roll.complete:
        beside.unlink()
        return None
    sync(beside)
    failpoint.hit("rollup.made")
    with contextlib.suppress(FileExistsError):
        os.link(beside, made.path)
    sync(directory)
    failpoint.hit("rollup.linked")
    beside.unlink(missing_ok=True)
    return made


def _copy_names(source: apsw.Connection, target: apsw.Connection) -> None:
    for table, columns in (
        ("family", "id, name, kind, across, bounds, unit, help"),
        ("series", "id, family, labels"),
        ("label", "id, name, value"),
        ("labelled", "label, series"),
    ):
        marks = ", ".join("?" * len(columns.split(",")))
        rows = source.execute(f"SELECT {columns} FROM {table}")  # noqa: S608 - own names
        target.executemany(f"INSERT INTO {table}({columns}) VALUES({marks})", rows)


class _Roll:
    """Reduces the packed rows of a segment, some series at a time."""

    def __init__(self, source: apsw.Connection, target: apsw.Connection, level: Level, extent: tuple[int, int]) -> None:
        self._source, self._target, self._level, self._extent = source, target, level, extent
        self.complete = False
        self._codec = Codec()
        self._blocks = packed_blocks(source)
        self._kinds: dict[int, tuple[str, str]] = {
            number: (kind, across)
            for number, kind, across in source.execute(
                "SELECT series.id, kind, across FROM series JOIN family ON family = family.id"
            )
        }
        self._reduced: dict[str, Callable[[list[tuple[int, int, Packed]], str], Packed | None]] = {
            "counter": self._counted, "histogram": self._counted, "gauge": self._gauge, "sample": self._sampled,
        }  # fmt: skip

    def chunks(self) -> Iterator[tuple[list[int], list[int]]]:
        """Blocks that make up a longer one, with some series."""
        longer: dict[int, list[int]] = {}
        for block in self._blocks:
            longer.setdefault(block // self._level.scale, []).append(block)
        numbers = sorted(self._kinds)
        for blocks in longer.values():
            for start in range(0, len(numbers), _CHUNK):
                yield blocks, numbers[start : start + _CHUNK]

    def add(self, chunk: tuple[list[int], list[int]]) -> None:
        """Reduce these."""
        blocks, numbers = chunk
        found: dict[int, list[tuple[int, int, Packed]]] = {}
        for row in packed_rows(self._source, blocks, numbers):
            found.setdefault(row.series, []).append((row.block, row.lane, self._codec.decode(row.data)))
        longer = blocks[0] // self._level.scale
        rows = []
        for number, parts in found.items():
            kind, across = self._kinds[number]
            packed = self._reduced[kind](parts, across)
            if packed is not None:
                data = self._codec.encode(packed)
                rows.append((packed_id(longer, number), packed_totals(packed, kind), data))
        self._target.executemany("INSERT INTO packed VALUES(?, ?, ?)", rows)

    def _counted(self, parts: list[tuple[int, int, Packed]], _: str) -> Packed:
        windows = np.concatenate([packed.places + block * PACK for block, _, packed in parts])
        columns = [_joined(column) for column in zip(*(packed.columns for _, _, packed in parts), strict=True)]
        return self._placed(*coarse(windows, columns, self._level.scale))

    def _gauge(self, parts: list[tuple[int, int, Packed]], across: str) -> Packed | None:
        lanes: dict[str, Lanes] = {}
        for block, lane, packed in parts:
            windows = packed.places + block * PACK
            at = partial(np.add, packed.columns[1][0], windows * WINDOW_NS)
            lanes.setdefault(str(lane), Lanes()).add(windows, at, packed.columns[0][0].astype(np.float64))
        blocks = {block for block, _, _ in parts}
        summed = [
            summary(grid.gauge(lanes, across), self._level.scale)
            for grid in (_grid_of(block, self._extent) for block in sorted(blocks | self._after(blocks)))
        ]
        kept = [(windows, columns) for windows, columns in summed if len(windows)]
        if not kept:
            return None
        return self._placed(*_merged(kept))

    def _after(self, blocks: Iterable[int]) -> set[int]:
        """The blocks behind these, into which a value reaches, as far as they are of the same longer one."""
        longer = {block // self._level.scale for block in blocks}
        return {block + 1 for block in blocks if (block + 1) // self._level.scale in longer}

    def _sampled(self, parts: list[tuple[int, int, Packed]], _: str) -> Packed:
        times = np.concatenate([packed.columns[0][0] + block * PACK_MS for block, _, packed in parts])
        values = np.concatenate([packed.columns[1][0].astype(np.float64) for _, _, packed in parts])
        times, values = thinned(times, values, self._level.scale * WINDOW_NS // 1_000_000)
        return Packed(np.arange(len(times)), [(times % (self._level.scale * PACK_MS))[None], values[None]])

    def _placed(self, windows: Times, columns: list[Column]) -> Packed:
        return Packed(windows % PACK, columns)


def _joined(columns: Sequence[Column]) -> Column:
    joined: Column = np.concatenate(columns, axis=1)
    return joined


def _grid_of(block: int, extent: tuple[int, int]) -> Grid:
    length = PACK * WINDOW_NS // 1_000_000
    return Grid(block * length + 1, (block + 1) * length, extent)


def _merged(parts: list[tuple[Times, list[Column]]]) -> tuple[Times, list[Column]]:
    """Summaries of blocks one behind the other: a window of hours never reaches over two of them."""
    windows = np.concatenate([part[0] for part in parts])
    return windows, [_joined(column) for column in zip(*(part[1] for part in parts), strict=True)]


# ---------------------------------------------------------------------------------------------------------------------


def _carry(target: apsw.Connection, before: Rolled | None) -> None:
    """What every series came to through this segment: what it came to before, and its totals here."""
    totals: dict[int, list[Any]] = {}
    for number, total in target.execute("SELECT id, total FROM packed WHERE total IS NOT NULL"):
        window = ((number >> 44) * PACK + PACK) * LEVELS[-1].scale
        _add_total(totals, number >> 24 & 0xFFFFF, total, window)
    if before is not None:
        with contextlib.closing(apsw.Connection(str(before.path), flags=apsw.SQLITE_OPEN_READONLY)) as earlier:
            _carry_on(earlier, target, totals)
    target.executemany(
        "INSERT INTO carried VALUES(?, ?, ?)",
        [(number, orjson.dumps(sums).decode(), last) for number, (sums, last) in sorted(totals.items())],
    )


def _add_total(totals: dict[int, list[Any]], number: int, total: Any, last: int) -> None:
    sums = orjson.loads(total) if isinstance(total, str) else [total]
    if number in totals:
        before, seen = totals[number]
        totals[number] = [[one + other for one, other in zip(before, sums, strict=True)], max(seen, last)]
    else:
        totals[number] = [sums, last]


def _carry_on(earlier: apsw.Connection, target: apsw.Connection, totals: dict[int, list[Any]]) -> None:
    """Add the totals of the file before; series that are not here get a number, and their names and labels."""
    families = {
        tuple(key): number
        for number, *key in target.execute("SELECT id, name, kind, across, bounds FROM family")
    }  # fmt: skip
    known = {
        (family, labels): number for number, family, labels in target.execute("SELECT id, family, labels FROM series")
    }
    labels_known = {
        (name, value): number for number, name, value in target.execute("SELECT id, name, value FROM label")
    }
    newest = max((last for _, last in totals.values()), default=0)
    rows = earlier.execute(
        "SELECT name, kind, across, bounds, unit, help, labels, total, last FROM carried"
        " JOIN series ON carried.series = series.id JOIN family ON family = family.id"
    )
    for name, kind, across, bounds, unit, prose, labels, total, last in rows:
        key = (name, kind, across, bounds)
        # What comes late by more than that still gains: by its own times it would begin anew with each segment.
        if newest - last > FORGET_WINDOWS and known.get((families.get(key, 0), labels)) not in totals:
            continue
        if key not in families:
            families[key] = len(families) + 1
            target.execute("INSERT INTO family VALUES(?, ?, ?, ?, ?, ?, ?)", (families[key], *key, unit, prose))
        number = known.get((families[key], labels))
        if number is None:
            number = known[families[key], labels] = len(known) + 1
            target.execute("INSERT INTO series VALUES(?, ?, ?)", (number, families[key], labels))
            for label in orjson.loads(labels).items():
                if label not in labels_known:
                    labels_known[label] = len(labels_known) + 1
                    target.execute("INSERT INTO label VALUES(?, ?, ?)", (labels_known[label], *label))
                target.execute("INSERT INTO labelled VALUES(?, ?)", (labels_known[label], number))
        _add_total(totals, number, total, last)

"""Packing: the points of a series in a block of 4 hours as one row, instead of one row a point.

Points are written to small tables, by blocks of 5 minutes, where what comes together lies together. When such a block
is over they are merged into the series' packed row of that time and deleted, in one transaction. What comes late goes
to the small tables like everything else, is added when read, and merged the next time: what a query finds never
depends on what was packed when.

    id = block << 44 | series << 24 | lane      (lane: of gauges; else 0)
    total: what was gained, a number or, of histograms, JSON of the counts and the sum; of others NULL
    data: see `metric_codec`; columns are
          counters: gained · histograms: counts, sum · gauges: values, nanoseconds into the window
          samples: milliseconds into the block, values
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import apsw
import numpy as np
import numpy.typing as npt
import orjson

from monitoring.pipeline import failpoint
from monitoring.pipeline.query.promql.source import STALE
from monitoring.pipeline.store.deltas import WINDOW_NS
from monitoring.pipeline.store.metric_codec import Codec, Column, Packed
from monitoring.pipeline.store.metric_segment import BLOCK

__all__ = [
    "PACK",
    "PACKED_SCHEMA",
    "PACK_MS",
    "PackedRow",
    "Packer",
    "has_packed",
    "pack_all",
    "packed_blocks",
    "packed_id",
    "packed_rows",
    "packed_totals",
    "sample_value",
]

PACK = 1440
"""Windows of a packed row, 4 hours: a graph of 6 hours reads two or three rows a series. A row is written anew for each
5 minutes that are over, so longer ones cost more to write."""
PACKED_SCHEMA = """
CREATE TABLE IF NOT EXISTS packed(id INTEGER PRIMARY KEY, total, data BLOB NOT NULL);
"""
PACK_MS = PACK * WINDOW_NS // 1_000_000
"""The same in milliseconds."""
_BLOCKS = PACK // BLOCK
_MOST_ROWS = 20_000
"""Rows merged in a transaction: 0.1 s, which the drain's next batch waits at most."""
_EVER_NS = 1 << 62
_MOST_INT = (1 << 63) - 1
_SAFE = 1 << 62
Places = npt.NDArray[np.int64]


class PackedRow(NamedTuple):
    """A packed row as it lies there."""

    block: int
    series: int
    lane: int
    data: bytes

    @property
    def id(self) -> int:
        """Its number."""
        return packed_id(self.block, self.series, self.lane)


def packed_id(block: int, series: int, lane: int = 0) -> int:
    """The row of this block, series and lane."""
    return block << 44 | series << 24 | lane


def has_packed(connection: apsw.Connection) -> bool:
    """Whether a segment has packed rows; one of an older release has not even the table."""
    return bool(connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'packed'").get)


def packed_blocks(connection: apsw.Connection) -> list[int]:
    """The blocks that have packed rows, rising."""
    if not has_packed(connection):
        return []
    query = (
        "WITH RECURSIVE found(block) AS (SELECT min(id) >> 44 FROM packed"
        " UNION ALL SELECT (SELECT min(id) >> 44 FROM packed WHERE id >= (found.block + 1) << 44) FROM found"
        " WHERE found.block IS NOT NULL) SELECT block FROM found WHERE block IS NOT NULL"
    )
    return [block for (block,) in connection.execute(query)]


def packed_rows(
    connection: apsw.Connection, blocks: Sequence[int], numbers: Sequence[int] | None = None
) -> Iterator[PackedRow]:
    """The packed rows of these blocks, of these series or of all."""
    for block in blocks:
        if numbers is None:
            rows = connection.execute(
                "SELECT id, data FROM packed WHERE id >= ?1 << 44 AND id < (?1 + 1) << 44", (block,)
            )
        else:
            ids = orjson.dumps([packed_id(block, number) for number in numbers]).decode()
            rows = connection.execute(
                "SELECT packed.id, data FROM json_each(?) AS wanted CROSS JOIN packed"
                " ON packed.id BETWEEN wanted.value AND wanted.value + 16777215",
                (ids,),
            )
        for number, data in rows:
            yield PackedRow(block, number >> 24 & 0xFFFFF, number & 0xFFFFFF, data)


def sample_value(value: Any) -> float:
    """A sample as the small table has it: None for NaN, a text where the series ended."""
    if value is None:
        return float("nan")
    return STALE if isinstance(value, str) else float(value)


def packed_totals(packed: Packed, kind: str) -> int | float | str | None:
    """The column `total` of a series of this kind."""
    return {"counter": _total, "histogram": _totals}.get(kind, _none)(packed)


class Packer:
    """Packs the closed blocks of one segment, within transactions of the caller's. Forgets nothing it must know."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._codec = Codec()
        self._buckets: dict[int, int] = {}

    def step(self, before_ns: int) -> bool:
        """Pack some points of blocks that ended by this time; False where there were none."""
        self._connection.execute(PACKED_SCHEMA)
        before = before_ns // (BLOCK * WINDOW_NS)
        for table, pack in (("increment", self._counters), ("histogram", self._histograms), ("gauge", self._gauges)):
            if self._table(table, pack, before):
                return True
        return self._samples(before * BLOCK * WINDOW_NS // 1_000_000)

    def _table(self, table: str, pack: Callable[[int, list[tuple[Any, ...]]], None], before: int) -> bool:
        connection = self._connection
        first = connection.execute(f"SELECT min(block) FROM {table}").get  # noqa: S608 - own names
        if first is None or first >= before:
            return False
        block = first // _BLOCKS
        ends = min(before, (block + 1) * _BLOCKS)
        blocks = [
            number
            for number in range(first, ends)
            if connection.execute(f"SELECT 1 FROM {table} WHERE block = ? LIMIT 1", (number,)).get  # noqa: S608 - own names
        ]
        low = min(
            connection.execute(f"SELECT min(series) FROM {table} WHERE block = ?", (number,)).get  # noqa: S608 - own names
            for number in blocks
        )
        high = low + max(1, _MOST_ROWS // (BLOCK * len(blocks))) - 1
        bounds = (orjson.dumps(blocks).decode(), low, high)
        where = "WHERE block IN (SELECT value FROM json_each(?)) AND series BETWEEN ? AND ?"
        columns = {"increment": "value", "histogram": "sum, counts", "gauge": "lane, value, at"}[table]
        rows = connection.execute(
            f"SELECT series, block * {BLOCK} + slot - {block * PACK}, {columns} FROM {table} {where}",  # noqa: S608 - own names
            bounds,
        ).fetchall()
        pack(block, rows)
        failpoint.hit("pack.packed")
        connection.execute(f"DELETE FROM {table} {where}", bounds)  # noqa: S608 - own names
        failpoint.hit("pack.deleted")
        return True

    def _counters(self, block: int, rows: list[tuple[Any, ...]]) -> None:
        def columns(part: list[tuple[Any, ...]]) -> list[Column]:
            return [_numbers([row[2] for row in part])]

        self._merge(block, rows, columns, _added, _total)

    def _histograms(self, block: int, rows: list[tuple[Any, ...]]) -> None:
        if not self._buckets.keys() >= {row[0] for row in rows}:
            found = self._connection.execute(
                "SELECT series.id, json_array_length(bounds) + 1 FROM series JOIN family ON family = family.id"
            )
            self._buckets = dict(found)

        def columns(part: list[tuple[Any, ...]]) -> list[Column]:
            counts = np.zeros((self._buckets[part[0][0]], len(part)), dtype=np.int64)
            for place, row in enumerate(part):
                known = orjson.loads(row[3])
                counts[: len(known), place] = known
            return [counts, _numbers([row[2] for row in part])]

        self._merge(block, rows, columns, _added, _totals)

    def _gauges(self, block: int, rows: list[tuple[Any, ...]]) -> None:
        def columns(part: list[tuple[Any, ...]]) -> list[Column]:
            return [_numbers([row[3] for row in part]), _numbers([row[4] for row in part])]

        lanes: dict[int, list[tuple[Any, ...]]] = {}
        for row in rows:
            lanes.setdefault(row[2], []).append(row)
        for lane, part in lanes.items():
            self._merge(block, part, columns, _newest, _none, lane)

    def _samples(self, before_ms: int) -> bool:
        connection = self._connection
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'sample'").get:
            return False
        rows: list[tuple[Any, ...]] = connection.execute(
            "SELECT series, at, value FROM sample WHERE at < ? ORDER BY series, at LIMIT ?", (before_ms, _MOST_ROWS)
        ).fetchall()
        blocks: dict[int, list[tuple[Any, ...]]] = {}
        for series, at, value in rows:
            blocks.setdefault(at // PACK_MS, []).append((series, at % PACK_MS, sample_value(value)))

        def columns(part: list[tuple[Any, ...]]) -> list[Column]:
            return [_numbers([row[1] for row in part]), np.array([[row[2] for row in part]])]

        for block, part in blocks.items():
            self._merge(block, part, columns, _first, _none)
        failpoint.hit("pack.packed")
        connection.executemany("DELETE FROM sample WHERE series = ? AND at = ?", [row[:2] for row in rows])
        return bool(rows)

    def _merge(
        self,
        block: int,
        rows: list[tuple[Any, ...]],
        columns: Callable[[list[tuple[Any, ...]]], list[Column]],
        merge: Callable[[Packed, Packed], Packed],
        total: Callable[[Packed], Any],
        lane: int = 0,
    ) -> None:
        parts: dict[int, list[tuple[Any, ...]]] = {}
        for row in rows:
            parts.setdefault(row[0], []).append(row)
        ids = [packed_id(block, series, lane) for series in parts]
        before = dict(
            self._connection.execute(
                "SELECT id, data FROM packed WHERE id IN (SELECT value FROM json_each(?))",
                (orjson.dumps(ids).decode(),),
            )
        )
        written = []
        for number, part in zip(ids, parts.values(), strict=True):
            packed = Packed(np.array([row[1] for row in part], dtype=np.int64), columns(part))
            if number in before:
                packed = merge(self._codec.decode(before[number]), packed)
            elif merge is _first:
                packed = Packed(np.arange(len(part)), packed.columns)
            written.append((number, total(packed), self._codec.encode(packed)))
        self._connection.executemany("INSERT OR REPLACE INTO packed VALUES(?, ?, ?)", written)


def pack_all(connection: apsw.Connection, stopped: Callable[[], bool]) -> bool:
    """Pack all points of a sealed segment and give back the space; False where `stopped` said so before the end."""
    packer, more = Packer(connection), True
    while more:
        if stopped():
            return False
        connection.execute("BEGIN IMMEDIATE")
        try:
            more = packer.step(_EVER_NS)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    if connection.pragma("freelist_count") * 20 > connection.pragma("page_count"):
        connection.execute("VACUUM")
    return True


def _numbers(values: list[Any]) -> Column:
    """One row of numbers: whole ones stay such, unless there is another kind among them."""
    column = np.array([values])
    return column if column.dtype in (np.int64, np.float64) else column.astype(np.float64)


def _none(_: Packed) -> None:
    return None


def _total(packed: Packed) -> int | float:
    return _sums(packed.columns[0])[0]


def _totals(packed: Packed) -> str:
    return orjson.dumps([*_sums(packed.columns[0]), *_sums(packed.columns[1])]).decode()


def _sums(column: Column) -> list[int | float]:
    """The sum of each row: exact for whole numbers, a float where SQLite has no such integer."""
    if column.dtype == np.int64 and column.size and float(np.abs(column).max()) * column.shape[1] >= _SAFE:
        found = [sum(row) for row in column.tolist()]
        return [value if -_MOST_INT <= value <= _MOST_INT else float(value) for value in found]
    sums: list[int | float] = column.sum(axis=1).tolist()
    return sums


def _appended(one: Packed, other: Packed) -> Packed | None:
    """The other's points behind those of the one, where they are later, as they mostly are."""
    if other.places[0] <= one.places[-1]:
        return None
    columns = [np.concatenate(pair, axis=1) for pair in zip(one.columns, other.columns, strict=True)]
    return Packed(np.concatenate((one.places, other.places)), columns)


def _added(one: Packed, other: Packed) -> Packed:
    """Both added up, place by place."""
    if (appended := _appended(one, other)) is not None:
        return appended
    columns = []
    places = np.union1d(one.places, other.places)
    at, and_at = np.searchsorted(places, one.places), np.searchsorted(places, other.places)
    for first, second in zip(one.columns, other.columns, strict=True):
        kind = first.dtype if first.dtype == second.dtype else np.dtype(np.float64)
        if kind == np.int64 and max(np.abs(first).max(), np.abs(second).max()) >= _SAFE:
            kind = np.dtype(np.float64)
        whole = np.zeros((len(first), len(places)), dtype=kind)
        whole[:, at] = first
        whole[:, and_at] += second.astype(kind)
        columns.append(whole)
    return Packed(places, columns)


def _chosen(one: Packed, other: Packed, keys: Sequence[Column], places: Places) -> Packed:
    """Of all points in this order those that are the last of their place."""
    order = np.lexsort(tuple(keys))
    places = places[order]
    last = np.ones(len(places), dtype=np.bool_)
    last[:-1] = places[1:] != places[:-1]
    kept = order[last]
    columns = [np.concatenate(pair, axis=1)[:, kept] for pair in zip(one.columns, other.columns, strict=True)]
    return Packed(places[last], columns)


def _newest(one: Packed, other: Packed) -> Packed:
    """Of each place what was said last, and of that the greater, as the small table does."""
    if (appended := _appended(one, other)) is not None:
        return appended
    places = np.concatenate((one.places, other.places))
    values, at = (np.concatenate(pair, axis=1)[0] for pair in zip(one.columns, other.columns, strict=True))
    return _chosen(one, other, (values, at, places), places)


def _first(one: Packed, other: Packed) -> Packed:
    """All samples by time; of those of one moment the one that was there."""
    times = np.concatenate((one.columns[0][0], other.columns[0][0]))
    new = np.zeros(len(times), dtype=np.int64)
    new[: len(one.columns[0][0])] = 1
    found = _chosen(one, other, (new, times), times)
    return Packed(np.arange(len(found.places)), found.columns)

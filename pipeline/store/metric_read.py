"""Reading a segment of metrics into arrays: which series match, and what they gained or said in a grid of windows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

import apsw
import numpy as np
import orjson

from monitoring.pipeline.query.promql.source import NAME, Floats, Times
from monitoring.pipeline.store.deltas import WINDOW_NS, Number
from monitoring.pipeline.store.matchers import Matcher
from monitoring.pipeline.store.metric_codec import Codec
from monitoring.pipeline.store.metric_grid import Counting, Grid, Lanes
from monitoring.pipeline.store.metric_names import LE, exposed, name_test
from monitoring.pipeline.store.metric_pack import PACK, PACK_MS, packed_blocks, packed_id, packed_rows, sample_value
from monitoring.pipeline.store.metric_points import having
from monitoring.pipeline.store.metric_segment import BLOCK

__all__ = ["Gauge", "Key", "Read", "choose", "families_of", "read"]


class Key(NamedTuple):
    """A series over all segments: what it is of, and its labels as JSON text with sorted names."""

    name: str
    kind: str
    bounds: tuple[Number, ...]
    labels: str


class Gauge:
    """What each lane said of a gauge; how lanes are combined is what was declared last."""

    def __init__(self) -> None:
        self.across = "last"
        self.lanes: dict[str, Lanes] = {}


class Read:
    """What several segments say of the series that were asked for, in a grid."""

    def __init__(self, grid: Grid, start_ms: int, end_ms: int) -> None:
        self.grid, self.start_ms, self.end_ms = grid, start_ms, end_ms
        self.samples: dict[Key, list[tuple[Times, Floats]]] = {}
        self.counting: dict[Key, Counting] = {}
        self.gauges: dict[Key, Gauge] = {}

    def sampled(self, key: Key, times: Times, values: Floats) -> None:
        """Add raw samples, times in milliseconds since 1970, rising."""
        low, high = np.searchsorted(times, (self.start_ms, self.end_ms + 1))
        if high > low:
            self.samples.setdefault(key, []).append((times[low:high], values[low:high]))

    def count_of(self, key: Key) -> Counting:
        """The increments of this series, to add to."""
        found = self.counting.get(key)
        if found is None:
            rows = 1 if key.kind == "counter" else len(key.bounds) + 2
            found = self.counting[key] = Counting(rows, self.grid.count)
        return found

    def lane_of(self, key: Key, across: str, lane: str) -> Lanes:
        """What this lane said of a gauge, to add to."""
        gauge = self.gauges.get(key)
        if gauge is None:
            gauge = self.gauges[key] = Gauge()
        gauge.across = across
        found = gauge.lanes.get(lane)
        if found is None:
            found = gauge.lanes[lane] = Lanes()
        return found


class Chosen(NamedTuple):
    """A series of one segment, by its number there."""

    key: Key
    across: str


def families_of(connection: apsw.Connection, fits: Callable[[str], bool]) -> Iterator[tuple[Any, ...]]:
    """Number, name, kind, `across` and bounds of the families of a segment that are seen under a name that fits."""
    for number, name, kind, across, bounds in connection.execute("SELECT id, name, kind, across, bounds FROM family"):
        if any(fits(seen.name) for seen in exposed(name, kind)):
            yield number, name, kind, across, tuple(orjson.loads(bounds))


def choose(connection: apsw.Connection, matchers: Sequence[Matcher]) -> dict[int, Chosen]:
    """The series of a segment that match, whatever their `le`."""
    families = {
        number: (name, kind, bounds, across)
        for number, name, kind, across, bounds in families_of(connection, name_test(matchers))
    }
    buckets = {number for number, (_, kind, _, _) in families.items() if kind == "histogram"}
    numbers: dict[bool, set[int] | None] = {
        True: having(connection, [each for each in matchers if each.label not in (NAME, LE)]) if buckets else None,
        False: having(connection, [each for each in matchers if each.label != NAME])
        if len(buckets) < len(families)
        else None,
    }
    found = {}
    rows = connection.execute(
        "SELECT id, family, labels FROM series WHERE family IN (SELECT value FROM json_each(?))",
        (orjson.dumps(list(families)).decode(),),
    )
    for number, family, labels in rows:
        wanted = numbers[family in buckets]
        if wanted is None or number in wanted:
            name, kind, bounds, across = families[family]
            found[number] = Chosen(Key(name, kind, bounds, labels), across)
    return found


def read(connection: apsw.Connection, chosen: Mapping[int, Chosen], into: Read) -> None:
    """Add what a segment has of these series."""
    by_kind: dict[str, list[int]] = {"counter": [], "histogram": [], "gauge": [], "sample": []}
    for number, (key, _) in chosen.items():
        by_kind[key.kind].append(number)
    if by_kind["counter"]:
        _counters(connection, by_kind["counter"], chosen, into)
    if by_kind["histogram"]:
        _histograms(connection, by_kind["histogram"], chosen, into)
    if by_kind["gauge"]:
        _gauges(connection, by_kind["gauge"], chosen, into)
    _packed(connection, by_kind, chosen, into)
    if by_kind["sample"]:
        _samples(connection, by_kind["sample"], chosen, into)


def _counters(connection: apsw.Connection, numbers: Sequence[int], chosen: Mapping[int, Chosen], into: Read) -> None:
    for number, total in _before(connection, "increment", "total(value)", numbers, into.grid.first):
        into.count_of(chosen[number].key).base[0] += total
    rows = _rows(connection, "increment", "value", numbers, into.grid)
    for number, points in _by_series(rows):
        windows = np.array([row[1] for row in points], dtype=np.int64)
        gained = np.array([[row[2] for row in points]], dtype=np.float64)
        into.count_of(chosen[number].key).add(into.grid.first, windows, gained)


def _histograms(connection: apsw.Connection, numbers: Sequence[int], chosen: Mapping[int, Chosen], into: Read) -> None:
    for number, total in _before(connection, "histogram", "total(sum)", numbers, into.grid.first):
        into.count_of(chosen[number].key).base[-1] += total
    for number, bucket, total in _buckets_before(connection, numbers, into.grid.first):
        into.count_of(chosen[number].key).base[bucket] += total
    rows = _rows(connection, "histogram", "sum, counts", numbers, into.grid)
    for number, points in _by_series(rows):
        counting = into.count_of(chosen[number].key)
        for _, window, total, text in points:
            place, counts = window - into.grid.first, orjson.loads(text)
            counting.gained[-1, place] += total
            counting.gained[: len(counts), place] += counts
            counting.has[place] = True


def _gauges(connection: apsw.Connection, numbers: Sequence[int], chosen: Mapping[int, Chosen], into: Read) -> None:
    names = dict(connection.execute("SELECT id, lane FROM source"))
    rows = _rows(connection, "gauge", "lane, at, value", numbers, into.grid)
    for number, points in _by_series(rows):
        for lane, said in groupby(sorted(points, key=itemgetter(2)), key=itemgetter(2)):
            columns = list(zip(*said, strict=True))
            windows = np.array(columns[1], dtype=np.int64)
            at = np.array(columns[3], dtype=np.int64) + windows * WINDOW_NS
            key, across = chosen[number]
            into.lane_of(key, across, names[lane]).add(windows, at, np.array(columns[4], dtype=np.float64))


def _packed(
    connection: apsw.Connection, by_kind: Mapping[str, Sequence[int]], chosen: Mapping[int, Chosen], into: Read
) -> None:
    """Add the packed rows: of blocks before the grid the totals, of those that reach into it the points."""
    grid, codec = into.grid, Codec()
    blocks = [block for block in packed_blocks(connection) if block * PACK <= grid.last]
    earlier = [block for block in blocks if (block + 1) * PACK <= grid.first]
    within = blocks[len(earlier) :]
    counting = [*by_kind["counter"], *by_kind["histogram"]]
    if earlier and counting:
        for number, total in _totals(connection, earlier, counting):
            into.count_of(chosen[number].key).base += orjson.loads(total) if isinstance(total, str) else total
    for row in packed_rows(connection, within, counting) if counting else ():
        found, row_of = into.count_of(chosen[row.series].key), 0
        places, columns = codec.decode(row.data)
        for column in columns:
            found.add(grid.first, places + row.block * PACK, column, row_of)
            row_of += len(column)
    if not by_kind["gauge"]:
        return
    names = dict(connection.execute("SELECT id, lane FROM source"))
    for row in packed_rows(connection, within, by_kind["gauge"]):
        places, (values, at) = codec.decode(row.data)
        windows = places + row.block * PACK
        key, across = chosen[row.series]
        lane = into.lane_of(key, across, names[row.lane])
        lane.add(windows, windows * WINDOW_NS + at[0], values[0].astype(np.float64))


def _samples(connection: apsw.Connection, numbers: Sequence[int], chosen: Mapping[int, Chosen], into: Read) -> None:
    """Samples as they came; of one moment the first that was written."""
    codec, start, end = Codec(), into.start_ms, into.end_ms
    blocks = [block for block in packed_blocks(connection) if start // PACK_MS <= block <= end // PACK_MS]
    for row in packed_rows(connection, blocks, numbers):
        _, (times, values) = codec.decode(row.data)
        into.sampled(chosen[row.series].key, times[0] + row.block * PACK_MS, values[0].astype(np.float64))
    rows = connection.execute(
        "SELECT series, at, value FROM sample WHERE series IN (SELECT value FROM json_each(?)) AND at BETWEEN ? AND ?",
        (orjson.dumps(numbers).decode(), start, end),
    )
    for number, points in _by_series(rows):
        times = np.array([at for _, at, _ in points], dtype=np.int64)
        into.sampled(chosen[number].key, times, np.array([sample_value(value) for _, _, value in points]))


def _totals(connection: apsw.Connection, blocks: Sequence[int], numbers: Sequence[int]) -> Iterator[tuple[int, Any]]:
    for block in blocks:
        ids = orjson.dumps([packed_id(block, number) for number in numbers]).decode()
        yield from connection.execute(
            "SELECT id >> 24 & 1048575, total FROM packed WHERE id IN (SELECT value FROM json_each(?))", (ids,)
        )


def _by_series(rows: Iterable[tuple[Any, ...]]) -> Iterator[tuple[int, list[tuple[Any, ...]]]]:
    found: dict[int, list[tuple[Any, ...]]] = {}
    for row in rows:
        found.setdefault(row[0], []).append(row)
    yield from found.items()


def _rows(
    connection: apsw.Connection, table: str, columns: str, numbers: Sequence[int], grid: Grid
) -> Iterator[tuple[Any, ...]]:
    """The points of these series in the grid, as (series, window, columns)."""
    query = (
        f"SELECT series, block * {BLOCK} + slot AS window, {columns} FROM {table}"  # noqa: S608 - own names
        " WHERE block IN (SELECT value FROM json_each(?)) AND series IN (SELECT value FROM json_each(?))"
    )
    blocks = list(range(grid.first // BLOCK, grid.last // BLOCK + 1))
    for row in connection.execute(query, (orjson.dumps(blocks).decode(), orjson.dumps(numbers).decode())):
        if grid.first <= row[1] <= grid.last:
            yield row


_EARLIER = "WHERE (block < ?1 OR (block = ?1 AND slot < ?2)) AND series IN (SELECT value FROM json_each(?3))"


def _before(
    connection: apsw.Connection, table: str, total: str, numbers: Sequence[int], first: int
) -> Iterator[tuple[int, float]]:
    """What these series gained in all windows before this one."""
    query = f"SELECT series, {total} FROM {table} {_EARLIER} GROUP BY series"  # noqa: S608 - own names
    yield from connection.execute(query, (*divmod(first, BLOCK), orjson.dumps(numbers).decode()))


def _buckets_before(
    connection: apsw.Connection, numbers: Sequence[int], first: int
) -> Iterator[tuple[int, int, float]]:
    query = (
        "SELECT series, each.key, total(each.value) FROM histogram, json_each(histogram.counts) AS each"  # noqa: S608 - own names
        f" {_EARLIER} GROUP BY series, each.key"
    )
    yield from connection.execute(query, (*divmod(first, BLOCK), orjson.dumps(numbers).decode()))

"""Reading a segment of metrics into arrays: which series match, and what they gained or said in a grid of windows."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from itertools import islice
from typing import Any, NamedTuple

import apsw
import numpy as np
import orjson

from monitoring.pipeline.errors import PermanentError
from monitoring.pipeline.query.promql.source import NAME, Floats, Times
from monitoring.pipeline.store.deltas import WINDOW_NS, Number
from monitoring.pipeline.store.matchers import Matcher
from monitoring.pipeline.store.metric_coarse import coarse, summary
from monitoring.pipeline.store.metric_codec import Batch, Codec
from monitoring.pipeline.store.metric_grid import Grid, Lanes, Summary
from monitoring.pipeline.store.metric_names import LE, exposed, name_test
from monitoring.pipeline.store.metric_pack import (
    PACK,
    PACK_MS,
    PackedRow,
    packed_blocks,
    packed_id,
    packed_rows,
    sample_value,
)
from monitoring.pipeline.store.metric_points import blocks_of, having
from monitoring.pipeline.store.metric_segment import BLOCK
from monitoring.pipeline.store.metric_sheet import Counting, Sheet, add_all

__all__ = ["Gauge", "Key", "Read", "choose", "families_of", "read", "read_carried", "read_deleted", "read_rolled"]


MAX_SAMPLES = 50_000_000
"""As many as Prometheus takes for one query; 400 MB here."""
_SHEET_CELLS = 1 << 20
"""8 MB of floats at a time."""
_TOGETHER = 256
"""Packed rows that are decoded together: a column of those is 3 MB."""
_LESS = "ask for fewer series, a shorter range or longer steps"


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
    """What several segments and roll-ups say of the series that were asked for, in a grid.

    `fine` is the grid of 10 s in which the lanes of gauges are combined that are in no roll-up yet.
    """

    def __init__(self, grid: Grid, fine: Grid | None = None) -> None:
        self.grid, self.fine = grid, fine or grid
        self.start_ms, self.end_ms = grid.start_ms, grid.end_ms
        self._cells = 0
        self.sheets: list[Sheet] = []
        self.summaries: dict[Key, Summary] = {}
        self.samples: dict[Key, list[tuple[Times, Floats]]] = {}
        self.counting: dict[Key, Counting] = {}
        self.gauges: dict[Key, Gauge] = {}

    @property
    def first_fine(self) -> int:
        """The first window of 10 s in the grid."""
        return self.grid.first * self.grid.scale

    def sampled(self, key: Key, times: Times, values: Floats) -> None:
        """Add raw samples, times in milliseconds since 1970, rising."""
        low, high = np.searchsorted(times, (self.start_ms, self.end_ms + 1))
        if high > low:
            self.samples.setdefault(key, []).append((times[low:high], values[low:high]))

    def count_of(self, key: Key) -> Counting:
        """The increments of this series, to add to. Raises PermanentError where they are too many."""
        found = self.counting.get(key)
        if found is None:
            rows = 1 if key.kind == "counter" else len(key.bounds) + 2
            self._cells += rows * self.grid.count
            if self._cells > MAX_SAMPLES:
                raise PermanentError(f"the query reads over {MAX_SAMPLES:,} samples: {_LESS}")
            room = self.sheets[-1].room(rows) if self.sheets else None
            while room is None:
                self.sheets.append(Sheet(max(rows, _SHEET_CELLS // max(1, self.grid.count)), self.grid.count))
                room = self.sheets[-1].room(rows)
            found = self.counting[key] = room
        return found

    def summary_of(self, key: Key) -> Summary:
        """What roll-ups say of a gauge, to add to."""
        found = self.summaries.get(key)
        if found is None:
            found = self.summaries[key] = Summary(self.grid.count)
        return found

    def sum_up(self) -> None:
        """Make totals of increments, and let what was said in segments without a roll-up be a part of the coarser grid,
        too. Once, at the end.
        """
        for sheet in self.sheets:
            sheet.add_up()
        scale = self.grid.scale
        for key, gauge in self.gauges.items() if scale > 1 else ():
            windows, columns = summary(self.fine.gauge(gauge.lanes, gauge.across), scale)
            if len(windows):
                self.summary_of(key).add(self.grid.placed(windows), columns)

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


def read_rolled(connection: apsw.Connection, chosen: Mapping[int, Chosen], into: Read) -> None:
    """Add what a file of a roll-up has of these series, of the grid's resolution."""
    by_kind = _by_kind(chosen)
    _packed(connection, by_kind, chosen, into, 1)
    if by_kind["sample"]:
        _samples(connection, by_kind["sample"], chosen, into, PACK_MS * into.grid.scale)


def read_carried(connection: apsw.Connection, chosen: Mapping[int, Chosen], into: Read) -> None:
    """Add what these series came to through a segment whose file of hours this is, which ended before the grid."""
    numbers = [number for number, (key, _) in chosen.items() if key.kind in ("counter", "histogram")]
    query = "SELECT series, total FROM carried WHERE series IN (SELECT value FROM json_each(?))"
    for number, total in connection.execute(query, (orjson.dumps(numbers).decode(),)):
        into.count_of(chosen[number].key).base += orjson.loads(total)


def read_deleted(connection: apsw.Connection, chosen: Mapping[int, Chosen], into: Read) -> None:
    """Add what these series came to before the first segment that is left, whose file of hours this is."""
    numbers = [number for number, (key, _) in chosen.items() if key.kind in ("counter", "histogram")]
    own = dict(_totals(connection, packed_blocks(connection), numbers))
    query = "SELECT series, total FROM carried WHERE series IN (SELECT value FROM json_each(?))"
    for number, total in connection.execute(query, (orjson.dumps(numbers).decode(),)):
        before = np.array(orjson.loads(total), dtype=np.float64)
        if number in own:
            before -= own[number]
        if before.any():
            into.count_of(chosen[number].key).base += before


def _by_kind(chosen: Mapping[int, Chosen]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {"counter": [], "histogram": [], "gauge": [], "sample": []}
    for number, (key, _) in chosen.items():
        found[key.kind].append(number)
    return found


def read(connection: apsw.Connection, chosen: Mapping[int, Chosen], into: Read) -> None:
    """Add what a segment has of these series."""
    by_kind = _by_kind(chosen)
    if by_kind["counter"]:
        _counters(connection, by_kind["counter"], chosen, into)
    if by_kind["histogram"]:
        _histograms(connection, by_kind["histogram"], chosen, into)
    if by_kind["gauge"]:
        _gauges(connection, by_kind["gauge"], chosen, into)
    _packed(connection, by_kind, chosen, into, into.grid.scale)
    if by_kind["sample"]:
        _samples(connection, by_kind["sample"], chosen, into, PACK_MS)
        _raw_samples(connection, by_kind["sample"], chosen, into)


def _counters(connection: apsw.Connection, numbers: Sequence[int], chosen: Mapping[int, Chosen], into: Read) -> None:
    for number, total in _before(connection, "increment", "total(value)", numbers, into.first_fine):
        into.count_of(chosen[number].key).base[0] += total
    for number, table in _tables(_rows(connection, "increment", "value", numbers, into)):
        windows, (gained,) = coarse(table[1].astype(np.int64), [table[2:]], into.grid.scale)
        add_all([into.count_of(chosen[number].key)], into.grid.placed(windows), gained[None])


def _histograms(connection: apsw.Connection, numbers: Sequence[int], chosen: Mapping[int, Chosen], into: Read) -> None:
    for number, total in _before(connection, "histogram", "total(sum)", numbers, into.first_fine):
        into.count_of(chosen[number].key).base[-1] += total
    for number, bucket, total in _buckets_before(connection, numbers, into.first_fine):
        into.count_of(chosen[number].key).base[bucket] += total
    rows = _rows(connection, "histogram", "sum, counts", numbers, into)
    for number, points in _by_series(rows):
        counting = into.count_of(chosen[number].key)
        for _, window, total, text in points:
            place, counts = window // into.grid.scale - into.grid.first, orjson.loads(text)
            counting.gained[-1, place] += total
            counting.gained[: len(counts), place] += counts
            counting.has[place] = True


def _gauges(connection: apsw.Connection, numbers: Sequence[int], chosen: Mapping[int, Chosen], into: Read) -> None:
    names = dict(connection.execute("SELECT id, lane FROM source"))
    for number, table in _tables(_rows(connection, "gauge", "lane, at, value", numbers, into)):
        key, across = chosen[number]
        for lane in np.unique(table[2]):
            said = table[:, table[2] == lane]
            windows = said[1].astype(np.int64)
            at = partial(np.add, said[3].astype(np.int64), windows * WINDOW_NS)
            into.lane_of(key, across, names[int(lane)]).add(windows, at, said[4])


def _tables(rows: Iterable[tuple[Any, ...]]) -> Iterator[tuple[int, Floats]]:
    """The rows of each series as a matrix, a row a column: numbers by the thousand are read faster so."""
    table = np.array(list(rows), dtype=np.float64)  # whole numbers are below 2 ** 53, but for values
    if not len(table):
        return
    table = table[np.argsort(table[:, 0], kind="stable")]
    for part in np.split(table, np.flatnonzero(np.diff(table[:, 0])) + 1):
        yield int(part[0, 0]), np.ascontiguousarray(part.T)


def _packed(
    connection: apsw.Connection,
    by_kind: Mapping[str, Sequence[int]],
    chosen: Mapping[int, Chosen],
    into: Read,
    factor: int,
) -> None:
    """Add packed rows, `factor` of whose windows are one of the grid: of blocks before it the totals, else points."""
    grid, codec = into.grid, Codec()
    first, last = grid.first * factor, (grid.last + 1) * factor - 1
    blocks = [block for block in packed_blocks(connection) if block * PACK <= last]
    earlier = [block for block in blocks if (block + 1) * PACK <= first]
    within = blocks[len(earlier) :]
    counting = [*by_kind["counter"], *by_kind["histogram"]]
    if earlier and counting:
        for number, total in _totals(connection, earlier, counting):
            into.count_of(chosen[number].key).base += total
    known: dict[int, Counting] = {}
    for some, windows, batch in _batches(connection, within, counting, codec):
        for row in some:
            if row.series not in known:
                known[row.series] = into.count_of(chosen[row.series].key)
        counts = [known[row.series] for row in some]
        longer, columns = coarse(windows, list(map(batch.column, range(len(batch)))), factor)
        placed, row_of = grid.placed(longer), 0
        for column in columns:
            add_all(counts, placed, column, row_of)
            row_of += column.shape[1]
    if factor < grid.scale:
        for some, windows, batch in _batches(connection, within, by_kind["gauge"], codec):
            said, placed = [batch.column(number) for number in range(len(batch))], grid.placed(windows)
            for place, row in enumerate(some):
                into.summary_of(chosen[row.series].key).add(placed, [column[place] for column in said])
        return
    names = dict(connection.execute("SELECT id, lane FROM source")) if by_kind["gauge"] else {}
    for some, windows, batch in _batches(connection, within, by_kind["gauge"], codec):
        values = batch.column(0).astype(np.float64, copy=False)
        at = _Said(windows, batch)
        for place, row in enumerate(some):
            key, across = chosen[row.series]
            into.lane_of(key, across, names[row.lane]).add(windows, partial(at.of, place), values[place, 0])


def _batches(
    connection: apsw.Connection, blocks: Sequence[int], numbers: Sequence[int], codec: Codec
) -> Iterator[tuple[list[PackedRow], Times, Batch]]:
    """The packed points of these series in these blocks, many at a time, with the windows that they are of."""
    for block in blocks if numbers else ():
        rows = iter(packed_rows(connection, [block], numbers))
        while some := list(islice(rows, _TOGETHER)):
            for places, batch in codec.batches([row.data for row in some]):
                yield [some[place] for place in places], batch.places + block * PACK, batch


class _Said:
    """When the values of a batch of a gauge were said: seldom asked, so not decoded before."""

    def __init__(self, windows: Times, batch: Batch) -> None:
        self._starts, self._batch = windows * WINDOW_NS, batch

    @cached_property
    def _at(self) -> Times:
        return self._batch.column(1)[:, 0] + self._starts

    def of(self, place: int) -> Times:
        """Those of one series, nanoseconds since 1970."""
        found: Times = self._at[place]
        return found


def _samples(
    connection: apsw.Connection, numbers: Sequence[int], chosen: Mapping[int, Chosen], into: Read, length_ms: int
) -> None:
    """Packed samples, of blocks of this length."""
    codec = Codec()
    first, last = into.start_ms // length_ms, into.end_ms // length_ms
    blocks = [block for block in packed_blocks(connection) if first <= block <= last]
    for row in packed_rows(connection, blocks, numbers):
        _, (times, values) = codec.decode(row.data)
        into.sampled(chosen[row.series].key, times[0] + row.block * length_ms, values[0].astype(np.float64))


def _raw_samples(connection: apsw.Connection, numbers: Sequence[int], chosen: Mapping[int, Chosen], into: Read) -> None:
    """Samples as they came."""
    rows = connection.execute(
        "SELECT series, at, value FROM sample WHERE series IN (SELECT value FROM json_each(?)) AND at BETWEEN ? AND ?",
        (orjson.dumps(numbers).decode(), into.start_ms, into.end_ms),
    )
    for number, points in _by_series(rows):
        times = np.array([at for _, at, _ in points], dtype=np.int64)
        into.sampled(chosen[number].key, times, np.array([sample_value(value) for _, _, value in points]))


def _totals(connection: apsw.Connection, blocks: Sequence[int], numbers: Sequence[int]) -> Iterator[tuple[int, Floats]]:
    """What each series gained in these blocks, by rows: exact as far as whole numbers are."""
    numeric: dict[int, int | float] = {}
    rows: dict[int, list[Any]] = {}
    for block in blocks:
        ids = orjson.dumps([packed_id(block, number) for number in numbers]).decode()
        for number, total in connection.execute(
            "SELECT id >> 24 & 1048575, total FROM packed WHERE id IN (SELECT value FROM json_each(?))", (ids,)
        ):
            if type(total) is str:
                more = orjson.loads(total)
                rows[number] = list(map(operator.add, rows[number], more)) if number in rows else more
            else:
                numeric[number] = numeric.get(number, 0) + total
    yield from ((number, np.array([total], dtype=np.float64)) for number, total in numeric.items())
    yield from ((number, np.array(total, dtype=np.float64)) for number, total in rows.items())


def _by_series(rows: Iterable[tuple[Any, ...]]) -> Iterator[tuple[int, list[tuple[Any, ...]]]]:
    found: dict[int, list[tuple[Any, ...]]] = {}
    for row in rows:
        found.setdefault(row[0], []).append(row)
    yield from found.items()


def _rows(
    connection: apsw.Connection, table: str, columns: str, numbers: Sequence[int], into: Read
) -> Iterator[tuple[Any, ...]]:
    """The points of these series in the grid, as (series, window, columns)."""
    query = (
        f"SELECT series, block * {BLOCK} + slot AS window, {columns} FROM {table}"  # noqa: S608 - own names
        " WHERE block IN (SELECT value FROM json_each(?)) AND series IN (SELECT value FROM json_each(?))"
    )
    first, last = into.first_fine, (into.grid.last + 1) * into.grid.scale - 1
    blocks = blocks_of(connection, table, first // BLOCK, last // BLOCK)
    named = (orjson.dumps(blocks).decode(), orjson.dumps(numbers).decode())
    rows: list[tuple[Any, ...]] = connection.execute(query, named).fetchall()
    yield from (row for row in rows if first <= row[1] <= last)


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

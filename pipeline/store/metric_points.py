"""Reading the points of one metric segment, and putting those of several together.

Each segment has series and numbers of its own, so what is read is put together by name and labels. Increments of a
window add up over segments; of a gauge, each lane's newest value counts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import apsw
import orjson

from monitoring.pipeline.store.deltas import WINDOW_NS, Buckets, Number
from monitoring.pipeline.store.matchers import Matcher
from monitoring.pipeline.store.metric_segment import BLOCK

__all__ = ["ALIVE_WINDOWS", "Gathered", "Points", "Series", "blocks_of", "having", "select"]

ALIVE_WINDOWS = 30
"""A lane's gauge counts in its window and those that follow it, 5 minutes in all; a producer says it every minute."""


class Series(NamedTuple):
    """A series: what it is of and its labels, as JSON text with sorted names."""

    name: str
    kind: str
    across: str
    bounds: tuple[Number, ...]
    labels: str


Points = dict[int, Any]
"""By the start of the window, nanoseconds since 1970: a number, or `Buckets` of a histogram."""
_Lanes = dict[str, dict[int, tuple[int, Number]]]
"""By lane and window: when it was said, nanoseconds, and the value."""


class Gathered:
    """The points of a range of windows, from any number of segments. Windows are numbered since 1970."""

    def __init__(self, first: int, last: int) -> None:
        self._first, self._last = first, last
        self._increments: dict[Series, Points] = defaultdict(dict)
        self._gauges: dict[Series, _Lanes] = defaultdict(lambda: defaultdict(dict))

    def add(self, connection: apsw.Connection, name: str | None, matchers: Sequence[Matcher]) -> None:
        """Add what a segment has of the series that match."""
        chosen = select(connection, name, matchers)
        for series, window, value in _increments(connection, chosen, self._first, self._last):
            _add(self._increments[series], window, value)
        earliest = self._first - ALIVE_WINDOWS + 1
        for series, window, lane, at, value in _gauges(connection, chosen, earliest, self._last):
            point, said = (at, value), self._gauges[series][lane]
            said[window] = max(said.get(window, point), point)

    def points(self) -> dict[Series, Points]:
        """All of them, by the start of their windows."""
        found = dict(self._increments)
        for series, lanes in self._gauges.items():
            if combined := _combined(series.across, lanes, self._first, self._last):
                found[series] = combined
        return {
            series: {window * WINDOW_NS: value for window, value in sorted(points.items())}
            for series, points in found.items()
        }


def select(connection: apsw.Connection, name: str | None, matchers: Sequence[Matcher]) -> dict[int, Series]:
    """The series of a segment that match, by their numbers there."""
    chosen = having(connection, matchers)
    rows = connection.execute(
        "SELECT series.id, name, kind, across, bounds, labels FROM series JOIN family ON family = family.id"
        " WHERE ?1 IS NULL OR name = ?1",
        (name,),
    )
    found = {}
    for number, title, kind, across, bounds, labels in rows:
        if chosen is None or number in chosen:
            found[number] = Series(title, kind, across, tuple(orjson.loads(bounds)), labels)
    return found


def having(connection: apsw.Connection, matchers: Sequence[Matcher]) -> set[int] | None:
    """The numbers of the series of a segment whose labels fit; None means all of them."""
    chosen: set[int] | None = None
    for matcher in matchers:
        test = matcher.test()
        values: list[tuple[int, str]] = list(
            connection.execute("SELECT id, value FROM label WHERE name = ?", (matcher.label,))
        )
        absent = test("")
        labels = [number for number, value in values if test(value) != absent]
        labelled = _labelled(connection, labels)
        if absent:  # all but those with a value that does not fit
            chosen = (_all(connection) if chosen is None else chosen) - labelled
        else:
            chosen = labelled if chosen is None else chosen & labelled
    return chosen


def _all(connection: apsw.Connection) -> set[int]:
    return {number for (number,) in connection.execute("SELECT id FROM series")}


def _labelled(connection: apsw.Connection, labels: Iterable[int]) -> set[int]:
    query = "SELECT series FROM labelled WHERE label = ?"
    return {series for label in labels for (series,) in connection.execute(query, (label,))}


def _increments(
    connection: apsw.Connection, chosen: dict[int, Series], first: int, last: int
) -> Iterator[tuple[Series, int, Any]]:
    for number, window, value in _rows(connection, "increment", "value", chosen, first, last):
        yield chosen[number], window, value
    for number, window, total, counts in _rows(connection, "histogram", "sum, counts", chosen, first, last):
        series = chosen[number]
        known = orjson.loads(counts)
        yield series, window, Buckets(total, known + [0] * (len(series.bounds) + 1 - len(known)))
    for number, _, windows, columns in _packed(connection, chosen, ("counter", "histogram"), first, last):
        series = chosen[number]
        counts = columns[0].T.tolist()
        if series.kind == "counter":
            yield from ((series, window, value) for window, (value,) in zip(windows, counts, strict=True))
        else:
            sums = columns[1][0].tolist()
            for window, total, row in zip(windows, sums, counts, strict=True):
                yield series, window, Buckets(total, row)


def _packed(
    connection: apsw.Connection, chosen: dict[int, Series], kinds: Sequence[str], first: int, last: int
) -> Iterator[tuple[int, int, list[int], list[Any]]]:
    """Packed points of the chosen series of these kinds in these windows, as series, lane, windows and columns."""
    from monitoring.pipeline.store.metric_codec import Codec  # numpy, which who only writes does not need
    from monitoring.pipeline.store.metric_pack import PACK, packed_blocks, packed_rows

    mine = [number for number, series in chosen.items() if series.kind in kinds]
    blocks = [block for block in packed_blocks(connection) if first // PACK <= block <= last // PACK]
    codec = Codec()
    for row in packed_rows(connection, blocks, mine) if mine else ():
        places, columns = codec.decode(row.data)
        windows = places + row.block * PACK
        inside = (windows >= first) & (windows <= last)
        yield row.series, row.lane, windows[inside].tolist(), [column[:, inside] for column in columns]


def _gauges(
    connection: apsw.Connection, chosen: dict[int, Series], first: int, last: int
) -> Iterator[tuple[Series, int, str, int, Number]]:
    lanes = dict(connection.execute("SELECT id, lane FROM source"))
    for number, window, lane, at, value in _rows(connection, "gauge", "lane, at, value", chosen, first, last):
        yield chosen[number], window, lanes[lane], window * WINDOW_NS + at, value
    for number, lane, windows, (values, ats) in _packed(connection, chosen, ("gauge",), first, last):
        for window, value, at in zip(windows, values[0].tolist(), ats[0].tolist(), strict=True):
            yield chosen[number], window, lanes[lane], window * WINDOW_NS + at, value


def _rows(
    connection: apsw.Connection, table: str, columns: str, chosen: dict[int, Series], first: int, last: int
) -> Iterator[tuple[Any, ...]]:
    """Points of the chosen series in these windows, as (series, window, columns)."""
    kinds = {"increment": "counter", "histogram": "histogram", "gauge": "gauge"}
    mine = [number for number, series in chosen.items() if series.kind == kinds[table]]
    if not mine:
        return
    blocks = blocks_of(connection, table, first // BLOCK, last // BLOCK)
    query = (
        f"SELECT series, block * {BLOCK} + slot AS window, {columns} FROM {table}"  # noqa: S608 - own names
        " WHERE block IN (SELECT value FROM json_each(?)) AND series IN (SELECT value FROM json_each(?))"
    )
    for row in connection.execute(query, (orjson.dumps(blocks).decode(), orjson.dumps(mine).decode())):
        if first <= row[1] <= last:
            yield row


def blocks_of(connection: apsw.Connection, table: str, first: int, last: int) -> list[int]:
    """The blocks of this range that there are: named one by one, SQLite finds the series of each without a scan."""
    query = (
        f"WITH RECURSIVE found(block) AS (SELECT min(block) FROM {table} WHERE block >= ?1"  # noqa: S608 - own names
        f" UNION ALL SELECT (SELECT min(block) FROM {table} WHERE block > found.block) FROM found"
        "  WHERE found.block < ?2) SELECT block FROM found WHERE block <= ?2"
    )
    return [block for (block,) in connection.execute(query, (first, last))]


def _add(points: Points, window: int, value: Any) -> None:
    before = points.get(window)
    if before is None:
        points[window] = value
    elif isinstance(value, Buckets):
        counts = [one + other for one, other in zip(before.counts, value.counts, strict=True)]
        points[window] = Buckets(before.sum + value.sum, counts)
    else:
        points[window] = before + value


def _combined(across: str, lanes: _Lanes, first: int, last: int) -> Points:
    """A gauge's value in each window, of the lanes that are alive in it."""
    alive: dict[int, list[tuple[int, Number]]] = defaultdict(list)
    for said in lanes.values():
        windows = sorted(said)
        for window, following in zip(windows, [*windows[1:], last + 1], strict=True):
            for each in range(max(first, window), min(following, window + ALIVE_WINDOWS, last + 1)):
                alive[each].append(said[window])
    if across == "last":
        return {window: max(points)[1] for window, points in alive.items()}
    combine = _COMBINED[across]
    return {window: combine([value for _, value in points]) for window, points in alive.items()}


_COMBINED: dict[str, Callable[[Iterable[Number]], Number]] = {"sum": sum, "max": max, "min": min}

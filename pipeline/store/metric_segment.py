"""What a segment of metrics holds: series, and what they gained in each window of 10 s.

Points are kept by block (5 minutes), then series, then window within the block: what a round of deltas adds lies
together, and so does what a query reads of a series.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import zip_longest
from typing import Any, ClassVar, NamedTuple

import apsw
import orjson

from monitoring.pipeline import failpoint
from monitoring.pipeline.bus.frame import Frame, Payload
from monitoring.pipeline.events.delta import Delta
from monitoring.pipeline.events.signals import LATEST_NS
from monitoring.pipeline.store.contents import Extent, Understood, rejected_letters
from monitoring.pipeline.store.deltas import WINDOW_NS, Buckets, DeltaInvalid, Number, read_value, shares, windows_of
from monitoring.pipeline.store.letter import DeadLetter
from monitoring.pipeline.store.rows import id_floor
from monitoring.pipeline.store.series import Known, SeriesBook, SeriesLimits

__all__ = ["BLOCK", "Deltas", "MetricContents"]

BLOCK = 30
"""Windows of a block. A commit touches the pages of the blocks it adds to, a query those of the series it reads: with
single windows a query of 6 hours seeks 2,160 times a series, with a day 10,000 series are as many pages a commit."""
_DAY_NS = 86_400_000_000_000
_MINUTE_NS = 60_000_000_000
_MOST_COUNT = (1 << 63) - 1


class Gained(NamedTuple):
    """One delta, understood: `lane` is its lane's number, `labels` its own labels as they came."""

    known: Known
    lane: int
    timestamp: int
    window: int
    labels: str
    value: Number | Buckets


class Deltas:
    """Understood deltas, see `contents.StoredRows`."""

    def __init__(self, gained: list[Gained] | None = None) -> None:
        self.gained: list[Gained] = gained or []

    def __len__(self) -> int:
        return len(self.gained)

    def __getitem__(self, part: slice) -> Deltas:
        return Deltas(self.gained[part])

    def extend(self, other: Deltas) -> None:
        """Put those of another behind these."""
        self.gained += other.gained


_Place = tuple[int, int, int]  # block, series, window within the block


class MetricContents:
    """The tables of the signal "metrics" in one segment, open for writing. See `contents.Contents`."""

    schema: ClassVar[str] = """
CREATE TABLE family(
  id INTEGER PRIMARY KEY, name TEXT NOT NULL, kind TEXT NOT NULL, across TEXT NOT NULL, bounds TEXT NOT NULL,
  unit TEXT NOT NULL, help TEXT NOT NULL, overflowed INTEGER NOT NULL DEFAULT 0, UNIQUE(name, kind, across, bounds));
CREATE TABLE series(
  id INTEGER PRIMARY KEY, family INTEGER NOT NULL, labels TEXT NOT NULL, UNIQUE(family, labels));
CREATE TABLE label(id INTEGER PRIMARY KEY, name TEXT NOT NULL, value TEXT NOT NULL, UNIQUE(name, value));
CREATE TABLE labelled(label INTEGER, series INTEGER, PRIMARY KEY(label, series)) WITHOUT ROWID;
CREATE TABLE source(id INTEGER PRIMARY KEY, lane TEXT NOT NULL UNIQUE);
CREATE TABLE increment(
  block INTEGER, series INTEGER, slot INTEGER, value NOT NULL, PRIMARY KEY(block, series, slot)) WITHOUT ROWID;
CREATE TABLE histogram(
  block INTEGER, series INTEGER, slot INTEGER, sum NOT NULL, counts TEXT NOT NULL,
  PRIMARY KEY(block, series, slot)) WITHOUT ROWID;
CREATE TABLE gauge(
  block INTEGER, series INTEGER, slot INTEGER, lane INTEGER, at INTEGER NOT NULL, value NOT NULL,
  PRIMARY KEY(block, series, slot, lane)) WITHOUT ROWID;
CREATE TABLE minute(minute INTEGER PRIMARY KEY, count INTEGER NOT NULL);
"""
    limits: ClassVar[SeriesLimits] = SeriesLimits()

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        connection.create_scalar_function("add_counts", _add_counts, 2, deterministic=True)
        self.forget()

    def set_memory(self, *, large: bool) -> None:
        """See Contents. There is nothing beside the page cache."""

    def forget(self) -> None:
        """See Contents."""
        self._book: SeriesBook | None = None

    @property
    def book(self) -> SeriesBook:
        """The series there are."""
        if self._book is None:
            self._book = SeriesBook(self._connection, self.limits)
        return self._book

    def empty(self) -> Deltas:
        """See Contents."""
        return Deltas()

    def understand(self, frame: Frame, payload: Payload, now_ns: int) -> Understood:
        """See Contents."""
        spread = [column if type(column) is list else [column] * payload.events for column in payload.columns]
        letters = rejected_letters(frame, payload, now_ns)
        gained, kept = [], []
        book, latest = self.book, min(frame.created + _DAY_NS, LATEST_NS)
        lane = book.lane(frame.lane)
        for place, values in enumerate(zip(*spread, strict=True)):
            timestamp, window, service, environment, release, host, family, labels, value = values
            try:
                known = book.find(family, labels, (service, environment, release, host))
                number = read_value(known.family, value)
            except DeltaInvalid as error:
                raw = orjson.dumps(dict(zip(Delta._fields, values, strict=True)))
                letters.append(DeadLetter(now_ns, "delta", frame.lane, frame.seq, place, str(error), raw))
                continue
            # A clock may be wrong, as in logs.
            at = min(max(timestamp, 0), latest)
            gained.append(Gained(known, lane, at, max(0, window), labels, number))
            kept.append(place)
        return Understood(Deltas(gained), letters, kept)

    def insert(self, rows: Deltas) -> Extent | None:
        """See Contents."""
        self.book.write_new()
        if not rows:
            return None
        failpoint.poison(gained.labels for gained in rows.gained)
        sums = _Sums()
        for gained in rows.gained:
            sums.add(gained)
        sums.write(self._connection)
        first, last = min(sums.windows), max(sums.windows)
        return Extent(id_floor(first * WINDOW_NS), id_floor((last + 1) * WINDOW_NS) - 1)

    @staticmethod
    def disagreements(connection: apsw.Connection, rows: int, extent: tuple[int | None, int | None]) -> Iterator[str]:
        """See Contents."""
        received = connection.execute("SELECT ifnull(sum(count), 0) FROM minute").get
        if received != rows:
            yield f"{received} deltas by its roll-up, but its head says {rows}"
        parts = [
            f"SELECT block * {BLOCK} + slot AS place, series FROM {table}"  # noqa: S608 - own names
            for table in ("increment", "histogram", "gauge")
        ]
        first, last, lost = connection.execute(
            "SELECT min(place), max(place), ifnull(sum(series NOT IN (SELECT id FROM series)), 0)"  # noqa: S608 - as above
            f" FROM ({' UNION ALL '.join(parts)})"
        ).get
        ends = (None, None) if first is None else (id_floor(first * WINDOW_NS), id_floor((last + 1) * WINDOW_NS) - 1)
        if ends != extent:
            yield "its first or last window is another than its head says"
        if lost:
            yield f"{lost} points are of no series"

    @staticmethod
    def received_since(connection: apsw.Connection, minute_ns: int) -> int:
        """See Contents."""
        minute = minute_ns // _MINUTE_NS
        query = "SELECT ifnull(sum(count), 0) FROM minute WHERE minute BETWEEN ? AND ?"
        return int(connection.execute(query, (minute, minute + 1)).get)

    @staticmethod
    def compact(connection: apsw.Connection, stopped: Callable[[], bool]) -> bool:
        """See Contents. What is written here is compact."""
        return True


class _Sums:
    """The increments of many deltas by place, so that each place is written once a commit."""

    def __init__(self) -> None:
        self.windows: set[int] = set()
        self._increments: dict[_Place, Number] = {}
        self._histograms: dict[_Place, Buckets] = {}
        self._gauges: dict[tuple[int, int, int, int], tuple[int, Number]] = {}
        self._minutes: Counter[int] = Counter()
        self._overflowed: Counter[int] = Counter()

    def add(self, gained: Gained) -> None:
        known, value = gained.known, gained.value
        self._minutes[gained.timestamp // _MINUTE_NS] += 1
        if known.overflow:
            self._overflowed[known.family_number] += 1
        last, count = windows_of(gained.timestamp, gained.window)
        if isinstance(value, Buckets):
            self._add_buckets(known.series, last, count, value)
        elif known.family.kind == "counter":
            for window, part in zip(range(last - count + 1, last + 1), shares(value, count), strict=True):
                if part or window == last:  # the last one always, so that a series that stands at 0 is seen
                    place = self._place(known.series, window)
                    self._increments[place] = self._increments.get(place, 0) + part
        else:
            key = (*self._place(known.series, last), gained.lane)
            at = gained.timestamp - last * WINDOW_NS
            self._gauges[key] = max(self._gauges.get(key, (at, value)), (at, value))

    def _add_buckets(self, series: int, last: int, count: int, value: Buckets) -> None:
        if count == 1:
            parts = [value]
        else:
            columns = [shares(number, count) for number in value.counts]
            counts = zip(*columns, strict=True)
            parts = [Buckets(total, list(row)) for total, row in zip(shares(value.sum, count), counts, strict=True)]
        for window, part in zip(range(last - count + 1, last + 1), parts, strict=True):
            if part.sum or any(part.counts) or window == last:
                place = self._place(series, window)
                before = self._histograms.get(place)
                self._histograms[place] = part if before is None else _added(before, part)

    def _place(self, series: int, window: int) -> _Place:
        self.windows.add(window)
        return window // BLOCK, series, window % BLOCK

    def write(self, connection: apsw.Connection) -> None:
        connection.executemany(
            "INSERT INTO increment VALUES(?, ?, ?, ?) ON CONFLICT DO UPDATE SET value = value + excluded.value",
            [(*place, _storable(value)) for place, value in sorted(self._increments.items())],
        )
        connection.executemany(
            "INSERT INTO histogram VALUES(?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET sum = sum + excluded.sum,"
            " counts = add_counts(counts, excluded.counts)",
            [
                (*place, _storable(value.sum), _counts_text(value.counts))
                for place, value in sorted(self._histograms.items())
            ],
        )
        connection.executemany(
            "INSERT INTO gauge VALUES(?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET at = excluded.at,"
            " value = excluded.value WHERE (excluded.at, excluded.value) > (at, value)",
            [(*key, *point) for key, point in sorted(self._gauges.items())],
        )
        connection.executemany(
            "INSERT INTO minute VALUES(?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count",
            list(self._minutes.items()),
        )
        connection.executemany(
            "UPDATE family SET overflowed = overflowed + ? WHERE id = ?",
            [(count, family) for family, count in self._overflowed.items()],
        )


def _added(one: Buckets, other: Buckets) -> Buckets:
    counts = [a + b for a, b in zip(one.counts, other.counts, strict=True)]
    return Buckets(one.sum + other.sum, counts)


def _storable(value: Number) -> Number:
    """SQLite's own sum of integers turns into a float beyond 64 bits, too."""
    return value if -_MOST_COUNT <= value <= _MOST_COUNT else float(value)


def _counts_text(counts: list[int]) -> str:
    """JSON, without the zeros at the end: most values lie in few of the lower buckets."""
    end = len(counts)
    while end and not counts[end - 1]:
        end -= 1
    return orjson.dumps([min(count, _MOST_COUNT) for count in counts[:end]]).decode()


def _add_counts(*texts: Any) -> str:
    """SQL function: two texts of counts added up."""
    pairs = zip_longest(*map(orjson.loads, texts), fillvalue=0)
    return _counts_text([a + b for a, b in pairs])

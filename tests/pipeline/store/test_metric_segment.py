"""Totals of metrics are exact to the unit, whatever comes how often and in whatever order."""

from __future__ import annotations

import contextlib
import math
import tempfile
from collections import Counter
from pathlib import Path

import apsw
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring.pipeline.bus.frame import Frame
from monitoring.pipeline.events.delta import family_text
from monitoring.pipeline.events.event import Rejected
from monitoring.pipeline.store import dead_letters
from monitoring.pipeline.store.catalog import CATALOG_FILE, Catalog, segment_path
from monitoring.pipeline.store.metric_segment import MetricContents
from monitoring.pipeline.store.partition import Limits, acquire
from monitoring.pipeline.store.series import SeriesLimits
from monitoring.pipeline.store.verify import verify
from tests.deltas import COUNTER, SECOND, SIZES, T, connections, delta, frame, gauge, totals, windows
from tests.frames import T0, Sender, entry

LIMITS = Limits(1 << 60, 1 << 40, 1e9, 0)


@pytest.fixture
def catalog(tmp_path):
    with contextlib.closing(Catalog.create_or_open(tmp_path / CATALOG_FILE, partitions=1)) as made:
        yield made


def take(catalog):
    partition = acquire(catalog, "metrics", 0, LIMITS, now_ns=lambda: T0)
    assert partition is not None
    return partition


def write(catalog, *frames):
    partition = take(catalog)
    batch = partition.admit([entry(each, f"{number}-0") for number, each in enumerate(frames)])
    partition.write(batch)
    partition.release()
    return batch


def test_a_delta_that_comes_a_minute_late_counts_where_it_belongs(catalog):
    lane = Sender()
    write(catalog, frame(lane, [delta(1)]))
    write(catalog, frame(lane, [delta(2, at=T + 60 * SECOND)]), frame(lane, [delta(4, at=T + 2_000_000)]))
    assert windows(catalog.data) == {-10: 5, 50: 2}


def test_one_that_covers_minutes_is_spread_evenly_and_whole(catalog):
    write(catalog, frame(Sender(), [delta(100, window=60 * SECOND), delta(1, at=T + 60 * SECOND, window=30 * SECOND)]))
    found = windows(catalog.data)
    assert found == {-60: 16, -50: 17, -40: 17, -30: 16, -20: 17, -10: 17, 50: 1}
    assert all(type(value) is int for value in found.values())


def test_a_series_that_stands_at_nothing_is_there(catalog):
    write(catalog, frame(Sender(), [delta(0), delta({"sum": 0, "counts": [0, 0, 0, 0]}, family=SIZES)]))
    assert windows(catalog.data) == {-10: 0} and totals(catalog.data) == {"orders": 0, "sizes_sum": 0, "sizes_count": 0}


def test_what_makes_no_sense_is_a_dead_letter_and_the_rest_of_its_frame_is_stored(catalog):
    bad = [
        delta(-1),
        delta("NaN"),
        delta(1, family="{"),
        delta(1)._replace(labels='{"a":1}'),
        delta(1, family=SIZES),
        delta({"sum": 1, "counts": [1, 0, 0, 0]}, family=SIZES, le="1"),
    ]
    batch = write(catalog, frame(Sender(), [delta(1), *bad, delta(2)], [Rejected("no", b"x")]))
    assert windows(catalog.data) == {-10: 3}
    assert [(letter.kind, letter.ordinal) for letter in batch.letters] == [
        ("input", 0), *(("delta", place) for place in range(1, 7)),
    ]  # fmt: skip
    assert orjson.loads(batch.letters[1].raw)["value"] == "-1" and "-1" in batch.letters[1].reason
    (found,) = [part for part in verify(catalog).partitions if part.signal == "metrics"]
    assert (found.committed, found.dead_lettered, found.rows, found.residual) == (2, 7, 2, 0)
    assert verify(catalog).findings == []
    letters = dead_letters.letters(catalog)
    assert len(letters) == dead_letters.count(catalog) == 7
    assert all(
        letter.id.startswith("metrics-0-1-") and dead_letters.find(catalog, letter.id) == letter for letter in letters
    )


def test_a_counter_beyond_64_bits_becomes_a_float_and_is_not_lost(catalog):
    write(catalog, frame(Sender(1), [delta(2**62)] * 3))
    write(catalog, frame(Sender(2), [delta(2**62)] * 3))
    assert windows(catalog.data) == {-10: 6 * 2.0**62}


def test_series_beyond_the_limit_become_one_that_says_so_and_no_increment_is_lost(catalog, monkeypatch):
    monkeypatch.setattr(MetricContents, "limits", SeriesLimits(families=3, series_each=10, series=30))
    write(catalog, frame(Sender(), [delta(1, user=str(number)) for number in range(25)]))
    elsewhere = [delta(1, user="x")._replace(host=f"other {number}") for number in range(5)]
    write(catalog, frame(Sender(1), [delta(1, user="3"), *elsewhere]))
    assert totals(catalog.data) == {"orders": 31}
    for connection in connections(catalog.data):
        labels = [orjson.loads(text) for (text,) in connection.execute("SELECT labels FROM series ORDER BY id")]
        assert len(labels) == 12
        assert labels[10] == {**labels[0], "user": "__other__"} and labels[11] == {"service": "__other__"}
        assert connection.execute("SELECT overflowed FROM family").get == 20
    many = [delta(1, family=COUNTER.replace("orders", f"orders{number}")) for number in range(4)]
    assert len(write(catalog, frame(Sender(2), many)).letters) == 2, "there is no room for more than three metrics"
    assert verify(catalog).findings == []


@pytest.mark.parametrize(
    ("sql", "finding"),
    [
        ("UPDATE minute SET count = count + 1", "roll-up"),
        ("DELETE FROM increment WHERE slot = 29", "window"),
        ("DELETE FROM series WHERE id = 1", "no series"),
        ("UPDATE mark SET committed = committed + 1", "committed"),
    ],
)
def test_each_damage_is_found(catalog, sql, finding):
    write(catalog, frame(Sender(), [delta(1), delta(2, at=T + 10 * SECOND)]))
    assert verify(catalog).findings == []
    with contextlib.closing(apsw.Connection(str(segment_path(catalog.data, "metrics", 0, 1)))) as connection:
        connection.execute(sql)
    assert any(finding in text for text in verify(catalog).findings), verify(catalog).findings


LANES = 3
SECONDS = family_text(name="seconds", kind="counter")
whole = st.tuples(st.integers(0, 2**40), st.integers(0, 900), st.integers(0, 700), st.sampled_from(["", "a", "b"]))
parts = st.tuples(st.floats(0, 1e9), st.integers(0, 900), st.integers(0, 700))
sizes = st.tuples(st.lists(st.integers(0, 1000), min_size=4, max_size=4), st.integers(0, 900), st.integers(0, 700))
sends = st.tuples(
    st.just("send"),
    st.integers(0, LANES - 1),
    st.lists(whole, max_size=4),
    st.lists(parts, max_size=2),
    st.lists(sizes, max_size=2),
)
again = st.tuples(st.just("again"), st.lists(st.integers(0, 100), max_size=5))
others = st.sampled_from([("roll over",), ("die",), ("hold", 0), ("hold", 1)])


class Books:
    """A partition, what was sent to it and what that comes to. Frames of some lanes are held back until the end."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.partition = take(catalog)
        self.senders = [Sender(number) for number in range(LANES)]
        self.sent: list[Frame] = []
        self.held: list[Frame] = []
        self.holding: set[int] = set()
        self.expected: Counter[str] = Counter()

    def write(self, frames):
        self.partition.write(self.partition.admit([entry(each) for each in frames]))

    def do(self, step):
        match step:
            case ("send", lane, gains, seconds, observed):
                self.send(lane, gains, seconds, observed)
            case ("again", places):
                self.write([self.sent[place % len(self.sent)] for place in places if self.sent])
            case ("roll over",):
                self.partition.roll_over()
            case ("die",):
                self.partition.abandon()
                self.partition = take(self.catalog)
            case ("hold", lane):
                self.holding ^= {lane}

    def send(self, lane, gains, seconds, observed):
        deltas = [delta(1, family=gauge("sum"))]
        for value, at, window, channel in gains:
            deltas.append(delta(value, at=T + at * SECOND, window=window * SECOND, channel=channel))
            self.expected["orders"] += value
        for value, at, window in seconds:
            deltas.append(delta(value, family=SECONDS, at=T + at * SECOND, window=window * SECOND))
            self.expected["seconds"] += value
        for counts, at, window in observed:
            value = {"sum": sum(counts), "counts": counts}
            deltas.append(delta(value, family=SIZES, at=T + at * SECOND, window=window * SECOND))
            self.expected["sizes_sum"] += sum(counts)
            self.expected["sizes_count"] += sum(counts)
        made = frame(self.senders[lane], deltas)
        self.sent.append(made)
        if lane in self.holding:
            self.held.append(made)
        else:
            self.write([made])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(sends, again, others), max_size=25))
def test_any_sequence_of_deltas_replays_deaths_and_roll_overs_gives_exact_totals(sequence):
    with (
        tempfile.TemporaryDirectory() as directory,
        contextlib.closing(Catalog.create_or_open(Path(directory) / CATALOG_FILE, partitions=1)) as catalog,
    ):
        books = Books(catalog)
        for step in sequence:
            books.do(step)
        books.write(reversed(books.held))
        books.partition.release()
        found = Counter(totals(catalog.data))
        assert math.isclose(found.pop("seconds", 0), books.expected.pop("seconds", 0), rel_tol=1e-12)
        assert found == books.expected
        assert verify(catalog).findings == []


def test_a_data_directory_from_before_there_were_metrics_gets_a_partition_of_them(catalog):
    path = catalog.data / CATALOG_FILE
    with contextlib.closing(apsw.Connection(str(path))) as connection:
        connection.execute("DELETE FROM partition WHERE signal = 'metrics'")
    with contextlib.closing(Catalog.create_or_open(path, partitions=5)) as upgraded:
        assert (upgraded.partitions("logs"), upgraded.partitions("metrics")) == ([0], [0])


def test_a_lost_catalog_finds_the_segments_of_metrics_again(catalog):
    write(catalog, frame(Sender(), [delta(3)]))
    partition = take(catalog)
    partition.roll_over()
    partition.release()
    catalog.close()
    for path in catalog.data.glob("catalog.db*"):
        path.unlink()
    with contextlib.closing(Catalog.create_or_open(catalog.data / CATALOG_FILE, partitions=1)) as found:
        assert [(row.number, row.sealed, row.rows) for row in found.segments("metrics")] == [
            (1, True, 1),
            (2, False, 0),
        ]
        assert found.segments("logs") == [] and verify(found).findings == []

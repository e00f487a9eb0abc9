"""Cumulative totals become increments: to the unit, whatever restarts, repeats, overtakes and rolls over."""

from __future__ import annotations

import contextlib
import tempfile
from collections import Counter
from pathlib import Path

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring.pipeline.store.catalog import CATALOG_FILE, Catalog
from monitoring.pipeline.store.cumulative import Counted, Gain, Stand, gain_of
from monitoring.pipeline.store.deltas import Buckets
from monitoring.pipeline.store.metric_segment import MetricContents
from monitoring.pipeline.store.partition import Limits, acquire
from monitoring.pipeline.store.series import SeriesLimits
from monitoring.pipeline.store.verify import verify
from tests.deltas import SECOND, T, connections, delta, frame, sample, total, totals, windows
from tests.frames import Sender, entry

LIMITS = Limits(1 << 60, 1 << 40, 1e9, 0)
HOUR, DAY = 3600 * SECOND, 86_400 * SECOND


@pytest.fixture
def catalog(tmp_path):
    with contextlib.closing(Catalog.create_or_open(tmp_path / CATALOG_FILE, partitions=1)) as made:
        yield made


class Writer:
    """A partition that is written to, with a lane of its own."""

    def __init__(self, catalog, now_ns=T):
        self.catalog, self.now_ns, self.lane = catalog, now_ns, Sender(created=T)
        self.take()

    def take(self):
        taken = acquire(self.catalog, "metrics", 0, LIMITS, now_ns=lambda: self.now_ns)
        assert taken is not None
        self.partition = taken

    def write(self, *deltas, lane=None):
        self.partition.write(self.partition.admit([entry(frame(lane or self.lane, deltas))]))

    def die(self):
        self.partition.abandon()
        self.take()


@pytest.fixture
def writer(catalog):
    made = Writer(catalog)
    yield made
    made.partition.release()
    assert verify(catalog).findings == []


def rows(data, query):
    return [row for connection in connections(data) for row in connection.execute(query)]


def point(value, start=T, received=T):
    return Counted(b"", start, received, value)


@pytest.mark.parametrize(
    ("stand", "at", "given_point", "gain"),
    [
        (None, T + 5, point(7), Gain("first", T, 7)),
        (None, T + 5, point(7, start=0), Gain("base", T + 5, None)),
        (None, T, point(7), Gain("base", T, None)),
        (None, T + 5, point(7, received=T + 8 * DAY), Gain("forgotten", T + 5, None)),
        (Stand(T, 5), T + 5, point(7), Gain("rise", T, 2)),
        (Stand(T, 5), T + 5, point(5), Gain("rise", T, 0)),
        (Stand(T, 5), T + 5, point(3), Gain("reset", T, 3)),
        (Stand(T, 5), T, point(7), Gain("passed", T, None)),
        (Stand(T, Buckets(4, [1, 1])), T + 5, point(Buckets(9, [3, 1])), Gain("rise", T, Buckets(5, [2, 0]))),
        (Stand(T, Buckets(4, [1, 1])), T + 5, point(Buckets(1, [1, 0])), Gain("reset", T, Buckets(1, [1, 0]))),
    ],
)
def test_what_a_point_adds_to_how_its_sequence_stood(stand, at, given_point, gain):
    assert gain_of(stand, at, given_point) == gain


def test_a_histogram_that_became_coarser_gains_what_its_count_gained():
    gain = gain_of(Stand(T, Buckets(9, [3, 3, 0])), T + 5, point(Buckets(12, [0, 6, 2])))
    assert gain == Gain("rise", T, Buckets(3, [0, 0, 2]))
    gain = gain_of(Stand(T, Buckets(9, [5, 1, 0])), T + 5, point(Buckets(12, [4, 4, 0])))
    assert gain == Gain("rise", T, Buckets(3, [0, 2, 0]))


def test_totals_of_processes_that_start_count_and_start_again(writer, catalog):
    writer.write(total(5, 10), total(8, 20), total(8, 20), total(6, 15), total(3, 40, start=T + 30 * SECOND))
    writer.write(total(7, 18))
    writer.write(total(100, 20, stream="b"), total(110, 30, start=0, stream="c"), total(115, 40, start=0, stream="c"))
    writer.write(total([1, 0, 2, 0], 10), total([2, 0, 2, 1], 20))
    assert totals(catalog.data) == {"requests": 8 + 3 + 100 + 5, "bytes_sum": 5, "bytes_count": 5}
    assert rows(catalog.data, "SELECT name, passed FROM family ORDER BY name") == [("bytes", 0), ("requests", 2)]
    assert rows(catalog.data, "SELECT rows FROM head") == [(11,)]


def test_what_a_point_gains_lies_between_it_and_the_one_before(writer, catalog):
    writer.write(total(6, 60), total(7, 70))
    assert windows(catalog.data, "requests") == dict.fromkeys(range(0, 70, 10), 1)


def test_a_gain_of_more_than_an_hour_gives_the_last_hour_its_share_and_the_rest_to_where_it_began(writer, catalog):
    writer.write(total(86_400, 86_400))
    found = windows(catalog.data, "requests")
    assert sum(found.values()) == 86_400 and found.pop(0) == 86_400 - 3600
    assert found == dict.fromkeys(range(86_400 - 3600, 86_400, 10), 10)


def test_what_was_seen_last_goes_along_at_roll_over_and_is_forgotten_with_the_marks(writer, catalog):
    writer.write(total(5, 10), total([1, 0, 0, 0], 10))
    writer.partition.roll_over()
    writer.write(total(7, 20), total([3, 0, 0, 0], 20), total(7, 20))
    assert totals(catalog.data) == {"requests": 7, "bytes_sum": 3, "bytes_count": 3}
    writer.now_ns = T + 9 * DAY
    writer.partition.roll_over()
    assert rows(catalog.data, "SELECT count(*) FROM cumulative") == [(2,), (2,), (0,)]
    writer.lane = Sender("f" * 32, created=writer.now_ns)
    writer.write(total(9, 9 * 86_400), total(12, 9 * 86_400 + 10))
    assert totals(catalog.data)["requests"] == 7 + 3, "whether the 9 were counted is not known any more"


def test_samples_stay_as_they_came_the_first_of_a_moment_and_last_over_a_roll_over(writer, catalog):
    writer.write(
        sample(1.5, 0, job="a"), sample("stale", 15, job="a"), sample("NaN", 1, job="a"), sample(7, 0, job="a")
    )
    writer.write(sample("-Inf", 2, job="a"), sample(3, 0, job="b", le="1"))
    found = rows(catalog.data, "SELECT series, at - " + str(T // 10**6) + ", value FROM sample")
    assert found == [(1, 0, 1.5), (1, 1000, None), (1, 2000, float("-inf")), (1, 15_000, "stale"), (2, 0, 3.0)]
    assert rows(catalog.data, "SELECT type FROM family") == [("gauge",)]


def test_a_value_of_null_only_describes_a_family_and_nobody_unsays_it(writer, catalog):
    described = delta("null", family='{"name":"up","kind":"sample","type":"gauge","help":"Whether.","unit":""}')
    writer.write(described)
    writer.write(delta("1", family='{"name":"up","kind":"sample"}'))
    assert rows(catalog.data, "SELECT type, help FROM family") == [("gauge", "Whether.")]
    assert rows(catalog.data, "SELECT count(*) FROM series") == [(1,)]
    assert rows(catalog.data, "SELECT rows FROM head") == [(2,)]


def test_samples_beyond_the_limits_are_counted_and_do_not_become_each_others(writer, catalog, monkeypatch):
    monkeypatch.setattr(MetricContents, "limits", SeriesLimits(families=3, series_each=10, series=30))
    writer.write(*[sample(number, 0, job=str(number)) for number in range(15)])
    assert rows(catalog.data, "SELECT overflowed FROM family") == [(5,)]
    assert rows(catalog.data, "SELECT count(*) FROM sample WHERE value = 'stale'") == [(1,)]


@pytest.mark.parametrize(
    "bad",
    [
        total(5, 10, start=-1),
        total(5, 10, start=1 << 63),
        total(-5, 10),
        total("x", 10),
        total([1, 2], 10),
        delta(5, family='{"name":"requests","kind":"counter","cumulative":true}'),
        delta(5, family='{"name":"requests","kind":"gauge","cumulative":true}'),
        delta(5, family='{"name":"requests","kind":"counter","cumulative":1}'),
        sample("nan", 0),
        sample([1], 0),
        sample(None, 0)._replace(value="true"),
    ],
)
def test_what_makes_no_sense_is_a_dead_letter(writer, catalog, bad):
    writer.write(bad, total(1, 10))
    assert rows(catalog.data, "SELECT kind FROM dead_letter") == [("delta",)]
    assert totals(catalog.data) == {"requests": 1}


def test_a_segment_of_before_there_were_samples_is_brought_up_to_date(catalog):
    writer = Writer(catalog)
    path = writer.partition.segment.path
    writer.write(delta(1))
    writer.partition.release()
    with contextlib.closing(apsw.Connection(str(path))) as connection:
        connection.execute("DROP TABLE sample; DROP TABLE cumulative")
        connection.execute("ALTER TABLE family DROP COLUMN type; ALTER TABLE family DROP COLUMN passed")
    assert verify(catalog).findings == []
    writer.take()
    writer.write(total(5, 10), sample(1, 0), delta(1))
    writer.partition.release()
    assert totals(catalog.data) == {"requests": 5, "orders": 2} and verify(catalog).findings == []


PROCESSES = 3
steps = st.one_of(
    st.tuples(st.just("count"), st.integers(0, PROCESSES - 1), st.integers(0, 1000)),
    st.tuples(st.just("restart"), st.integers(0, PROCESSES - 1)),
    st.tuples(st.just("again"), st.integers(0, 100)),
    st.sampled_from([("roll over",), ("die",)]),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(steps, max_size=30))
def test_any_sequence_of_counts_restarts_repeats_deaths_and_roll_overs_gives_exact_totals(sequence):
    with (
        tempfile.TemporaryDirectory() as directory,
        contextlib.closing(Catalog.create_or_open(Path(directory) / CATALOG_FILE, partitions=1)) as catalog,
    ):
        writer, expected = Writer(catalog), Counter[str]()
        sent = []
        starts, counts = list(range(T, T + PROCESSES)), [0] * PROCESSES
        for now, step in enumerate(sequence, 1):
            match step:
                case ("count", process, amount):
                    counts[process] += amount
                    expected["requests"] += amount
                    sent.append(total(counts[process], now, start=starts[process]))
                    writer.write(sent[-1])
                case ("restart", process):
                    starts[process], counts[process] = T + now * SECOND - 1, 0
                case ("again", place):
                    writer.write(*(sent[place % len(sent) :] if sent else ()))
                case ("roll over",):
                    writer.partition.roll_over()
                case ("die",):
                    writer.die()
        writer.partition.release()
        assert Counter(totals(catalog.data)) == expected
        assert verify(catalog).findings == []

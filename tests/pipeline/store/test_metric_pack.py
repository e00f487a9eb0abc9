"""Packing changes how points lie on disk and nothing of what is found; nothing is lost where it is cut off."""

from __future__ import annotations

import contextlib
import random
import signal
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from pathlib import Path

import apsw
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring.pipeline.errors import StoreCorrupt
from monitoring.pipeline.events.delta import family_text
from monitoring.pipeline.store.catalog import CATALOG_FILE, Catalog
from monitoring.pipeline.store.lease import Holder
from monitoring.pipeline.store.matchers import Matcher
from monitoring.pipeline.store.metric_codec import Codec, Packed
from monitoring.pipeline.store.metric_pack import pack_all
from monitoring.pipeline.store.metric_source import MetricSource
from monitoring.pipeline.store.metrics import SqliteMetricStore
from monitoring.pipeline.store.partition import Limits
from monitoring.pipeline.store.verify import verify
from tests.deltas import SECOND, SIZES, T, delta, frame, gauge
from tests.frames import Sender, entry

ME = Holder.this_process()
LIMITS = Limits(1 << 60, 1 << 40, 1e9, 0)
SAMPLED = family_text(name="scraped", kind="sample", type="gauge")
WINDOWS = st.integers(-3000, 3000)
NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.integers(-300, 300)
FLOATS = st.floats(width=64) | st.integers(-9999, 9999).map(lambda number: number / 100)


def columns(count):
    whole = st.lists(st.lists(NUMBERS, min_size=count, max_size=count), min_size=1, max_size=3)
    other = st.lists(st.lists(FLOATS, min_size=count, max_size=count), min_size=1, max_size=3)
    return st.lists(
        whole.map(lambda rows: np.array(rows, dtype=np.int64)) | other.map(lambda rows: np.array(rows, dtype=float)),
        min_size=1,
        max_size=3,
    )


@given(st.sets(st.integers(0, 1439), min_size=1, max_size=40).flatmap(
    lambda places: st.tuples(st.just(sorted(places)), columns(len(places)))
))  # fmt: skip
def test_points_come_back_bit_for_bit(drawn):
    places, wanted = drawn
    codec = Codec()
    found = codec.decode(codec.encode(Packed(np.array(places), wanted)))
    assert found.places.tolist() == places
    assert [column.tobytes() for column in found.columns] == [column.tobytes() for column in wanted]
    assert [column.dtype for column in found.columns] == [column.dtype for column in wanted]


def test_series_that_are_decoded_together_come_back_as_each_by_itself():
    chance, codec = random.Random(5), Codec()
    series = []
    for _ in range(60):
        places = np.array(sorted(chance.sample(range(12), chance.choice((6, 12)))))
        whole = [chance.choice((1, 300, -70_000, 1 << 40)) * chance.randrange(9) for _ in places]
        halves = [chance.choice((0.5, 1 / 3)) * chance.randrange(9) for _ in places]
        columns = [np.array([whole]), np.array([halves, halves[::-1]])][:: chance.choice((1, -1))]
        series.append(Packed(places, columns[: chance.choice((1, 2))]))
    found = {}
    for numbers, batch in codec.batches([codec.encode(each) for each in series]):
        together = [batch.column(number) for number in range(len(batch))]
        for place, number in enumerate(numbers):
            found[number] = Packed(batch.places, [column[place] for column in together])
    assert sorted(found) == list(range(60))
    for number, wanted in enumerate(series):
        assert found[number].places.tolist() == wanted.places.tolist()
        assert [column.tobytes() for column in found[number].columns] == [each.tobytes() for each in wanted.columns]


def test_damaged_bytes_are_said_to_be_such():
    codec = Codec()
    whole = codec.encode(Packed(np.arange(50), [np.arange(50, dtype=np.int64)[None] ** 3]))
    for data in (whole[:-3], b"\x01" + whole[2:], b"\x02" + whole[1:], b"\x01", b""):
        with pytest.raises(StoreCorrupt):
            codec.decode(data)


def opened(data, now):
    Catalog.create_or_open(data / CATALOG_FILE, partitions=1).close()
    return SqliteMetricStore(data, LIMITS, now_ns=lambda: now[0])


def everything(store):
    """All that is found, by series and time, and what is found of points."""
    source = MetricSource(store)
    samples = source.select([Matcher("__name__", "!=", "")], T // 10**6 - 10**8, T // 10**6 + 10**8, 0)
    found = {
        tuple(sorted(series.labels.items())): (series.times.tolist(), series.values.tobytes()) for series in samples
    }
    return found, store.points(None, [], 0, 1 << 62)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("counter"), WINDOWS, st.integers(0, 1000)),
        st.tuples(st.just("float"), WINDOWS, st.integers(0, 1000).map(lambda number: number / 8)),
        st.tuples(st.just("histogram"), WINDOWS, st.lists(st.integers(0, 9), min_size=4, max_size=4)),
        st.tuples(st.just("gauge"), WINDOWS, st.integers(-99, 99)),
        st.tuples(st.just("sample"), WINDOWS, st.sampled_from([1, 2.5, '"NaN"', '"stale"', '"+Inf"'])),
        st.tuples(st.just("pack"), WINDOWS, st.none()),
        st.tuples(st.just("roll"), WINDOWS, st.none()),
        st.tuples(st.just("compact"), WINDOWS, st.none()),
    ),
    min_size=4,
    max_size=20,
)


def deltas_of(kind, at, value):
    if kind in ("counter", "float"):
        return delta(value, at=at, kind=kind)
    if kind == "histogram":
        return delta({"sum": sum(value), "counts": value}, family=SIZES, at=at)
    if kind == "gauge":
        return delta(value, family=gauge("sum"), at=at)
    return delta(value, family=SAMPLED, at=at)._replace(service="", environment="", release="", host="")


class Ran:
    """Runs steps against a store, and adds up by hand."""

    def __init__(self, store, now, *, packing):
        self.store, self.now, self.packing = store, now, packing
        self.lanes = [Sender(0), Sender(1)]
        self.naive: defaultdict[str, Counter[int]] = defaultdict(Counter)

    def run(self, steps):
        for number, (kind, window, value) in enumerate(steps):
            at = T + window * 10 * SECOND
            if kind == "compact":
                self.compact()
                continue
            writer = self.store.acquire(0, ME)
            if kind == "roll":
                writer.roll_over()
            elif kind == "pack":
                self.pack(writer, at)
            else:
                self.count(kind, window, value)
                writer.write(writer.admit([entry(frame(self.lanes[number % 2], [deltas_of(kind, at, value)]))]))
            writer.release()

    def count(self, kind, window, value):
        parts = {"counter": {"counter": value}, "float": {"float": value}}.get(kind, {})
        if kind == "histogram":
            parts = {"sum": sum(value), **{f"bucket{place}": count for place, count in enumerate(value)}}
        for part, gained in parts.items():
            self.naive[part][window - 1] += gained

    def pack(self, writer, at):
        if self.packing:
            self.now[0] = at
            writer._tidy_at = 0
            while writer.segment.contents.untidy(at):
                writer._tidy_at = 0
                writer.tidy()

    def compact(self):
        if self.packing:
            for row in self.store.catalog.segments("metrics"):
                if row.sealed:
                    with contextlib.closing(apsw.Connection(str(row.path))) as connection:
                        assert pack_all(connection, lambda: False)


@settings(max_examples=12, deadline=None)
@given(STEPS)
def test_what_is_found_never_depends_on_what_was_packed_when_and_is_what_was_counted(steps):
    answers = []
    for packing in (False, True):
        with tempfile.TemporaryDirectory() as directory:
            now = [T]
            with contextlib.closing(opened(Path(directory), now)) as store:
                ran = Ran(store, now, packing=packing)
                ran.run(steps)
                answers.append(everything(store))
                assert verify(store.catalog).findings == []
                last = {
                    tuple(labels.get(name) for name in ("__name__", "kind", "le")): values[-1]
                    for labels, _, values in MetricSource(store).select(
                        [Matcher("__name__", "!=", "")], 0, 2 * T // 10**6, 0
                    )
                }
                for kind in ("counter", "float"):
                    if kind in ran.naive:
                        assert last["orders_total", kind, None] == sum(ran.naive[kind].values())
                if "sum" in ran.naive:
                    assert last["sizes_sum", None, None] == sum(ran.naive["sum"].values())
                    whole = sum(sum(ran.naive[f"bucket{place}"].values()) for place in range(4))
                    assert last["sizes_count", None, None] == last["sizes_bucket", None, "+Inf"] == whole
    assert answers[0] == answers[1]


PROGRAM = """
import contextlib, sys
from pathlib import Path
from monitoring.pipeline import failpoint
from monitoring.pipeline.store.lease import Holder
from monitoring.pipeline.store.metrics import SqliteMetricStore
from monitoring.pipeline.store.partition import Limits
data, now, points = Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
failpoint.arm(points)
store = SqliteMetricStore(data, Limits(1 << 60, 1 << 40, 1e9, 0), now_ns=lambda: now)
writer = store.acquire(0, Holder.this_process())
while writer.segment.contents.untidy(now):
    writer._tidy_at = 0
    writer.tidy()
writer.release()
"""


def test_a_drain_that_is_killed_while_it_packs_loses_and_doubles_nothing(tmp_path):
    points = tmp_path / "points"
    points.mkdir()
    now, chance = [T], random.Random(3)
    with contextlib.closing(opened(tmp_path, now)) as store:
        ran = Ran(store, now, packing=False)
        for point in ("pack.packed", "pack.deleted"):
            kinds = ("counter", "histogram", "gauge", "sample")
            values = (5, [1, 2, 3, 4], 7, 2.5)
            ran.run([(kind, chance.randrange(-99, 99), values[place]) for place, kind in enumerate(kinds)] * 3)
            before = everything(store)
            for died in (True, False):
                if died:
                    (points / point).touch()
                command = [sys.executable, "-c", PROGRAM, str(tmp_path), str(T + 2000 * SECOND), str(points)]
                done = subprocess.run(command, check=False)
                assert done.returncode == (-signal.SIGKILL if died else 0)
                assert everything(store) == before
                assert verify(store.catalog).findings == []
        for connection in store.segments(None, None):
            assert connection.execute("SELECT count(*) FROM increment").get == 0
            assert connection.execute("SELECT count(*) FROM packed").get == 4


def test_verification_finds_a_packed_row_whose_total_or_points_are_wrong(tmp_path):
    now = [T]
    with contextlib.closing(opened(tmp_path, now)) as store:
        ran = Ran(store, now, packing=True)
        ran.run([("counter", 0, 5), ("histogram", 0, [1, 0, 0, 0]), ("pack", 500, None), ("roll", 0, None)])
        path = store.catalog.segments("metrics")[0].path
        for change in ("total = 7 WHERE total = 5", "data = x'01' WHERE total = 7"):
            with contextlib.closing(apsw.Connection(str(path))) as connection:
                connection.execute(f"UPDATE packed SET {change}")
            assert any("of series 1" in finding for finding in verify(store.catalog).findings)

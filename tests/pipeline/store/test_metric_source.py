"""The metric store as PromQL sees it: running totals with a true base, from any segments, as Prometheus would."""

from __future__ import annotations

import contextlib
import math
import struct

import numpy as np
import pytest

from monitoring.pipeline.events.delta import family_text
from monitoring.pipeline.query.limits import Deadline
from monitoring.pipeline.store.catalog import CATALOG_FILE, Catalog
from monitoring.pipeline.store.lease import Holder
from monitoring.pipeline.store.matchers import Matcher
from monitoring.pipeline.store.metric_names import number_text
from monitoring.pipeline.store.metric_source import MetricSource
from monitoring.pipeline.store.metrics import SqliteMetricStore
from monitoring.pipeline.store.partition import Limits
from monitoring.pipeline.store.reader import OutOfTime
from tests.deltas import SECOND, SIZES, T, delta, frame, gauge
from tests.frames import T0, Sender, entry

ME = Holder.this_process()
TMS = T // 1_000_000


@pytest.fixture
def store(tmp_path):
    Catalog.create_or_open(tmp_path / CATALOG_FILE, partitions=1).close()
    limits = Limits(1000, 1 << 40, 1e9, 0)
    with contextlib.closing(SqliteMetricStore(tmp_path, limits, now_ns=lambda: T0)) as opened:
        yield opened


def write(store, *frames, roll_over=True):
    writer = store.acquire(0, ME)
    for each in frames:
        writer.write(writer.admit([entry(each)]))
        if roll_over:
            writer.roll_over()
    writer.release()


def at(seconds):
    return T + seconds * SECOND


def named(name, **labels):
    return [Matcher("__name__", "=", name), *(Matcher(label, "=", value) for label, value in labels.items())]


def select(store, matchers, start=-3600, end=3600):
    """By the labels that were asked about: samples by seconds from T."""
    found = {}
    for series in MetricSource(store).select(matchers, TMS + start * 1000, TMS + end * 1000, 0):
        assert series.times.dtype == np.int64 and series.values.dtype == np.float64
        assert len(series.times) == len(series.values) and (np.diff(series.times) > 0).all()
        key = tuple(series.labels[name] for name in ("channel", "le") if name in series.labels)
        found[key] = {(time - TMS) / 1000: value for time, value in zip(*series[1:], strict=True)}
    return found


def test_a_counter_is_a_running_total_with_nothing_at_its_birth_and_a_true_base(store):
    lane = Sender()
    write(store, frame(lane, [delta(2)]), frame(lane, [delta(3, at=at(10))]), frame(lane, [delta(4, at=at(30))]))
    assert select(store, named("orders_total")) == {(): {-10: 0, 0: 2, 10: 5, 20: 5, 30: 9}}
    assert select(store, named("orders_total"), start=25) == {(): {30: 9}}
    write(store, frame(lane, [delta(100, at=at(1))]))
    assert select(store, named("orders_total"), start=25) == {(): {30: 109}}, "what comes late is in the base"
    assert select(store, named("orders")) == {}


def test_gaps_are_filled_for_five_minutes_and_a_series_that_returns_says_what_it_stood_at(store):
    lane = Sender()
    write(store, frame(lane, [delta(2), delta(7, channel="web"), delta(1, at=at(600))]))
    found = select(store, named("orders_total"))
    assert found[()] == {-10: 0, **dict.fromkeys(range(0, 291, 10), 2), 590: 2, 600: 3}
    assert list(found["web",].items())[-1] == (290, 7)


def test_a_histogram_is_seen_as_buckets_sum_and_count(store):
    lane = Sender()
    write(
        store,
        frame(lane, [delta({"sum": 2.5, "counts": [1, 0, 1, 0]}, family=SIZES)]),
        frame(lane, [delta({"sum": 9, "counts": [0, 0, 0, 1]}, family=SIZES, at=at(10))]),
    )
    assert select(store, named("sizes_bucket")) == {
        ("1.0",): {-10: 0, 0: 1, 10: 1},
        ("2.0",): {-10: 0, 0: 1, 10: 1},
        ("5.0",): {-10: 0, 0: 2, 10: 2},
        ("+Inf",): {-10: 0, 0: 2, 10: 3},
    }
    assert select(store, named("sizes_sum"), start=5) == {(): {10: 11.5}}
    assert select(store, named("sizes_count"), start=5) == {(): {10: 3}}
    assert list(select(store, named("sizes_bucket", le="2"))) == [("2.0",)], "as Prometheus 2 wrote it"
    assert list(select(store, [Matcher("__name__", "=~", "sizes_.+"), Matcher("le", "=~", "5|.Inf")])) == [
        ("5.0",), ("+Inf",),
    ]  # fmt: skip


def test_families_of_other_bounds_add_up_where_they_are_seen_alike(store):
    finer = family_text(name="sizes", kind="histogram", bounds=(1.0, 1.5, 2.0))
    write(store, frame(Sender(), [delta({"sum": 1, "counts": [1, 2, 3, 4]}, family=SIZES)]))
    write(store, frame(Sender(1), [delta({"sum": 1, "counts": [5, 0, 0, 0]}, family=finer)]))
    assert {key: list(found.values()) for key, found in select(store, named("sizes_bucket")).items()} == {
        ("1.0",): [0, 6], ("1.5",): [0, 5], ("2.0",): [0, 8], ("5.0",): [0, 6], ("+Inf",): [0, 15],
    }  # fmt: skip
    assert select(store, named("sizes_count")) == {(): {-10: 0, 0: 15}}


@pytest.mark.parametrize(("across", "values"), [("last", [1, 2]), ("sum", [5, 9]), ("max", [4, 4]), ("min", [1, 2])])
def test_gauges_are_combined_as_declared_and_end_after_five_minutes(store, across, values):
    lanes = [Sender(number) for number in range(3)]
    for lane, said, when in ((0, 1, -1), (1, 4, -2), (0, 2, 8), (2, 3, 7)):
        write(store, frame(lanes[lane], [delta(said, family=gauge(across), at=at(when))]))
    write(store, frame(Sender(9), [delta(1, at=at(900))]))
    found = select(store, named(f"gauge_{across}"))[()]
    assert [found[0], found[10]] == values
    assert list(found)[-2:] == [300, 310]
    assert struct.pack("<d", found[310]) == struct.pack("<Q", 0x7FF0000000000002)
    assert not math.isnan(found[300])


def test_what_there_is_can_be_asked_for(store):
    write(store, frame(Sender(), [delta(1, channel="web"), delta({"sum": 1, "counts": [1, 0, 0, 0]}, family=SIZES)]))
    source, whole = MetricSource(store), (TMS - 10**6, TMS + 10**6)
    assert source.label_values("__name__", [], *whole) == ["orders_total", "sizes_bucket", "sizes_count", "sizes_sum"]
    assert source.label_values("channel", [], *whole) == ["web"]
    assert source.label_values("le", [], *whole) == ["+Inf", "1.0", "2.0", "5.0"]
    assert source.label_values("le", named("orders_total"), *whole) == []
    assert source.label_names([], *whole) == [
        "__name__", "channel", "environment", "host", "le", "release", "service",
    ]  # fmt: skip
    assert "channel" not in source.label_names(named("sizes_sum"), *whole)
    (labels,) = source.series(named("orders_total"), *whole)
    assert (labels["__name__"], labels["channel"], labels["service"]) == ("orders_total", "web", "shop")
    assert source.metadata() == {"orders_total": ("counter", "Orders.", ""), "sizes": ("histogram", "", "")}


def test_a_query_ends_at_its_deadline(store):
    write(store, frame(Sender(), [delta(1, user=str(number)) for number in range(9000)]))
    source = MetricSource(store, deadline=Deadline(0))
    with pytest.raises(OutOfTime):
        source.select(named("orders_total"), TMS - 10**6, TMS, 0)
    with pytest.raises(OutOfTime):
        store.points("orders", [], 0, 9 * 10**18, deadline=Deadline(0))


def test_bounds_are_written_as_prometheus_writes_them():
    numbers = (0.005, 1, 2.5, 100_000, 1e6, 123456789, 1e-4, 1e-5, -3, 0, 1e21)
    assert [number_text(number) for number in numbers] == [
        "0.005", "1.0", "2.5", "100000.0", "1e+06", "1.23456789e+08", "0.0001", "1e-05", "-3.0", "0.0", "1e+21",
    ]  # fmt: skip

"""Roll-ups say the same totals as the points they are made from, whatever is late, and nothing is counted twice."""

from __future__ import annotations

import contextlib
import random
import signal
import subprocess
import sys
from collections import Counter
from itertools import pairwise

import apsw
import numpy as np
import orjson
import pytest

from monitoring.consumers import maintenance
from monitoring.pipeline import settings
from monitoring.pipeline.store.catalog import CATALOG_FILE, Catalog
from monitoring.pipeline.store.lease import Holder
from monitoring.pipeline.store.matchers import Matcher
from monitoring.pipeline.store.metric_levels import LEVELS, files
from monitoring.pipeline.store.metric_source import MetricSource
from monitoring.pipeline.store.metrics import SqliteMetricStore
from monitoring.pipeline.store.partition import Limits
from monitoring.pipeline.store.verify import verify
from tests.deltas import SECOND, SIZES, T, delta, frame, gauge, sample
from tests.frames import Sender, entry

ME = Holder.this_process()
DAY, HOUR_MS = 86_400, 3_600_000
TMS = T // 3_600_000_000_000 * HOUR_MS
START = TMS * 1_000_000


@pytest.fixture
def store(tmp_path):
    Catalog.create_or_open(tmp_path / CATALOG_FILE, partitions=1).close()
    limits = Limits(1 << 60, 1 << 40, 1e9, 0)
    with contextlib.closing(SqliteMetricStore(tmp_path, limits, now_ns=lambda: START)) as opened:
        yield opened


def maintained(store, **changes):
    kept = {"metrics_retention_age": 0.0, "metrics_retention_age_1m": 0.0, "metrics_retention_age_1h": 0.0}
    chosen = settings.load({"MONITORING_DATA_DIR": str(store.catalog.data)}).replace(**{**kept, **changes})
    return maintenance.run(chosen)


class Story:
    """Deltas of some days, a segment a day, with some that are late by days; `naive` adds them up by window."""

    def __init__(self, store, seed=1):
        self.store, self.chance, self.lane = store, random.Random(seed), Sender(created=START + 9 * DAY * SECOND)
        self.naive: Counter[int] = Counter()
        self.sizes: Counter[int] = Counter()

    def day(self, number, *, roll_over=True):
        deltas = []
        for _ in range(60):
            late = self.chance.choice((0, 0, 0, 1)) * self.chance.randrange(number + 1)
            at = (number - late) * 8640 + self.chance.randrange(8640)
            value, size = self.chance.randrange(100), self.chance.randrange(1, 9)
            self.naive[at] += value
            self.sizes[at] += size
            when = START + (at + 1) * 10 * SECOND
            deltas.append(delta(value, at=when))
            deltas.append(delta({"sum": size, "counts": [0, size, 0, 0]}, family=SIZES, at=when))
        writer = self.store.acquire(0, ME)
        writer.write(writer.admit([entry(frame(self.lane, deltas))]))
        if roll_over:
            writer.roll_over()
        writer.release()

    def total(self, windows):
        return sum(value for at, value in self.naive.items() if at < windows)


def select(store, name, start, end, step):
    matchers = [Matcher("__name__", "=", name)]
    (found,) = MetricSource(store).select(matchers, TMS + start * 1000, TMS + end * 1000, step)
    return dict(zip(((found.times - TMS) / 1000).tolist(), found.values.tolist(), strict=True)), found


@pytest.mark.parametrize(("step", "gap"), [(10_000, 10_000), (60_000, 30_000), (300_000, 150_000), (HOUR_MS, 900_000)])
def test_totals_are_equal_in_every_resolution_with_and_without_roll_ups(store, step, gap):
    story = Story(store)
    for number in range(9):
        story.day(number)
        if number in (4, 6):
            maintained(store)
    story.day(9, roll_over=False)
    whole = 10 * DAY
    for _ in range(2):
        found, samples = select(store, "orders_total", 0, whole, step)
        compared = 0
        for hour in range(1, 240):
            if hour * 3600 in found:
                compared += 1
                assert found[hour * 3600] == story.total(hour * 360), hour
        assert compared > 30
        assert max(found.values()) == story.total(1 << 60)
        sums, _ = select(store, "sizes_sum", 0, whole, step)
        assert max(sums.values()) == sum(story.sizes.values())
        assert verify(store.catalog).findings == []
        maintained(store)
    if step >= HOUR_MS or step == 300_000:
        assert min(np.diff(samples.times)[:-1]) == gap, "but for the last, which is as far as the store has heard"


def test_totals_go_on_from_what_was_deleted_even_before_the_first_hours_that_are_kept(store):
    story = Story(store)
    for number in range(3):
        story.day(number)
    maintained(store)
    gone = [each for level in LEVELS for each in files(store.catalog.data / "metrics" / "p0", level)]
    assert maintained(store, metrics_retention_age=1e-6)["deleted"] == 3
    for each in gone:
        if each.number < 3:
            each.path.unlink()
    whole, _ = select(store, "orders_total", -DAY, 4 * DAY, 10_000)
    assert max(whole.values()) == story.total(1 << 60)
    sums, _ = select(store, "sizes_sum", -DAY, 4 * DAY, 10_000)
    assert max(sums.values()) == sum(story.sizes.values())


def test_when_the_finer_points_are_deleted_the_coarser_answer_and_the_base_stays_true(store):
    story = Story(store)
    for number in range(4):
        story.day(number)
    maintained(store)
    assert maintained(store, metrics_retention_age=1e-6)["deleted"] == 4
    story.day(4, roll_over=False)
    assert max(select(store, "orders_total", 0, 5 * DAY, 10_000)[0].values()) == story.total(1 << 60)
    recent, _ = select(store, "orders_total", 4 * DAY + 40_000, 5 * DAY, 10_000)
    assert recent[max(recent)] == story.total(1 << 60)
    assert verify(store.catalog).findings == []
    directory = store.catalog.data / "metrics" / "p0"
    assert maintained(store, metrics_retention_age_1m=1e-6, metrics_retention_age_1h=1e-6)["freed_bytes"] > 0
    assert [len(files(directory, level)) for level in LEVELS] == [0, 1], "the last one carries the totals"
    recent, _ = select(store, "orders_total", 4 * DAY + 40_000, 5 * DAY, 10_000)
    assert recent[max(recent)] == story.total(1 << 60)


def test_nothing_is_deleted_that_is_not_rolled_up(store):
    Story(store).day(0)
    assert maintained(store, metrics_retention_age=1e-6)["deleted"] == 0
    assert maintained(store, metrics_retention_age=1e-6)["deleted"] == 1


def test_gauges_keep_last_least_greatest_and_average(store):
    lane, chance = Sender(created=START + DAY * SECOND), random.Random(2)
    values = [round(chance.uniform(0, 100), 3) for _ in range(720)]
    deltas = [delta(value, family=gauge(), at=START + (at + 1) * 10 * SECOND) for at, value in enumerate(values)]
    writer = store.acquire(0, ME)
    writer.write(writer.admit([entry(frame(lane, deltas))]))
    for rolled in (False, True):
        if rolled:
            writer.roll_over()
            writer.release()
            maintained(store)
        found, samples = select(store, "gauge_None", -20 * DAY, 2 * DAY, HOUR_MS)
        for hour in range(2):
            part = values[hour * 360 : (hour + 1) * 360]
            inside = [value for time, value in found.items() if hour * 3600 < time <= (hour + 1) * 3600]
            assert (min(inside), max(inside)) == (min(part), max(part))
            assert sum(inside) / len(inside) == pytest.approx(sum(part) / 360)
            assert found[(hour + 1) * 3600] == part[-1]
        assert len(samples.times) < 20


def test_raw_samples_are_thinned_and_keep_both_sides_of_a_reset(store):
    lane = Sender(created=START + DAY * SECOND)
    values = [*range(0, 300, 2), *range(0, 100, 2)]
    offset = (START - T) // SECOND
    deltas = [sample(value, offset + 15 * at, name="scraped_total") for at, value in enumerate(values)]
    writer = store.acquire(0, ME)
    writer.write(writer.admit([entry(frame(lane, deltas))]))
    writer.roll_over()
    writer.release()
    maintained(store)
    found, _ = select(store, "scraped_total", -20 * DAY, DAY, HOUR_MS)
    times = sorted(found)
    gained = sum(
        found[after] - found[before] if found[after] >= found[before] else found[after]
        for before, after in pairwise(times)
    )
    assert gained == 298 + 98 and len(set(found.values())) < 10


PROGRAM = """
import sys
from pathlib import Path
from monitoring.consumers import maintenance
from monitoring.pipeline import failpoint, settings
failpoint.arm(Path(sys.argv[2]))
maintenance.run(settings.load({"MONITORING_DATA_DIR": sys.argv[1], "MONITORING_METRICS_RETENTION_AGE": "0"}))
"""


def test_a_roll_up_that_is_killed_is_made_whole_the_next_time_and_counts_nothing_twice(store, tmp_path):
    points = tmp_path / "points"
    points.mkdir()
    story = Story(store)
    story.day(0)
    for point in ("rollup.made", "rollup.linked", "pack.packed"):
        story.day(1)
        (points / point).touch()
        for status in (-signal.SIGKILL, 0):
            done = subprocess.run([sys.executable, "-c", PROGRAM, str(tmp_path), str(points)], check=False)
            assert done.returncode == status
        assert max(select(store, "orders_total", 0, 30 * DAY, HOUR_MS)[0].values()) == story.total(1 << 60)
        assert verify(store.catalog).findings == []


def test_verification_finds_a_roll_up_that_says_something_else(store):
    story = Story(store)
    story.day(0)
    story.day(1)
    maintained(store)
    path = files(store.catalog.data / "metrics" / "p0", LEVELS[1])[0].path
    with contextlib.closing(apsw.Connection(str(path))) as connection:
        connection.execute("UPDATE packed SET total = total + 1 WHERE typeof(total) = 'integer'")
    assert any("orders" in finding and "its source" in finding for finding in verify(store.catalog).findings)


def test_totals_of_what_comes_late_by_more_than_they_are_kept_go_on_while_it_gains_and_verify(store):
    """Old logs that are read in now gain by their own times; what gains nothing any more is forgotten, and no doubt."""
    lane, old = Sender(created=START + DAY * SECOND), START - 500 * DAY * SECOND
    writer = store.acquire(0, ME)
    for number in range(3):
        at = START + number * 10 * SECOND
        late = [delta(5, at=old + number * 10 * SECOND, channel="late")] * (number < 2)
        writer.write(writer.admit([entry(frame(lane, [delta(1, at=at, channel="now"), *late]))]))
        writer.roll_over()
    writer.release()
    maintained(store)
    carried = []
    for each in files(store.catalog.data / "metrics" / "p0", LEVELS[-1]):
        with contextlib.closing(apsw.Connection(str(each.path))) as connection:
            query = "SELECT labels, total FROM carried JOIN series ON series.id = series ORDER BY labels"
            rows = connection.execute(query).fetchall()
            carried.append([(orjson.loads(str(labels))["channel"], total) for labels, total in rows])
    assert carried == [[("late", "[5]"), ("now", "[1]")], [("late", "[10]"), ("now", "[2]")], [("now", "[3]")]]
    assert verify(store.catalog).findings == []

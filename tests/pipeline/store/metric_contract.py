"""The contract of a metric store: a backend's tests subclass this and provide the fixture `store`.

`store(now)` opens a store of one partition over the same data each time it is called in a test; `now` is a list of
one number, the wall clock in nanoseconds.
"""

from __future__ import annotations

import orjson
import pytest

from monitoring.pipeline.errors import PermanentError
from monitoring.pipeline.store.deltas import Buckets
from monitoring.pipeline.store.interface import MetricStore
from monitoring.pipeline.store.lease import Holder
from monitoring.pipeline.store.matchers import Matcher
from tests.deltas import COUNTER, ORIGIN, SECOND, SIZES, T, delta, frame, gauge
from tests.frames import T0, Sender, entry

ME = Holder.this_process()
AGES = 10**18


def write(store, *frames, roll_over=False):
    writer = store.acquire(0, ME)
    for each in frames:
        writer.write(writer.admit([entry(each)]))
        if roll_over:
            writer.roll_over()
    writer.release()


def found(store, name, *matchers, start=-AGES, end=9 * AGES):
    """The points by labels without the origin, each window by its start in seconds from T."""
    answer = {}
    for series, points in store.points(name, matchers, start, end).items():
        labels = {key: value for key, value in orjson.loads(series.labels).items() if ORIGIN.get(key) != value}
        answer[tuple(sorted(labels.items()))] = {(at - T) // SECOND: value for at, value in points.items()}
    return answer


class MetricStoreContract:
    """What every backend must do."""

    @pytest.fixture
    def opened(self, store) -> MetricStore:
        made: MetricStore = store([T0])
        return made

    def test_increments_of_a_window_add_up_over_lanes_and_segments_and_keep_their_type(self, opened):
        one, other = Sender(1), Sender(2)
        write(
            opened,
            frame(one, [delta(2), delta(3, channel="web"), delta(1, at=T + 10 * SECOND)]),
            frame(other, [delta(5), delta(0.5, channel="web")]),
            roll_over=True,
        )
        answer = found(opened, "orders")
        assert answer == {(): {-10: 7, 0: 1}, (("channel", "web"),): {-10: 3.5}}
        assert type(answer[()][-10]) is int
        assert found(opened, "orders", start=T) == {(): {0: 1}}
        assert found(opened, "orders", end=T)[()] == {-10: 7}

    def test_histograms_add_up_bucket_by_bucket(self, opened):
        counts = [
            delta({"sum": 2.5, "counts": [1, 0, 1, 0]}, family=SIZES),
            delta({"sum": 9, "counts": [0, 0, 0, 1]}, family=SIZES),
        ]
        write(opened, frame(Sender(1), counts), frame(Sender(2), counts[:1]), roll_over=True)
        assert found(opened, "sizes") == {(): {-10: Buckets(14.0, [2, 0, 2, 1])}}

    @pytest.mark.parametrize(("across", "value"), [("last", 4), ("sum", 7), ("max", 4), ("min", 1)])
    def test_a_gauge_of_several_lanes_is_combined_as_declared(self, opened, across, value):
        for lane, said, at in ((1, 1, 3), (2, 4, 5), (3, 2, 4)):
            write(opened, frame(Sender(lane), [delta(said, family=gauge(across), at=T + at)]))
        assert found(opened, f"gauge_{across}", end=T) == {(): {-10: value}}

    def test_a_gauge_lasts_for_five_minutes_or_until_its_lane_says_another(self, opened):
        lane = Sender(1)
        write(
            opened,
            frame(lane, [delta(5, family=gauge("sum"))]),
            frame(lane, [delta(7, family=gauge("sum"), at=T + 60 * SECOND)]),
            frame(Sender(2), [delta(1, family=gauge("sum"), at=T + 20 * SECOND)]),
            roll_over=True,
        )
        points = found(opened, "gauge_sum")[()]
        assert points == {
            **dict.fromkeys(range(-10, 10, 10), 5),
            **dict.fromkeys(range(10, 50, 10), 6),
            **dict.fromkeys(range(50, 310, 10), 8),
            **dict.fromkeys(range(310, 350, 10), 7),
        }
        assert found(opened, "gauge_sum", start=T + 200 * SECOND, end=T + 210 * SECOND) == {(): {200: 8}}

    def test_a_gauge_that_comes_late_does_not_replace_what_was_said_after_it(self, opened):
        late = delta(1, family=gauge(), at=T - 1)
        for frames in ([delta(2, family=gauge()), late], [late]):
            write(opened, frame(Sender(len(frames)), frames), roll_over=True)
        assert found(opened, "gauge_None", end=T) == {(): {-10: 2}}

    def test_matchers_choose_by_labels_as_in_prometheus(self, opened):
        deltas = [delta(1), *(delta(1, channel=channel) for channel in ("web", "import", "we\nb"))]
        write(opened, frame(Sender(), deltas))

        def channels(*conditions):
            matchers = [Matcher("channel", operator, value) for operator, value in conditions]
            chosen = opened.series("orders", matchers, -AGES, 9 * AGES)
            return {orjson.loads(series.labels).get("channel") for series in chosen}

        assert channels(("=", "web")) == {"web"}
        assert channels(("!=", "web")) == {None, "import", "we\nb"}
        assert channels(("=", "")) == {None}
        assert channels(("!=", "")) == {"web", "import", "we\nb"}
        assert channels(("=~", "we.*")) == {"web", "we\nb"}
        assert channels(("=~", "w")) == set(), "an expression matches the whole value"
        assert channels(("=~", "|web")) == {None, "web"}
        assert channels(("!~", "we.*")) == {None, "import"}
        assert channels(("!=", "web"), ("=~", ".+")) == {"import", "we\nb"}
        with pytest.raises(PermanentError, match="channel"):
            channels(("=~", "("))
        assert len(opened.series(None, [Matcher("service", "=", "shop")], -AGES, 9 * AGES)) == 4
        assert opened.series("other", [], -AGES, 9 * AGES) == set()

    def test_families_are_listed_with_what_was_said_of_them_last(self, opened):
        newer = COUNTER.replace("Orders.", "Orders placed.")
        write(opened, frame(Sender(), [delta(1), delta(1, family=newer)]), frame(Sender(1), [delta(1, family=SIZES)]))
        listed = [(family.name, family.kind, family.bounds, family.help) for family in opened.families()]
        assert listed == [("orders", "counter", (), "Orders placed."), ("sizes", "histogram", (1.0, 2.0, 5.0), "")]

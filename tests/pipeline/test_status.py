"""The books of a partition, from what its store and its producers say."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.pipeline.status import VANISHED_SECONDS, gather, producers
from monitoring.pipeline.store.catalog import segment_path
from tests.frames import Sender, event
from tests.instance import Instance

SECOND = 10**9


class Bench(Instance):
    """An instance whose first partition gets frames and reports by hand."""

    def send(self, sender: Sender, *counts: int) -> None:
        for count in counts:
            frame = sender.frame([event(number) for number in range(count)])
            self.runtime.transport.publish("logs", 0, frame.lane, [frame])

    def say(self, sender: Sender, *, ago_seconds: float = 0, **facts: Any) -> None:
        seen = time.time_ns() - int(ago_seconds * SECOND)
        self.runtime.transport.report("logs", 0, sender.lane, {"seen": seen, "service": "s", **facts})

    def settle(self) -> None:
        with self.draining():
            ends = time.monotonic() + 30
            while self.streams.length("logs", 0) and time.monotonic() < ends:
                time.sleep(0.01)

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = gather(self.catalog, self.streams, now_ns=time.time_ns())
        books = found["totals"]
        parts = (books["committed"], books["dead_lettered"], books["missing"], books["in_flight"], books["unaccounted"])
        assert books["emitted"] + books["residual"] >= sum(parts) + sum(books["dropped"].values())
        if not books["residual"]:
            assert books["emitted"] == sum(parts) + sum(books["dropped"].values())
        return found

    def tamper(self, sql: str) -> None:
        with contextlib.closing(apsw.Connection(str(segment_path(self.data, "logs", 0, 1)))) as connection:
            connection.execute(sql)


@pytest.fixture
def bench(tmp_path: Path, valkey: str) -> Iterator[Bench]:
    made = Bench(tmp_path / "data", valkey)
    yield made
    made.close()


@pytest.fixture
def sender() -> Sender:
    return Sender(1, created=time.time_ns())


def test_frames_that_wait_are_the_lag(bench: Bench, sender: Sender) -> None:
    sender.created -= 3 * SECOND
    bench.send(sender, 1, 1)
    lag = bench.status()["totals"]["lag"]
    assert lag["frames"] == 2
    assert lag["seconds"] >= 3
    bench.settle()
    assert bench.status()["totals"]["lag"] == {"frames": 0, "seconds": 0.0}


def test_what_a_live_producer_counts_beyond_its_frames_is_in_flight(bench: Bench, sender: Sender) -> None:
    bench.send(sender, 5)
    bench.settle()
    bench.say(sender, emitted=12, dropped={"shed": 3}, closed=False)
    found = bench.status()
    totals = found["totals"]
    assert (totals["emitted"], totals["committed"], totals["in_flight"]) == (12, 5, 4)
    assert totals["dropped"] == {"shed": 3}
    assert [(one["state"], one["in_flight"]) for one in found["producers"]] == [("live", 4)]


def test_what_a_vanished_producer_counted_is_unaccounted_since_its_last_report(bench: Bench, sender: Sender) -> None:
    bench.send(sender, 5)
    bench.settle()
    bench.say(sender, ago_seconds=VANISHED_SECONDS + 5, emitted=9, dropped={}, closed=False)
    found = bench.status()
    assert (found["totals"]["in_flight"], found["totals"]["unaccounted"]) == (0, 4)
    (producer,) = found["producers"]
    assert (producer["state"], producer["unaccounted"]) == ("vanished", 4)
    assert producer["unaccounted_since"] == producer["reported"]


def test_a_producer_that_said_goodbye_does_not_vanish(bench: Bench, sender: Sender) -> None:
    bench.send(sender, 5)
    bench.settle()
    bench.say(sender, ago_seconds=9999, emitted=5, dropped={}, closed=True)
    found = bench.status()
    assert [one["state"] for one in found["producers"]] == ["closed"]
    assert found["totals"]["unaccounted"] == 0


def test_drops_are_counted_once_whether_a_frame_or_a_report_told_them(bench: Bench, sender: Sender) -> None:
    sender.drop(2, "shed")
    bench.send(sender, 3)
    bench.settle()
    bench.say(sender, emitted=6, dropped={"shed": 2, "too_large": 1}, closed=False)
    totals = bench.status()["totals"]
    assert totals["dropped"] == {"shed": 2, "too_large": 1}
    assert totals["in_flight"] == 0


@pytest.mark.parametrize(
    ("change", "residual"),
    [
        ("UPDATE mark SET accounted = accounted - 2, committed = committed - 2", 2),
        ("UPDATE mark SET accounted = accounted + 1, committed = committed + 1", 2),  # too much, and left over
    ],
)
def test_books_that_do_not_balance_show_a_residual(bench: Bench, sender: Sender, change: str, residual: int) -> None:
    bench.send(sender, 5)
    bench.settle()
    assert bench.status()["totals"]["residual"] == 0
    bench.tamper(change)
    assert bench.status()["totals"]["residual"] == residual


def test_a_damaged_partition_is_a_problem_and_the_other_is_still_told(bench: Bench, sender: Sender) -> None:
    bench.send(sender, 5)
    bench.settle()
    segment_path(bench.data, "logs", 1, 1).write_bytes(b"no database" * 1000)
    found = bench.status()
    assert any("partition 1" in problem or "logs" in problem for problem in found["problems"])
    assert found["partitions"][0]["committed"] == 5


FACTS = st.dictionaries(
    st.sampled_from(["emitted", "dropped", "seen", "closed", "service", "pid"]),
    st.none() | st.booleans() | st.integers() | st.text() | st.dictionaries(st.text(), st.integers() | st.text()),
)


@given(reports=st.dictionaries(st.text(), FACTS, max_size=3))
def test_reports_may_hold_anything(reports: dict[str, dict[str, Any]]) -> None:
    for producer in producers(0, reports, None, now_ns=time.time_ns()):
        assert producer.in_flight >= 0
        assert producer.unaccounted >= 0
        assert producer.document()["state"] in ("live", "closed", "vanished")

"""Several lanes of one process: one while callers come one by one, one a partition when they come at once."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest

from monitoring.pipeline.errors import BusUnavailable, StoreFull
from monitoring.pipeline.publish.outbox import ChoosePartition
from monitoring.pipeline.publish.publisher import Publisher
from monitoring.pipeline.publish.spool import Spool
from monitoring.pipeline.publish.spread import MOST_LANES, Spread
from tests.pipeline.publish.support import Store, event, transport


def nowhere() -> Any:
    raise BusUnavailable("there is no bus")


def test_callers_one_by_one_share_a_lane_and_two_at_once_have_a_partition_each(valkey: str) -> None:
    store = Store(valkey, partitions=3)

    def make(choose: ChoosePartition) -> Publisher:
        return Publisher(lambda: transport(valkey), choose_partition=choose, flush_interval_seconds=0.01)

    spread = Spread(make, lambda: 3)
    with store.running():
        for number in range(3):
            with spread.taken() as alone:
                alone.emit(event(number))
        assert spread.publishers == (alone,)
        with spread.taken() as first, spread.taken() as second, spread.taken() as third:
            assert first is alone
            assert first is not second
            assert third in (first, second)
            second.emit(event(3))
            assert first.flush(10) and second.flush(10)
        spread.close(5)
    assert len(spread.publishers) == MOST_LANES
    assert sorted(store.timestamps()) == [0, 1, 2, 3]
    (one,), (two,) = store.where.values()
    assert one != two


def test_one_partition_has_one_lane(valkey: str) -> None:
    spread = Spread(lambda choose: Publisher(nowhere, choose_partition=choose), lambda: 1)
    with spread.taken() as first, spread.taken() as second:
        assert first is second


def test_lanes_that_share_a_spool_keep_its_bound_together(tmp_path: Path) -> None:
    spool = Spool(tmp_path, max_bytes=1_000_000)
    spread = Spread(lambda choose: Publisher(nowhere, choose_partition=choose, spool=spool, required=True), lambda: 2)
    taken = 0
    with spread.taken() as first, spread.taken() as second, contextlib.suppress(StoreFull):
        for number in range(100):
            publisher = (first, second)[number % 2]
            publisher.emit(event(number, message="x" * 100_000))
            while not publisher.flush(0.05, ack="spool"):
                publisher.emit_all(())  # raises once the spool is full
            taken += 1
    assert 5 < taken <= 10
    assert spool.used_bytes() <= 1_000_000
    for publisher in (first, second):
        with pytest.raises(StoreFull):
            while not publisher.flush(0.05, ack="spool") or publisher.emit(event(0, message="x" * 100_000)):
                publisher.emit_all(())
    spread.close(0.1)

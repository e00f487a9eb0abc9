"""A drain that may only write so fast: logs wait for their share, metrics for nothing, and all of it arrives."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from monitoring.consumers.drain import Drain
from monitoring.consumers.pace import Pace
from monitoring.pipeline import settings
from monitoring.pipeline.bus.streams import Streams, StreamTransport, connect
from monitoring.pipeline.store.catalog import CATALOG_FILE, Catalog
from tests.deltas import delta
from tests.frames import Sender, event

NOW = time.time_ns()


@given(st.integers(1, 10_000), st.integers(1, 4), st.lists(st.integers(1, 20_000), min_size=1, max_size=30))
def test_whatever_is_written_at_once_no_more_than_the_rate_is_written_in_the_long_run(
    rate: int, sharing: int, sizes: list[int]
) -> None:
    now = 1000.0
    pace = Pace(rate, clock=lambda: now)
    for size in sizes:
        now += pace.wait("p")
        assert pace.wait("p") < 1e-6
        pace.wrote("p", size, sharing)
    written = sum(sizes) - sizes[-1]  # the last is waited for afterwards
    assert written <= (now - 1000.0 + 1.0) * rate / sharing * (1 + 1e-9) + 1e-3


def test_without_a_rate_nothing_ever_waits() -> None:
    pace = Pace(0)
    pace.wrote("p", 1 << 40, 8)
    assert pace.wait("p") == 0


def test_logs_that_had_their_share_wait_while_metrics_go_on_and_nothing_is_lost(tmp_path: Path, valkey: str) -> None:
    chosen = settings.load({
        "MONITORING_DATA_DIR": str(tmp_path), "MONITORING_BUS_URL": valkey, "MONITORING_DISK_RESERVE": "0",
        "MONITORING_DRAIN_RATE": "10",
    })  # fmt: skip
    with (
        contextlib.closing(Catalog.create_or_open(tmp_path / CATALOG_FILE, partitions=2)) as catalog,
        contextlib.closing(Streams(connect(valkey))) as streams,
        contextlib.closing(StreamTransport(connect(valkey), stream_length=1000)) as transport,
        contextlib.closing(Drain(chosen)) as drain,
    ):
        streams.announce({"logs": 2, "metrics": 1}, catalog.instance)
        now = 1000.0
        drain._pace = Pace(10, clock=lambda: now)
        logs, metrics = Sender(1, created=NOW), Sender(2, created=NOW)
        frames = [logs.frame([event(part * 10 + n) for n in range(10)]) for part in range(3)]
        transport.publish("logs", 0, logs.lane, frames)
        while not drain.done["events"]:
            drain.step()
        told = metrics.frame([delta(1, at=NOW)], signal="metrics")
        transport.publish("metrics", 0, metrics.lane, [told])
        while streams.length("metrics", 0):
            drain.step()
        assert streams.length("logs", 0) == 2
        assert drain.done["events"] == 11
        while streams.length("logs", 0):
            now += 10
            drain.step()
        assert drain.done["events"] == 31

"""Maintenance: retention deletes, sealed segments are compacted once, and queries find the same afterwards."""

from __future__ import annotations

import contextlib
import os
import time

import pytest

from monitoring.consumers import maintenance, stop
from monitoring.pipeline import settings
from monitoring.pipeline.query.limits import Deadline
from monitoring.pipeline.query.ranges import EARLIEST, LATEST
from monitoring.pipeline.store.catalog import CATALOG_FILE, Catalog
from monitoring.pipeline.store.lease import Holder
from monitoring.pipeline.store.partition import Limits
from monitoring.pipeline.store.sqlite import SqliteStore
from monitoring.pipeline.store.verify import verify
from tests.frames import Sender, entry, event

NOW = time.time_ns()


@pytest.fixture
def store(tmp_path):
    Catalog.create_or_open(tmp_path / CATALOG_FILE, partitions=1).close()
    with contextlib.closing(SqliteStore(tmp_path, Limits(300, 1 << 40, 1e9, 0))) as opened:
        writer = opened.acquire(0, Holder.this_process())
        assert writer is not None
        sender = Sender(created=NOW)
        for number in range(8):
            events = [event(number * 100 + n, timestamp=NOW + number * 100 + n) for n in range(100)]
            writer.write(writer.admit([entry(sender.frame(events))]))
            writer.roll_over_if_due()
        writer.release()
        yield opened


def run(store, **changes):
    chosen = settings.load({"MONITORING_DATA_DIR": str(store.catalog.data)}).replace(**changes)
    return maintenance.run(chosen)


def found(store, query):
    page = store.search(query, EARLIEST, LATEST, deadline=Deadline(60), limit=1000)
    return [row["message"] for row in page.events]


def test_sealed_segments_are_compacted_once_and_answer_as_before(store):
    before = found(store, "number")
    assert len(before) == 800
    assert run(store)["optimised"] == 2
    assert run(store)["optimised"] == 0
    assert found(store, "number") == before
    assert verify(store.catalog).findings == []
    assert [row.optimised for row in store.catalog.segments()] == [True, True, False]


def test_a_segment_that_is_being_read_is_compacted_all_the_same(store):
    found(store, "number")
    assert store.reader.open_count > 0
    assert run(store)["optimised"] == 2
    assert len(found(store, "number")) == 800


def test_a_stop_ends_it_between_two_steps(store):
    stop.request()
    try:
        assert run(store)["optimised"] == 0
    finally:
        stop.reset()
    assert run(store)["optimised"] == 2


def test_retention_takes_what_is_due_and_nothing_when_it_is_switched_off(store):
    assert run(store, retention_age=0.0, retention_bytes=0)["deleted"] == 0
    done = run(store, retention_bytes=1)
    assert done["deleted"] == 2 and done["freed_bytes"] > 0
    assert len(found(store, "number")) == 200
    assert verify(store.catalog).findings == []


def test_files_that_a_dead_process_left_half_made_go_after_an_hour(store):
    directory = store.catalog.data / "logs" / "p0"
    old, young = directory / "000009.1.tmp", directory / "000009.2.tmp"
    old.touch()
    young.touch()
    os.utime(old, (time.time() - 7200, time.time() - 7200))
    run(store)
    assert (old.exists(), young.exists()) == (False, True)

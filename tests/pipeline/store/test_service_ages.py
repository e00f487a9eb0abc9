"""Retention by service: events of these services leave old segments, and all else stays."""

from __future__ import annotations

import contextlib
import time

import pytest

from monitoring.consumers import maintenance
from monitoring.pipeline import settings
from monitoring.pipeline.query.limits import Deadline
from monitoring.pipeline.query.ranges import EARLIEST, LATEST
from monitoring.pipeline.store import service_ages
from monitoring.pipeline.store.catalog import CATALOG_FILE, Catalog
from monitoring.pipeline.store.lease import Holder
from monitoring.pipeline.store.partition import Limits
from monitoring.pipeline.store.sqlite import SqliteStore
from monitoring.pipeline.store.verify import verify
from tests.frames import Sender, entry, event

HOUR_NS = 3600 * 10**9
SERVICES = ("shop", "staging", "debug", "other")


@pytest.fixture
def store(tmp_path):
    """Segments of 40 events, ten of each service, sealed 50, 25 and 2 hours ago, and an active one."""
    now = time.time_ns()
    clock = [now]
    Catalog.create_or_open(tmp_path / CATALOG_FILE, partitions=1).close()
    with contextlib.closing(SqliteStore(tmp_path, Limits(40, 1 << 40, 1e9, 0), now_ns=lambda: clock[0])) as store:
        writer = store.acquire(0, Holder.this_process())
        assert writer is not None
        sender = Sender(created=now)
        for hours in (50, 25, 2, 0):
            clock[0] = now - hours * HOUR_NS
            events = [
                event(number, timestamp=clock[0] + number, service=SERVICES[number % 4])
                for number in range(40 if hours else 8)
            ]
            writer.write(writer.admit([entry(sender.frame(events))]))
            writer.roll_over_if_due()
        writer.release()
        yield store


def counts(store):
    found = store.facets("", EARLIEST, LATEST, fields=["service"], limit=9, deadline=Deadline(9))
    return dict(found.facets[0].values)


def run(store, ages):
    environment = {"MONITORING_DATA_DIR": str(store.catalog.data), "MONITORING_RETENTION_SERVICES": ages}
    return maintenance.run(settings.load(environment))


def test_events_of_these_services_leave_the_segments_that_are_older_and_no_others_do(store):
    assert counts(store) == dict.fromkeys(SERVICES, 32)
    chosen = settings.load({"MONITORING_RETENTION_SERVICES": "staging=2d, debug=12h,nobody=1s"})
    going = service_ages.due(store.catalog, chosen.ages("retention_services"), now_ns=time.time_ns())
    assert [(item.segment.number, set(item.services), item.rows) for item in going] == [
        (1, {"staging", "debug"}, 20),
        (2, {"debug"}, 10),
    ]
    assert run(store, "staging=2d,debug=12h")["outlived_events"] == 30
    assert counts(store) == {"shop": 32, "other": 32, "staging": 22, "debug": 12}
    assert run(store, "staging=2d,debug=12h")["outlived_events"] == 0
    assert verify(store.catalog).findings == []
    assert store.catalog.deleted("logs", 0) == 30


def test_what_is_still_written_to_is_never_touched(store):
    assert run(store, ",".join(f"{name}=1ms" for name in SERVICES))["outlived_events"] == 120
    assert counts(store) == dict.fromkeys(SERVICES, 2)
    assert verify(store.catalog).findings == []


def test_a_segment_that_goes_whole_is_not_named_twice(store):
    rows = store.catalog.segments()
    going = service_ages.due(store.catalog, {"shop": 1.0}, now_ns=time.time_ns(), going=rows[:1])
    assert [item.segment.number for item in going] == [2, 3]
    described = going[0].describe()
    assert described["rows"] == 10 and described["services"] == ["shop"] and described["bytes"] > 0


def test_a_segment_of_which_all_services_went_is_looked_at_and_left_alone(store):
    everyone = ",".join(f"{name}=10h" for name in SERVICES)
    assert run(store, everyone)["outlived_events"] == 80
    assert run(store, everyone)["outlived_events"] == 0
    assert verify(store.catalog).findings == []

"""The product with its logs on ClickHouse: ways in, drain, API, what is derived, events that kill."""

from __future__ import annotations

import contextlib
import random
from collections import Counter

import orjson
import pytest

from monitoring.pipeline import failpoint
from monitoring.pipeline.query.limits import Deadline
from monitoring.pipeline.query.ranges import EARLIEST, LATEST
from monitoring.pipeline.store.logs import open_logs
from tests.consumers import test_derived, test_drain
from tests.deltas import totals
from tests.frames import Sender, event
from tests.instance import Instance


@pytest.fixture(autouse=True)
def _disarmed():
    yield
    failpoint.arm(None)


@pytest.fixture
def instance(tmp_path, valkey, clickhouse):
    with contextlib.closing(Instance(tmp_path, valkey, MONITORING_STORE=clickhouse.fresh())) as made:
        yield made


def test_what_comes_in_over_http_is_found_counted_and_exported(instance) -> None:
    body = b"".join(
        orjson.dumps({"message": f"job {n} done", "service": "api", "n": n}, option=orjson.OPT_APPEND_NEWLINE)
        for n in range(20)
    )
    assert instance.post(body).status_code == 202
    with instance.draining():
        found = instance.messages(20, "job")
    assert sorted(found) == sorted(f"job {n} done" for n in range(20))
    asked = {"query": "n:>=10"}
    (event_found, *_) = instance.get("/api/v1/logs", query_string=asked)["events"]
    assert instance.get(f"/api/v1/logs/{event_found['id']}") == event_found
    assert instance.get(f"/api/v1/logs/{event_found['id']}/context")["event"] == event_found
    histogram = instance.get("/api/v1/logs/histogram", query_string=asked)
    assert sum(bucket["total"] for bucket in histogram["buckets"]) == 10
    stats = instance.get("/api/v1/logs/stats", query_string={**asked, "aggregate": "count,sum(n)"})
    assert stats["rows"][0]["values"] == {"count": 10, "sum(n)": sum(range(10, 20))}
    (pattern,) = instance.get("/api/v1/logs/patterns", query_string=asked)["patterns"]
    assert (pattern["template"], pattern["count"]) == ("job <*> done", 10)
    exported = instance.call("GET", "/api/v1/logs/export", query_string={**asked, "format": "ndjson"})
    assert len(exported.data.splitlines()) == 10
    assert instance.get("/api/v1/overview")["services"][0]["service"] == "api"
    assert instance.call("POST", "/api/v1/maintenance/retention", json={"dry_run": True}).json["segments"] == []
    refused = instance.call("POST", "/api/v1/maintenance/purge", json={"query": "job"})
    assert (refused.status_code, "ALTER TABLE" in refused.text) == (409, True)


def test_an_event_that_kills_the_drain_is_dead_lettered_and_all_others_stored_once(
    tmp_path, valkey, clickhouse, monkeypatch
) -> None:
    points = tmp_path / "points"
    points.mkdir()
    (points / "poison").write_text("deadly")
    bench = test_drain.Bench(tmp_path, valkey, MONITORING_STORE=clickhouse.fresh())
    sender = Sender(created=test_drain.NOW)
    events = [event(number, message="deadly" if number == 7 else f"fine {number}") for number in range(12)]
    bench.publish(0, sender.frame(events), sender.frame([event(0, message="behind")]))
    test_drain.poisoned(bench, points, monkeypatch)
    with contextlib.closing(open_logs(bench.settings)) as store:
        page = store.search("*", EARLIEST, LATEST, deadline=Deadline(60))
        expected = ["behind", *(f"fine {number}" for number in range(12) if number != 7)]
        assert sorted(found["message"] for found in page.events) == sorted(expected)
        assert [letter.content.kind for letter in store.letters(10)] == ["poison"]
        assert store.verify().findings == []


def test_metrics_are_derived_from_events_that_lie_on_a_server(tmp_path, valkey, clickhouse) -> None:
    bench = test_derived.Bench(tmp_path / "data", valkey, MONITORING_STORE=clickhouse.fresh())
    with contextlib.closing(bench):
        journal, chance = Counter[str](), random.Random(1)
        for number in range(4):
            bench.publish(number % 2, [test_derived.drawn(chance, n, journal) for n in range(20)])
        bench.drain()
        assert totals(bench.data) == dict(journal)
        with contextlib.closing(open_logs(bench.settings)) as store:
            assert store.verify().findings == []

"""`GET /api/v1/overview`: logs and metrics that are stored, in one glance."""

from __future__ import annotations

import time

from tests.instance import Instance


def test_an_instance_without_anything_has_an_overview(instance: Instance) -> None:
    found = instance.get("/api/v1/overview", "viewer")
    assert (found["status"], found["reasons"], found["services"]) == ("ok", [], [])
    assert found["requests"] == {"rate": 0.0, "error_rate": None, "p50": None, "p95": None}
    assert found["system"] == {"cpu_percent": None, "memory_percent": None, "disk_percent": None}
    assert found["alerts"] == {"active": 0, "acknowledged": 0, "worst": None}


def test_services_are_counted_with_their_errors(instance: Instance) -> None:
    with instance.draining():
        instance.post(b'{"message":"a","service":"shop"}\n' * 3 + b'{"message":"b","level":"error","service":"shop"}')
        instance.post(
            b'{"message":"old","service":"shop","ts":"2020-01-01T00:00:00Z"}\n{"message":"c","service":"web"}'
        )
        instance.messages(6)
    ends = time.monotonic() + 10
    while not (found := instance.get("/api/v1/overview"))["services"] and time.monotonic() < ends:
        time.sleep(0.1)
    assert found["services"] == [
        {"service": "shop", "events": 4, "errors": 1}, {"service": "web", "events": 1, "errors": 0},
    ]  # fmt: skip
    assert found["ingest"]["dead_letters"] == 0


def test_the_bus_being_away_is_said_and_does_not_fail_it(instance: Instance) -> None:
    instance.runtime.settings = instance.settings.replace(bus_url="unix:///nowhere/at/all")
    found = instance.get("/api/v1/overview")
    assert found["status"] == "down"
    assert found["reasons"]

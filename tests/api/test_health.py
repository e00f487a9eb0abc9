"""Liveness, readiness, status."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.frames import Sender, event
from tests.instance import Instance


def test_a_fresh_instance_is_live_and_ready_without_a_key(instance: Instance) -> None:
    assert instance.get("/healthz", None) == {"status": "ok"}
    assert instance.get("/readyz", None) == {"ready": True, "checks": {"bus": "ok", "store": "ok", "lag": "ok"}}


def test_without_its_bus_it_is_live_and_not_ready_and_status_says_so(
    tmp_path: Path, valkey_servers: Callable[..., Any]
) -> None:
    server = valkey_servers()
    instance = Instance(tmp_path / "data", server.url)
    instance.post(b'{"message":"x"}')
    with instance.draining():
        instance.messages(1)
    server.kill()
    assert instance.get("/healthz", None) == {"status": "ok"}
    answer = instance.call("GET", "/readyz", None)
    assert answer.status_code == 503
    assert answer.json is not None
    assert "does not answer" in answer.json["checks"]["bus"]
    assert answer.json["checks"]["store"] == "ok"
    assert server.url not in answer.text
    status = instance.get("/api/v1/status")
    assert any("bus" in problem for problem in status["problems"])
    assert status["totals"]["committed"] == 1
    assert status["partitions"][0]["lag"] is None
    assert status["totals"]["lag"] is None
    instance.close()


def test_without_a_store_it_is_not_ready(instance: Instance) -> None:
    for file in instance.data.glob("catalog.db*"):
        file.unlink()
    answer = instance.call("GET", "/readyz", None)
    assert answer.status_code == 503
    assert answer.json is not None
    assert answer.json["checks"]["store"] != "ok"
    assert str(instance.data) not in answer.text


def test_with_less_disk_than_is_reserved_it_is_not_ready(tmp_path: Path, valkey: str) -> None:
    instance = Instance(tmp_path / "data", valkey, MONITORING_DISK_RESERVE="1000tb")
    answer = instance.call("GET", "/readyz", None)
    assert answer.status_code == 503
    assert answer.json is not None
    assert "reserved" in answer.json["checks"]["store"]
    instance.close()


@pytest.mark.parametrize("signal", ["logs", "metrics"])
def test_frames_that_nobody_drains_for_a_minute_make_it_not_ready(instance: Instance, signal: str) -> None:
    runtime = instance.runtime
    for age_seconds, expected in ((30, 200), (90, 503)):
        frame = Sender(age_seconds, created=runtime.now_ns() - age_seconds * 10**9).frame([event(1)])
        runtime.transport.publish(signal, 0, frame.lane, [frame])
        instance.streams.client.xtrim(f"monitoring:{{{signal}:0}}", maxlen=1, approximate=False)
        answer = instance.call("GET", "/readyz", None)
        assert answer.status_code == expected
    assert answer.json is not None
    assert "waited for 90 s" in answer.json["checks"]["lag"]


def test_the_sums_of_the_status_do_not_mix_events_and_deltas(instance: Instance) -> None:
    instance.post(b'{"message":"a"}')
    instance.call("POST", "/api/v1/metrics", json=[{"name": "x", "kind": "counter", "value": 1}] * 3)
    with instance.draining():
        instance.messages(1)
        ends = time.monotonic() + 30
        while (status := instance.get("/api/v1/status", "viewer"))["metrics"]["committed"] < 3:
            assert time.monotonic() < ends
    for sums, count in ((status["totals"], 1), (status["metrics"], 3)):
        assert (sums["emitted"], sums["committed"], sums["rows"], sums["residual"]) == (count, count, count, 0)


def test_status_balances_the_books_of_what_came_in(instance: Instance) -> None:
    instance.post(b'{"message":"a"}\n{"message":"b"}\nbroken')
    with instance.draining():
        instance.messages(2)
    totals = instance.get("/api/v1/status", "viewer")["totals"]
    assert (totals["emitted"], totals["committed"], totals["dead_lettered"]) == (3, 2, 1)
    assert (totals["residual"], totals["in_flight"], totals["unaccounted"]) == (0, 0, 0)
    assert totals["rows"] == 2
    assert totals["lag"] == {"frames": 0, "seconds": 0.0}
    assert totals["events_per_second"] > 0

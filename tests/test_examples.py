"""The example services run as they stand, and what happens in them arrives on the bus."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from monitoring.pipeline.bus.streams import Streams, connect
from monitoring.pipeline.events.event import Event
from tests.producers.support import wait_for
from tests.producers.test_sdk import events_on

ROOT = Path(__file__).parents[1]


@pytest.fixture
def environment(valkey: str, tmp_path: Path) -> dict[str, str]:
    """An instance has announced itself on the server that these services use."""
    Streams(connect(valkey)).announce({"logs": 1}, "test")
    foreign = ("MONITORING_", "LOG_", "REDIS_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return {
        **kept,
        "PYTHONPATH": str(ROOT),
        "MONITORING_DATA_DIR": str(tmp_path),
        "MONITORING_COLLECTORS": "none",
        "REDIS_URL": valkey,
        "PORT": "0",
    }


@contextmanager
def running(name: str, environment: dict[str, str]) -> Iterator[str]:
    """The address where an example answers; it must end well when it is interrupted."""
    process = subprocess.Popen(
        [sys.executable, f"examples/{name}"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    lines: list[str] = []
    try:
        for line in process.stderr:
            lines.append(line)
            if found := re.search(r"unning on (http://127.0.0.1:\d+)", line):
                yield found[1]
                break
        else:
            pytest.fail("".join(lines))
        process.send_signal(signal.SIGINT)
        lines += process.stderr
        process.wait(30)
        assert not [line for line in lines if line.startswith("monitoring:")], lines
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def run(environment: dict[str, str], *arguments: str) -> None:
    """An example that ends by itself."""
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture
def arrived(valkey: str) -> Callable[..., list[Event]]:
    """The events of a logger, once there are so many."""

    def wait(logger: str, count: int = 1) -> list[Event]:
        def found() -> list[Event]:
            return [event for event in events_on(valkey) if event.logger == logger]

        wait_for(lambda: len(found()) >= count)
        assert len(found()) == count
        return found()

    return wait


def attributes(event: Event) -> dict[str, Any]:
    """Decoded."""
    found: dict[str, Any] = orjson.loads(event.attributes)
    return found


def test_the_flask_service(environment, arrived):
    with running("flask_service.py", environment) as url:
        shown = httpx.get(f"{url}/orders/4", headers={"X-Request-ID": "from-outside"})
        failed = httpx.get(f"{url}/orders/0")
        first, second = arrived("monitoring.request", 2)
    assert shown.json() == {"order": 4, "parcels": 3}
    assert (first.message, first.service, first.request_id) == ("GET /orders/<int:order> 200", "shop", "from-outside")
    assert attributes(first)["user"] == "customer-4"
    (line,) = arrived("shop.orders")
    assert (line.message, line.request_id) == ("order shown", "from-outside")
    assert (failed.status_code, failed.headers["X-Request-ID"]) == (500, second.request_id)
    assert orjson.loads(second.exception)["type"] == "ZeroDivisionError"
    assert attributes(second)["order"] == 0


def test_the_fastapi_service(environment, arrived):
    with running("fastapi_service.py", environment) as url:
        answer = httpx.get(f"{url}/items/7/stock")
        inner, outer = arrived("monitoring.request", 2)
        lines = arrived("catalog", 2)
    assert answer.json() == {"item": 7, "left": 3}
    assert outer.message == "GET /items/{item}/stock 200"
    assert inner.message == "GET /items/{item} 200"
    assert attributes(inner)["parent_span_id"] == outer.span_id
    assert {event.request_id for event in (inner, outer, *lines)} == {answer.headers["x-request-id"]}
    assert len({event.trace_id for event in (inner, outer, *lines)}) == 1


def test_the_rq_worker(environment, arrived):
    for order in ("A-1041", "nonsense"):
        run(environment, "examples/rq_worker.py", "enqueue", order)
    run(environment, "examples/rq_worker.py", "work", "--burst")
    done, failed = arrived("monitoring.job", 2)
    assert (done.message, done.request_id) == ("rq_worker.ship finished", "order-A-1041")
    assert (failed.message, failed.request_id) == ("rq_worker.ship failed", "order-nonsense")
    assert orjson.loads(failed.exception)["message"] == "nonsense is not an order"
    lines = [event for event in arrived("shipping", 3) if event.message == "shipped"]
    assert [(line.request_id, line.trace_id) for line in lines] == [("order-A-1041", done.trace_id)]

"""A real Prometheus scrapes a page and writes to a running instance: all its samples are here. `make test-compat`."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import apsw
import prometheus_client
import pytest
import requests
from prometheus_client.exposition import start_http_server

from tests.api.test_served import Served

BINARY = Path("/usr/bin/prometheus")
pytestmark = [
    pytest.mark.compat,
    pytest.mark.skipif(not BINARY.exists(), reason="needs Debian's package prometheus"),
]
CONFIGURATION = """
global: {{scrape_interval: 500ms}}
scrape_configs: [{{job_name: shop, static_configs: [{{targets: ["127.0.0.1:{port}"]}}]}}]
remote_write:
  - url: {url}/prometheus/api/v1/write
    authorization: {{credentials: {key}}}
    queue_config: {{batch_send_deadline: 200ms}}
    metadata_config: {{send_interval: 1s}}
"""
SELECT = (
    "SELECT at, value FROM sample JOIN series ON series.id = series JOIN family ON family.id = family WHERE name = ?"
)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    made = Served(tmp_path / "data")
    yield made
    assert made.stop() == 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(condition: Callable[[], Any]) -> Any:
    ends = time.monotonic() + 60
    while not (found := condition()):
        assert time.monotonic() < ends
        time.sleep(0.1)
    return found


class Prometheus:
    """Debian's, which scrapes the page at this port and writes to the instance."""

    def __init__(self, directory: Path, served: Served, port: int) -> None:
        directory.mkdir()
        configuration = directory / "prometheus.yml"
        configuration.write_text(CONFIGURATION.format(port=port, url=served.url, key=served.key))
        self.url = f"http://127.0.0.1:{free_port()}"
        arguments = [f"--config.file={configuration}", f"--storage.tsdb.path={directory / 'data'}"]
        arguments.append(f"--web.listen-address={self.url.removeprefix('http://')}")
        with (directory / "log").open("wb") as log:
            self.process = subprocess.Popen([str(BINARY), *arguments], stdout=log, stderr=log)

    def samples(self, name: str) -> dict[int, float]:
        """What it has of the one series of this name, by milliseconds."""
        try:
            answer = requests.get(f"{self.url}/api/v1/query", params={"query": f"{name}[1h]"}, timeout=10).json()
        except requests.ConnectionError:
            return {}
        return {
            round(at * 1000): float(value)
            for series in answer.get("data", {}).get("result", ())
            for at, value in series["values"]
        }

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)


def stored(served: Served, query: str, *arguments: str) -> list[tuple[Any, ...]]:
    path = served.data / "metrics" / "p0" / "000001.db"
    if not path.exists():
        return []
    with contextlib.closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)) as connection:
        return list(connection.execute(query, arguments))


def test_every_sample_that_prometheus_has_is_here_with_its_stale_marker_and_metadata(
    served: Served, tmp_path: Path
) -> None:
    registry = prometheus_client.CollectorRegistry()
    orders = prometheus_client.Counter("orders", "Orders that were placed.", ["channel"], registry=registry)
    seconds = prometheus_client.Histogram("seconds", "How long it took.", buckets=(0.1, 1), registry=registry)
    server, thread = start_http_server(0, "127.0.0.1", registry)
    prometheus = Prometheus(tmp_path / "prometheus", served, server.server_port)
    try:
        for number in range(5):
            orders.labels("web").inc(number / 7)
            seconds.observe(0.05)
            wait_for(partial(_has_scraped, prometheus, orders.labels("web")._value.get()))
        _close(server, thread)
        wait_for(lambda: "stale" in [value for _, value in stored(served, SELECT, "orders_total")])
        for name in ("orders_total", "up", "seconds_sum", "orders_created"):
            theirs = prometheus.samples(name)
            ours = wait_for(partial(_all_of, served, name, theirs))
            assert {at: ours[at] for at in theirs} == theirs and len(theirs) > 3, name
        assert wait_for(
            lambda: stored(served, "SELECT type, help FROM family WHERE name = 'seconds' AND type <> ''")
        ) == [("histogram", "How long it took.")]
    finally:
        prometheus.stop()
    status = served.session.get(f"{served.url}/api/v1/status", timeout=30).json()["metrics"]
    assert (status["dead_lettered"], status["residual"], status["dropped"]) == (0, 0, {})


def _has_scraped(prometheus: Prometheus, value: float) -> bool:
    return value in prometheus.samples("orders_total").values()


def _all_of(served: Served, name: str, wanted: dict[int, float]) -> dict[int, Any]:
    """What is stored, once everything that is wanted is there."""
    found = dict(stored(served, SELECT, name))
    return found if wanted.keys() <= found.keys() else {}


def _close(server: Any, thread: threading.Thread) -> None:
    server.shutdown()
    server.server_close()
    thread.join()

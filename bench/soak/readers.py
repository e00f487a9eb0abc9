"""What asks while events flow: a dashboard's questions in turn, and how soon an event is found after it was sent."""

from __future__ import annotations

import threading
import time
import uuid
from urllib.parse import urlencode

import orjson

from bench.api import Client
from bench.product import Product

__all__ = ["Reader"]

PAUSE_SECONDS = 0.5
_PROBE_SECONDS = 20.0
_QUESTIONS: tuple[tuple[str, dict[str, str]], ...] = (
    ("/api/v1/overview", {}),
    ("/api/v1/logs", {"query": "level:error", "start": "-15m"}),
    ("/api/v1/logs/histogram", {"query": "service:soak-shop", "start": "-15m"}),
    ("/api/v1/logs/facets", {"query": "answered", "start": "-5m", "fields": "level,service,route"}),
    (
        "/api/v1/logs/stats",
        {"query": "level:error", "start": "-5m", "aggregate": "p95(duration_ms)", "group_by": "route"},
    ),
    ("/prometheus/api/v1/query", {"query": "sum by (route) (rate(soak_requests_total[1m]))"}),
    (
        "/prometheus/api/v1/query",
        {"query": "histogram_quantile(0.95, sum by (le) (rate(soak_request_seconds_bucket[1m])))"},
    ),
    ("/api/v1/alerts", {}),
)


class Reader:
    """Asks and probes in a thread of its own, until `stop`. `take` gives the times since the last call, seconds."""

    def __init__(self, product: Product) -> None:
        self._product = product
        self._stopping = threading.Event()
        self._answers: list[float] = []
        self._arrivals: list[float] = []
        self.failures: list[str] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def take(self) -> tuple[list[float], list[float]]:
        """How long answers took, and events until they were found."""
        answers, self._answers = self._answers, []
        arrivals, self._arrivals = self._arrivals, []
        return answers, arrivals

    def stop(self) -> None:
        """End after the question at hand."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        client = Client(self._product)
        while not self._stopping.is_set():
            for path, parameters in _QUESTIONS:
                began = time.perf_counter()
                self._check(*client.send("GET", f"{path}?{urlencode(parameters)}"), path)
                self._answers.append(time.perf_counter() - began)
            self._probe(client)
            self._stopping.wait(PAUSE_SECONDS)
        client.close()

    def _check(self, status: int, answer: bytes, path: str) -> None:
        if status not in (200, 202):
            self.failures.append(f"{path}: {status} {answer[:200]!r}")

    def _probe(self, client: Client) -> None:
        """Send an event and look for it until it is there."""
        word = uuid.uuid4().hex
        began = time.perf_counter()
        self._check(
            *client.send("POST", "/api/v1/logs", orjson.dumps({"message": word, "service": "soak-probe"})), "probe"
        )
        while time.perf_counter() - began < _PROBE_SECONDS:
            _, answer = client.send("GET", f"/api/v1/logs?query={word}&start=-5m")
            if orjson.loads(answer).get("events"):
                self._arrivals.append(time.perf_counter() - began)
                return
            time.sleep(0.02)
        self.failures.append(f"an event was not found within {_PROBE_SECONDS:g} s")

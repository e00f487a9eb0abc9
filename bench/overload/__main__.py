"""`make overload MINUTES=10`: ten times what the drains take, and whether everything else goes on.

python -m bench.overload --minutes 10      the drain's rate may be changed: --rate 500 (events a second)

Drains are throttled (MONITORING_DRAIN_RATE), and all that buffers is small, so that it fits two cores and is full
within seconds: the bus, the API's spool, the service's memory. Half of the load is a service with the SDK, which
sheds; half are batches over HTTP, which are answered 503 and not repeated. Meanwhile a dashboard asks its
questions, and every ten seconds a metric passes the threshold of a rule. Then the flood ends, nothing is restarted,
new events are taken and found, and all that was acknowledged must be there. Exit code 1 where anything of that fails;
bench/results-overload.json keeps the figures.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from os import environ
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import click
import orjson

from bench.api import BATCH, Client
from bench.machine import describe
from bench.overload.service import NAME
from bench.product import Product, running

__all__ = ["main"]

TIMES = 10
HTTP = "overload-http"
_SETTINGS = {
    "MONITORING_PARTITIONS": "1",  # of several each has its share of the rate, and two lanes may choose the same
    "MONITORING_STREAM_LENGTH": "16",
    "MONITORING_SPOOL_BYTES": "1M",
    "MONITORING_RATE_KEY": "0",
    "MONITORING_RATE_ADDRESS": "0",
}
_BUFFER_EVENTS = "5000"
_PROBE_SECONDS = 10.0
_RULE = {
    "name": "Overload probe", "kind": "metric", "expr": "overload_probe", "operator": ">", "threshold": 0,
    "interval": "5s", "annotations": {"summary": "{{ labels.n }}"},
}  # fmt: skip
LATE_ALERT_SECONDS = 20.0
"""A rule of 5 s on a metric fires some 7 s after the metric was sent; three intervals later is late."""
SLOW_ANSWER_SECONDS = 10.0
"""The query timeout: past it an answer is partial."""
_QUESTIONS: tuple[tuple[str, dict[str, str]], ...] = (
    ("/api/v1/overview", {}),
    ("/api/v1/logs", {"query": "level:>=warning", "start": "-15m"}),
    ("/api/v1/logs/histogram", {"query": f"service:{NAME}", "start": "-15m"}),
    ("/prometheus/api/v1/query", {"query": "count(overload_probe)"}),
    ("/api/v1/status", {}),
)


class Flood:
    """Batches over HTTP at a rate, in a thread, until `stop`; each event says which batch it is of."""

    def __init__(self, product: Product, rate: int) -> None:
        self.acknowledged: set[str] = set()
        self.refused = 0
        self.wrong: list[str] = []
        self._product, self._rate = product, rate
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        client = Client(self._product)
        lines = [orjson.dumps({"message": f"line {n}", "service": HTTP, "batch": "?"}) for n in range(BATCH)]
        body, number = b"\n".join(lines), 0
        while not self._stopping.wait(BATCH / self._rate):
            name, number = f"b{number}", number + 1
            status, answer = client.send("POST", "/api/v1/logs", body.replace(b'"?"', f'"{name}"'.encode()))
            if status == 202:
                self.acknowledged.add(name)
            elif status == 503:
                self.refused += 1
            else:
                self.wrong.append(f"a batch over HTTP: {status} {answer[:200]!r}")
        client.close()

    def stop(self) -> None:
        """End after the batch at hand."""
        self._stopping.set()
        self._thread.join()


class Asking:
    """Asks a dashboard's questions in turn, in a thread, until `stop`; how long each took, seconds."""

    def __init__(self, product: Product) -> None:
        self.took: list[float] = []
        self.wrong: list[str] = []
        self._product = product
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        client = Client(self._product)
        while not self._stopping.wait(0.5):
            for path, parameters in _QUESTIONS:
                began = time.monotonic()
                status, answer = client.send("GET", f"{path}?{urlencode(parameters)}")
                self.took.append(time.monotonic() - began)
                if status != 200:
                    self.wrong.append(f"{path}: {status} {answer[:200]!r}")
        client.close()

    def stop(self) -> None:
        """End after the question at hand."""
        self._stopping.set()
        self._thread.join()


class Desk:
    """What is asked of the product from one connection, in the main thread."""

    def __init__(self, product: Product) -> None:
        self._client = Client(product)

    def get(self, path: str, **parameters: str) -> Any:
        """A JSON answer, which must be 200."""
        status, answer = self._client.send("GET", f"{path}?{urlencode(parameters)}")
        if status != 200:
            raise RuntimeError(f"{path}: {status} {answer[:200]!r}")
        return orjson.loads(answer)

    def post(self, path: str, body: Any) -> int:
        """The status of a request with this JSON."""
        return self._client.send("POST", path, orjson.dumps(body))[0]

    def counts(self, query: str, by: str = "level") -> dict[str, int]:
        """Events that match, by a field."""
        found = self.get(
            "/api/v1/logs/stats", query=query, start="-6h", group_by=by, aggregate="count", limit="10000"
        )  # fmt: skip
        return {str(row["group"][by]).lower(): int(row["values"]["count"]) for row in found["rows"]}

    def active(self) -> set[str]:
        """Rules, and groups of the probe's, with an active alert."""
        found = self.get("/api/v1/alerts", state="active", limit="1000")["alerts"]
        return {alert["labels"].get("n", alert["rule"]) for alert in found}

    def lag(self) -> float:
        """Seconds that the oldest frame of the logs has waited."""
        return float(self.get("/api/v1/status")["totals"]["lag"]["seconds"])


def main() -> None:
    """Overload it, let it recover, count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--rate", type=int, default=500, help="events a second that the drains take")
    parser.add_argument("--out", type=Path, default=Path("bench/results-overload.json"))
    chosen = parser.parse_args()
    with running(MONITORING_DRAIN_RATE=str(chosen.rate), **_SETTINGS) as product:
        figures, wrong = overload(product, chosen.rate, chosen.minutes * 60)
    chosen.out.write_text(json.dumps({"machine": describe(), "figures": figures, "wrong": wrong}, indent=1) + "\n")
    for name, value in figures.items():
        _say(f"{name:44} {value}")
    for trouble in wrong[:20]:
        _say(f"BAD  {trouble}")
    sys.exit(1 if wrong else 0)


def overload(product: Product, rate: int, seconds: float) -> tuple[dict[str, Any], list[str]]:
    """The figures, and what is wrong with them."""
    desk = Desk(product)
    if desk.post("/api/v1/rules", _RULE) != 201:
        raise RuntimeError("the rule was not taken")
    load = rate * TIMES // 2
    with _service(product, load) as service:
        flood, asking = Flood(product, load), Asking(product)
        fired, worst, told = _watch(desk, seconds)
        flood.stop()
        logged = _ask(service, "")
        ended = time.monotonic()
        _until(lambda: desk.lag() < 2.0, 3600, "lag")
        recovered = time.monotonic() - ended
        asking.stop()
        logged = _ask(service, "overis")
        late = {"message": "overis over HTTP", "service": "late"}
        _until(lambda: desk.post("/api/v1/logs", late) == 202, 60, "an event is taken over HTTP")
        _until(lambda: sum(desk.counts("overis").values()) == 2, 60, "new events are found")
        _say(f"recovered after {recovered:.1f} s")
        with contextlib.suppress(RuntimeError):  # producers report every ten seconds
            _until(lambda: desk.get("/api/v1/status")["totals"]["in_flight"] == 0, 60, "nothing is in flight")
        _until(lambda: "Ingest is behind" not in desk.active(), 120, "the alert ends")
        status = desk.get("/api/v1/status")
    stored, kept = desk.counts(f"service:{NAME}"), desk.counts(f"service:{HTTP}", "batch")
    dropped = _dropped(status)
    asked = sorted(asking.took)
    figures = {
        "drained, events a second at most": rate,
        "logged by the SDK": sum(logged.values()),
        "of these stored": sum(stored.values()),
        "of these dropped, by reason": dropped,
        "share stored of debug, info, warning": [
            round(stored.get(level, 0) / logged[level], 3) for level in ("debug", "info", "warning")
        ],
        "batches sent over HTTP": len(flood.acknowledged) + flood.refused,
        "of these acknowledged": len(flood.acknowledged),
        "of these found": len(flood.acknowledged & set(kept)),
        "of these refused (503)": flood.refused,
        "refused and stored all the same": len(set(kept) - flood.acknowledged),
        "oldest frame waited at worst, s": round(worst, 1),
        "alerts of the probe": len(fired),
        "fired after, s: median, worst": [round(sorted(fired)[len(fired) // 2], 1), round(max(fired), 1)],
        "told of itself": sorted(told),
        "questions answered": len(asked),
        "answered after, ms: median, p99, worst": [
            round(asked[int(len(asked) * share)] * 1000) for share in (0.5, 0.99)
        ] + [round(asked[-1] * 1000)],
        "recovered after, s": round(recovered, 1),
        "residual": status["totals"]["residual"],
        "in flight at the end": status["totals"]["in_flight"],
    }  # fmt: skip
    wrong = [*flood.wrong, *asking.wrong]
    checks = {
        "an alert was late": max(fired) <= LATE_ALERT_SECONDS,
        "an answer was slow": asked[-1] <= SLOW_ANSWER_SECONDS,
        "acknowledged over HTTP and not found": flood.acknowledged <= set(kept),
        "of a batch over HTTP a part was stored, or it was stored twice": set(kept.values()) == {BATCH},
        "logged is not stored + dropped": sum(logged.values()) == sum(stored.values()) + sum(dropped.values()),
        "nothing was shed: this was no overload": dropped.get("shed", 0) > 0 and flood.refused > 0,
        "something is in flight for ever": status["totals"]["in_flight"] == 0,
        "warnings were not kept before debug": stored.get("warning", 0) > stored.get("debug", 0),
        "the books do not balance": status["totals"]["residual"] == 0 == status["totals"]["missing"],
        "the product did not tell of drops": "Events dropped" in told,
    }
    return figures, wrong + [text for text, good in checks.items() if not good]


def _watch(desk: Desk, seconds: float) -> tuple[list[float], float, set[str]]:
    """Probe alerts for so long: after what time each fired, the worst lag, and what else became active."""
    ends, fired, worst, told = time.monotonic() + seconds, list[float](), 0.0, set[str]()
    while time.monotonic() < ends:
        began, name = time.monotonic(), f"p{len(fired)}"
        point = {"name": "overload_probe", "kind": "gauge", "value": 1, "labels": {"n": name}, "service": "probe"}
        _until(lambda: desk.post("/api/v1/metrics", point) == 202, 60, "a metric is taken")  # noqa: B023  called at once
        _until(lambda: name in desk.active(), 120, "an alert fires")  # noqa: B023  called at once
        fired.append(time.monotonic() - began)
        worst, told = max(worst, desk.lag()), told | {rule for rule in desk.active() if " " in rule}
        if int(began - ends) // 60 != int(time.monotonic() - ends) // 60:
            _say(f"{(ends - began) / 60:5.1f} min to go: the oldest frame has waited {worst:.0f} s, "
                 f"{len(fired)} alerts, the slowest after {max(fired):.1f} s")  # fmt: skip
        time.sleep(max(0.0, min(began + _PROBE_SECONDS, ends) - time.monotonic()))
    return fired, worst, told


def _dropped(status: dict[str, Any]) -> dict[str, int]:
    """What the service dropped, by reason."""
    found: dict[str, int] = {}
    for producer in status["producers"]:
        if producer.get("service") == NAME:
            for reason, count in producer["dropped"].items():
                found[reason] = found.get(reason, 0) + count
    return found


def _until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    ends = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > ends:
            raise RuntimeError(f"not within {seconds:g} s: {what}")
        time.sleep(0.2)


@contextlib.contextmanager
def _service(product: Product, rate: int) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.overload.service", str(rate)],
        env={**environ, "MONITORING_BUS_URL": product.bus_url, "LOG_LEVEL": "DEBUG", **_SETTINGS,
             "MONITORING_BUFFER_EVENTS": _BUFFER_EVENTS},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield process
        process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()


def _ask(service: subprocess.Popen[str], line: str) -> dict[str, int]:
    """Say a line to the service; what it logged until then, by level."""
    assert service.stdin is not None
    assert service.stdout is not None
    service.stdin.write(f"{line}\n")
    service.stdin.flush()
    found: dict[str, int] = json.loads(service.stdout.readline())
    return found


def _say(text: str) -> None:
    click.echo(text)  # without colours where it is no terminal


if __name__ == "__main__":
    main()

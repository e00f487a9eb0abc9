"""`make bench-api`: what the HTTP API takes in, and how long it takes to answer while events flow.

python -m bench.api                     300,000 events in, then 30 s of 50 readers
python -m bench.api --events N --seconds N --readers N

Ingest: NDJSON and OTLP's protobuf in batches of 1,000, by as many clients as cores; each answer says that its events
are fsynced. Beside it the SDK's direct path over the bus. Readers: threads of one process, each with a connection of
its own, asking in turn for the overview, a search, a histogram and a range query, with a pause between as a dashboard
has, while events are posted at 5,000/s. Times are the clients', in milliseconds; clients and server share the cores.
"""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import orjson
import psutil

from bench.endtoend import throughput
from bench.events import make
from bench.machine import describe
from bench.product import Product, running
from bench.protocols import measure, ndjson, otlp
from monitoring.pipeline.events import levels

__all__ = ["main"]

BATCH = 1000
RATE = 5000
PAUSE_SECONDS = 1.0
"""Between a reader's questions: a dashboard that refreshes each of its three panels every few seconds."""
QUESTIONS = {
    "overview": ("/api/v1/overview", {}),
    "search": ("/api/v1/logs", {"query": "level:error", "start": "-1h", "limit": "100"}),
    "histogram": ("/api/v1/logs/histogram", {"query": "level:>=warning", "start": "-1h"}),
    "query_range": (
        "/prometheus/api/v1/query_range",
        {"query": "sum by (route) (rate(bench_requests_total[5m]))", "start": "", "end": "", "step": "30"},
    ),
}
_UNLIMITED = {"MONITORING_RATE_KEY": "0", "MONITORING_RATE_ADDRESS": "0"}


class Client:
    """One kept connection."""

    def __init__(self, product: Product) -> None:
        self._key = (product.data / "admin.key").read_text().strip()
        self._connection = http.client.HTTPConnection("127.0.0.1", product.port, timeout=120)

    def send(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """Status and answer."""
        self._connection.request(method, path, body=body, headers={"Authorization": f"Bearer {self._key}"})
        answer = self._connection.getresponse()
        return answer.status, answer.read()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def batches(count: int) -> list[bytes]:
    """Bodies of 1,000 lines of JSON."""
    lines = [
        orjson.dumps({"message": event.message, "level": levels.name(event.level), "service": event.service,
                      "logger": event.logger, "host": event.host, "trace_id": event.trace_id,
                      **orjson.loads(event.attributes or "{}")})
        for event in make(count, seed=1)
    ]  # fmt: skip
    return [b"\n".join(lines[start : start + BATCH]) for start in range(0, len(lines), BATCH)]


def add_metrics(product: Product) -> None:
    """A counter of 50 series over the last hour, for `query_range` to add up."""
    client, now = Client(product), time.time_ns()
    points = [
        {"name": "bench_requests_total", "kind": "counter", "value": 7, "labels": {"route": f"/r/{number}"},
         "timestamp": now - seconds * 10**9}
        for seconds in range(0, 3600, 30) for number in range(50)
    ]  # fmt: skip
    status, answer = client.send("POST", "/api/v1/metrics", orjson.dumps(points))
    if status != 202:
        raise RuntimeError(f"{status}: {answer[:200]!r}")
    client.close()


def read(product: Product, bodies: Sequence[bytes], readers: int, seconds: float) -> dict[str, dict[str, float]]:
    """Quantiles of each question's time while events flow in at 5,000/s."""
    took: defaultdict[str, list[float]] = defaultdict(list)
    ends = time.perf_counter() + seconds
    sent, refused = [0], Counter[str]()

    def flow() -> None:
        client, due = Client(product), time.perf_counter()
        while time.perf_counter() < ends:
            began = time.perf_counter()
            client.send("POST", "/api/v1/logs", bodies[sent[0] % len(bodies)])
            took["ingest of 1,000"].append(time.perf_counter() - began)
            sent[0] += 1
            due += BATCH / RATE
            time.sleep(max(0.0, due - time.perf_counter()))
        client.close()

    def ask(number: int) -> None:
        client, names = Client(product), list(QUESTIONS)
        time.sleep(PAUSE_SECONDS * number / readers)
        while time.perf_counter() < ends:
            name = names[number % len(names)]
            number += 1
            path, params = QUESTIONS[name]
            if "end" in params:
                now = time.time()
                params = {**params, "start": f"{now - 3600:.0f}", "end": f"{now:.0f}"}
            began = time.perf_counter()
            status, answer = client.send("GET", f"{path}?{urlencode(params)}" if params else path)
            if status == 200:
                took[name].append(time.perf_counter() - began)
            elif status == 503:  # more at once than may wait: told at once to come back
                refused[name] += 1
            else:
                raise RuntimeError(f"{status}: {answer[:200]!r}")
            time.sleep(PAUSE_SECONDS)
        client.close()

    _together([flow, *(lambda number=number: ask(number) for number in range(readers))])
    found: dict[str, dict[str, float]] = {
        name: {**_quantiles(times), "refused": refused[name]} for name, times in sorted(took.items())
    }
    found["events"] = {"per_second": round(sent[0] * BATCH / seconds)}
    return found


def _quantiles(times: Sequence[float]) -> dict[str, float]:
    cuts = statistics.quantiles(times, n=100)
    return {"count": len(times), **{f"p{part}_ms": round(cuts[part - 1] * 1000, 1) for part in (50, 95, 99)}}


def _together(actions: Sequence[Any]) -> None:
    failed: list[BaseException] = []

    def guarded(action: Any) -> None:
        try:
            action()
        except BaseException as error:  # told below, in the thread that waits
            failed.append(error)

    threads = [threading.Thread(target=guarded, args=(action,)) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]


def _direct(events: int) -> dict[str, float]:
    """The same events over the bus, as the SDK in a service sends them."""
    found = throughput(events, drains=1)
    return {
        "events": events,
        "searchable_per_second": round(found["events_per_second"]),
        "publisher_cpu_us_per_event": round(found["cpu_us_per_event"]["publisher"], 1),
        "product_cpu_us_per_event": round(
            found["cpu_us_per_event"]["total"] - found["cpu_us_per_event"]["publisher"], 1
        ),
    }


def main() -> None:
    """Run it, print a table, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=300_000)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--readers", type=int, default=50)
    parser.add_argument("--out", type=Path, default=Path("bench/results-api.json"))
    chosen = parser.parse_args()
    clients = psutil.cpu_count() or 1
    results: dict[str, Any] = {"machine": describe(), "direct": _direct(chosen.events)}
    print("the SDK, directly:         ", results["direct"], flush=True)
    with running(**_UNLIMITED) as product:
        measure(product, otlp, events=20_000, clients=clients)  # lanes and segments are made, code is loaded
        results["otlp"] = measure(product, otlp, events=chosen.events, clients=clients)
    print("OTLP in batches of 1,000:  ", results["otlp"], flush=True)
    with running(**_UNLIMITED) as product:
        measure(product, ndjson, events=20_000, clients=clients)
        results["ndjson"] = measure(product, ndjson, events=chosen.events, clients=clients)
        print("NDJSON in batches of 1,000:", results["ndjson"], flush=True)
        add_metrics(product)
        results["readers"] = read(product, batches(chosen.events), chosen.readers, chosen.seconds)
    for name, figures in results["readers"].items():
        print(f"{name:18}", figures)
    chosen.out.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()

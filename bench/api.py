"""`make bench-api`: what the HTTP API takes in, and how long it takes to answer while events flow.

python -m bench.api                     300,000 events in, then 30 s of 50 readers
python -m bench.api --events N --seconds N --readers N

Ingest: NDJSON in batches of 1,000, by as many clients as cores; each answer says that its events are fsynced. Readers:
threads of one process, each with a connection of its own, asking in turn for the overview, a search and a histogram,
with a pause between as a dashboard has, while events are posted at 5,000/s. Times are the clients', in milliseconds;
clients and server share the machine's cores.
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

from bench.events import make
from bench.machine import describe, usage
from bench.product import Product, running
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
}


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


def ingest(product: Product, bodies: Sequence[bytes], clients: int) -> dict[str, float]:
    """Post all bodies; events a second until they are safe and until they are searchable, and the server's CPU."""
    before, cpu = product.searchable(), _cpu(product.process.pid)
    began = time.perf_counter()

    def post(mine: Sequence[bytes]) -> None:
        client = Client(product)
        for body in mine:
            status, answer = client.send("POST", "/api/v1/logs", body)
            while status in (429, 503):
                time.sleep(0.1)
                status, answer = client.send("POST", "/api/v1/logs", body)
            if status != 202:
                raise RuntimeError(f"{status}: {answer[:200]!r}")
        client.close()

    _together([lambda mine=bodies[number::clients]: post(mine) for number in range(clients)])
    safe = time.perf_counter() - began
    count = len(bodies) * BATCH
    product.wait_for(before + count, timeout_seconds=300)
    stored = time.perf_counter() - began
    used = _cpu(product.process.pid)
    return {
        "events": count,
        "events_per_second": round(count / safe),
        "searchable_per_second": round(count / stored),
        "api_cpu_us_per_event": round((used["api"] - cpu["api"]) / count * 1e6, 2),
        "all_cpu_us_per_event": round((used["all"] - cpu["all"]) / count * 1e6, 2),
    }


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


def _cpu(root: int) -> dict[str, float]:
    """Seconds by part of the product, and of all."""
    parts = {name: used.cpu_seconds for name, used in usage(root).items()}
    return {**parts, "all": sum(parts.values())}


def main() -> None:
    """Run it, print a table, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=300_000)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--readers", type=int, default=50)
    parser.add_argument("--out", type=Path, default=Path("bench/results-api.json"))
    chosen = parser.parse_args()
    bodies = batches(max(BATCH, chosen.events // BATCH * BATCH))
    clients = psutil.cpu_count() or 1
    results: dict[str, Any] = {"machine": describe()}
    with running(MONITORING_RATE_KEY="0", MONITORING_RATE_ADDRESS="0") as product:
        ingest(product, bodies[:20], clients)  # lanes and segments are made, code is loaded
        results["ndjson"] = ingest(product, bodies, clients)
        print("NDJSON in batches of 1,000:", results["ndjson"], flush=True)
        results["readers"] = read(product, bodies, chosen.readers, chosen.seconds)
    for name, figures in results["readers"].items():
        print(f"{name:18}", figures)
    chosen.out.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()

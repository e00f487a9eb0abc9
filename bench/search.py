"""`make bench-search`: how long questions take over ten million events of one day, while ingest runs at 5,000 events/s.

python -m bench.search                  ten million events in segments of a million; some ten minutes
python -m bench.search --short          one million
python -m bench.search --data DIR       build there, or ask what was built there before

Every question goes over HTTP to the running product. "cold" is the first time, with the segments dropped from the
system's cache. "warm" is repeated as it stands. Of a histogram and of facets, "counted" is what it takes where nothing
is remembered: the same question, written anew each time. Times are the client's, in milliseconds.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from bench.dataset import build
from bench.machine import describe, usage
from bench.product import Product, running
from monitoring.pipeline.store.catalog import CATALOG_FILE

__all__ = ["main"]

RATE = 5000
QUERIES = {
    "*": "*",
    "a level": "level:error",
    "service + level": "service:api level:error",
    "a common word": "evicted",
    "a rare word": "meltdown",
    "a phrase": '"evicted on the second"',
    "an attribute": "user_id:54321",
    "a numeric range": "duration_ms:>2900",
    "a regex": r"message:/\b4\d\d ms/",
    "no hit": "nosuchword",
}
HEAVY = ("a phrase", "a numeric range", "a regex")
"""Verified on rows: counting all of these over the whole day is a scan, and is asked for once."""


@dataclass(slots=True)
class Figures:
    """What a question took, milliseconds."""

    name: str
    kind: str
    cold: float
    warm_p95: float | None = None
    counted_p95: float | None = None
    partial: str | None = None
    matches: int | None = None
    runs: list[float] = field(default_factory=list)


class Client:
    """One connection to the API, as a dashboard keeps."""

    def __init__(self, product: Product) -> None:
        self._product = product
        self._key = (product.data / "admin.key").read_text().strip()
        self._connection = http.client.HTTPConnection("127.0.0.1", product.port, timeout=120)
        self.peak_pss = 0

    def ask(self, path: str, **params: str) -> tuple[float, dict[str, Any]]:
        """Milliseconds, and the answer."""
        address = f"/api/v1/logs{path}?{urlencode(params)}"
        began = time.perf_counter()
        self._connection.request("GET", address, headers={"Authorization": f"Bearer {self._key}"})
        answer = self._connection.getresponse()
        body = answer.read()
        took = (time.perf_counter() - began) * 1000
        if answer.status != 200:
            raise RuntimeError(f"{address} answered {answer.status}: {body[:300]!r}")
        return took, json.loads(body)

    def watch(self) -> None:
        """Note the memory of the API's processes."""
        self.peak_pss = max(self.peak_pss, usage(self._product.process.pid)["api"].pss_bytes)


def drop_cache(data: Path) -> None:
    """Have the system forget the segments' pages."""
    for path in (data / "logs").rglob("*.db"):
        descriptor = os.open(path, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def measure(client: Client, data: Path, name: str, kind: str, path: str, repeats: int, **params: str) -> Figures:
    """Ask a question cold, then warm; a question that counts also anew."""
    drop_cache(data)
    cold, answer = client.ask(path, **params)
    partial = (answer.get("partial") or {}).get("reason")
    found = Figures(name, kind, cold, partial=partial)
    client.watch()
    if "buckets" in answer:
        found.matches = sum(bucket["total"] for bucket in answer["buckets"])
    if partial == "time":
        return found
    found.runs = [client.ask(path, **params)[0] for _ in range(repeats)]
    found.warm_p95 = _p95(found.runs)
    if kind in ("histogram", "facets") and name not in HEAVY:
        anew = [
            client.ask(path, **{**params, "query": " ".join([params["query"]] * times)})[0] for times in range(2, 7)
        ]
        found.counted_p95 = _p95(anew)
    client.watch()
    return found


def _p95(times: list[float]) -> float:
    ranked = sorted(times)
    return ranked[min(len(ranked) - 1, int(len(ranked) * 0.95))]


def questions(client: Client, data: Path, repeats: int) -> Iterator[Figures]:
    """Every kind of search, with its histogram and facets; ids; statistics."""
    for name, query in QUERIES.items():
        yield measure(client, data, name, "search", "", repeats, query=query, limit="100")
    _, page = client.ask("", query="meltdown", limit="100")
    oldest = page["events"][-1]
    yield measure(client, data, "an id", "search", "", repeats, query=oldest["trace_id"])
    yield measure(client, data, "by its id", "event", f"/{oldest['id']}", repeats)
    yield measure(client, data, "neighbours", "context", f"/{oldest['id']}/context", repeats)
    for name, query in QUERIES.items():
        yield measure(client, data, name, "histogram", "/histogram", repeats, query=query, start="-23h")
        yield measure(client, data, name, "facets", "/facets", repeats, query=query, start="-23h")
    yield measure(client, data, "count by service, time", "stats", "/stats", repeats, start="-23h",
                  group_by="service,time", aggregate="count")  # fmt: skip
    for name, query in (("p95 by service, errors", "level:error"), ("p95 by service, all", "*")):
        yield measure(client, data, name, "stats", "/stats", 1, query=query, start="-23h", group_by="service",
                      aggregate="p95(duration_ms)")  # fmt: skip


@contextmanager
def _ingest(product: Product, rate: int) -> Iterator[None]:
    producer = subprocess.Popen(
        [sys.executable, "-m", "bench.producer", str(rate * 3600), "1", str(rate)],
        env={**os.environ, "MONITORING_BUS_URL": product.bus_url}, text=True, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert producer.stdout is not None and producer.stdin is not None
        producer.stdout.readline()
        producer.stdin.write("go\n")
        producer.stdin.flush()
        yield
    finally:
        producer.kill()
        producer.wait()


def main(arguments: list[str] | None = None) -> None:
    """Build, ask, print, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--short", action="store_true", help="one million events")
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--data", type=Path, help="keep the store here")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "search.json")
    options = parser.parse_args(arguments)
    count = 1_000_000 if options.short else options.events
    data = options.data or Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        if not (data / CATALOG_FILE).exists():
            build(data, count, end_ns=time.time_ns())
        with running(over=data, MONITORING_WORKERS="1", MONITORING_PARTITIONS="1") as product, _ingest(product, RATE):
            client = Client(product)
            rows = []
            print(f"{'':24}{'':11}{'cold':>10}{'warm p95':>10}{'counted':>10}   ms, over {count:,} events", flush=True)
            for row in questions(client, data, options.repeats):
                rows.append(row)
                print(_line(row), flush=True)
        print(f"memory of the API at most: {client.peak_pss / 1e6:.0f} MB PSS", flush=True)
        results = {"machine": describe(), "events": count, "ingest_events_per_second": RATE,
                   "api_peak_pss_mb": client.peak_pss / 1e6, "questions": [asdict(row) for row in rows]}  # fmt: skip
        options.output.write_text(json.dumps(results, indent=2) + "\n")
    finally:
        if options.data is None:
            shutil.rmtree(data, ignore_errors=True)


def _line(row: Figures) -> str:
    cells = "".join("-".rjust(10) if value is None else f"{value:10.1f}" for value in
                    (row.cold, row.warm_p95, row.counted_p95))  # fmt: skip
    remark = f"   partial: {row.partial}" if row.partial else f"   {row.matches:,} matches" if row.matches else ""
    return f"{row.name:24}{row.kind:11}{cells}{remark}"


if __name__ == "__main__":
    main()

"""The running product over a day of metrics: panels over HTTP while samples flow in, and what memory its parts take.

python -m bench.metric_live                 10,000 series that all change every 10 s, for 90 s
python -m bench.metric_live --series 1000 --seconds 30
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import statistics
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlencode

import orjson

from bench.machine import describe, usage
from bench.metric_day import WINDOW_S, day, labels_of, open_new
from bench.product import Product, running

__all__ = ["main", "run"]

_HOURS_6 = 6 * 3600
_PANELS = 12
_BATCH = 1000
_PAUSE_SECONDS = 0.5
"""Between two panels: a dashboard of 12 that is drawn anew every six seconds, at most."""


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=90.0)
    chosen = parser.parse_args()
    print(describe())
    with TemporaryDirectory(prefix="bench-") as directory:
        found = run(Path(directory), chosen.series, chosen.seconds)
    print("  ".join(f"{name} {value:,.1f}" for name, value in found.items()))


def run(data: Path, series: int, seconds: float) -> dict[str, float]:
    """A day of so many series up to now, which go on changing every 10 s for so many seconds; a panel is 1,000."""
    data.mkdir(parents=True, exist_ok=True)
    with contextlib.closing(open_new(data)) as store:
        day(store, 0, series, roll_over=False, ends=int(time.time()) // WINDOW_S)
    with running(over=data, MONITORING_RATE_KEY="0", MONITORING_RATE_ADDRESS="0") as product:
        client = _Client(product)
        before = {name: part.pss_bytes for name, part in usage(product.process.pid).items()}
        stop = threading.Event()
        writer = threading.Thread(target=_flow, args=(client, series, stop))
        writer.start()
        try:
            times = list(_asked(client, max(1, series // 1000), time.monotonic() + seconds))
        finally:
            stop.set()
            writer.join()
        after = {name: part.pss_bytes for name, part in usage(product.process.pid).items()}
    cuts = statistics.quantiles(times, n=20)
    found = {"panels": float(len(times)), "panel_ms_p50": cuts[9], "panel_ms_p95": cuts[18], "written": client.written}
    for name in ("api", "drain"):
        found |= {f"{name}_mb": after[name] / 1e6, f"{name}_mb_before": before[name] / 1e6}
    return found


class _Client:
    """Asks the product with its admin key."""

    def __init__(self, product: Product) -> None:
        self._base = f"http://127.0.0.1:{product.port}"
        self._key = (product.data / "admin.key").read_text().strip()
        self.written = 0.0

    def send(self, path: str, body: bytes | None = None) -> Any:
        """The document that is answered."""
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(self._base + path, body, headers)) as answer:
            return json.load(answer)


def _flow(client: _Client, series: int, stop: threading.Event) -> None:
    """Let every series change, and again 10 s later."""
    chance = random.Random(1)
    due = time.monotonic()
    while not stop.is_set():
        for first in range(0, series, _BATCH):
            items = [_item(number, chance) for number in range(first, min(series, first + _BATCH))]
            client.send("/api/v1/metrics", orjson.dumps(items))
            client.written += len(items)
        due += WINDOW_S
        stop.wait(max(0.0, due - time.monotonic()))


def _item(number: int, chance: random.Random) -> dict[str, Any]:
    origin = {"service": "api", "environment": "production", "release": "1.4.2", "host": "web-1"}
    if number % 4 == 3:
        return {"name": "bench_memory", "kind": "gauge", "across": "sum", "unit": "bytes",
                "value": chance.randrange(1 << 30), "labels": labels_of(number), **origin}  # fmt: skip
    return {"name": "bench_requests", "kind": "counter", "value": chance.randrange(80),
            "labels": labels_of(number), **origin}  # fmt: skip


def _asked(client: _Client, different: int, ends: float) -> Iterator[float]:
    """Milliseconds of each panel over the last six hours, by the minute; at least one round of them."""
    nth = 0
    while nth < _PANELS or time.monotonic() < ends:
        now = int(time.time())
        panel = f'{{panel="{nth % different}"}}'
        by = (" by (status)", " by (route)", "")[nth % 3]
        query = f"sum(bench_memory{panel})" if nth % 4 == 3 else f"sum{by} (rate(bench_requests_total{panel}[5m]))"
        asked = urlencode({"query": query, "start": now - _HOURS_6, "end": now, "step": 60})
        began = time.perf_counter()
        answer = client.send(f"/prometheus/api/v1/query_range?{asked}")
        yield (time.perf_counter() - began) * 1e3
        if not answer["data"]["result"]:
            raise RuntimeError(f"nothing is answered to {query}")
        nth += 1
        time.sleep(_PAUSE_SECONDS)


if __name__ == "__main__":
    main()

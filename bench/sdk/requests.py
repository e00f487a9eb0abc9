"""What is added to a request: the same Flask application, bare and with each thing that watches it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple

from bench.sdk.apps import APPS, requester
from bench.sdk.bus import Bus
from bench.sdk.stopwatch import in_a_row, one_by_one, percentile
from bench.sdk.table import Table, holds, spread
from bench.sdk.worker import Round, compare

__all__ = ["load", "run"]

BUDGET = 40.0
"""Microseconds added to a request, everything included: section 12 of the design."""
REQUESTS = 1000
"""In a row: half of what OpenTelemetry's queue holds."""
SHORT_REQUESTS = 100
ROUNDS = 22
SHORT_ROUNDS = 1


class Row(NamedTuple):
    """A line of the table."""

    key: str
    title: str


ROWS = (
    Row("bare", "Flask, bare"),
    Row("ours", "ours: FlaskMonitoring"),
    Row("json_line", "a JSON log line by hand"),
    Row("prometheus", "prometheus_flask_exporter"),
    Row("opentelemetry", "OpenTelemetry: a span, dropped"),
    Row("sentry", "Sentry: a transaction, dropped"),
)


def load(name: str, url: str) -> Callable[..., Round]:
    """The application of this name, ready to be measured. Raises ImportError where its watcher is not installed."""
    app, settle, delivered = APPS[name](url)
    call = requester(app)

    def measure(requests: int) -> Round:
        before, process = delivered(), time.process_time()
        row = in_a_row(call, requests)
        settle()
        process = time.process_time() - process
        single = one_by_one(call, requests)
        settle()
        return {
            "median": percentile(single, 0.5),
            "p99": percentile(single, 0.99),
            "cpu": row.cpu,
            "wall": row.wall,
            "all": process / requests * 1e6,
            "arrived": (delivered() - before) / requests / 2 * 100,
        }

    return measure


def run(bus: Bus, *, short: bool) -> Table:
    """Measure all of them. Added is the difference to the bare application in the same round."""
    options = {row.key: {"requests": SHORT_REQUESTS if short else REQUESTS} for row in ROWS}
    rounds = SHORT_ROUNDS if short else ROUNDS
    found = compare("bench.sdk.requests", options, url=bus.url, rounds=rounds, meanwhile=bus.absorb)
    table = Table(
        "requests",
        "us a request",
        ("median", "p99", "added", "min..max", "added cpu", "added cpu, all", "x ours", "budget", "holds"),
    )
    reference = found.rounds.get("ours")
    for row in ROWS:
        if row.key in found.rounds:
            table.add(row.key, row.title, **_figures(row, found.rounds[row.key], found.rounds["bare"], reference))
        else:
            table.leave_out(row.title, found.missing[row.key])
    return table


def _figures(
    row: Row, rounds: Sequence[Round], bare: Sequence[Round], reference: Sequence[Round] | None
) -> Mapping[str, Any]:
    middle = {name: median(each[name] for each in rounds) for name in rounds[0]}
    if row.key == "bare":
        return middle
    added = _added(rounds, bare, "median")
    everything = median(_added(rounds, bare, "all"))
    budget = BUDGET if row.key == "ours" else None
    return {
        **middle,
        "added": median(added),
        "min..max": spread(added),
        "added cpu": median(_added(rounds, bare, "cpu")),
        "added cpu, all": everything,
        "x ours": median(added) / median(_added(reference, bare, "median")) if reference else None,
        "budget": budget,
        "holds": holds(max(median(added), everything), budget),
    }


def _added(rounds: Sequence[Round], bare: Sequence[Round], name: str) -> list[float]:
    return [each[name] - without[name] for each, without in zip(rounds, bare, strict=True)]

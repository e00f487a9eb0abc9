"""What a log call costs its caller: the same message with the same four fields, logged by everybody."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple

from bench.sdk.bus import Bus
from bench.sdk.own import OURS
from bench.sdk.peers import PEERS
from bench.sdk.stopwatch import in_a_row, one_by_one, percentile
from bench.sdk.table import Table, holds, spread
from bench.sdk.worker import Round, compare

__all__ = ["load", "run"]

CALLS = 2000
"""In a row: as many as OpenTelemetry's queue holds (2,048), so that nobody's cost is that of dropping."""
SHORT_CALLS = 200
ROUNDS = 22
SHORT_ROUNDS = 1


class Row(NamedTuple):
    """A line of the table; `budget` in microseconds, section 12 of the design."""

    key: str
    title: str
    budget: float | None = None


GROUPS: dict[str, tuple[Row, ...]] = {
    "a log call": (
        Row("ours", "ours: get_logger().info", 3.0),
        Row("ours_bound", "ours, context bound"),
        Row("ours_console", "ours, and JSON on the console"),
        Row("stdlib_text", "stdlib, text"),
        Row("stdlib_json", "stdlib, python-json-logger (orjson)"),
        Row("structlog_json", "structlog, JSON (orjson)"),
        Row("loguru_json", "loguru, JSON"),
        Row("opentelemetry", "OpenTelemetry, stdlib handler"),
        Row("sentry", "Sentry, stdlib: a breadcrumb"),
        Row("sentry_logs", "Sentry, stdlib: logs on"),
    ),
    "a log call through the standard library": (
        Row("ours_stdlib", "ours: stdlib captured", 8.0),
        Row("ours_handler", "ours: MonitoringHandler", 8.0),
        Row("bare_record", "bare LogRecord (NullHandler)"),
    ),
    "a call below the level": (
        Row("ours_disabled", "ours", 0.1),
        Row("ours_disabled_alone", "ours, a message without fields", 0.1),
        Row("stdlib_disabled", "stdlib"),
        Row("structlog_disabled", "structlog"),
        Row("loguru_disabled", "loguru"),
    ),
}


def load(name: str, url: str) -> Callable[..., Round]:
    """The peer of this name, ready to be measured. Raises ImportError where it is not installed."""
    peer = {**OURS, **PEERS}[name](url)

    def measure(calls: int) -> Round:
        before = peer.delivered() if peer.delivered else 0
        row = in_a_row(peer.call, calls)
        peer.settle()
        single = one_by_one(peer.call, calls)
        peer.settle()
        figures = {"median": percentile(single, 0.5), "p99": percentile(single, 0.99), "cpu": row.cpu, "wall": row.wall}
        return {**figures, "arrived": (peer.delivered() - before) / calls / 2 * 100} if peer.delivered else figures

    return measure


def run(bus: Bus, *, short: bool) -> Table:
    """Measure all of them."""
    options = {row.key: {"calls": SHORT_CALLS if short else CALLS} for rows in GROUPS.values() for row in rows}
    rounds = SHORT_ROUNDS if short else ROUNDS
    found = compare("bench.sdk.calls", options, url=bus.url, rounds=rounds, meanwhile=bus.absorb)
    table = Table(
        "calls",
        "us a log call, in the caller",
        ("median", "p99", "cpu", "wall", "min..max", "x ours", "budget", "holds"),
    )
    for group, rows in GROUPS.items():
        table.group(group)
        reference = found.rounds.get(rows[0].key)
        for row in rows:
            if row.key in found.rounds:
                table.add(row.key, row.title, **_figures(row, found.rounds[row.key], reference))
            else:
                table.leave_out(row.title, found.missing[row.key])
    return table


def _figures(row: Row, rounds: Sequence[Round], reference: Sequence[Round] | None) -> Mapping[str, Any]:
    middle = {name: median(each[name] for each in rounds) for name in rounds[0]}
    ratio = middle["median"] / median(each["median"] for each in reference) if reference else None
    worst = max(middle["median"], middle["cpu"])
    return {
        **middle,
        "min..max": spread([each["median"] for each in rounds]),
        "x ours": ratio,
        "budget": row.budget,
        "holds": holds(worst, row.budget),
    }

"""What importing costs, and starting: time, and memory that stays. Each in a fresh interpreter, again and again.

Compiled files are there, as in an installed service: a first round, which does not count, writes them into a
directory that is gone afterwards.

OpenTelemetry is hidden from all but its own row: redis-py loads it where it is installed, 100 ms that a service
without it does not pay.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple

from bench.sdk.bus import Bus
from bench.sdk.table import Table, holds, spread
from bench.sdk.worker import ROOT, clean_environment

__all__ = ["run"]

TIME_BUDGET_MS = 60.0
MEMORY_BUDGET_MB = 12.0
"""Over bare Python plus redis-py: the issue that asked for the SDK."""
ROUNDS = 12
SHORT_ROUNDS = 1

_SCRIPT = """
import sys, time
if {hidden}:
    sys.modules["opentelemetry"] = None
def memory():
    found = dict(line.split()[:2] for line in open("/proc/self/smaps_rollup") if line[0] != " " and "kB" in line)
    return [int(found[name]) * 1024 for name in ("Rss:",)] + [int(found["Private_Clean:"]) * 1024
        + int(found["Private_Dirty:"]) * 1024]
{base}
rss, uss = memory()
cpu, wall = time.process_time(), time.perf_counter()
{code}
wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
{settle}
after = memory()
print({{"wall": wall * 1e3, "cpu": cpu * 1e3, "rss": (after[0] - rss) / 1e6, "uss": (after[1] - uss) / 1e6,
       "rss_all": after[0] / 1e6, "uss_all": after[1] / 1e6}}.__repr__().replace("'", '"'))
"""

_START = """
from monitoring import get_logger
from monitoring.startup import start_monitoring_with_config
start_monitoring_with_config(bus_url="unix:///nowhere/bus", console="off"{options})
get_logger(__name__).info("model loaded", model="llama-3-8b", seconds=3.2, tokens=4711, cached=True)
"""
_WAIT = "time.sleep({seconds})"
"""For the flusher to have tried the bus, and for collectors to have taken their first sample."""


class Row(NamedTuple):
    """A line of the table: code that is measured after `base` was run, `settle` run before memory is read."""

    key: str
    title: str
    code: str
    base: str = ""
    settle: str = ""
    budget: bool = False
    hidden: bool = True


_OVER_PYTHON = "over bare Python"
_OVER_REDIS = "over bare Python plus redis-py"
GROUPS: dict[str, tuple[Row, ...]] = {
    _OVER_REDIS: (
        Row("monitoring", "import monitoring", "import monitoring", "import redis", budget=True),
        Row("get_logger", "from monitoring import get_logger", "from monitoring import get_logger", "import redis",
            budget=True),
        Row("start", "get_logger, start, one event (no bus)", _START.format(options=', collectors="none"'),
            "import redis", _WAIT.format(seconds=0.5), budget=True),
        Row("collectors", "the same, with collectors", _START.format(options=""), "import redis",
            _WAIT.format(seconds=2.0), budget=True),
    ),
    _OVER_PYTHON: (
        Row("redis", "import redis", "import redis"),
        Row("all", "redis and get_logger, start, one event", _START.format(options=', collectors="none"'), "",
            _WAIT.format(seconds=0.5)),
        Row("logging", "import logging", "import logging, logging.handlers"),
        Row("pythonjsonlogger", "import pythonjsonlogger.orjson", "import pythonjsonlogger.orjson"),
        Row("structlog", "import structlog", "import structlog"),
        Row("loguru", "import loguru", "import loguru"),
        Row("opentelemetry", "OpenTelemetry: logs of the SDK", "from opentelemetry.sdk._logs import LoggerProvider, "
            "LoggingHandler\nfrom opentelemetry.sdk._logs.export import BatchLogRecordProcessor", hidden=False),
        Row("sentry", "import sentry_sdk", "import sentry_sdk"),
        Row("prometheus", "import prometheus_client", "import prometheus_client"),
        Row("flask", "import flask", "import flask"),
    ),
}  # fmt: skip


def run(bus: Bus, *, short: bool) -> Table:
    """Measure all of them, in turns."""
    table = Table(
        "imports",
        "import: ms and MB",
        ("wall ms", "cpu ms", "min..max", "RSS MB", "USS MB", "x ours", "budget", "holds"),
    )
    with tempfile.TemporaryDirectory(prefix="bench-") as compiled:
        found = _rounds(SHORT_ROUNDS if short else ROUNDS, compiled, table)
    reference = median(each["wall"] for each in found["start"])
    for group, members in GROUPS.items():
        table.group(group)
        for row in members:
            if row.key in found:
                table.add(row.key, row.title, **_figures(row, found[row.key], reference))
    return table


def _rounds(rounds: int, compiled: str, table: Table) -> dict[str, list[Mapping[str, float]]]:
    """Figures by row; a row that cannot be imported is left out of the table."""
    rows = [row for group in GROUPS.values() for row in group]
    found: dict[str, list[Mapping[str, float]]] = {}
    for number in range(rounds):
        for row in random.Random(number).sample(rows, len(rows)):
            measured = _measured(row, compiled) if row.title not in table.left_out else ""
            if isinstance(measured, str):
                table.left_out.setdefault(row.title, measured)
            elif number or rounds == 1:  # the first writes the compiled files
                found.setdefault(row.key, []).append(measured)
    return found


def _measured(row: Row, compiled: str) -> Mapping[str, float] | str:
    """The figures of one fresh interpreter, or why there are none."""
    script = _SCRIPT.format(hidden=row.hidden, base=row.base, code=row.code, settle=row.settle)
    environment = {**clean_environment(), "PYTHONPYCACHEPREFIX": compiled}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1]
        if "ModuleNotFoundError" in reason:
            return reason.partition(": ")[2]
        raise RuntimeError(f"{row.title}: {done.stderr}")
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def _figures(row: Row, rounds: Sequence[Mapping[str, float]], reference: float) -> Mapping[str, Any]:
    middle = {name: median(each[name] for each in rounds) for name in rounds[0]}
    keeps = holds(middle["wall"], TIME_BUDGET_MS) == holds(middle["rss"], MEMORY_BUDGET_MB) == "yes"
    return {
        **middle,
        "wall ms": middle["wall"],
        "cpu ms": middle["cpu"],
        "RSS MB": middle["rss"],
        "USS MB": middle["uss"],
        "min..max": spread([each["wall"] for each in rounds]),
        "x ours": middle["wall"] / reference,
        "budget": f"{TIME_BUDGET_MS:.0f} ms, {MEMORY_BUDGET_MB:.0f} MB" if row.budget else None,
        "holds": ("yes" if keeps else "NO") if row.budget else "",
    }

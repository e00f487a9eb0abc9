"""`monitoring collect`: the host measured by a process of its own, or once to look at."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import click
import orjson

from monitoring.cli.log import configure
from monitoring.consumers import stop
from monitoring.pipeline import settings as settings_table
from monitoring.pipeline.clock import rfc3339, wall_ns
from monitoring.pipeline.errors import MonitoringError, RetryableError
from monitoring.pipeline.events.defaults import host_name
from monitoring.pipeline.publish.connect import publisher_from, transport_from
from monitoring.pipeline.settings import Settings
from monitoring.producers.bounded import PATIENCE_SECONDS
from monitoring.producers.collectors import Collectors, host_collectors
from monitoring.producers.registry import Registry
from monitoring.producers.rounds import Rounds
from monitoring.producers.shipping import Reporter
from monitoring.producers.trouble import Trouble

__all__ = ["HostMetrics", "collect"]

SAMPLE_SECONDS = 1.0
"""Between the two readings of `--once`: a hundred of the kernel's ticks, so CPU is told to a percent."""
_FLUSH_SECONDS = 3.0
_BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


@click.command()
@click.option("--once", is_flag=True, help="Print one sample, taken over a second, and end; nothing is sent.")
@click.option("--json", "as_json", is_flag=True, help="With --once, for programs: a list of metrics.")
def collect(once: bool, as_json: bool) -> None:
    """Measure this host until Ctrl-C: CPU, load, memory, swap, disks, network, GPUs, container limits.

    `monitoring up` does, and so do services that use the SDK, one process of each user; one that runs already goes
    on, and this one takes over when it ends. Run it by itself on hosts without either, or where services
    should not: give them MONITORING_COLLECTORS=process.

    \b
    What there is to see here:
        monitoring collect --once
    Where it is sent to: as for any service
        MONITORING_BUS_URL, or MONITORING_URL with MONITORING_API_KEY
    How often: MONITORING_COLLECT_INTERVAL (30s)
    """
    if as_json and not once:
        raise click.UsageError("--json goes with --once")
    chosen = settings_table.load()
    if once:
        _show(as_json)
    else:
        configure(chosen, "collect")
        _measure(chosen)


# ---------------------------------------------------------------------- until it is stopped


class HostMetrics:
    """Measures the host in threads of this process and sends that, from `begin` to `end`. Of one thread."""

    def __init__(self, chosen: Settings) -> None:
        self._trouble = Trouble()
        registry = Registry()
        self.collectors = host_collectors(registry, self._trouble, locked=True)
        named = chosen.replace(service=chosen.text("service") or "monitoring-collect")
        with suppress(RetryableError):  # it may answer later
            transport_from(named).close()
        self._publisher = publisher_from(named, signal="metrics", on_trouble=self._trouble.say)
        self._reporter = Reporter(registry, self._publisher, service="", host=host_name())
        self._rounds = Rounds(self._trouble)
        self._rounds.add("collectors", chosen.number("collect_interval"), self.collectors.collect)
        self._rounds.add("metrics", chosen.number("metrics_interval"), self._ship)

    def begin(self) -> None:
        """Start the threads."""
        self._rounds.begin()

    def end(self) -> None:
        """Stop them, and send what is left, which takes a few seconds at most."""
        self._rounds.end(PATIENCE_SECONDS)
        self.collectors.close()
        self._reporter.ship(wall_ns())
        self._publisher.close(_FLUSH_SECONDS)

    def _ship(self) -> None:
        if not self._reporter.ship(wall_ns()):
            self._trouble.say("metrics wait: the instance takes none, or its bus is away; counters lose nothing by it")


def _measure(chosen: Settings) -> None:
    """Measure the host and send it, until a stop is requested."""
    host = HostMetrics(chosen)
    stop.reset()
    stop.handle_signals()
    _welcome(chosen, host.collectors)
    host.begin()
    while not stop.requested():
        stop.wait(3600.0)
    host.end()


def _welcome(chosen: Settings, collectors: Collectors) -> None:
    """Say what happens from now on."""
    often = f"every {chosen.number('collect_interval'):g} s"
    click.echo(f"monitoring collect: measures {host_name()} {often}; Ctrl-C to stop")
    for name, pid in collectors.elsewhere().items():
        click.echo(f"  {name}: pid {pid} measures it already; this process will after it")


# ---------------------------------------------------------------------- once


def _show(as_json: bool) -> None:
    registry = Registry()
    # Every look at this clock is a minute after the one before, so that all is told.
    trouble = Trouble(clock=itertools.count(step=60).__next__)
    collectors = host_collectors(registry, trouble, locked=False)
    collectors.collect()
    began = time.monotonic()
    time.sleep(SAMPLE_SECONDS)
    collectors.collect()
    rows = list(_rows(registry, time.monotonic() - began))
    if not rows:
        raise MonitoringError("nothing could be measured here")
    if as_json:
        click.echo(orjson.dumps(rows, option=orjson.OPT_INDENT_2))
    else:
        _print(rows)


def _rows(registry: Registry, seconds: float) -> Iterator[dict[str, Any]]:
    """Every series, as POST /api/v1/metrics takes it: a counter's value is what it gained in so many seconds."""
    stamp = rfc3339(wall_ns())
    for instrument in registry.instruments:
        meaning = instrument.meaning
        for series in instrument.series:
            if series.value is None:
                continue
            yield {
                "name": meaning.name + ("_total" if meaning.kind == "counter" else ""),
                "kind": meaning.kind,
                "value": series.value,
                "labels": orjson.loads(series.labels),
                "timestamp": stamp,
                "unit": meaning.unit,
                **({"seconds": round(seconds, 3)} if meaning.kind == "counter" else {}),
            }


def _print(rows: list[dict[str, Any]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, header_style="bold")
    for heading in ("metric", "labels"):
        table.add_column(heading, overflow="fold")
    table.add_column("value", justify="right", no_wrap=True)
    for row in rows:
        labels = " ".join(f"{name}={value}" for name, value in row["labels"].items())
        table.add_row(row["name"], labels, _value(row))
    console = Console(highlight=False)
    console.print(table)


def _value(row: dict[str, Any]) -> str:
    """As people read it; a counter by the second."""
    counts = row["kind"] == "counter"
    value = row["value"] / row["seconds"] if counts else row["value"]
    if row["unit"] == "bytes":
        shown = _bytes(value)
    elif row["unit"] == "ratio":
        shown = f"{value:.1%}"
    elif counts and row["unit"] == "seconds":
        return f"{value:.3f} s/s"
    else:
        shown = f"{value:,.2f}".rstrip("0").rstrip(".") + {"seconds": " s", "celsius": " °C", "watts": " W"}.get(
            row["unit"], ""
        )
    return shown + ("/s" if counts else "")


def _bytes(value: float) -> str:
    """In units of 1024."""
    power = min(int(math.log(value, 1024)), len(_BINARY) - 1) if value >= 1 else 0
    return f"{value / 1024**power:,.{min(power, 1)}f} {_BINARY[power]}"

"""Looking after an instance: `monitoring status`, `config`, `verify`."""

from __future__ import annotations

import contextlib
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import orjson

from monitoring.cli.access import is_local, remote
from monitoring.pipeline import settings as settings_table
from monitoring.pipeline.bus.embedded import URL_FILE, locate
from monitoring.pipeline.bus.streams import Streams, connect
from monitoring.pipeline.clock import wall_ns
from monitoring.pipeline.errors import BusUnavailable, SettingsError
from monitoring.pipeline.settings import Settings, mask_url
from monitoring.pipeline.status import gather
from monitoring.pipeline.store import rule_files
from monitoring.pipeline.store.catalog import CATALOG_FILE, Catalog
from monitoring.pipeline.store.control import FILE_NAME, Control
from monitoring.pipeline.store.logs import open_logs
from monitoring.pipeline.store.verify import PartitionReport

__all__ = ["config", "status", "verify"]

WATCH_SECONDS = 2.0
_HEADINGS = ("partition", "lag", "events/s", "stored", "MB", "dead letters", "in flight", "dropped", "residual")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For programs: all there is to know, as JSON.")
@click.option("--watch", is_flag=True, help="Show it again every two seconds until Ctrl-C.")
def status(as_json: bool, watch: bool) -> None:
    """Lag, rates, drops, dead letters and the books, by partition."""
    chosen = settings_table.load()
    with contextlib.suppress(KeyboardInterrupt):  # the way to end watching
        while True:
            facts = read_status(chosen)
            if watch and not as_json:
                click.clear()
            indent = 0 if watch else orjson.OPT_INDENT_2
            click.echo(orjson.dumps(facts, option=indent) if as_json else render(facts))
            if not watch:
                return
            time.sleep(WATCH_SECONDS)


def read_status(chosen: Settings) -> dict[str, Any]:
    """The status of the instance that the settings lead to."""
    if not is_local(chosen):
        found: dict[str, Any] = remote(chosen).call("GET", "status")
        return found
    with contextlib.closing(Control(chosen.data / FILE_NAME)) as control:
        return {**_gathered(chosen), "rules": rule_files.status(control, wall_ns())}


def _gathered(chosen: Settings) -> dict[str, Any]:
    with contextlib.closing(Catalog(chosen.data / CATALOG_FILE)) as catalog:
        try:
            client = connect(locate(chosen))
        except BusUnavailable:
            return gather(catalog, None, now_ns=wall_ns())
        with contextlib.closing(client):
            return gather(catalog, Streams(client), now_ns=wall_ns())


def render(facts: dict[str, Any]) -> str:
    """The status as a table and the lines that need attention."""
    rows = [_row(f"{part['signal']} {part['partition']}", part) for part in facts["partitions"]]
    rows.append(_row("all logs", facts["totals"]))
    widths = [max(map(len, column)) for column in zip(_HEADINGS, *rows, strict=True)]
    lines = [f"{facts['time']}  instance {facts['instance'][:8]}  drains {facts['drains']}", ""]
    for cells in (_HEADINGS, *rows):
        others = [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
        lines.append("  ".join([cells[0].ljust(widths[0]), *others]).rstrip())
    lines += ["", *attention(facts)]
    return "\n".join(lines).rstrip()


def attention(facts: dict[str, Any]) -> list[str]:
    """What an operator should look at, a line each."""
    rules = facts.get("rules", {})  # an older release has none
    lines = [f"{each['path']}:{each['line']}: {each['message']}" for each in rules.get("file_errors", ())]
    lines += [f"rule {each['rule']}: {each['state']}: {each['note']}" for each in rules.get("troubled", ())]
    for signal, name, totals in (("logs", "events", facts["totals"]), ("metrics", "deltas", facts["metrics"])):
        lines += [f"dropped {count} {name}: {reason}" for reason, count in sorted(totals["dropped"].items())]
        if totals["dead_lettered"]:
            lines.append(
                f"{totals['dead_lettered']} dead letters of {signal}: `monitoring dead-letters list` shows them"
            )
        if totals["missing"]:
            what = f"{totals['missing']} {name}"
            lines.append(f"{what} were released by their producers and are not here: restored backup?")
        if totals["residual"]:
            lines.append(f"the books of {signal} are off by {totals['residual']} {name}: run `monitoring verify`")
    for producer in facts["producers"]:
        if producer["state"] == "vanished":
            who = f"{producer.get('service', '?')} on {producer.get('host', '?')} (pid {producer.get('pid', '?')})"
            lines.append(
                f"{who} vanished: {producer['unaccounted']} known events unaccounted since "
                f"{producer['unaccounted_since']}, lane {producer['lane']}"
            )
    return lines + [f"problem: {problem}" for problem in facts["problems"]]


def _row(name: str, part: dict[str, Any]) -> tuple[str, ...]:
    lag = part.get("lag")
    shown = "unknown" if lag is None else f"{lag['frames']} frames, {lag['seconds']:.1f} s" if lag["frames"] else "none"
    if "committed" not in part:
        return (name, shown, *["-"] * (len(_HEADINGS) - 2))
    return (
        name,
        shown,
        f"{part['events_per_second']:.1f}",
        f"{part['rows']:,}",
        f"{part['bytes'] / 1e6:,.1f}",
        f"{part['dead_lettered']:,}",
        f"{part['in_flight']:,}",
        f"{sum(part['dropped'].values()):,}",
        f"{part['residual']:,}",
    )


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For programs: a list of objects.")
def config(as_json: bool) -> None:
    """Every setting in force, where it comes from, its unit and the reason for its default. Secrets are masked."""
    rows = effective(settings_table.load())
    if as_json:
        click.echo(orjson.dumps(rows, option=orjson.OPT_INDENT_2))
        return
    for row in rows:
        unit = f" {row['unit']}" if row["unit"] and row["value"] else ""
        click.echo(f"{row['name']} = {row['value'] or '(unset)'}{unit}   [{row['source']}]")
        click.echo(click.style(f"    {row['reason']}", dim=True))


def effective(chosen: Settings) -> list[dict[str, str]]:
    """A row a setting, as it is in force: what is found out where a setting is unset is said too."""
    found = []
    for setting, value, source in chosen.rows():
        if setting.key == "data_dir" and not value:
            value = str(chosen.data)
        if setting.key == "bus_url" and not value and (chosen.data / URL_FILE).exists():
            value, source = mask_url(locate(chosen)), str(chosen.data / URL_FILE)
        found.append(
            {"name": setting.name, "value": value, "source": source, "unit": setting.unit, "reason": setting.reason}
        )
    return found


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def verify(as_json: bool) -> None:
    """Check every segment, the catalog and the books; exit code 1 on any doubt. Safe while the product runs."""
    chosen = settings_table.load()
    if not (chosen.data / CATALOG_FILE).exists():
        raise SettingsError(f"{chosen.data} holds no store: set MONITORING_DATA_DIR; verify reads the files themselves")
    with contextlib.closing(open_logs(chosen)) as store:
        report = store.verify(progress=_quiet if as_json or not sys.stderr.isatty() else _say)
    if as_json:
        click.echo(orjson.dumps({"sound": not report.findings, **asdict(report)}, option=orjson.OPT_INDENT_2))
    else:
        for part in report.partitions:
            click.echo(_sums(part))
        for finding in report.findings:
            click.echo(f"doubt: {finding}")
        click.echo("everything is whole and accounted for" if not report.findings else f"{len(report.findings)} doubts")
    if report.findings:
        raise click.exceptions.Exit(1)


def _sums(part: PartitionReport) -> str:
    dropped = sum(part.dropped.values())
    left = part.emitted - part.committed - part.dead_lettered - dropped - part.missing
    deleted = f" + {part.retired_rows:,} deleted by retention" if part.retired_rows else ""
    deleted += f" + {part.purged_rows:,} purged" if part.purged_rows else ""
    return (
        f"{part.signal} {part.partition}: {part.segments} segments, {part.rows:,} rows{deleted}; {part.lanes:,} lanes: "
        f"emitted {part.emitted:,} = committed {part.committed:,} + dead-lettered {part.dead_lettered:,} "
        f"+ dropped {dropped:,} + in flight {left:,}"
    )


def _say(path: Path) -> None:
    click.echo(f"checking {path}", err=True)


def _quiet(path: Path) -> None:
    """Nothing to say to a program."""

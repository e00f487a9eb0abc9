"""`monitoring report`: what the last day was like, on a page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click
import orjson

from monitoring.cli.charts import table
from monitoring.cli.lines import safe
from monitoring.cli.search import moment_option
from monitoring.cli.sources import open_source
from monitoring.pipeline import settings
from monitoring.pipeline.clock import wall_ns
from monitoring.pipeline.query.report import report as gather

__all__ = ["report"]


@click.command()
@click.option(
    "--since",
    metavar="TIME",
    callback=moment_option,
    default="24h",
    show_default=True,
    help="From here: 12h, 2026-05-01.",
)
@click.option("--until", metavar="TIME", callback=moment_option, help="Up to here, exclusive.  [default: now]")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def report(since: int, until: int | None, form: str) -> None:
    """Volumes, error rates, top errors, slow routes, and what is new.

    Compares with the period of the same length before. Routes are told of events that have `duration_ms` and one of
    `http.route`, `route` and `path`; top errors from the newest 10,000, new patterns from the newest 20,000 events of
    each period.
    """
    until = wall_ns() if until is None else until
    if since >= until:
        raise click.UsageError("--since is not before --until")
    with open_source(settings.load()) as source:
        found = gather(source, since, until)
    if form == "json":
        click.echo(orjson.dumps(found, option=orjson.OPT_INDENT_2))
        return
    for line in render(found):
        click.echo(line)


def render(found: dict[str, Any]) -> Iterator[str]:
    """The report as text."""
    events = found["events"]
    yield click.style(f"{found['start'][:19]}Z to {found['end'][:19]}Z", bold=True)
    yield f"{events['total']:,} events ({_change(events['total'], events['previous_total'])})"
    rate, before = _share(events["error_rate"]), _share(events["previous_error_rate"])
    yield f"{events['errors']:,} errors, {rate} (before: {before})"
    yield from _section("services", ["service", "events", "before", "errors", "rate"], [
        [each["service"] or "-", each["total"], each["previous_total"], each["errors"], _share(each["error_rate"])]
        for each in found["services"]
    ])  # fmt: skip
    yield from _section("top errors", ["count", "service", "last seen", "error"], [
        [each["count"], each["service"] or "-", each["last_seen"][:19] + "Z", each["title"][:100]]
        for each in found["errors"]
    ])  # fmt: skip
    yield from _section("slowest routes", ["route", "requests", "p50 ms", "p95 ms", "max ms"], [
        [each["route"], each["requests"], each["p50_ms"], each["p95_ms"], each["max_ms"]]
        for each in found["slowest_routes"]
    ])  # fmt: skip
    yield from _section("new since the period before", ["count", "level", "pattern"], [
        [each["count"], list(each["levels"])[-1], each["template"][:100]] for each in found["new_patterns"]
    ])  # fmt: skip
    for part, reason in found["partial"].items():
        yield click.style(f"{part.replace('_', ' ')} not whole: {safe(reason)}", dim=True)


def _section(title: str, header: list[str], rows: list[list[Any]]) -> Iterator[str]:
    yield ""
    yield click.style(title, bold=True)
    if rows:
        yield from table(header, rows)
    else:
        yield "none"


def _change(now: int, then: int) -> str:
    return f"{now / then - 1:+.0%} against {then:,} before" if then else "none before"


def _share(rate: float | None) -> str:
    return "-" if rate is None else f"{rate:.2%}"

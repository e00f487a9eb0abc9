"""`monitoring purge`: take what a query finds out of the store, for good."""

from __future__ import annotations

import contextlib
import sys
from typing import Any

import click
import orjson

from monitoring.cli.access import is_local, remote
from monitoring.cli.local import note
from monitoring.pipeline import settings as settings_table
from monitoring.pipeline.bus.embedded import locate
from monitoring.pipeline.bus.streams import Streams, connect
from monitoring.pipeline.clock import wall_ns
from monitoring.pipeline.errors import BusUnavailable, MonitoringError, RetryableError
from monitoring.pipeline.query.limits import Deadline
from monitoring.pipeline.query.ranges import EARLIEST, LATEST, moment
from monitoring.pipeline.settings import Settings
from monitoring.pipeline.store.catalog import CATALOG_FILE, Catalog
from monitoring.pipeline.store.logs import refuse_purge
from monitoring.pipeline.store.partition import limits_of
from monitoring.pipeline.store.purge import Wanted, still_on_its_way, survey
from monitoring.pipeline.store.purge import purge as purge_store
from monitoring.pipeline.store.purges import traces
from monitoring.pipeline.store.reader import Reader

__all__ = ["purge"]

_PATIENCE_SECONDS = 30.0
"""For drains to seal what they write to: they look every second or two."""
_SURVEY_SECONDS = 600.0
"""For counting first: somebody sits before it and may press Ctrl-C."""


@click.command()
@click.argument("query")
@click.option("--start", metavar="TIME", help="Only events from this time on: -2d, 2026-05-01T10:00.")
@click.option("--end", metavar="TIME", help="Only events before this time.")
@click.option("--dry-run", is_flag=True, help="Only say how many would go.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def purge(query: str, start: str | None, end: str | None, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Take the events that match QUERY out of every segment, for good: a leaked secret, a person's data.

    Dead letters that match are overwritten, and what is on its way is waited for. Backups, and spools of hosts that are
    away, are not reached. An empty QUERY ("") is everything.
    """
    chosen, now_ns = settings_table.load(), wall_ns()
    if not is_local(chosen):
        _remotely(chosen, query, start, end, dry_run, yes, as_json)
        return
    refuse_purge(chosen)
    wanted = Wanted(query, moment(start, now_ns) if start else EARLIEST, moment(end, now_ns) if end else LATEST)
    with contextlib.closing(Catalog(chosen.data / CATALOG_FILE)) as catalog:
        left = None if dry_run else _still_on_its_way(chosen, catalog, now_ns)
        with contextlib.closing(Reader(max_open=1)) as reader:
            found = survey(catalog, reader, wanted, deadline=Deadline(_SURVEY_SECONDS)).document()
        if left:
            found["waiting"].append(left)
        if dry_run or not (found["events"] or found["dead_letters"]):
            _say(found, as_json, "would go")
            if left:
                raise RetryableError(f"not all is gone yet, purge again: {left}")
            return
        _confirm(found, yes)
        note(chosen, "purge.begin", "", after=traces(wanted))
        done = purge_store(
            catalog, wanted, limits_of(chosen), now_ns=now_ns, stopped=lambda: False,
            patience_seconds=_PATIENCE_SECONDS, progress=_progress,
        )  # fmt: skip
    done.waiting += [left] if left else []
    told = {"events": done.events, "dead_letters": done.letters, "waiting": done.waiting}
    note(chosen, "purge.end", "", after={**traces(wanted), **told})
    _say(done.document(), as_json, "gone")
    if not done.complete:
        raise RetryableError(f"not all is gone yet, purge again: {'; '.join(done.waiting)}")


def _still_on_its_way(chosen: Settings, catalog: Catalog, now_ns: int) -> str | None:
    """Wait for what was sent; what to say where it did not arrive. Without a bus there is nothing to wait for."""
    try:
        client = connect(locate(chosen), timeout_seconds=1.0)
    except MonitoringError:
        return None
    with contextlib.closing(client):
        try:
            streams = Streams(client)
            return still_on_its_way(
                streams, catalog.partitions("logs"), now_ns, patience_seconds=_PATIENCE_SECONDS
            )  # fmt: skip
        except BusUnavailable:
            return "the bus does not answer: what is on its way cannot be told"


def _remotely(
    chosen: Settings, query: str, start: str | None, end: str | None, dry_run: bool, yes: bool, as_json: bool
) -> None:
    body = {"query": query, **{name: text for name, text in (("start", start), ("end", end)) if text}}
    api = remote(chosen)
    found = api.call("POST", "maintenance", "purge", body={**body, "dry_run": True})
    if dry_run or not (found["events"] or found["dead_letters"]):
        _say(found, as_json, "would go")
        return
    _confirm(found, yes)
    asked = api.call("POST", "maintenance", "purge", body=body)
    if as_json:
        click.echo(orjson.dumps(asked, option=orjson.OPT_INDENT_2))
    else:
        click.echo(f"purge {asked['id']} is under way: GET /api/v1/maintenance/purge tells how far it is")


def _confirm(found: dict[str, Any], yes: bool) -> None:
    if not yes:
        click.confirm(
            f"{found['events']:,} events in {len(found['segments'])} segments go for good, and what"
            f" {found['dead_letters']:,} dead letters hold. Go on?",
            abort=True,
            err=True,
        )


def _say(found: dict[str, Any], as_json: bool, verb: str) -> None:
    if as_json:
        click.echo(orjson.dumps(found, option=orjson.OPT_INDENT_2))
        return
    for item in found["segments"]:
        click.echo(f"{verb}: {item['rows']:,} events of partition {item['partition']} segment {item['segment']}")
    if found["dead_letters"]:
        click.echo(f"{verb}: what {found['dead_letters']:,} dead letters hold")
    click.echo(f"{found['events']:,} events {verb}")


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        click.echo(text, err=True)

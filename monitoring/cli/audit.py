"""`monitoring audit`: who changed what, when and from where, and who was refused."""

from __future__ import annotations

import contextlib
import sys
from typing import Any

import click
import orjson

from monitoring.cli.access import is_local, remote
from monitoring.cli.charts import table
from monitoring.cli.lines import safe
from monitoring.pipeline import settings as settings_table
from monitoring.pipeline.clock import wall_ns
from monitoring.pipeline.errors import QuerySyntaxError, SettingsError
from monitoring.pipeline.query.ranges import moment
from monitoring.pipeline.store.audit import Audit, Wanted
from monitoring.pipeline.store.control import FILE_NAME, Control

__all__ = ["audit"]


@click.command()
@click.argument("query", default="")
@click.option("--actor", default="", help="Only what this one did, like key:shop/1a2b3c4d5e or local:root.")
@click.option("--action", default="", help="Only this, like key.create, or key.* for all of a kind.")
@click.option("--object", "what", default="", help="Only what was done to this.")
@click.option("--since", default="", help="Like -1h, -7d or a time.")
@click.option("--until", default="", help="The same, excluded.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="The newest so many.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.option("--export", is_flag=True, help="All that match, as lines of JSON, the oldest first.")
def audit(
    query: str, actor: str, action: str, what: str, since: str, until: str, limit: int, as_json: bool, export: bool
) -> None:
    """Who changed what, when and from where, and who was refused; QUERY is a text to look for in all of it."""
    chosen = settings_table.load()
    asked = {"query": query, "actor": actor, "action": action, "object": what, "start": since, "end": until}
    given = {name: text for name, text in asked.items() if text}
    if not is_local(chosen):
        if export:
            for piece in remote(chosen).stream("audit", "export", query=given):
                sys.stdout.buffer.write(piece)
            return
        found = remote(chosen).call("GET", "audit", query={**given, "limit": str(limit)})["entries"]
    else:
        wanted = Wanted(query, actor, action, what, _moment("--since", since), _moment("--until", until))
        with contextlib.closing(Control(chosen.data / FILE_NAME)) as control:
            if export:
                for piece in Audit(control).export(wanted):
                    sys.stdout.buffer.write(piece)
                return
            found = [entry.describe() for entry in Audit(control).find(wanted, limit=limit)]
    click.echo(orjson.dumps(found, option=orjson.OPT_INDENT_2) if as_json else _text(found))


def _moment(option: str, text: str) -> int | None:
    try:
        return moment(text, wall_ns()) if text else None
    except QuerySyntaxError as error:
        raise SettingsError(f"{option} {text!r} is no time: {error.hint}") from error


def _text(found: list[dict[str, Any]]) -> str:
    if not found:
        return "nothing on record"
    headings = ["at", "actor", "action", "object", "address"]
    return "\n".join(table(headings, [[safe(str(entry[name])) for name in headings] for entry in reversed(found)]))

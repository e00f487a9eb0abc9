"""`monitoring searches`: queries by a name; `monitoring logs --saved NAME` runs one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import click
import orjson

from monitoring.cli.access import is_local, remote
from monitoring.cli.charts import table
from monitoring.cli.local import note
from monitoring.pipeline import settings as settings_table
from monitoring.pipeline.errors import PermanentError
from monitoring.pipeline.settings import Settings
from monitoring.pipeline.store.control import FILE_NAME, Control
from monitoring.pipeline.store.searches import Searches

__all__ = ["saved_query", "searches"]


@click.group()
def searches() -> None:
    """Saved searches: queries by a name."""


@searches.command("list")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def searches_list(as_json: bool) -> None:
    """All saved searches."""
    found = _all(settings_table.load())
    if as_json:
        click.echo(orjson.dumps(found))
    elif found:
        for line in table(["name", "query"], [[each["name"], each["query"]] for each in found]):
            click.echo(line)


@searches.command("save")
@click.argument("name")
@click.argument("query")
def searches_save(name: str, query: str) -> None:
    """Save QUERY as NAME, in place of what had that name."""
    chosen = settings_table.load()
    if is_local(chosen):
        with _searches(chosen) as saved:
            known = saved.get(name)
            after = saved.save(name, query).describe()
        note(chosen, "search.save", name, before=known.describe() if known else None, after=after)
    else:
        remote(chosen).call("PUT", "searches", name, body={"query": query})
    click.echo(f"saved; run it with: monitoring logs --saved {name!r}")


@searches.command("remove")
@click.argument("name")
def searches_remove(name: str) -> None:
    """Forget the search called NAME."""
    chosen = settings_table.load()
    if not is_local(chosen):
        remote(chosen).call("DELETE", "searches", name)
    else:
        with _searches(chosen) as saved:
            known = saved.remove(name)
        if known is None:
            raise PermanentError(_missing(name))
        note(chosen, "search.remove", name, before=known.describe())
    click.echo(f"removed {name}")


def saved_query(chosen: Settings, name: str) -> str:
    """The query that is saved by this name. Raises PermanentError where there is none."""
    for each in _all(chosen):
        if each["name"] == name:
            return str(each["query"])
    raise PermanentError(_missing(name))


def _all(chosen: Settings) -> list[dict[str, Any]]:
    if is_local(chosen):
        with _searches(chosen) as saved:
            return [search.describe() for search in saved.all()]
    found: list[dict[str, Any]] = remote(chosen).call("GET", "searches")["searches"]
    return found


def _missing(name: str) -> str:
    return f"there is no search {name!r}: `monitoring searches list` shows all"


@contextlib.contextmanager
def _searches(chosen: Settings) -> Iterator[Searches]:
    with contextlib.closing(Control(chosen.data / FILE_NAME)) as control:
        yield Searches(control)

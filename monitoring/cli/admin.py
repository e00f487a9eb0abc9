"""Administration: `monitoring keys`, `monitoring dead-letters`, `monitoring retention`.

Each works on the data directory of this machine, else over HTTP with an admin key (see access.py).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import click
import orjson

from monitoring.cli.access import is_local, remote
from monitoring.cli.local import note
from monitoring.pipeline import replay as again
from monitoring.pipeline import settings as settings_table
from monitoring.pipeline.bus.embedded import locate
from monitoring.pipeline.bus.streams import StreamTransport, connect
from monitoring.pipeline.clock import wall_ns
from monitoring.pipeline.errors import PermanentError
from monitoring.pipeline.settings import Settings
from monitoring.pipeline.store import dead_letters as letters_table
from monitoring.pipeline.store import retention as policy
from monitoring.pipeline.store import service_ages
from monitoring.pipeline.store.catalog import CATALOG_FILE, Catalog
from monitoring.pipeline.store.control import FILE_NAME, Control
from monitoring.pipeline.store.dead_letters import KINDS, Letter
from monitoring.pipeline.store.keys import ROLES, Keys
from monitoring.pipeline.store.logs import days_due, open_logs
from monitoring.pipeline.store.promises import Replays

__all__ = ["dead_letters", "keys", "retention"]

_json_option = click.option("--json", "as_json", is_flag=True, help="For programs.")
_DAY_SECONDS = 86_400


@click.group()
def keys() -> None:
    """API keys: who may write, read, operate and administer."""


@keys.command("create")
@click.argument("name")
@click.option("--role", type=click.Choice(ROLES), required=True, help="ingest can only write.")
@click.option("--expires-days", type=click.FloatRange(min=0, min_open=True), help="Default: never.")
@click.option("--quota", type=click.IntRange(min=1), help="Events a minute it may bring. Default: any number.")
@_json_option
def keys_create(name: str, role: str, expires_days: float | None, quota: int | None, as_json: bool) -> None:
    """Make a key called NAME and print it, this once: only its hash is kept."""
    chosen = settings_table.load()
    seconds = None if expires_days is None else expires_days * _DAY_SECONDS
    if is_local(chosen):
        with _keys(chosen) as table:
            expires = None if seconds is None else wall_ns() + int(seconds * 1e9)
            key, text = table.create(name, role, expires=expires, quota=quota)
            found = {"key": text, **key.describe(wall_ns())}
        note(chosen, "key.create", key.prefix, after=key.describe(wall_ns()))
    else:
        body = {"name": name, "role": role, "expires_seconds": seconds, "quota": quota}
        found = remote(chosen).call("POST", "keys", body=body)
    click.echo(_dumps(found) if as_json else found["key"])


@keys.command("list")
@_json_option
def keys_list(as_json: bool) -> None:
    """All keys without their secrets, revoked ones too."""
    chosen = settings_table.load()
    if is_local(chosen):
        with _keys(chosen) as table:
            found = [key.describe(wall_ns()) for key in table.all()]
    else:
        found = remote(chosen).call("GET", "keys")["keys"]
    if as_json:
        click.echo(_dumps(found))
        return
    headings = ("prefix", "name", "role", "state", "created", "expires", "last_used")
    _table(headings, [[str(key[name] or "never") for name in headings] for key in found])


@keys.command("revoke")
@click.argument("identity", metavar="PREFIX|ID")
@_json_option
def keys_revoke(identity: str, as_json: bool) -> None:
    """Revoke a key for good; effective everywhere within 5 seconds."""
    chosen = settings_table.load()
    if is_local(chosen):
        with _keys(chosen) as table:
            known = table.get(identity)
            key = table.revoke(identity)
        if key is None or known is None:
            raise PermanentError(f"there is no key {identity}: `monitoring keys list` shows all")
        found = key.describe(wall_ns())
        note(chosen, "key.revoke", key.prefix, before=known.describe(wall_ns()), after=found)
    else:
        found = remote(chosen).call("DELETE", "keys", identity)
    click.echo(_dumps(found) if as_json else f"revoked {found['prefix']} ({found['name']})")


@contextlib.contextmanager
def _keys(chosen: Settings) -> Iterator[Keys]:
    with contextlib.closing(Control(chosen.data / FILE_NAME)) as control:
        yield Keys(control)


@click.group("dead-letters")
def dead_letters() -> None:
    """What could not be stored as an event: listed, shown, sent again."""


@dead_letters.command("list")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
@click.option("--kind", type=click.Choice(KINDS), help="Only these.")
@_json_option
def dead_letters_list(limit: int, kind: str | None, as_json: bool) -> None:
    """The newest dead letters first."""
    chosen = settings_table.load()
    if is_local(chosen):
        with _catalog(chosen) as catalog, _replays(chosen) as replays:
            done = replays.done()
            found = [again.describe(item, done) for item in letters_table.letters(catalog, limit=limit, kind=kind)]
    else:
        only = {"kind": kind} if kind else {}
        found = remote(chosen).call("GET", "dead-letters", query={"limit": str(limit), **only})["dead_letters"]
    if as_json:
        click.echo(_dumps(found))
        return
    for item in found:
        where = f" {item['source']}:{item['line']}" if item["source"] else ""
        sent = "  (sent again)" if item["replayed"] else ""
        click.echo(f"{item['id']}  {item['created']}  {item['kind']}{where}: {item['reason']}{sent}")
        click.echo(f"    {item['raw'][:160]!r}")


@dead_letters.command("show")
@click.argument("letter_id", metavar="ID")
@_json_option
def dead_letters_show(letter_id: str, as_json: bool) -> None:
    """One dead letter with all of its raw bytes."""
    chosen = settings_table.load()
    if is_local(chosen):
        with _catalog(chosen) as catalog, _replays(chosen) as replays:
            found = again.describe(_letter(catalog, letter_id), replays.done(), whole=True)
    else:
        found = remote(chosen).call("GET", "dead-letters", letter_id)
    if as_json:
        click.echo(_dumps(found))
        return
    for name, value in found.items():
        click.echo(f"{name}: {value}")


@dead_letters.command("replay")
@click.argument("letter_ids", metavar="ID...", nargs=-1, required=True)
def dead_letters_replay(letter_ids: tuple[str, ...]) -> None:
    """Send dead letters again and wait until they are stored. Each is stored once, however often it is sent."""
    chosen = settings_table.load()
    failed = 0
    for letter_id in letter_ids:
        try:
            events, before = _replay(chosen, letter_id)
        except (PermanentError, TimeoutError) as error:
            failed += 1
            click.echo(f"{letter_id}: {error}", err=True)
            continue
        click.echo(f"{letter_id}: {events} events {'were stored before' if before else 'stored'}")
    if failed:
        raise PermanentError(f"{failed} of {len(letter_ids)} were not stored")


def _replay(chosen: Settings, letter_id: str) -> tuple[int, bool]:
    if not is_local(chosen):
        found = remote(chosen).call("POST", "dead-letters", letter_id, "replay")
        return found["events"], found["replayed_before"]
    with _catalog(chosen) as catalog, _replays(chosen) as replays:
        client = connect(locate(chosen))
        with contextlib.closing(StreamTransport(client, stream_length=chosen.whole("stream_length"))) as transport:
            done = again.replay_once(_letter(catalog, letter_id), transport, replays, instance=catalog.instance)
    note(chosen, "dead-letter.replay", letter_id, after={"events": done[0], "replayed_before": done[1]})
    return done


@contextlib.contextmanager
def _replays(chosen: Settings) -> Iterator[Replays]:
    with contextlib.closing(Control(chosen.data / FILE_NAME)) as control:
        yield Replays(control)


@contextlib.contextmanager
def _catalog(chosen: Settings) -> Iterator[Catalog]:
    with contextlib.closing(Catalog(chosen.data / CATALOG_FILE)) as catalog:
        yield catalog


def _letter(catalog: Catalog, letter_id: str) -> Letter:
    found = letters_table.find(catalog, letter_id)
    if found is None:
        raise PermanentError(f"there is no dead letter {letter_id}: `monitoring dead-letters list` shows them")
    return found


def _on_server(chosen: Settings, *, delete: bool) -> list[dict[str, Any]]:
    """What has to go of events that lie on a server."""
    with contextlib.closing(open_logs(chosen)) as store:
        going = days_due(store, chosen, now_ns=wall_ns())
        if delete and going:
            store.delete(going)
        return [item.describe() for item in going]


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@_json_option
def retention(dry_run: bool, as_json: bool) -> None:
    """Delete the segments that are beyond MONITORING_RETENTION_AGE or MONITORING_RETENTION_BYTES.

    And take the events out that MONITORING_RETENTION_SERVICES keeps for a shorter time.
    """
    chosen = settings_table.load()
    if is_local(chosen):
        with _catalog(chosen) as catalog:
            going = policy.due(catalog, chosen, now_ns=wall_ns())
            ages = chosen.ages("retention_services")
            outlived = service_ages.due(catalog, ages, now_ns=wall_ns(), going=[item.segment for item in going])
            found = [item.describe() for item in going] + [item.describe() for item in outlived]
            found += _on_server(chosen, delete=not dry_run)
            if not dry_run:
                policy.apply(catalog, going)
                policy.sweep(catalog)
                reserve = chosen.whole("disk_reserve")
                service_ages.apply(catalog, outlived, now_ns=wall_ns(), reserve_bytes=reserve, stopped=lambda: False)
                note(chosen, "retention.run", "", after={"segments": found})
    else:
        found = remote(chosen).call("POST", "maintenance", "retention", body={"dry_run": dry_run})["segments"]
    if as_json:
        click.echo(_dumps(found))
        return
    for item in found:
        verb = "would go" if dry_run else "gone"
        what = item.get("day") or f"partition {item['partition']} segment {item['segment']}"
        click.echo(f"{verb}: {what}, {item['rows']} rows: {item['reason']}")
    total = sum(item["bytes"] for item in found)
    whole = sum("services" not in item for item in found)
    parts = f", parts of {len(found) - whole}" if whole < len(found) else ""
    click.echo(f"{whole} segments{parts}, {total / 1e6:.1f} MB{' would be freed' if dry_run else ' freed'}")


def _dumps(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    for cells in (headings, *rows):
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip())

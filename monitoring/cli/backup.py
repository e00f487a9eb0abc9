"""`monitoring backup` and `monitoring restore`."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable
from pathlib import Path

import click
import orjson

from monitoring import __version__
from monitoring.cli.instance import own
from monitoring.cli.local import note
from monitoring.pipeline import settings as settings_table
from monitoring.pipeline.backup.manifest import Manifest
from monitoring.pipeline.backup.restore import restore as restore_into
from monitoring.pipeline.backup.save import save
from monitoring.pipeline.errors import AlreadyRunning, StoreCorrupt
from monitoring.pipeline.settings import Settings
from monitoring.pipeline.store.catalog import CATALOG_FILE, Catalog
from monitoring.pipeline.store.verify import verify

__all__ = ["backup", "restore"]

_SAY_SECONDS = 1.0
"""Between two lines of progress: a hundred small segments are one line, one large segment is one too."""


@click.command()
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="For programs: the manifest without its files.")
def backup(directory: Path, as_json: bool) -> None:
    """Back up everything into DIR, which must not exist yet, while the product runs.

    Events, metrics, keys, channels and what is still in the spool, as of one moment. DIR holds secrets: it can be
    read by its owner only. `monitoring restore DIR` brings it back.
    """
    chosen = settings_table.load()
    spool = chosen.path("spool_dir") or chosen.data / "spool"
    done = save(chosen.data, spool, directory, release=__version__, progress=_progress("copied"))
    _tell(done, directory, as_json)


@click.command()
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--force", is_flag=True, help="Where the data directory is not empty: set aside what is there.")
@click.option("--json", "as_json", is_flag=True, help="For programs: the manifest without its files.")
def restore(directory: Path, force: bool, as_json: bool) -> None:
    """Restore the backup in DIR into the data directory, which must be empty, and verify it.

    Refused while anything runs on that data directory. Checksums are compared before anything is changed.
    """
    chosen = settings_table.load()
    with own(chosen):
        _refuse_if_parts_run(chosen)
        done, aside = restore_into(directory, chosen.data, force=force, progress=_progress("restored"))
        with contextlib.closing(Catalog(chosen.data / CATALOG_FILE)) as catalog:
            report = verify(catalog)
    note(chosen, "backup.restore", str(directory), after={"created": done.created, "bytes": done.total_bytes})
    _tell(done, directory, as_json)
    if aside is not None:
        click.echo(f"what was there before is in {aside}: delete it when you are sure", err=True)
    if chosen.path("spool_dir") is not None and (chosen.data / "spool").is_dir():
        click.echo(
            f"the frames of the spool are in {chosen.data / 'spool'}: move its lanes into MONITORING_SPOOL_DIR",
            err=True,
        )
    for finding in report.findings:
        click.echo(f"doubt: {finding}", err=True)
    if report.findings:
        raise click.exceptions.Exit(1)


def _refuse_if_parts_run(chosen: Settings) -> None:
    """`monitoring up` holds a lock; drains that run alone are known to the catalog, unless it is damaged."""
    if not (chosen.data / CATALOG_FILE).exists():
        return
    with contextlib.suppress(StoreCorrupt), contextlib.closing(Catalog(chosen.data / CATALOG_FILE)) as catalog:
        drains = catalog.drains()
        if drains:
            pids = ", ".join(str(holder.pid) for holder in drains)
            raise AlreadyRunning(f"drains run on {chosen.data} (pid {pids}): stop them before you restore")


def _progress(verb: str) -> Callable[[str, int], None]:
    """Says on standard error how far it is, now and then."""
    files, total, said = 0, 0, time.monotonic()

    def say(name: str, size: int) -> None:
        nonlocal files, total, said
        files, total = files + 1, total + size
        if sys.stderr.isatty() or time.monotonic() - said >= _SAY_SECONDS:
            said = time.monotonic()
            click.echo(f"{verb} {name} ({files} files, {total / 1e6:,.1f} MB so far)", err=True)

    return say


def _tell(done: Manifest, directory: Path, as_json: bool) -> None:
    rows = done.rows.get("logs", 0)
    if as_json:
        facts = {
            "directory": str(directory), "created": done.created, "release": done.release, "instance": done.instance,
            "schemas": done.schemas, "rows": done.rows, "files": len(done.files), "bytes": done.total_bytes,
            "seconds": done.seconds,
        }  # fmt: skip
        click.echo(orjson.dumps(facts, option=orjson.OPT_INDENT_2))
        return
    click.echo(
        f"{directory}: as of {done.created}, {rows:,} events, {len(done.files)} files, {done.total_bytes / 1e6:,.1f} MB"
    )

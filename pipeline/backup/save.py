"""Making a backup while the product runs: fix the moment, copy, check, write the manifest, give it its name."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw

from monitoring.pipeline.backup.files import copy_file, sync_tree
from monitoring.pipeline.backup.manifest import MANIFEST_FILE, Manifest, Stored, digest
from monitoring.pipeline.backup.moment import Moment, Sealed, the_moment
from monitoring.pipeline.backup.spool import SpoolMoment, spool_moment
from monitoring.pipeline.clock import NowNs, rfc3339, wall_ns
from monitoring.pipeline.durable import sync
from monitoring.pipeline.errors import PermanentError, StoreFull
from monitoring.pipeline.ingest import state
from monitoring.pipeline.store import control
from monitoring.pipeline.store.catalog import CATALOG_FILE, Catalog
from monitoring.pipeline.store.keys import ADMIN_KEY_FILE
from monitoring.pipeline.store.metric_levels import LEVELS, files
from monitoring.pipeline.store.secret_box import KEY_FILE
from monitoring.pipeline.store.segment import Head
from monitoring.pipeline.store.space import space_needed
from monitoring.pipeline.store.versions import version_of

__all__ = ["Progress", "save"]

Progress = Callable[[str, int], None]
"""Called with a file's path in the backup and its size, when it is copied."""
_STEP_PAGES = 4096
"""16 MiB a step: a snapshot is held, so that a step need not be short for anybody's sake, only for Ctrl-C."""
_SPOOL = "spool"
_ROOM = 1.05


def save(
    data: Path,
    spool: Path,
    target: Path,
    *,
    release: str,
    progress: Progress = lambda name, size: None,
    now_ns: NowNs = wall_ns,
) -> Manifest:
    """Back up a data directory and its spool into `target`, which must not exist; safe while the product runs.

    All is written beside it and synced, and gets its name last: `target` is there whole or not at all. `release` is
    what the manifest says made it. Raises PermanentError (target exists, no store), StoreFull or StoreCorrupt; nothing
    is left then.
    """
    target = target.absolute()
    if not (data / CATALOG_FILE).exists():
        raise PermanentError(f"{data} holds no store to back up: set MONITORING_DATA_DIR")
    if target.exists() or target.is_symlink():
        raise PermanentError(f"{target} exists: name a directory that does not, one for each backup")
    if data in target.parents:
        raise PermanentError(f"{target} is inside of the data directory: name one outside, on another disk if you can")
    started = time.monotonic()
    draft = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    with _removed_on_failure(draft), spool_moment(spool) as spooled:
        draft.mkdir(mode=0o700, parents=True)
        with the_moment(data, spooled) as moment:
            created = rfc3339(now_ns())
            _check_room(data, draft)
            for path in _copy_all(data, draft, moment, spooled):
                progress(path.relative_to(draft).as_posix(), path.stat().st_size)
        instance, rows = _settle(draft)
        manifest = _describe(draft, created, release, instance, rows, time.monotonic() - started)
        (draft / MANIFEST_FILE).write_bytes(manifest.to_json())
        (draft / MANIFEST_FILE).chmod(0o600)
        sync(draft / MANIFEST_FILE)
        sync_tree(draft)
        draft.rename(target)
        sync(target.parent)
    return manifest


@contextlib.contextmanager
def _removed_on_failure(draft: Path) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        shutil.rmtree(draft, ignore_errors=True)
        if isinstance(error, OSError):
            raise StoreFull(f"the backup {draft} cannot be written: {error}") from error
        raise


def _check_room(data: Path, draft: Path) -> None:
    """Rather now than after an hour. SQLite's own files are about as large as their copies."""
    needed = sum(path.stat().st_size for path in data.glob("*/p*/**/*.db")) * _ROOM
    free = shutil.disk_usage(draft).free
    if needed > free:
        raise StoreFull(f"{draft.parent} has {free >> 20} MiB free, the backup needs about {int(needed) >> 20}")


def _copy_all(data: Path, draft: Path, moment: Moment, spool: SpoolMoment) -> Iterator[Path]:
    """Copy everything; yields the copies. The spool first: it is what shrinks while we work."""
    yield from spool.copy(draft / _SPOOL)
    for name in (ADMIN_KEY_FILE, KEY_FILE):
        if (data / name).exists():
            copy_file(data / name, draft / name)
            yield draft / name
    for path, snapshot in moment.snapshots.items():
        yield _copy_database(snapshot, draft / path.relative_to(data), newest=path in moment.active)
    for sealed in moment.sealed:
        copied = _copy_sealed(data, draft, sealed)
        if copied is not None:
            yield copied
    for newest in moment.active:
        yield from _copy_rollups(data, draft, newest)


def _copy_sealed(data: Path, draft: Path, sealed: Sealed) -> Path | None:
    """None where retention took it meanwhile, or is about to: the catalog of the backup says that it did."""
    with contextlib.closing(Catalog(data / CATALOG_FILE)) as catalog:
        if catalog.is_retired(sealed.signal, sealed.partition, sealed.number):
            return None
    try:
        connection = apsw.Connection(str(sealed.path), flags=apsw.SQLITE_OPEN_READONLY)
    except apsw.CantOpenError:
        if sealed.path.exists():
            raise
        return None
    with contextlib.closing(connection):
        connection.set_busy_timeout(10_000)
        return _copy_database(connection, draft / sealed.path.relative_to(data), newest=False)


def _copy_rollups(data: Path, draft: Path, newest: Path) -> Iterator[Path]:
    """Those of the segments that are sealed in this backup, or deleted long ago: what is newer is made again."""
    directory = newest.parent
    for level in LEVELS:
        for rolled in files(directory, level):
            if rolled.number >= int(newest.stem):
                continue
            copy = draft / rolled.path.relative_to(data)
            copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):  # retention took it meanwhile
                copy_file(rolled.path, copy)
                yield copy


def _copy_database(source: apsw.Connection, copy: Path, *, newest: bool) -> Path:
    """SQLite's online backup (sqlite.org/backup.html), of the source's snapshot where it has one.

    The copy is one file without a log. A newest segment has no holder in it: its drain is not the copy's.
    """
    copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    with space_needed(copy), contextlib.closing(apsw.Connection(str(copy))) as target:
        target.execute("PRAGMA synchronous = OFF").fetchall()  # synced once, at the end
        with target.backup("main", source, "main") as backup:
            while not backup.done:
                backup.step(_STEP_PAGES)
        target.execute("PRAGMA journal_mode = DELETE").fetchall()
        if newest:
            target.execute("UPDATE head SET holder = NULL, renewed = 0")
    return copy


def _settle(draft: Path) -> tuple[str, dict[str, int]]:
    """Let the copied catalog agree with the copied files; the instance, and how many events there are by signal.

    A segment that was followed by the next one, or deleted, between two copies is noted as what it is here.
    """
    with contextlib.closing(Catalog(draft / CATALOG_FILE)) as catalog:
        catalog.reconcile()
        instance = catalog.instance
    rows: dict[str, int] = {}
    for path in sorted(draft.glob("*/p*/[0-9]*.db")):
        with space_needed(path), contextlib.closing(apsw.Connection(str(path))) as connection:
            head = Head.read(connection)
            rows[head.signal] = rows.get(head.signal, 0) + head.rows
    with space_needed(draft), contextlib.closing(apsw.Connection(str(draft / CATALOG_FILE))) as connection:
        connection.execute("DELETE FROM drain; PRAGMA journal_mode = DELETE").fetchall()
    return instance, rows


def _describe(draft: Path, created: str, release: str, instance: str, rows: dict[str, int], seconds: float) -> Manifest:
    stored, schemas = [], dict[str, int]()
    for path in sorted(path for path in draft.rglob("*") if path.is_file()):
        name = path.relative_to(draft)
        if path.suffix == ".db":
            kind = _kind(name)
            schemas[kind] = max(schemas.get(kind, 0), version_of(path))
        stored.append(Stored(name.as_posix(), *digest(path)))
    return Manifest(created, release, instance, apsw.sqlite_lib_version(), schemas, rows, round(seconds, 3), stored)


def _kind(name: Path) -> str:
    known = {CATALOG_FILE: "catalog", control.FILE_NAME: "control", state.FILE_NAME: "ingest"}
    return known.get(name.name) or ("segment" if len(name.parts) == 3 else "rollup")

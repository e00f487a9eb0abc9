"""The moment of a backup: read transactions over everything that changes, opened while nothing can be acknowledged.

What must agree with what, and how it does:

    promise answered       => its frames are in the spool, or in a segment     control.db is locked meanwhile, and
    frames of a promise    => the promise is in control.db                     copied from this very moment
    read from a file       => in ingest.db or in a segment                     ingest.db is locked meanwhile
    released by a spool    => committed: in a segment                          the spool is looked at before segments
    committed and spooled  => the spool knows its partition: marks skip it     heads of lanes are read again after them

The locks last for as long as it takes to open a few files, milliseconds; writers wait that long. Segments that are
sealed need no transaction: their events do not change.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import apsw

from monitoring.pipeline.backup.spool import SpoolMoment
from monitoring.pipeline.events.signals import SIGNALS
from monitoring.pipeline.ingest import state
from monitoring.pipeline.store import control
from monitoring.pipeline.store.catalog import CATALOG_FILE, Catalog, partition_dir
from monitoring.pipeline.store.partition import active_number
from monitoring.pipeline.store.space import space_needed

__all__ = ["Moment", "Sealed", "the_moment"]

_BUSY_TIMEOUT_MS = 10_000
"""Others hold these locks for one fsync."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A segment that is older than its partition's newest; `number` in its partition's directory."""

    signal: str
    partition: int
    number: int
    path: Path


@dataclass(slots=True)
class Moment:
    """Connections with open read transactions by path, the newest segments among them, and the sealed segments."""

    snapshots: dict[Path, apsw.Connection]
    active: list[Path]
    sealed: list[Sealed]


@contextlib.contextmanager
def the_moment(data: Path, spool: SpoolMoment) -> Iterator[Moment]:
    """Fix the moment; it lasts as long as the block, and blocks nobody."""
    with contextlib.ExitStack() as stack:

        def snapshot(path: Path) -> apsw.Connection:
            connection = stack.enter_context(contextlib.closing(_open(path)))
            stack.enter_context(space_needed(path))
            connection.execute("BEGIN")
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()  # a read is what fixes it
            return connection

        found = Moment({}, [], [])
        with contextlib.ExitStack() as locks:
            for name in (control.FILE_NAME, state.FILE_NAME):
                if (data / name).exists():
                    locks.enter_context(_locked(data / name))
            spool.look()
            for name in (control.FILE_NAME, state.FILE_NAME, CATALOG_FILE):
                if (data / name).exists():
                    found.snapshots[data / name] = snapshot(data / name)
            with contextlib.closing(Catalog(data / CATALOG_FILE)) as catalog:
                partitions = [(signal, number) for signal in SIGNALS for number in catalog.partitions(signal)]
            for signal, partition in partitions:
                newest = active_number(data, signal, partition)
                for path in sorted(partition_dir(data, signal, partition).glob("[0-9]*.db")):
                    number = int(path.stem)
                    if number < newest:
                        found.sealed.append(Sealed(signal, partition, number, path))
                    elif number == newest:  # what came after it was found is not of this moment
                        found.snapshots[path] = snapshot(path)
                        found.active.append(path)
            spool.look_again()
        yield found


def _open(path: Path) -> apsw.Connection:
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    connection.set_busy_timeout(_BUSY_TIMEOUT_MS)
    return connection


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Nobody commits to this file meanwhile."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    connection.set_busy_timeout(_BUSY_TIMEOUT_MS)
    with contextlib.closing(connection), space_needed(path):
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            connection.execute("ROLLBACK")

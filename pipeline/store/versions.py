"""Versions of SQLite files: every one carries its own (`PRAGMA user_version`), and none newer than known is written.

| file | version | refused by |
|---|---|---|
| `catalog.db` | `catalog.SCHEMA_VERSION` | `Catalog` |
| `control.db` | `control.SCHEMA_VERSION`, the number of migrations | `Control` |
| `ingest.db` | `state.SCHEMA_VERSION`, the same | `IngestState` |
| `<signal>/p*/<number>.db` | `segment.SCHEMA_VERSION` | `open_readonly`, `Segment` |
| `metrics/p*/1m/…`, `1h/…` | `metric_rollup.SCHEMA_VERSION` | whoever reads roll-ups |
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import apsw

from monitoring.pipeline.store.space import space_needed

__all__ = ["Newer", "known_schemas", "newer_files", "version_of"]


class Newer(NamedTuple):
    """A file that this release does not know how to read."""

    path: Path
    version: int
    known: int


def known_schemas() -> dict[str, int]:
    """The newest version that this release knows of each kind of SQLite file."""
    from monitoring.pipeline.ingest import state  # what few programs need
    from monitoring.pipeline.store import catalog, control, metric_rollup, segment

    return {
        "segment": segment.SCHEMA_VERSION,
        "rollup": metric_rollup.SCHEMA_VERSION,
        "catalog": catalog.SCHEMA_VERSION,
        "control": control.SCHEMA_VERSION,
        "ingest": state.SCHEMA_VERSION,
    }


def version_of(path: Path) -> int:
    """The version that a file carries. Raises StoreCorrupt, StoreFull."""
    with space_needed(path), contextlib.closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)) as found:
        return int(found.pragma("user_version"))


def newer_files(data: Path) -> list[Newer]:
    """The files of a data directory that are of a newer release, those that all others depend on first."""
    known = known_schemas()
    return [
        Newer(path, version, known[kind]) for kind, path in _files(data) if (version := version_of(path)) > known[kind]
    ]


def _files(data: Path) -> Iterator[tuple[str, Path]]:
    for kind in ("catalog", "control", "ingest"):
        if (data / f"{kind}.db").exists():
            yield kind, data / f"{kind}.db"
    for directory in sorted(data.glob("*/p*")):
        segments = sorted(directory.glob("[0-9]*.db"))
        if segments:  # the newest is the newest of its release too
            yield "segment", segments[-1]
        for level in ("1m", "1h"):
            yield from (("rollup", path) for path in sorted((directory / level).glob("[0-9]*.db"))[-1:])

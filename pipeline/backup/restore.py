"""Bringing a backup back into an empty data directory."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from monitoring.pipeline.backup.files import copy_file, sync_tree
from monitoring.pipeline.backup.manifest import Manifest
from monitoring.pipeline.durable import sync
from monitoring.pipeline.errors import PermanentError, StoreFull

__all__ = ["Restored", "restore"]

_OURS = frozenset({"up.lock", "ticker.lock"})
"""What may stand in a directory that is empty all the same: whoever restores holds the first."""


class Restored(NamedTuple):
    """The manifest of what was restored, and where the former content was set aside, if there was any."""

    manifest: Manifest
    aside: Path | None


def restore(
    backup: Path, data: Path, *, force: bool = False, progress: Callable[[str, int], None] = lambda name, size: None
) -> Restored:
    """Restore into `data`, on which nothing may run (the caller makes sure, and holds its lock).

    Everything is checked before anything is changed: the manifest, its versions, every checksum. With `force`, what
    is in `data` is moved into a directory in it, `replaced-<seconds since 1970>`, and not deleted.
    Raises StoreCorrupt for a backup that is damaged, PermanentError where `data` is not empty, StoreFull.
    """
    manifest = Manifest.read(backup)
    manifest.check_known()
    there = [path for path in sorted(data.iterdir()) if path.name not in _OURS] if data.is_dir() else []
    present = [path for path in there if not path.name.startswith("replaced-")]
    if present and not force:
        raise PermanentError(
            f"{data} is not empty ({present[0].name}, …): name another with MONITORING_DATA_DIR, or say --force to "
            "set aside what is there"
        )
    manifest.check_files(backup)
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    free = shutil.disk_usage(data).free
    if manifest.total_bytes > free:
        raise StoreFull(f"{data} has {free >> 20} MiB free, the backup needs {manifest.total_bytes >> 20}")
    draft = data / f".restoring-{os.getpid()}"
    try:
        _copy(manifest, backup, draft, progress)
        aside = _set_aside(present, data) if present else None
        for path in sorted(draft.iterdir(), key=lambda path: path.name == "catalog.db"):  # the catalog last
            path.rename(data / path.name)
        draft.rmdir()
        sync(data)
    except OSError as error:
        raise StoreFull(f"{data} cannot be written: {error}") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return Restored(manifest, aside)


def _copy(manifest: Manifest, backup: Path, draft: Path, progress: Callable[[str, int], None]) -> None:
    for file in manifest.files:
        target = draft / file.path
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        copy_file(backup / file.path, target)
        progress(file.path, file.bytes)
    manifest.check_files(draft)
    sync_tree(draft)


def _set_aside(present: list[Path], data: Path) -> Path:
    aside = data / f"replaced-{int(time.time())}"
    aside.mkdir(mode=0o700)
    for path in present:
        path.rename(aside / path.name)
    return aside

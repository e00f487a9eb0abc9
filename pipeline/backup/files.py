"""Files of a backup: copied with mode 0600, synced."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from monitoring.pipeline.durable import sync

__all__ = ["copy_file", "sync_tree"]


def copy_file(source: Path, target: Path) -> None:
    """Copy the bytes into a new file that only its owner may read. Raises FileExistsError where there is one."""
    with source.open("rb") as reading:
        handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "wb") as writing:
            shutil.copyfileobj(reading, writing, 1 << 20)


def sync_tree(root: Path) -> None:
    """Bring everything below a directory to the disk, and its own names."""
    for path in root.rglob("*"):
        sync(path)
    sync(root)

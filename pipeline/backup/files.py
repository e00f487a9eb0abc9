"""Files of a backup: copied with mode 0600, synced."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

__all__ = ["copy_file", "sync_directory", "sync_file", "sync_tree"]


def copy_file(source: Path, target: Path) -> None:
    """Copy the bytes into a new file that only its owner may read. Raises FileExistsError where there is one."""
    with source.open("rb") as reading:
        handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "wb") as writing:
            shutil.copyfileobj(reading, writing, 1 << 20)


def sync_file(path: Path) -> None:
    """Bring a file to the disk."""
    _sync(path, os.O_RDONLY)


def sync_directory(path: Path) -> None:
    """Bring the names in a directory to the disk."""
    _sync(path, os.O_RDONLY | os.O_DIRECTORY)


def sync_tree(root: Path) -> None:
    """Bring everything below a directory to the disk, and its own names."""
    for path in root.rglob("*"):
        _sync(path, os.O_RDONLY | (os.O_DIRECTORY if path.is_dir() else 0))
    sync_directory(root)


def _sync(path: Path, flags: int) -> None:
    handle = os.open(path, flags | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

"""What is on the disk when the call returns, even if the power fails then."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["sync", "write_once"]


def sync(path: Path) -> None:
    """Bring a file's bytes, or the names in a directory, to the disk."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_once(path: Path, text: str) -> bool:
    """Make a file that only its owner may read, whole or not at all; one that is there stays, and False is returned.

    Of several processes that do so at the same time, one makes it.
    """
    import secrets  # which a service that spools need not load

    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        path.hardlink_to(draft)
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    sync(path.parent)
    return True

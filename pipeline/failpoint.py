"""Named places at which a fault test kills the process.

`hit(name)` costs a comparison while no directory is set. With one, the process that finds a file of that
name there removes it and dies by SIGKILL, or stops by SIGSTOP if the file says "stop": once a file, whoever
comes first.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from pathlib import Path

__all__ = ["arm", "hit", "poison"]

_directory: Path | None = None


def arm(directory: Path | None) -> None:
    """Look for failpoint files in this directory from now on; None switches all off."""
    global _directory
    _directory = directory


def hit(name: str) -> None:
    """Die here if a test asks for it."""
    if _directory is None:
        return
    file = _directory / name
    try:
        action = file.read_text().strip()
        file.unlink()
    except FileNotFoundError:
        return
    os.kill(os.getpid(), signal.SIGSTOP if action == "stop" else signal.SIGKILL)


def poison(texts: Iterable[str]) -> None:
    """Die if a text contains what the file `poison` says, every time: stands for an event that crashes a library."""
    if _directory is None:
        return
    try:
        marker = (_directory / "poison").read_text().strip()
    except FileNotFoundError:
        return
    if any(marker in text for text in texts):
        os.kill(os.getpid(), signal.SIGKILL)

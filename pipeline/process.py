"""Processes that belong together: a child never outlives the parent it works for."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["alive", "call_it", "die_with_parent", "prepare"]

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15


@cache
def _libc() -> Any:
    """The C library; `prctl` is looked up here so that nothing is left to do between fork and exec."""
    libc = ctypes.CDLL(None)
    return libc.prctl if sys.platform == "linux" else None


def prepare() -> None:
    """Load what `die_with_parent` needs; call it before a fork that runs it in the child."""
    _libc()


def die_with_parent(parent: int, signal_number: int = signal.SIGKILL) -> None:
    """Let the kernel send this process a signal when the thread that forked it ends, even by SIGKILL.

    `parent` is the parent's pid as seen before the fork: if it has gone already, this process ends at once.
    Only Linux can do it; elsewhere children look at their parent now and then.
    """
    prctl = _libc()
    if prctl is not None:
        prctl(_PR_SET_PDEATHSIG, int(signal_number), 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def call_it(name: str) -> None:
    """Name this process as `top` and `ps -o comm` show it (15 bytes); forked children else all look the same."""
    prctl = _libc()
    if prctl is not None:
        prctl(_PR_SET_NAME, name.encode()[:15], 0, 0, 0)


def alive(pid: int) -> bool:
    """Whether a process with this id runs; a zombie does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return True  # no /proc here: the answer of kill() stands
    return state not in "ZX"

"""What processes use, as the kernel counts it."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

import psutil

__all__ = ["Usage", "describe", "family", "name_of", "pss_bytes", "usage"]


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU seconds of a process and of its children that ended, and its proportional set size."""

    name: str
    cpu_seconds: float
    pss_bytes: int


def describe() -> dict[str, object]:
    """The machine and the programs that the figures were measured with."""
    import apsw

    return {
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "sqlite": apsw.sqlite_lib_version(),
        "system": f"{platform.system()} {platform.release().split('-')[0]} {platform.machine()}",
    }


def family(pid: int) -> list[psutil.Process]:
    """A process and all its descendants."""
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


def name_of(process: psutil.Process, root: int) -> str:
    """What part of the product a process is: the supervisor names its children `mon:<part>`."""
    if process.pid == root:
        return "supervisor"
    name = Path(f"/proc/{process.pid}/comm").read_text().strip()
    return name.removeprefix("mon:").partition("-")[0]


def pss_bytes(pid: int) -> int:
    """Proportional set size: private pages, and each shared one divided by its sharers."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) << 10
    return 0


def usage(root: int) -> dict[str, Usage]:
    """Usage of a process tree by part; work-horses come and go, so a part's CPU includes its ended children."""
    found: dict[str, Usage] = {}
    for process in family(root):
        try:
            times = process.cpu_times()
            name = name_of(process, root)
            pss = pss_bytes(process.pid)
        except (psutil.Error, OSError):
            continue
        seconds = times.user + times.system + times.children_user + times.children_system
        before = found.get(name, Usage(name, 0.0, 0))
        found[name] = Usage(name, before.cpu_seconds + seconds, before.pss_bytes + pss)
    return found

"""What grows if anything does: memory and descriptors by part of the product, WAL files, the data directory."""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import psutil

from bench.machine import family, name_of, pss_bytes

__all__ = ["Sample", "look"]


class Sample(NamedTuple):
    """One look; times in seconds since 1970 and seconds, sizes in bytes, by part of the product."""

    time: float
    memory: dict[str, int]
    descriptors: dict[str, int]
    wal: int
    disk: int
    answer: float
    arrival: float


def look(root: int, data: Path, answer: float, arrival: float) -> Sample:
    """Look now at the product of this supervisor and data directory."""
    memory: defaultdict[str, int] = defaultdict(int)
    descriptors: defaultdict[str, int] = defaultdict(int)
    for process in family(root):
        with contextlib.suppress(psutil.Error, OSError):  # a work-horse that has just ended
            name = name_of(process, root)
            memory[name] += pss_bytes(process.pid)
            descriptors[name] += process.num_fds()
    sizes: dict[Path, int] = {}
    for path in data.rglob("*"):
        with contextlib.suppress(OSError):
            if path.is_file():
                sizes[path] = path.stat().st_size
    wal = max((size for path, size in sizes.items() if path.name.endswith("-wal")), default=0)
    return Sample(time.time(), dict(memory), dict(descriptors), wal, sum(sizes.values()), answer, arrival)

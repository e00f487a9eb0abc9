"""What a round of each collector costs: CPU of this process, threads included, and how long it takes.

    python -m bench.collectors --rounds 300

All instruments exist and psutil is loaded before the first round that counts. The figures depend on the machine: more
processes, disks and mounts cost more, of which it prints the numbers. GPUs are those that are here.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from bench.machine import describe
from monitoring.pipeline.settings import load
from monitoring.producers.bounded import Bounded
from monitoring.producers.collectors import collectors_from
from monitoring.producers.filesystems import FileSystemCollector
from monitoring.producers.host_lock import HostLock
from monitoring.producers.process import ProcessCollector
from monitoring.producers.registry import Registry
from monitoring.producers.system import SystemCollector
from monitoring.producers.trouble import Trouble

__all__ = ["main"]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=300)
    rounds = parser.parse_args().rounds
    mounts, cards = psutil.disk_partitions(all=True), psutil.net_io_counters(pernic=True)
    print(f"{describe()}, {len(psutil.pids())} processes, {len(mounts)} mounts, {len(cards)} interfaces")
    print(f"{'a round of':34}{'CPU ms':>10}{'median ms':>12}{'worst ms':>11}")
    with tempfile.TemporaryDirectory() as directory:
        tempfile.tempdir = directory  # a lock of our own: others measure this host meanwhile
        for name, work in _works(Path(directory)).items():
            work()
            _row(name, work, rounds)


def _works(directory: Path) -> dict[str, Callable[[], object]]:
    registry = Registry()
    trouble = Trouble()
    taken, waiting = HostLock(directory / "taken"), HostLock(directory / "taken")
    taken.acquire()
    chosen = load({})
    return {
        "process": ProcessCollector(registry).collect,
        "system": SystemCollector(registry, psutil).collect,
        "file systems": FileSystemCollector(registry, psutil).collect,
        "file systems, in their thread": Bounded(FileSystemCollector(registry, psutil)).collect,
        "lock, held": taken.acquire,
        "lock, somebody else's": waiting.acquire,
        "all, in the process that measures": collectors_from(chosen, registry, trouble).collect,
        "all, in the others": collectors_from(chosen, registry, trouble).collect,
    }


def _row(name: str, work: Callable[[], object], rounds: int) -> None:
    times = []
    cpu = time.process_time()
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    cpu = time.process_time() - cpu
    print(
        f"{name:34}{cpu / rounds * 1e3:10.3f}{statistics.median(times) * 1e3:12.3f}{max(times) * 1e3:11.3f}", flush=True
    )


if __name__ == "__main__":
    main()

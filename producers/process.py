"""This process: CPU, memory, threads, file descriptors and Python's garbage collector.

Names are those of Prometheus' own clients where they have one. Nothing has to be installed for it: it comes from
/proc, `resource` and `gc`; on a system without /proc, memory and start are there if psutil is.
"""

from __future__ import annotations

import gc
import os
import resource
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from monitoring.producers.collector import Collector, Series, read_each
from monitoring.producers.registry import Registry

__all__ = ["ProcessCollector"]

_PAGE_BYTES = resource.getpagesize()


class _State(NamedTuple):
    """What a system tells of a process; None where it does not. `started` is in seconds since 1970."""

    threads: int
    resident_bytes: int | None = None
    virtual_bytes: int | None = None
    started: float | None = None


class ProcessCollector(Collector):
    """Reads the process that it is in. `psutil` is that module, or None where it is not installed."""

    def __init__(
        self,
        registry: Registry,
        psutil: Any = None,
        *,
        proc: Path = Path("/proc"),
        cpu_seconds: Callable[[], float] = time.process_time,
        now: Callable[[], float] = time.time,
        uptime: Callable[[], float] = lambda: time.clock_gettime(time.CLOCK_BOOTTIME),
    ) -> None:
        super().__init__(registry)
        self._psutil = psutil
        self._proc = proc
        self._cpu_seconds = cpu_seconds
        self._now = now
        self._uptime = uptime
        self._make()
        self._make_python()

    def _make(self) -> None:
        self._count = self._levels("process_count", "Processes of the service that report", across="sum")
        self._cpu = self._totals("process_cpu_seconds_total", "CPU time of the service's processes", unit="seconds")
        self._resident = self._levels(
            "process_resident_memory_bytes",
            "Memory in RAM, of all processes; pages that forked processes share are counted for each",
            unit="bytes",
            across="sum",
        )
        self._virtual = self._levels(
            "process_virtual_memory_bytes",
            "Address space, of all processes; most of it need not be in RAM",
            unit="bytes",
            across="sum",
        )
        self._threads = self._levels("process_threads", "Threads of all processes", across="sum")
        self._open_fds = self._levels(
            "process_open_fds", "Open file descriptors of the process that has most", across="max"
        )
        self._max_fds = self._levels(
            "process_max_fds", "How many a process may open; the least of all processes", across="min"
        )
        self._started = self._levels(
            "process_start_time_seconds",
            "When the oldest process began, in seconds since 1970",
            unit="seconds",
            across="min",
        )

    def _make_python(self) -> None:
        self._gc = {
            field: self._totals(f"python_gc_{name}_total", meaning, labels=("generation",))
            for field, name, meaning in (
                ("collections", "collections", "Runs of the garbage collector"),
                ("collected", "objects_collected", "Objects it freed"),
                ("uncollectable", "objects_uncollectable", "Objects it found and could not free: a leak"),
            )
        }
        self._info = self._levels(
            "python_info", "1; the labels say which Python", labels=("version", "implementation"), across="max"
        )

    # ------------------------------------------------------------------ readings

    def collect(self) -> None:
        """Read everything. Raises ReadingFailed where a part could not be read; the others are."""
        read_each(
            (
                ("CPU", lambda: self._cpu.update({(): self._cpu_seconds()})),
                ("memory", self._read_state),
                ("file descriptors", self._read_fds),
                ("Python", self._read_python),
            )
        )

    def renew_after_fork(self) -> None:
        """In a forked child: it has used no CPU, and inherits what the garbage collector has counted."""
        self._cpu.rebase({(): 0.0})
        for field, totals in self._gc.items():
            totals.rebase(_gc_counts(field))

    def _read_state(self) -> None:
        state = self._state()
        self._count.update({(): 1.0})
        self._threads.update({(): float(state.threads)})
        for levels, value in (
            (self._resident, state.resident_bytes),
            (self._virtual, state.virtual_bytes),
            (self._started, state.started),
        ):
            levels.update({} if value is None else {(): float(value)})

    def _state(self) -> _State:
        try:
            return self._state_of((self._proc / "self" / "stat").read_bytes())
        except FileNotFoundError:
            if self._psutil is None:
                return _State(threading.active_count())
        process = self._psutil.Process()
        memory = process.memory_info()
        return _State(process.num_threads(), memory.rss, memory.vms, process.create_time())

    def _state_of(self, stat: bytes) -> _State:
        """From /proc/self/stat; the fields are counted from behind the name, which may hold anything (proc(5))."""
        fields = stat[stat.rindex(b")") + 2 :].split()
        began = int(fields[19]) / os.sysconf("SC_CLK_TCK")
        return _State(
            threads=int(fields[17]),
            resident_bytes=int(fields[21]) * _PAGE_BYTES,
            virtual_bytes=int(fields[20]),
            started=self._now() - self._uptime() + began,
        )

    def _read_fds(self) -> None:
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self._max_fds.update({} if limit == resource.RLIM_INFINITY else {(): float(limit)})
        self._open_fds.update({(): float(self._fds())})

    def _fds(self) -> int:
        folder = self._proc / "self" / "fd"
        if not folder.exists():
            folder = Path("/dev/fd")  # macOS
        # Since Linux 6.2 its size is their number; to list 900 takes 0.6 ms.
        return folder.stat().st_size or len(os.listdir(folder)) - 1  # noqa: PTH208 - less the one it lists with

    def _read_python(self) -> None:
        for field, totals in self._gc.items():
            totals.update(_gc_counts(field))
        version = ".".join(map(str, sys.version_info[:3]))
        self._info.update({(version, sys.implementation.name): 1.0})


def _gc_counts(field: str) -> dict[Series, float]:
    return {(str(generation),): float(counts[field]) for generation, counts in enumerate(gc.get_stats())}

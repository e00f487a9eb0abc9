"""The collectors that the settings choose, each failing alone; those of the host in one process a host.

process                     in every process
system   system.py          CPU, load, memory, swap, disks, network
         filesystems.py     how full they are                            in the process that holds
         container.py       limits, where there are any                  the lock of this name
gpu      gpu.py                                                          in the process that holds the lock of this name
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from monitoring.pipeline.errors import MonitoringError
from monitoring.pipeline.publish import forks
from monitoring.pipeline.settings import Settings
from monitoring.producers.bounded import Bounded
from monitoring.producers.collector import NothingToRead
from monitoring.producers.container import ContainerCollector
from monitoring.producers.filesystems import FileSystemCollector
from monitoring.producers.gpu import GpuCollector
from monitoring.producers.host_lock import HostLock, LockUnusable, default_path
from monitoring.producers.process import ProcessCollector
from monitoring.producers.registry import Registry
from monitoring.producers.system import SystemCollector
from monitoring.producers.trouble import Trouble

__all__ = ["NAMES", "Collectors", "collectors_from", "host_collectors"]

NAMES = ("process", "system", "gpu")
"""What MONITORING_COLLECTORS can name."""
_INSTALL_PSUTIL = (
    "metrics of the host need psutil: pip install 'monitoring-pipeline[system]', or choose without system in "
    "MONITORING_COLLECTORS"
)
_INSTALL_NVML = "metrics of GPUs need nvidia-ml-py: pip install 'monitoring-pipeline[gpu]'"


class _Collects(Protocol):
    def collect(self) -> None:
        """See Collector."""

    def clear(self) -> None:
        """See Collector."""


@dataclass(slots=True)
class _Part:
    """One collector, made when it is first due: what it imports, only the process that measures needs.

    `wanted`: somebody should know where it finds nothing to read.
    """

    name: str
    make: Callable[[], _Collects]
    wanted: bool = False
    made: _Collects | None = None
    over: bool = False


@dataclass(slots=True)
class _Group:
    """What a name in the settings stands for. With a lock, its parts run in the process that holds it.

    A lock for each name: the process that measures the system may be one without the library for GPUs. Where the
    first part finds nothing to read the group is over, and another process may have the lock.
    """

    name: str
    parts: Sequence[_Part]
    lock: HostLock | None = None

    @property
    def over(self) -> bool:
        return self.parts[0].over


class Collectors:
    """Calls its collectors one after the other. For one thread at a time; `collect` never raises.

    A failure is counted in `monitoring_collector_failures_total`, and told the first, second, fourth, eighth … time in
    a row: a disk that is gone may be gone for a week.
    """

    def __init__(self, groups: Sequence[_Group], registry: Registry, trouble: Trouble) -> None:
        self._groups = groups
        self._trouble = trouble
        self._in_a_row: dict[str, int] = {}
        self._unsaid: list[str] = []
        self._failures = registry.counter(
            "monitoring_collector_failures_total", "Samples that a collector could not take", labels=("collector",)
        )

    def collect(self) -> None:
        """Take a sample with each."""
        for group in self._groups:
            if self._is_ours(group):
                for part in group.parts:
                    if not group.over:
                        self._sample(part)
            else:
                self._clear(group)
        if self._unsaid and self._trouble.said(self._unsaid[0]):
            del self._unsaid[0]

    def tell(self, text: str) -> None:
        """Have it said on standard error once, as soon as that may be."""
        self._unsaid.append(text)

    def elsewhere(self) -> dict[str, int]:
        """What another process measures, by the collector's name: its pid, 0 where that is not known."""
        return {
            group.name: group.lock.holder()
            for group in self._groups
            if group.lock is not None and not group.over and not self._is_ours(group)
        }

    def renew_after_fork(self) -> None:
        """In a forked child: the parent goes on measuring the host. The registry renews itself."""
        self._in_a_row = {}
        for group in self._groups:
            if group.lock is not None:
                group.lock.renew_after_fork()
            for part in group.parts:
                if isinstance(part.made, ProcessCollector):
                    part.made.renew_after_fork()
                else:
                    part.made = None

    def close(self) -> None:
        """Let another process measure the host."""
        for group in self._groups:
            if group.lock is not None:
                group.lock.release()

    def _is_ours(self, group: _Group) -> bool:
        """Whether this process measures that: takes the lock if it can, and gives it back when nothing is to read."""
        if group.lock is None:
            return True
        if group.over:
            group.lock.release()
            return False
        name = f"{group.name} lock"
        try:
            held = group.lock.acquire()
        except LockUnusable as error:
            self._failed(name, error)
            return False
        self._in_a_row.pop(name, None)
        return held

    def _clear(self, group: _Group) -> None:
        """Another process has the lock: its file was deleted, and there is a new one."""
        for part in group.parts:
            if part.made is not None:
                part.made.clear()
                part.made = None

    def _sample(self, part: _Part) -> None:
        if part.over:
            return
        try:
            if part.made is None:
                part.made = part.make()
            part.made.collect()
        except NothingToRead as error:
            part.over = True
            if part.wanted:
                self.tell(str(error))
        except Exception as error:
            self._failed(part.name, error)
        else:
            self._in_a_row.pop(part.name, None)

    def _failed(self, name: str, error: Exception) -> None:
        times = self._in_a_row[name] = self._in_a_row.get(name, 0) + 1
        self._failures.inc(1, collector=name)
        self._trouble.count("collector")
        if times & (times - 1) == 0:
            what = str(error) if isinstance(error, MonitoringError) else f"{type(error).__name__}: {error}"
            again = f" {times} times in a row" if times > 1 else ""
            self._trouble.say(f"the collector {name} failed{again}: {what}")


def collectors_from(
    settings: Settings, registry: Registry, trouble: Trouble, *, host_registry: Registry | None = None
) -> Collectors:
    """Those that MONITORING_COLLECTORS names. A name that is none of ours is told, and left out.

    What is measured of the host goes to `host_registry` where there is one: it is no service's, and is the same
    whichever service's process measures it.
    """
    asked = tuple(name.lower() for name in settings.names("collectors"))
    asked = () if asked == ("none",) else asked
    named = settings.source("collectors") != "default"
    of_host = host_registry or registry
    groups = [_process(registry), _system(of_host, locked=True), _gpu(of_host, locked=True, wanted=named)]
    made = Collectors([group for group in groups if group.name in asked], registry, trouble)
    for name in asked:
        if name not in NAMES:
            import difflib  # 2 ms that right names need not pay

            near = difflib.get_close_matches(name, NAMES, 1)
            hint = f"did you mean {near[0]}? " if near else ""
            made.tell(f"MONITORING_COLLECTORS: no collector is called {name!r}; {hint}There are {', '.join(NAMES)}")
    return made


def host_collectors(registry: Registry, trouble: Trouble, *, locked: bool) -> Collectors:
    """All that measure the host; not `locked`: whoever else does."""
    return Collectors(
        [_system(registry, locked=locked), _gpu(registry, locked=locked, wanted=False)], registry, trouble
    )


def _process(registry: Registry) -> _Group:
    return _Group("process", [_Part("process", lambda: ProcessCollector(registry, _psutil_without_proc()))])


def _system(registry: Registry, *, locked: bool) -> _Group:
    def psutil() -> Any:
        return _imported("psutil", _INSTALL_PSUTIL)

    parts = [
        _Part("system", lambda: SystemCollector(registry, psutil()), wanted=True),
        _Part("file systems", lambda: Bounded(FileSystemCollector(registry, psutil()))),
        _Part("container", lambda: ContainerCollector(registry)),
    ]
    return _Group("system", parts, HostLock(default_path("system")) if locked else None)


def _gpu(registry: Registry, *, locked: bool, wanted: bool) -> _Group:
    """Not missed unless it was named: most hosts have none."""

    def make() -> Bounded:
        return Bounded(GpuCollector(registry, _imported("pynvml", _INSTALL_NVML)))

    return _Group("gpu", [_Part("gpu", make, wanted=wanted)], HostLock(default_path("gpu")) if locked else None)


def _imported(name: str, otherwise: str) -> Any:
    """The module. Raises NothingToRead, saying what to install."""
    try:
        with forks.held_off():
            return importlib.import_module(name)
    except ImportError as error:
        raise NothingToRead(f"{otherwise} ({error})") from error


def _psutil_without_proc() -> Any:
    """psutil where there is no /proc to read, and it is installed; else None."""
    if Path("/proc/self/stat").exists():
        return None
    try:
        return _imported("psutil", _INSTALL_PSUTIL)
    except NothingToRead:
        return None

"""The container this process runs in: what it may use, and what it uses of that (cgroup v2).

`system.py` shows the machine, whatever a container may have of it: a container that may use one CPU of 64 is at its
limit when the machine is at 2 %. These files stand at the top of the cgroup file system in a container only; on a
host there is nothing to limit, so there these metrics are absent. cgroup v1 is not read.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from monitoring.producers.collector import Collector, NothingToRead, Series, read_each
from monitoring.producers.registry import Registry

__all__ = ["ContainerCollector"]

_CGROUP = Path("/sys/fs/cgroup")
_MICRO = 1e-6


class ContainerCollector(Collector):
    """Reads the files of one cgroup. Which of them are there decides what is shown."""

    def __init__(
        self, registry: Registry, *, cgroup: Path = _CGROUP, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(registry)
        self._cgroup = cgroup
        self._clock = clock
        self._before: tuple[float, float] | None = None
        self._memory_used = self._levels(
            "container_memory_working_set_bytes",
            "Memory of the container without the files it can give back: at the limit a process is killed",
            unit="bytes",
        )
        self._memory_limit = self._levels(
            "container_memory_limit_bytes", "What it may use; absent without a limit", unit="bytes"
        )
        self._memory_ratio = self._levels(
            "container_memory_usage_ratio", "Working set by limit; absent without a limit", unit="ratio"
        )
        self._oom_kills = self._totals(
            "container_oom_kills_total", "Processes that were killed because the container was at its limit"
        )
        self._cpu_seconds = self._totals(
            "container_cpu_seconds_total", "CPU time of the container's processes", unit="seconds", labels=("mode",)
        )
        self._cpu_limit = self._levels("container_cpu_limit_cores", "CPUs it may use at a time; absent without a limit")
        self._cpu_ratio = self._levels(
            "container_cpu_usage_ratio",
            "CPU time by what the limit allowed since the sample before; absent without a limit",
            unit="ratio",
        )
        self._throttled = self._totals(
            "container_cpu_throttled_seconds_total",
            "Time that its threads waited because the limit was used up",
            unit="seconds",
        )

    def collect(self) -> None:
        """Read everything. Raises NothingToRead outside of containers, ReadingFailed where a part cannot be read."""
        if not any((self._cgroup / name).exists() for name in ("memory.current", "cpu.max")):
            raise NothingToRead(f"this is no container with cgroup v2: {self._cgroup} has no limits")
        read_each((("memory", self._read_memory), ("CPU", self._read_cpu)))

    def _read_memory(self) -> None:
        current = self._text("memory.current")
        if current is None:
            return
        used = max(0, int(current) - self._numbers("memory.stat").get("inactive_file", 0))
        limit = _limit(self._text("memory.max"))
        self._memory_used.update({(): float(used)})
        self._memory_limit.update({(): limit} if limit else {})
        self._memory_ratio.update({(): used / limit} if limit else {})
        self._oom_kills.update(_picked(self._numbers("memory.events"), {(): "oom_kill"}))

    def _read_cpu(self) -> None:
        maximum = self._text("cpu.max")
        if maximum is None:
            return
        quota, period = maximum.split()
        limit = _limit(quota)
        cores = limit / int(period) if limit else 0.0
        stat = self._numbers("cpu.stat")
        self._cpu_limit.update({(): cores} if cores else {})
        self._cpu_seconds.update(_picked(stat, {("user",): "user_usec", ("system",): "system_usec"}, _MICRO))
        self._throttled.update(_picked(stat, {(): "throttled_usec"}, _MICRO))
        now, used = self._clock(), stat.get("usage_usec", 0) * _MICRO
        before, self._before = self._before, (now, used)
        if not cores:
            self._cpu_ratio.update({})
        elif before is not None and now > before[0]:
            self._cpu_ratio.update({(): max(0.0, used - before[1]) / (cores * (now - before[0]))})

    # ------------------------------------------------------------------ files

    def _text(self, name: str) -> str | None:
        try:
            return (self._cgroup / name).read_text().strip()
        except FileNotFoundError:
            return None

    def _numbers(self, name: str) -> Mapping[str, int]:
        """Lines of a word and a number."""
        lines = (line.split() for line in (self._text(name) or "").splitlines())
        return {words[0]: int(words[1]) for words in lines if len(words) == 2}


def _picked(numbers: Mapping[str, int], words: Mapping[Series, str], scale: float = 1.0) -> dict[Series, float]:
    """The numbers with these words, as far as this kernel has them."""
    return {series: numbers[word] * scale for series, word in words.items() if word in numbers}


def _limit(text: str | None) -> float:
    """0 where there is none."""
    return 0.0 if text in (None, "max") else float(text or 0)

"""The host as its kernel shows it: CPU, load, memory, swap, disk and network traffic.

In a container that is the machine (CPU, load, memory, disks) with the container's own network; what limits the
container itself is told by `container.py`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

from monitoring.producers.collector import Collector, Series, read_each
from monitoring.producers.registry import Registry

__all__ = ["SystemCollector", "is_stacked", "is_virtual"]

_INSIDE_OTHERS = frozenset({"guest", "guest_nice"})
"""CPU time of virtual machines, which Linux counts within user and nice, too."""
_WAITING = ("idle", "iowait")
_VIRTUAL = re.compile(
    r"(lo\d*|(veth|docker|br[-\d]|virbr|vnet|cni|cali|flannel|cilium|lxc|kube-|nodelocaldns|dummy|ifb|bridge).*)"
)
_STACKED = re.compile(r"(loop|ram|zram|fd|sr|dm-|md)\d.*")
_PARTITION = re.compile(r"(.*?)(?:(?<=\d)p)?\d+")


def is_virtual(interface: str) -> bool:
    """Whether a network interface is loopback, or an end or the bridge of containers and virtual machines.

    Their traffic stays on the host, or passes another of its interfaces and is counted there. By name: a container's
    own `eth0` has no device behind it either, and is what the container is measured by.
    """
    return _VIRTUAL.fullmatch(interface) is not None


def is_stacked(device: str, devices: Collection[str]) -> bool:
    """Whether a block device is no disk: a partition of one, or made of others (loop, RAM, dm, md), or removable.

    Their I/O is that of a disk, where it is counted.
    """
    if _STACKED.fullmatch(device):
        return True
    match = _PARTITION.fullmatch(device)
    return match is not None and match[1] in devices


class SystemCollector(Collector):
    """Reads what never blocks. `psutil` is that module, or recorded data with its functions."""

    def __init__(self, registry: Registry, psutil: Any, *, now: Callable[[], float] = time.time) -> None:
        super().__init__(registry)
        self._psutil = psutil
        self._now = now
        self._cpu_before: Mapping[str, float] = {}
        self._make_host()
        self._make_disks()
        self._make_network()

    # ------------------------------------------------------------------ instruments

    def _make_host(self) -> None:
        self._cpu_seconds = self._totals(
            "system_cpu_seconds_total",
            "Time of all CPUs by what they did; the modes add up to all the time there was",
            unit="seconds",
            labels=("mode",),
        )
        self._cpu_ratio = self._levels(
            "system_cpu_usage_ratio", "Part of all CPUs' time that was not idle, since the sample before", unit="ratio"
        )
        self._cpus = self._levels("system_cpu_count", "CPUs that the kernel schedules on")
        self._loads = [
            self._levels(
                f"system_load{minutes}",
                f"Processes that ran or waited for CPU or disk, averaged over {minutes} min",
            )
            for minutes in (1, 5, 15)
        ]
        self._memory = {
            name: self._levels(f"system_memory_{name}_bytes", meaning, unit="bytes")
            for name, meaning in (
                ("total", "Memory of the machine"),
                ("available", "Memory that programs can have without swapping; what caches can give back is in it"),
                ("used", "Total less available"),
            )
        }
        self._memory_ratio = self._levels("system_memory_usage_ratio", "Used by total", unit="ratio")
        self._swap = {
            name: self._levels(f"system_swap_{name}_bytes", meaning, unit="bytes")
            for name, meaning in (("total", "Swap space; 0 where there is none"), ("used", "Swap space in use"))
        }
        self._swap_ratio = self._levels(
            "system_swap_usage_ratio", "Used by total; absent where there is no swap", unit="ratio"
        )
        self._swap_io = self._totals(
            "system_swap_io_bytes_total",
            "Read back from swap (in) and written to it (out)",
            unit="bytes",
            labels=("direction",),
        )
        self._uptime = self._levels("system_uptime_seconds", "Since the kernel started", unit="seconds")
        self._processes = self._levels("system_processes", "Processes that this one can see")

    def _make_disks(self) -> None:
        labels = ("device", "direction")
        self._disk_bytes = self._totals(
            "system_disk_io_bytes_total", "Read from and written to a disk", unit="bytes", labels=labels
        )
        self._disk_operations = self._totals(
            "system_disk_io_operations_total", "Completed reads and writes", labels=labels
        )
        self._disk_seconds = self._totals(
            "system_disk_io_seconds_total",
            "Duration of all reads and writes added up: by their number it is the mean latency",
            unit="seconds",
            labels=labels,
        )
        self._disk_busy = self._totals(
            "system_disk_busy_seconds_total",
            "Time with at least one read or write under way: its rate is the disk's utilization",
            unit="seconds",
            labels=("device",),
        )

    def _make_network(self) -> None:
        self._network = {
            field: self._totals(f"system_network_{field}_total", meaning, unit=unit, labels=("interface", "direction"))
            for field, unit, meaning in (
                ("bytes", "bytes", "Received and transmitted by a network interface"),
                ("packets", "", "Packets received and transmitted"),
                ("errors", "", "Packets that were damaged or could not be transmitted"),
                ("drops", "", "Packets that were whole and were dropped, mostly for want of buffers"),
            )
        }

    # ------------------------------------------------------------------ readings

    def collect(self) -> None:
        """Read everything. Raises ReadingFailed where a part could not be read; the others are."""
        read_each(
            (
                ("CPU", self._read_cpu),
                ("load", self._read_load),
                ("memory", self._read_memory),
                ("swap", self._read_swap),
                ("disks", self._read_disks),
                ("network", self._read_network),
                ("uptime", self._read_uptime),
                ("processes", self._read_processes),
            )
        )

    def _read_cpu(self) -> None:
        times = self._psutil.cpu_times()._asdict()
        modes = {mode: seconds for mode, seconds in times.items() if mode not in _INSIDE_OTHERS}
        self._cpu_seconds.update({(mode,): seconds for mode, seconds in modes.items()})
        before, self._cpu_before = self._cpu_before, modes
        ratio = _busy(before, modes)
        if ratio is not None:
            self._cpu_ratio.update({(): ratio})
        self._cpus.update({(): float(self._psutil.cpu_count() or 1)})

    def _read_load(self) -> None:
        for levels, load in zip(self._loads, self._psutil.getloadavg(), strict=True):
            levels.update({(): load})

    def _read_memory(self) -> None:
        found = self._psutil.virtual_memory()
        used = found.total - found.available
        for name, value in (("total", found.total), ("available", found.available), ("used", used)):
            self._memory[name].update({(): value})
        self._memory_ratio.update({(): used / found.total})

    def _read_swap(self) -> None:
        found = self._psutil.swap_memory()
        self._swap["total"].update({(): found.total})
        self._swap["used"].update({(): found.used})
        self._swap_ratio.update({(): found.used / found.total} if found.total else {})
        self._swap_io.update({("in",): found.sin, ("out",): found.sout})

    def _read_disks(self) -> None:
        found = self._psutil.disk_io_counters(perdisk=True, nowrap=False) or {}
        disks = {device: counts for device, counts in found.items() if not is_stacked(device, found)}
        self._disk_bytes.update(_both(disks, "read_bytes", "write_bytes"))
        self._disk_operations.update(_both(disks, "read_count", "write_count"))
        milliseconds = _both(disks, "read_time", "write_time")
        self._disk_seconds.update({series: duration / 1000 for series, duration in milliseconds.items()})
        self._disk_busy.update(
            {(device,): counts.busy_time / 1000 for device, counts in disks.items() if hasattr(counts, "busy_time")}
        )

    def _read_network(self) -> None:
        found = self._psutil.net_io_counters(pernic=True, nowrap=False) or {}
        cards = {interface: counts for interface, counts in found.items() if not is_virtual(interface)}
        directions = ("receive", "transmit")
        self._network["bytes"].update(_both(cards, "bytes_recv", "bytes_sent", directions))
        self._network["packets"].update(_both(cards, "packets_recv", "packets_sent", directions))
        self._network["errors"].update(_both(cards, "errin", "errout", directions))
        self._network["drops"].update(_both(cards, "dropin", "dropout", directions))

    def _read_uptime(self) -> None:
        self._uptime.update({(): max(0.0, self._now() - self._psutil.boot_time())})

    def _read_processes(self) -> None:
        self._processes.update({(): float(len(self._psutil.pids()))})


def _busy(before: Mapping[str, float], now: Mapping[str, float]) -> float | None:
    """Part of the time between two readings in which CPUs were not idle, 0 to 1; None where no time has passed.

    A mode that went back counts as none: idle and iowait do, on Linux, by a tick or two.
    """
    passed = {mode: max(0.0, seconds - before.get(mode, seconds)) for mode, seconds in now.items()}
    total = sum(passed.values())
    return 1.0 - sum(passed.get(mode, 0.0) for mode in _WAITING) / total if total > 0 else None


def _both(
    things: Mapping[str, Any], first: str, second: str, directions: tuple[str, str] = ("read", "write")
) -> dict[Series, float]:
    """Two fields of each thing, as the two directions."""
    found: dict[Series, float] = {}
    for name, counts in things.items():
        found[(name, directions[0])] = getattr(counts, first)
        found[(name, directions[1])] = getattr(counts, second)
    return found

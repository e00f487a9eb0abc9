"""The host with the GPUs, as its collector would tell it. Its numbers are played, those of this host come besides."""

from __future__ import annotations

from monitoring.producers.demo.platform import Platform
from monitoring.producers.demo.stage import Story
from monitoring.producers.registry import Registry

__all__ = ["HOST", "MOUNT", "host"]

HOST, MOUNT = "gpu-1", "/var/models"
_COLLECT_SECONDS = 30.0
_CPUS = 32
_MEMORY, _DISK = 256 << 30, 2000 << 30
_FILLING = 0.38 / 3000
"""Of the disk that caches and logs take in a second of the story: with the checkpoints it is full within an hour."""
_FULL = 0.97


def host(platform: Platform, registry: Registry) -> Story:
    """Measures every 30 s, for ever."""
    random = platform.random("host")
    cpu = registry.gauge("system_cpu_usage_ratio", unit="ratio")
    count, load = registry.gauge("system_cpu_count"), registry.gauge("system_load1")
    memory = registry.gauge("system_memory_usage_ratio", unit="ratio")
    total = registry.gauge("system_memory_total_bytes", unit="bytes")
    mounts = ("mount", "device", "fstype")
    disk = registry.gauge("system_disk_usage_ratio", unit="ratio", labels=mounts)
    used = registry.gauge("system_disk_used_bytes", unit="bytes", labels=mounts)
    network = registry.counter("system_network_bytes_total", unit="bytes", labels=("interface", "direction"))
    where = {"mount": MOUNT, "device": "nvme1n1", "fstype": "ext4"}
    while True:
        busy = min(0.75, 0.12 + platform.traffic() / platform.rate * 0.2 + 0.2 * platform.training)
        busy += random.uniform(-0.03, 0.03)
        cpu.set(busy)
        count.set(_CPUS)
        load.set(busy * _CPUS * 1.1)
        memory.set(0.45 + 0.2 * platform.training + random.uniform(-0.01, 0.01))
        total.set(_MEMORY)
        disk.set(platform.disk, **where)
        used.set(platform.disk * _DISK, **where)
        for direction, each in (("receive", 9_000), ("transmit", 14_000)):
            network.inc(platform.traffic() * each * _COLLECT_SECONDS, interface="eth0", direction=direction)
        yield _COLLECT_SECONDS
        platform.disk = min(_FULL, platform.disk + _FILLING * _COLLECT_SECONDS * platform.speed)

"""File systems: how full they are.

The one source that can block for ever: `statvfs` waits for a server that is gone. So what is on a network, or made by
a program of some user, is left out, and `collectors.py` waits for the rest with a limit.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from monitoring.producers.collector import Collector, Series, read_each
from monitoring.producers.registry import Registry

__all__ = ["LOCAL_TYPES", "FileSystemCollector", "chosen"]

LOCAL_TYPES = frozenset(
    {
        *("ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "bcachefs", "f2fs", "jfs", "nilfs2", "reiserfs", "ufs"),
        *("apfs", "hfs"),
        *("exfat", "fuseblk", "msdos", "ntfs", "ntfs3", "vfat"),
    }
)
"""Types on a disk of this machine. Those not listed are made by the kernel (proc, tmpfs), always full (squashfs), or
elsewhere (nfs, cifs, sshfs), where the machine that has the disk watches it."""
_ROOT_TYPES = frozenset({"overlay"})
"""Types that count at `/` only: a container's root; on a host that runs containers they are theirs."""


def chosen(mounts: Iterable[Any], is_directory: Callable[[str], bool]) -> list[Any]:
    """The mounts to report: of local types, writable, and each device once, where it is mounted nearest to the root.

    Docker mounts single files (/etc/hosts); those are no place to look at.
    """
    found: dict[str, Any] = {}
    for mount in mounts:
        if mount.fstype not in LOCAL_TYPES and not (mount.fstype in _ROOT_TYPES and mount.mountpoint == "/"):
            continue
        if "ro" in mount.opts.split(","):
            continue  # it cannot become fuller
        before = found.get(mount.device)
        if before is not None and len(before.mountpoint) <= len(mount.mountpoint):
            continue
        if is_directory(mount.mountpoint):
            found[mount.device] = mount
    return list(found.values())


class FileSystemCollector(Collector):
    """Reads what each mounted file system says of itself. `psutil` is that module, or recorded data."""

    def __init__(
        self,
        registry: Registry,
        psutil: Any,
        *,
        statvfs: Callable[[str], os.statvfs_result] = os.statvfs,
        is_directory: Callable[[str], bool] = lambda mount: Path(mount).is_dir(),
    ) -> None:
        super().__init__(registry)
        self._psutil = psutil
        self._statvfs = statvfs
        self._is_directory = is_directory
        labels = ("mount", "device", "fstype")
        self._bytes = {
            name: self._levels(f"system_disk_{name}_bytes", meaning, unit="bytes", labels=labels)
            for name, meaning in (
                ("total", "Size of a file system"),
                ("used", "In use"),
                ("available", "Free for programs that are not root's"),
            )
        }
        self._ratio = self._levels(
            "system_disk_usage_ratio",
            "Used by used plus available, as df counts: at 1 programs get no more",
            unit="ratio",
            labels=labels,
        )
        self._inodes = self._levels(
            "system_disk_inodes_usage_ratio",
            "Used by all inodes: at 1 no file can be made; absent where they are made as needed",
            unit="ratio",
            labels=labels,
        )

    def collect(self) -> None:
        """Read everything. Raises ReadingFailed where one could not be read; the others are."""
        found: dict[Series, os.statvfs_result] = {}
        mounts = chosen(self._psutil.disk_partitions(all=True), self._is_directory)
        try:
            read_each((mount.mountpoint, partial(self._read, mount, found)) for mount in mounts)
        finally:
            self._show(found)

    def _read(self, mount: Any, found: dict[Series, os.statvfs_result]) -> None:
        try:
            stat = self._statvfs(mount.mountpoint)
        except (FileNotFoundError, PermissionError):
            return  # unmounted since it was listed, or not ours to look at
        if stat.f_blocks:
            found[(mount.mountpoint, mount.device, mount.fstype)] = stat

    def _show(self, found: dict[Series, os.statvfs_result]) -> None:
        used = {series: (stat.f_blocks - stat.f_bfree) * stat.f_frsize for series, stat in found.items()}
        available = {series: stat.f_bavail * stat.f_frsize for series, stat in found.items()}
        self._bytes["total"].update({series: stat.f_blocks * stat.f_frsize for series, stat in found.items()})
        self._bytes["used"].update(used)
        self._bytes["available"].update(available)
        self._ratio.update(
            {
                series: used[series] / (used[series] + available[series])
                for series in found
                if used[series] + available[series] > 0
            }
        )
        self._inodes.update(
            {series: 1.0 - stat.f_ffree / stat.f_files for series, stat in found.items() if stat.f_files}
        )

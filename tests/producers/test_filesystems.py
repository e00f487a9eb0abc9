"""How full file systems are: those that are this machine's to watch, each once, and none that could hang."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from monitoring.producers.collector import ReadingFailed
from monitoring.producers.filesystems import FileSystemCollector, chosen
from monitoring.producers.registry import Registry
from tests.producers.machine import Machine
from tests.producers.shown import shown

STATVFS = os.statvfs("/")


def stat(**fields: int) -> os.statvfs_result:
    """A file system of 1000 blocks of 4 KiB; ten for root alone."""
    numbers = {
        "f_bsize": 4096, "f_frsize": 4096, "f_blocks": 1000, "f_bfree": 400, "f_bavail": 390, "f_files": 100,
        "f_ffree": 25, "f_favail": 25, "f_flag": 0, "f_namemax": 255, **fields,
    }  # fmt: skip
    return os.statvfs_result(tuple(numbers.values()))


def mount(line: str) -> SimpleNamespace:
    device, mountpoint, fstype, opts = line.split()
    return SimpleNamespace(device=device, mountpoint=mountpoint, fstype=fstype, opts=opts)


class Mounts:
    """psutil with these mounts, a line each as in /proc/mounts."""

    def __init__(self, *lines: str) -> None:
        self.lines = list(lines)

    def disk_partitions(self, *, all: bool) -> list[SimpleNamespace]:  # noqa: A002 - psutil's name
        assert all
        return [mount(line) for line in self.lines]


def collector(registry: Registry, psutil: object, statvfs: Callable[[str], os.statvfs_result]) -> FileSystemCollector:
    return FileSystemCollector(registry, psutil, statvfs=statvfs, is_directory=lambda path: True)


def test_of_a_busy_server_only_its_own_disks_are_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(tmp_path)
    machine.write()
    monkeypatch.setattr(psutil, "PROCFS_PATH", str(tmp_path))
    asked: list[str] = []

    def statvfs(path: str) -> os.statvfs_result:
        asked.append(path)
        return stat()

    registry = Registry()
    collector(registry, psutil, statvfs).collect()
    assert sorted(asked) == ["/", "/srv/same"], "no network, no FUSE, no loop device, no kernel's own, none twice"
    series = ("/", "/dev/nvme0n1p1", "ext4")
    found = shown(registry)
    assert found["system_disk_total_bytes"][series] == 4_096_000
    assert found["system_disk_used_bytes"][series] == 600 * 4096
    assert found["system_disk_available_bytes"][series] == 390 * 4096
    assert found["system_disk_usage_ratio"][series] == pytest.approx(600 / 990)
    assert found["system_disk_inodes_usage_ratio"][series] == 0.75


def picked(*lines: str, directories: bool = True) -> list[str]:
    return [each.mountpoint for each in chosen(map(mount, lines), lambda path: directories)]


def test_a_containers_root_is_watched_and_the_files_that_are_mounted_into_it_are_not() -> None:
    lines = ["overlay / overlay rw", "/dev/vda1 /etc/hosts ext4 rw", "/dev/vda1 /data ext4 rw", "tmpfs /dev tmpfs rw"]
    found = chosen(map(mount, lines), lambda path: path != "/etc/hosts")
    assert [each.mountpoint for each in found] == ["/", "/data"]


def test_what_cannot_become_fuller_is_not_watched() -> None:
    assert picked("/dev/vdb /mnt/image ext4 ro,relatime") == []


def test_a_network_file_system_is_not_even_looked_at() -> None:
    def look(path: str) -> bool:
        raise AssertionError(path)

    lines = ["far:/x /mnt/a nfs rw", "//far/x /mnt/b cifs rw", "x /mnt/c fuse.s3fs rw", "x /mnt/d autofs rw", "x /mnt/e lustre rw", "x /mnt/f 9p rw"]  # fmt: skip # noqa: E501
    assert chosen(map(mount, lines), look) == []


def test_a_file_system_that_is_gone_or_not_ours_is_left_out_and_a_broken_one_is_told() -> None:
    errors = {"/gone": FileNotFoundError(), "/theirs": PermissionError(), "/broken": OSError(5, "Input/output error")}

    def statvfs(path: str) -> os.statvfs_result:
        if path in errors:
            raise errors[path]
        return stat()

    mounts = Mounts(*(f"/dev/{name} /{name} ext4 rw" for name in ("gone", "theirs", "broken", "fine")))
    registry = Registry()
    with pytest.raises(ReadingFailed, match=r"^/broken: OSError"):
        collector(registry, mounts, statvfs).collect()
    assert list(shown(registry)["system_disk_usage_ratio"]) == [("/fine", "/dev/fine", "ext4")]


def test_a_file_system_that_was_unmounted_is_not_shown_any_more() -> None:
    mounts = Mounts("/dev/a / ext4 rw", "/dev/b /b ext4 rw")
    registry = Registry()
    made = collector(registry, mounts, lambda path: stat())
    made.collect()
    del mounts.lines[1]
    made.collect()
    assert all(len(series) == 1 for series in shown(registry).values())


def test_without_blocks_or_inodes_there_is_no_part_of_them_in_use() -> None:
    registry = Registry()
    made = collector(registry, Mounts("a /a btrfs rw"), lambda path: stat(f_files=0, f_ffree=0))
    made.collect()
    assert "system_disk_inodes_usage_ratio" not in shown(registry)
    made = collector(registry, Mounts("b /b btrfs rw"), lambda path: stat(f_blocks=0))
    made.collect()
    assert ("/b", "b", "btrfs") not in shown(registry)["system_disk_usage_ratio"]


def test_on_this_machine_it_agrees_with_what_python_says_of_the_same_place() -> None:
    registry = Registry()
    FileSystemCollector(registry, psutil).collect()
    found = shown(registry)
    for series, size in found.get("system_disk_total_bytes", {}).items():
        usage = shutil.disk_usage(series[0])
        assert size == usage.total
        assert found["system_disk_used_bytes"][series] == pytest.approx(usage.used, rel=0.02, abs=64 << 20)
        assert 0 <= found["system_disk_usage_ratio"][series] <= 1

"""The host collector: on a recorded machine to the digit, on this one within reason."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.producers.collector import ReadingFailed
from monitoring.producers.registry import Registry
from monitoring.producers.system import SystemCollector, is_stacked, is_virtual
from tests.producers.machine import MIB, Machine
from tests.producers.shown import shown, value


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Recorded, and what psutil reads while the test runs."""
    made = Machine(tmp_path / "proc")
    made.write()
    monkeypatch.setattr(psutil, "PROCFS_PATH", str(made.root))
    return made


class Sampled:
    """A collector of a recorded machine that was sampled once."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.registry = Registry()
        self.collector = SystemCollector(self.registry, psutil, now=lambda: float(machine.booted + 3600))
        self.collector.collect()

    def again(self) -> dict[str, dict[tuple[str, ...], float]]:
        self.machine.write()
        self.collector.collect()
        return shown(self.registry)


@pytest.fixture
def sampled(machine: Machine) -> Sampled:
    return Sampled(machine)


# a recorded machine


def test_cpu_usage_is_the_part_of_the_time_that_was_not_idle_between_two_samples(sampled: Sampled) -> None:
    assert "system_cpu_usage_ratio" not in shown(sampled.registry), "one sample tells nothing of it"
    for mode, ticks in ((0, 60), (2, 20), (3, 15), (4, 5)):
        sampled.machine.cpu[mode] += ticks
    found = sampled.again()
    assert found["system_cpu_usage_ratio"] == {(): pytest.approx(0.8)}
    seconds = found["system_cpu_seconds_total"]
    assert seconds[("user",)] == pytest.approx(0.6)
    assert seconds[("idle",)] == pytest.approx(0.15)
    assert sum(seconds.values()) == pytest.approx(1.0), "all the time there was"


def test_the_time_of_virtual_machines_is_counted_once(sampled: Sampled) -> None:
    sampled.machine.cpu[0] += 50
    sampled.machine.cpu[8] += 50  # guest, which is within user
    sampled.machine.cpu[3] += 50
    found = sampled.again()
    assert found["system_cpu_usage_ratio"] == {(): pytest.approx(0.5)}
    assert ("guest",) not in found["system_cpu_seconds_total"]


def test_waiting_for_a_disk_is_not_using_the_cpu(sampled: Sampled) -> None:
    sampled.machine.cpu[4] += 100
    assert sampled.again()["system_cpu_usage_ratio"] == {(): 0.0}


def test_idle_time_that_steps_back_breaks_nothing(sampled: Sampled) -> None:
    sampled.machine.cpu[0] += 10
    sampled.machine.cpu[3] -= 2
    found = sampled.again()
    assert found["system_cpu_usage_ratio"] == {(): 1.0}
    assert found["system_cpu_seconds_total"][("idle",)] == 0.0


def test_memory_in_use_is_what_is_not_available(sampled: Sampled) -> None:
    assert value(sampled.registry, "system_memory_total_bytes") == 16_384 * MIB
    assert value(sampled.registry, "system_memory_available_bytes") == 4_096 * MIB
    assert value(sampled.registry, "system_memory_used_bytes") == 12_288 * MIB
    assert value(sampled.registry, "system_memory_usage_ratio") == 0.75


def test_swap_is_told_with_what_went_in_and_out(sampled: Sampled) -> None:
    assert value(sampled.registry, "system_swap_total_bytes") == 2_048 * MIB
    assert value(sampled.registry, "system_swap_usage_ratio") == 0.25
    sampled.machine.swap_pages = [103, 201]
    found = sampled.again()
    assert found["system_swap_io_bytes_total"] == {("in",): 3 * 4096.0, ("out",): 4096.0}


def test_without_swap_there_is_no_part_of_it_in_use(sampled: Sampled) -> None:
    sampled.machine.memory |= {"SwapTotal": 0, "SwapFree": 0}
    found = sampled.again()
    assert found["system_swap_total_bytes"] == {(): 0}
    assert "system_swap_usage_ratio" not in found


def test_disk_traffic_is_that_of_whole_disks_by_difference(sampled: Sampled) -> None:
    disk = sampled.machine.disks["nvme0n1"]
    sampled.machine.disks["nvme0n1"] = [disk[0] + 4, disk[1] + 16, disk[2] + 20, disk[3] + 5, disk[4] + 24, disk[5] + 30, disk[6] + 25]  # fmt: skip # noqa: E501
    found = sampled.again()
    assert {device for device, _ in found["system_disk_io_bytes_total"]} == {"nvme0n1", "sda"}
    assert found["system_disk_io_bytes_total"][("nvme0n1", "read")] == 16 * 512
    assert found["system_disk_io_bytes_total"][("nvme0n1", "write")] == 24 * 512
    assert found["system_disk_io_operations_total"][("nvme0n1", "read")] == 4
    assert found["system_disk_io_seconds_total"][("nvme0n1", "write")] == pytest.approx(0.03)
    assert found["system_disk_busy_seconds_total"][("nvme0n1",)] == pytest.approx(0.025)
    assert found["system_disk_io_bytes_total"][("sda", "read")] == 0


def test_network_traffic_is_that_of_the_hosts_own_interfaces_by_difference(sampled: Sampled) -> None:
    sampled.machine.network["eth0"] = [1_000_500, 1_002, 2, 5, 500_100, 801, 3, 9]
    found = sampled.again()
    for field, received, transmitted in (("bytes", 500, 100), ("packets", 2, 1), ("errors", 1, 0), ("drops", 3, 5)):
        assert found[f"system_network_{field}_total"] == {
            ("eth0", "receive"): received,
            ("eth0", "transmit"): transmitted,
        }


def test_an_interface_that_was_reset_begins_anew_and_loses_nothing_that_was_counted(sampled: Sampled) -> None:
    sampled.machine.network["eth0"][0] += 1000
    sampled.again()
    sampled.machine.network["eth0"][0] = 50
    assert sampled.again()["system_network_bytes_total"][("eth0", "receive")] == 1000
    sampled.machine.network["eth0"][0] = 80
    assert sampled.again()["system_network_bytes_total"][("eth0", "receive")] == 1030


def test_a_disk_that_was_pulled_and_plugged_in_again_begins_anew(sampled: Sampled) -> None:
    pulled = {name: sampled.machine.disks.pop(name) for name in ("sda", "sda1")}
    sampled.again()
    sampled.machine.disks |= pulled
    sampled.machine.disks["sda"][0] += 1_000_000
    assert sampled.again()["system_disk_io_operations_total"][("sda", "read")] == 0


def test_processes_and_uptime_are_told(sampled: Sampled) -> None:
    assert value(sampled.registry, "system_processes") == 4
    assert value(sampled.registry, "system_uptime_seconds") == 3600


def test_a_part_that_cannot_be_read_is_named_and_the_others_are_read(sampled: Sampled) -> None:
    (sampled.machine.root / "meminfo").unlink()
    sampled.machine.cpu[0] += 100
    (sampled.machine.root / "stat").write_text(f"cpu  {' '.join(map(str, sampled.machine.cpu))}\nbtime 1\n")
    with pytest.raises(ReadingFailed, match=r"memory: FileNotFoundError.*swap: FileNotFoundError"):
        sampled.collector.collect()
    assert value(sampled.registry, "system_cpu_usage_ratio") == 1.0


@given(st.lists(st.lists(st.integers(0, 10**9), min_size=10, max_size=10), min_size=2, max_size=6))
def test_whatever_the_kernel_counts_the_ratio_is_one_and_no_counter_goes_down(history: list[list[int]]) -> None:
    fields = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal", "guest", "guest_nice")
    current: dict[str, int] = {}

    class Counts(Faked):
        def cpu_times(self) -> Any:
            return self.reading(current)

    registry = Registry()
    collector = SystemCollector(registry, Counts())
    before: dict[tuple[str, ...], float] = {}
    for ticks in history:
        current = dict(zip(fields, ticks, strict=True))
        collector.collect()
        found = shown(registry)
        now = found["system_cpu_seconds_total"]
        assert all(now[series] >= total for series, total in before.items())
        assert all(0 <= ratio <= 1 for ratio in found.get("system_cpu_usage_ratio", {}).values())
        before = now


class Faked:
    """psutil with nothing in it but what a test adds."""

    class _Reading(dict[str, Any]):
        def _asdict(self) -> dict[str, Any]:
            return dict(self)

        def __getattr__(self, name: str) -> Any:
            return self[name]

    def reading(self, values: dict[str, Any]) -> Any:
        return self._Reading(values)

    def cpu_count(self) -> int | None:
        return None

    def getloadavg(self) -> tuple[float, float, float]:
        return (0.0, 0.0, 0.0)

    def virtual_memory(self) -> Any:
        return self.reading({"total": 1, "available": 1})

    def swap_memory(self) -> Any:
        return self.reading({"total": 0, "used": 0, "sin": 0, "sout": 0})

    def disk_io_counters(self, **options: Any) -> Any:
        return None  # what psutil says where there are no disks

    def net_io_counters(self, **options: Any) -> Any:
        return {}

    def boot_time(self) -> float:
        return 0.0

    def pids(self) -> list[int]:
        return []


# names


@pytest.mark.parametrize(
    ("device", "stacked"),
    [
        ("sda", False), ("sda1", True), ("sdaa", False), ("sdaa10", True), ("nvme0n1", False), ("nvme0n1p1", True),
        ("nvme1n1", False), ("mmcblk0", False), ("mmcblk0p2", True), ("vda", False), ("xvdb1", False), ("dm-3", True),
        ("md0", True), ("md127", True), ("loop7", True), ("zram0", True), ("ram15", True), ("sr0", True),
        ("fd0", True), ("disk0", False),
    ],
)  # fmt: skip
def test_a_disk_is_told_from_what_is_made_of_disks(device: str, stacked: bool) -> None:
    present = {"sda", "sdaa", "nvme0n1", "nvme1n1", "mmcblk0", "vda", "disk0", device}
    assert is_stacked(device, present) is stacked


@pytest.mark.parametrize(
    ("interface", "virtual"),
    [
        ("lo", True), ("lo0", True), ("veth12ab", True), ("docker0", True), ("docker_gwbridge", True), ("br-1f", True),
        ("br0", True), ("virbr0", True), ("vnet3", True), ("cni0", True), ("cali0f", True), ("flannel.1", True),
        ("eth0", False), ("ens5", False), ("enp3s0", False), ("wlan0", False), ("wlp2s0", False), ("bond0", False),
        ("en0", False), ("ib0", False), ("wg0", False), ("lan1", False), ("brcm0", False),
    ],
)  # fmt: skip
def test_an_interface_is_told_from_those_that_only_pass_on(interface: str, virtual: bool) -> None:
    assert is_virtual(interface) is virtual


def test_the_page_names_what_is_left_out() -> None:
    page = (Path(__file__).parents[2] / "docs" / "collectors.md").read_text()
    left_out = page.partition("## What is left out")[2].partition("## ")[0]
    disks, interfaces, _ = left_out.split("- **")[1:]
    for pattern in re.findall(r"`([a-z-]+)\*`", interfaces):
        assert is_virtual(f"{pattern}0"), pattern
    for pattern in re.findall(r"`([a-z-]+)\*`", disks):
        assert is_stacked(f"{pattern}0", ()), pattern


# this machine


@pytest.fixture
def here() -> Iterator[tuple[Registry, SystemCollector]]:
    registry = Registry()
    collector = SystemCollector(registry, psutil)
    collector.collect()
    yield registry, collector


def test_on_this_machine_everything_is_within_sane_ranges(here: tuple[Registry, SystemCollector]) -> None:
    registry, collector = here
    ends = time.monotonic() + 20
    while "system_cpu_usage_ratio" not in shown(registry):  # two samples within a tick tell nothing
        assert time.monotonic() < ends
        collector.collect()
    found = shown(registry)
    for name, series in found.items():
        for labels, number in series.items():
            assert number >= 0, (name, labels)
            assert not name.endswith("_ratio") or number <= 1, (name, labels)
    assert found["system_memory_total_bytes"][()] == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert found["system_memory_used_bytes"][()] < found["system_memory_total_bytes"][()]
    assert found["system_processes"][()] >= 1
    assert found["system_cpu_count"] == {(): os.cpu_count()}
    assert 0 < found["system_uptime_seconds"][()] < 10 * 365 * 86_400
    assert not {interface for interface, _ in found.get("system_network_bytes_total", {})} & {"lo"}


def test_on_this_machine_work_shows_as_cpu_time(here: tuple[Registry, SystemCollector]) -> None:
    registry, collector = here
    began = time.process_time()
    while time.process_time() - began < 0.2:
        sum(range(10_000))
    collector.collect()
    seconds = shown(registry)["system_cpu_seconds_total"]
    assert sum(number for (mode,), number in seconds.items() if mode not in ("idle", "iowait")) >= 0.1

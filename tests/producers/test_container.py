"""What limits a container: read from recorded cgroup files, as kernels lay them out."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from monitoring.producers.collector import NothingToRead
from monitoring.producers.container import ContainerCollector
from monitoring.producers.registry import Registry
from tests.producers.shown import shown, value

MIB = 1 << 20


class Container:
    """A cgroup directory, a clock, and the collector that reads them."""

    def __init__(self, root: Path, **files: str) -> None:
        self.root = root
        self.seconds = 100.0
        self.registry = Registry()
        self.collector = ContainerCollector(self.registry, cgroup=root, clock=lambda: self.seconds)
        self.sample(**files)

    def sample(self, **files: str) -> dict[str, dict[tuple[str, ...], float]]:
        for name, text in files.items():
            (self.root / name.replace("_", ".", 1)).write_text(text + "\n")
        self.collector.collect()
        return shown(self.registry)


def limited(root: Path) -> Container:
    return Container(
        root,
        memory_current=str(900 * MIB),
        memory_stat=f"anon {500 * MIB}\nfile {400 * MIB}\ninactive_file {300 * MIB}",
        memory_max=str(800 * MIB),
        memory_events="low 0\nhigh 0\nmax 7\noom 1\noom_kill 1",
        cpu_max="150000 100000",
        cpu_stat="usage_usec 5000000\nuser_usec 4000000\nsystem_usec 1000000\nnr_throttled 3\nthrottled_usec 200000",
    )


def test_memory_is_told_by_the_limit_without_what_can_be_given_back(tmp_path: Path) -> None:
    container = limited(tmp_path)
    assert value(container.registry, "container_memory_working_set_bytes") == 600 * MIB
    assert value(container.registry, "container_memory_limit_bytes") == 800 * MIB
    assert value(container.registry, "container_memory_usage_ratio") == 0.75


def test_cpu_is_told_by_what_the_limit_allowed_since_the_sample_before(tmp_path: Path) -> None:
    container = limited(tmp_path)
    assert "container_cpu_usage_ratio" not in shown(container.registry), "one sample tells nothing of it"
    container.seconds += 10
    found = container.sample(
        cpu_stat="usage_usec 17000000\nuser_usec 14000000\nsystem_usec 3000000\nthrottled_usec 700000"
    )
    assert found["container_cpu_limit_cores"] == {(): 1.5}
    assert found["container_cpu_usage_ratio"] == {(): pytest.approx(12 / 15)}
    assert found["container_cpu_seconds_total"] == {("user",): pytest.approx(10), ("system",): pytest.approx(2)}
    assert found["container_cpu_throttled_seconds_total"] == {(): pytest.approx(0.5)}


def test_processes_that_were_killed_for_memory_are_counted(tmp_path: Path) -> None:
    container = limited(tmp_path)
    assert container.sample(memory_events="oom_kill 3")["container_oom_kills_total"] == {(): 2}


def test_without_limits_there_is_use_and_no_part_of_a_limit(tmp_path: Path) -> None:
    container = limited(tmp_path)
    container.seconds += 1
    found = container.sample(memory_max="max", cpu_max="max 100000")
    assert found["container_memory_working_set_bytes"] == {(): 600 * MIB}
    assert "container_cpu_seconds_total" in found
    assert not {name for name in found if name.endswith(("_ratio", "limit_bytes", "limit_cores"))}


def test_a_limit_that_is_changed_shows_at_the_next_sample(tmp_path: Path) -> None:
    assert limited(tmp_path).sample(memory_max=str(1200 * MIB))["container_memory_usage_ratio"] == {(): 0.5}


@pytest.mark.parametrize("files", [{}, {"cpu_stat": "usage_usec 1", "memory_stat": "anon 1"}])
def test_on_a_host_there_is_nothing_to_tell(tmp_path: Path, files: dict[str, str]) -> None:
    """The root of cgroup v2 has statistics and no limits; that of v1 has neither."""
    with pytest.raises(NothingToRead):
        Container(tmp_path, **files)


def test_this_machine_is_read_whatever_it_is() -> None:
    registry = Registry()
    with suppress(NothingToRead):
        ContainerCollector(registry).collect()
    assert all(number >= 0 for series in shown(registry).values() for number in series.values())

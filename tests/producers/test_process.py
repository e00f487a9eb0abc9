"""The process collector: with nothing installed, it says what psutil says."""

from __future__ import annotations

import gc
import os
import resource
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from monitoring.producers.collector import ReadingFailed
from monitoring.producers.process import ProcessCollector
from monitoring.producers.registry import Registry
from tests.producers.shown import shown, value

MIB = 1 << 20
PAGE = resource.getpagesize()
RECORDED = (
    b"4242 (a (strange) name) S 1 4242 4242 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 7 0 123456 104857600 2560 "
    b"18446744073709551615 1 1 0 0 0 0 0 16781312 134235650 0 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n"
)


def test_it_agrees_with_psutil_without_it() -> None:
    registry = Registry()
    collector = ProcessCollector(registry)
    theirs = psutil.Process()
    gc.collect()  # what other tests of this process left open is closed now, and not in between
    before = theirs.num_fds()
    collector.collect()
    memory = theirs.memory_info()
    assert value(registry, "process_resident_memory_bytes") == pytest.approx(memory.rss, abs=8 * MIB)
    assert value(registry, "process_virtual_memory_bytes") == pytest.approx(memory.vms, abs=64 * MIB)
    assert value(registry, "process_threads") == theirs.num_threads()
    fewest, most = sorted((before, theirs.num_fds()))
    assert fewest - 2 <= value(registry, "process_open_fds") <= most + 2
    assert value(registry, "process_max_fds") == theirs.rlimit(psutil.RLIMIT_NOFILE)[0]
    assert value(registry, "process_start_time_seconds") == pytest.approx(theirs.create_time(), abs=2)
    assert value(registry, "process_count") == 1


def test_cpu_time_gains_what_the_process_uses() -> None:
    registry = Registry()
    collector = ProcessCollector(registry)
    before = time.process_time()
    collector.collect()
    assert value(registry, "process_cpu_seconds_total") == 0, "what was before is not ours to report"
    while time.process_time() - before < 0.1:
        sum(range(10_000))
    collector.collect()
    assert 0.05 <= value(registry, "process_cpu_seconds_total") <= time.process_time() - before


def test_threads_and_files_that_are_opened_show() -> None:
    registry = Registry()
    collector = ProcessCollector(registry)
    collector.collect()
    threads, files = value(registry, "process_threads"), value(registry, "process_open_fds")
    done = threading.Event()
    started = [threading.Thread(target=done.wait) for _ in range(5)]
    for thread in started:
        thread.start()
    opened = [os.open("/dev/null", os.O_RDONLY) for _ in range(20)]
    collector.collect()
    done.set()
    for handle in opened:
        os.close(handle)
    for thread in started:
        thread.join()
    assert value(registry, "process_threads") == threads + 5
    assert value(registry, "process_open_fds") == files + 20


def test_runs_of_the_garbage_collector_are_counted_by_generation() -> None:
    registry = Registry()
    collector = ProcessCollector(registry)
    collector.collect()
    for _ in range(3):
        cycle: list[object] = []
        cycle.append(cycle)
        del cycle
        gc.collect()
    collector.collect()
    found = shown(registry)
    assert found["python_gc_collections_total"][("2",)] >= 3
    assert found["python_gc_objects_collected_total"][("2",)] >= 3
    assert set(found["python_gc_collections_total"]) == {("0",), ("1",), ("2",)}


def test_it_says_which_python() -> None:
    registry = Registry()
    ProcessCollector(registry).collect()
    version = ".".join(map(str, sys.version_info[:3]))
    assert shown(registry)["python_info"] == {(sys.implementation.name, version): 1}


# recorded


def recorded(root: Path, stat: bytes = RECORDED) -> Path:
    (root / "self" / "fd").mkdir(parents=True)
    (root / "self" / "stat").write_bytes(stat)
    return root


def test_a_recorded_process_is_read_to_the_digit_whatever_its_name(tmp_path: Path) -> None:
    registry = Registry()
    clocks = {"now": lambda: 1_790_000_000.0, "uptime": lambda: 5_000.0}
    ProcessCollector(registry, proc=recorded(tmp_path), **clocks).collect()
    assert value(registry, "process_virtual_memory_bytes") == 104_857_600
    assert value(registry, "process_resident_memory_bytes") == 2560 * PAGE
    assert value(registry, "process_threads") == 7
    began = 123_456 / os.sysconf("SC_CLK_TCK")
    assert value(registry, "process_start_time_seconds") == pytest.approx(1_789_995_000 + began)


def test_what_cannot_be_understood_is_told_and_the_rest_is_read(tmp_path: Path) -> None:
    registry = Registry()
    with pytest.raises(ReadingFailed, match=r"^memory: "):
        ProcessCollector(registry, proc=recorded(tmp_path, b"nonsense")).collect()
    assert "python_info" in shown(registry)


def test_without_proc_memory_comes_from_psutil_and_without_that_it_is_absent(tmp_path: Path) -> None:
    theirs = SimpleNamespace(
        memory_info=lambda: SimpleNamespace(rss=5, vms=6), num_threads=lambda: 3, create_time=lambda: 7.0
    )
    registry = Registry()
    ProcessCollector(registry, SimpleNamespace(Process=lambda: theirs), proc=tmp_path).collect()
    assert value(registry, "process_resident_memory_bytes") == 5
    assert value(registry, "process_start_time_seconds") == 7
    registry = Registry()
    ProcessCollector(registry, proc=tmp_path).collect()
    assert "process_resident_memory_bytes" not in shown(registry)
    assert value(registry, "process_threads") == threading.active_count()
    assert value(registry, "process_open_fds") > 2


# forks and installations


def test_a_forked_child_has_used_no_cpu_and_inherits_no_collections() -> None:
    used = 5.0
    registry = Registry()
    collector = ProcessCollector(registry, cpu_seconds=lambda: used)
    collector.collect()
    used = 9.0
    collector.collect()
    used = 0.25  # what the kernel says in the child
    gc.collect()  # the parent's, between its last sample and the fork
    collections = value(registry, "python_gc_collections_total", "2")
    collector.renew_after_fork()
    collector.collect()
    assert value(registry, "process_cpu_seconds_total") == 4.25
    assert value(registry, "python_gc_collections_total", "2") == collections


def test_it_works_where_psutil_cannot_be_imported() -> None:
    program = (
        "import sys; sys.modules['psutil'] = None\n"
        "from monitoring.pipeline.settings import load\n"
        "from monitoring.producers.collectors import collectors_from\n"
        "from monitoring.producers.registry import Registry\n"
        "from monitoring.producers.trouble import Trouble\n"
        "from tests.producers.shown import value\n"
        "registry, trouble = Registry(), Trouble()\n"
        "collectors_from(load({'MONITORING_COLLECTORS': 'process'}), registry, trouble).collect()\n"
        "assert value(registry, 'process_resident_memory_bytes') > 1e6\n"
        "assert not trouble.counts, trouble.counts\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")

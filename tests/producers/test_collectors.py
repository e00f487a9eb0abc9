"""The collectors together: which are chosen, that each fails alone, and that a host is measured by one process."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from monitoring.pipeline.settings import Settings, load
from monitoring.producers.bounded import Bounded
from monitoring.producers.collectors import Collectors, collectors_from
from monitoring.producers.host_lock import HostLock, default_path
from monitoring.producers.registry import Registry
from monitoring.producers.trouble import QUIET_SECONDS, Trouble
from tests.producers.shown import sent, shown

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def own_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory of this test's own for the lock: others measure this host meanwhile."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


class Told:
    """Trouble that a test can read, and a clock that it can turn."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.seconds = 0.0
        self.trouble = Trouble(write=self.lines.append, clock=lambda: self.seconds)

    @property
    def text(self) -> str:
        return "".join(self.lines)


@pytest.fixture
def told() -> Told:
    return Told()


def settings(collectors: str | None = None) -> Settings:
    return load({} if collectors is None else {"MONITORING_COLLECTORS": collectors})


def prefixes(registry: Registry) -> set[str]:
    """First words of the metrics that have something to send; Python's own come with those of the process."""
    return {name.partition("_")[0] for name in sent(registry)} - {"monitoring", "python"}


# chosen


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("process", {"process"}),
        ("system", {"system"}),
        (" System , PROCESS ", {"system", "process"}),
        ("none", set()),
        (None, {"system", "process"}),
    ],
)
def test_those_are_measured_that_are_named(names: str | None, expected: set[str], told: Told) -> None:
    registry = Registry()
    collectors_from(settings(names), registry, told.trouble).collect()
    assert prefixes(registry) - {"container", "gpu"} == expected
    assert told.lines == []


def test_an_unknown_name_is_told_with_the_nearest_and_all_there_are_and_the_others_work(told: Told) -> None:
    registry = Registry()
    collectors_from(settings("sytem,process"), registry, told.trouble).collect()
    assert "'sytem'" in told.text
    assert "did you mean system?" in told.text
    assert "process, system, gpu" in told.text
    assert prefixes(registry) == {"process"}


def test_what_is_told_once_waits_for_the_minute_in_which_something_else_was_told(told: Told) -> None:
    told.trouble.say("the bus is away")
    collectors = collectors_from(settings("sytem"), Registry(), told.trouble)
    collectors.collect()
    assert "sytem" not in told.text
    told.seconds += QUIET_SECONDS
    collectors.collect()
    told.seconds += QUIET_SECONDS
    collectors.collect()
    assert told.text.count("sytem") == 1


# each alone


def broken(monkeypatch: pytest.MonkeyPatch, name: str, work: Callable[[object], None]) -> None:
    monkeypatch.setattr(f"monitoring.producers.collectors.{name}.collect", work)


def test_one_that_fails_is_counted_and_told_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch, told: Told) -> None:
    def fail(collector: object) -> None:
        raise OSError("no such thing")

    broken(monkeypatch, "SystemCollector", fail)
    registry = Registry()
    collectors = collectors_from(settings("process,system"), registry, told.trouble)
    for _ in range(3):
        collectors.collect()
    found = shown(registry)
    assert found["monitoring_collector_failures_total"] == {("system",): 3}
    assert told.trouble.counts == {"collector": 3}
    assert "the collector system failed: OSError: no such thing" in told.text
    assert {"process_count", "system_disk_total_bytes"} <= set(found), "in front of it and behind it"


def test_one_that_fails_for_long_is_told_less_and_less_often_until_it_worked_again(
    monkeypatch: pytest.MonkeyPatch, told: Told
) -> None:
    works = False

    def collect(collector: object) -> None:
        if not works:
            raise OSError("gone")

    broken(monkeypatch, "ProcessCollector", collect)
    collectors = collectors_from(settings("process"), Registry(), told.trouble)

    def rounds(number: int) -> int:
        before = len(told.lines)
        for _ in range(number):
            told.seconds += QUIET_SECONDS
            collectors.collect()
        return len(told.lines) - before

    assert rounds(100) == 7, "1, 2, 4, 8, 16, 32, 64"
    assert "64 times in a row" in told.text
    works = True
    assert rounds(1) == 0
    works = False
    assert rounds(1) == 1


def test_without_psutil_the_host_is_not_measured_and_what_to_install_is_told_once(
    monkeypatch: pytest.MonkeyPatch, told: Told
) -> None:
    monkeypatch.setitem(sys.modules, "psutil", None)
    registry = Registry()
    collectors = collectors_from(settings(), registry, told.trouble)
    for _ in range(5):
        told.seconds += QUIET_SECONDS
        collectors.collect()
    assert len(told.lines) == 1
    assert "pip install 'monitoring-pipeline[system]'" in told.text
    assert prefixes(registry) - {"container"} == {"process"}
    assert "monitoring_collector_failures_total" not in shown(registry)


@pytest.mark.parametrize(("names", "lines"), [(None, 0), ("gpu", 1)])
def test_without_its_library_a_gpu_is_missed_only_by_who_asked_for_it(
    monkeypatch: pytest.MonkeyPatch, told: Told, names: str | None, lines: int
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    collectors_from(settings(names), Registry(), told.trouble).collect()
    assert len(told.lines) == lines
    assert all("pip install 'monitoring-pipeline[gpu]'" in line for line in told.lines)


def test_one_that_hangs_does_not_hold_up_the_others(monkeypatch: pytest.MonkeyPatch, told: Told) -> None:
    gate = threading.Event()

    def hang(collector: object) -> None:
        gate.wait()

    broken(monkeypatch, "FileSystemCollector", hang)
    monkeypatch.setattr("monitoring.producers.collectors.Bounded", partial(Bounded, patience_seconds=0.01))
    registry = Registry()
    collectors = collectors_from(settings("process,system"), registry, told.trouble)
    try:
        collectors.collect()
        collectors.collect()
        assert shown(registry)["monitoring_collector_failures_total"] == {("file systems",): 2}
        assert {"process_count", "system_cpu_count"} <= set(shown(registry))
    finally:
        gate.set()


# once a host


class Process:
    """A forked process that collects when it is told to, and answers with the metrics that it shows."""

    def __init__(self, collectors: Collectors, registry: Registry, *, renew: bool) -> None:
        ours, theirs = socket.socketpair()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                ours.close()
                if renew:
                    collectors.renew_after_fork()
                while theirs.recv(1):
                    collectors.collect()
                    theirs.sendall(" ".join(sorted(prefixes(registry))).encode() or b"nothing")
            finally:
                os._exit(1)
        theirs.close()
        self._socket = ours
        self._socket.settimeout(60)
        self._ended = False

    def collect(self) -> set[str]:
        self._socket.sendall(b"?")
        answer = self._socket.recv(1000).decode()
        assert answer, "the child has ended"
        return set(answer.split()) - {"container", "gpu"}

    def kill(self) -> None:
        if not self._ended:
            self._ended = True
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self._socket.close()


@pytest.fixture
def fork() -> Iterator[Callable[..., Process]]:
    started: list[Process] = []

    def make(collectors: Collectors, registry: Registry, *, renew: bool = False) -> Process:
        started.append(Process(collectors, registry, renew=renew))
        return started[-1]

    yield make
    for process in started:
        process.kill()


ALONE = {"process"}
HOST = {"process", "system"}


def test_of_several_processes_one_measures_the_host_and_when_it_is_killed_another(
    fork: Callable[..., Process], told: Told
) -> None:
    registry = Registry()
    collectors = collectors_from(settings(), registry, told.trouble)
    first, second, third = (fork(collectors, registry) for _ in range(3))
    assert first.collect() == HOST
    assert second.collect() == third.collect() == ALONE
    first.kill()
    assert second.collect() == HOST
    assert third.collect() == ALONE


def test_children_of_the_process_that_measures_do_not_and_show_nothing_of_what_it_measured(
    fork: Callable[..., Process], told: Told
) -> None:
    registry = Registry()
    collectors = collectors_from(settings(), registry, told.trouble)
    collectors.collect()
    assert prefixes(registry) - {"container", "gpu"} == HOST
    child = fork(collectors, registry, renew=True)
    assert child.collect() == ALONE
    collectors.collect()
    assert "system" in prefixes(registry), "the parent does still"
    assert "system" not in child.collect()
    collectors.close()
    assert "system" in child.collect(), "and the child after it"


def test_a_process_that_loses_the_host_takes_back_what_it_showed(told: Told) -> None:
    registry, other = Registry(), Registry()
    first = collectors_from(settings("system"), registry, told.trouble)
    first.collect()
    default_path("system").unlink()
    second = collectors_from(settings("system"), other, told.trouble)
    second.collect()
    first.collect()
    assert "system_load1" in shown(other)
    assert not {name for name in shown(registry) if not name.endswith("_total")}


def test_a_process_that_cannot_measure_leaves_it_to_one_that_can(monkeypatch: pytest.MonkeyPatch, told: Told) -> None:
    registry, other = Registry(), Registry()
    without = collectors_from(settings("system"), registry, told.trouble)
    having = collectors_from(settings("system"), other, told.trouble)
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "psutil", None)
        without.collect()
        without.collect()
    having.collect()
    assert "system_load1" in shown(other)
    assert without.elsewhere() == {}, "it does not wait for its turn"


def test_system_and_gpus_may_be_measured_by_two_processes(told: Told) -> None:
    gpus = HostLock(default_path("gpu"))
    assert gpus.acquire()
    registry = Registry()
    collectors = collectors_from(settings(), registry, told.trouble)
    assert collectors.elsewhere() == {"gpu": os.getpid()}
    collectors.collect()
    assert "system_load1" in shown(registry)
    gpus.release()
    assert collectors.elsewhere() == {}


def test_a_lock_that_cannot_be_used_is_told_and_the_process_itself_is_measured(told: Told) -> None:
    default_path("system").mkdir()
    registry = Registry()
    collectors_from(settings(), registry, told.trouble).collect()
    assert "the collector system lock failed" in told.text
    assert prefixes(registry) == ALONE


def test_making_them_imports_and_opens_nothing_and_one_that_does_not_measure_never_does(tmp_path: Path) -> None:
    program = (
        "import sys, tempfile\n"
        "from monitoring.pipeline.settings import load\n"
        "from monitoring.producers.collectors import collectors_from\n"
        "from monitoring.producers.host_lock import HostLock, default_path\n"
        "from monitoring.producers.registry import Registry\n"
        "from monitoring.producers.trouble import Trouble\n"
        "collectors = collectors_from(load({}), Registry(), Trouble())\n"
        "assert not default_path('system').exists()\n"
        "others = [HostLock(default_path(name)) for name in ('system', 'gpu')]\n"
        "assert all(other.acquire() for other in others)\n"
        "collectors.collect()\n"
        "assert not {'psutil', 'pynvml'} & set(sys.modules)\n"
        "others[0].release()\n"
        "collectors.collect()\n"
        "assert {'psutil', 'pynvml'} & set(sys.modules) == {'psutil'}\n"
    )
    environ = {**os.environ, "TMPDIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environ, check=True, timeout=60)

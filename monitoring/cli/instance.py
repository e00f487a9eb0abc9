"""The data directory of an instance: made on first use, and owned by one `monitoring up` at a time."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson

from monitoring.pipeline.errors import AlreadyRunning, MonitoringError
from monitoring.pipeline.process import alive
from monitoring.pipeline.settings import Settings

__all__ = ["LOCK_FILE", "make_data", "noted_address", "own", "runs_here"]

LOCK_FILE = "up.lock"


def make_data(chosen: Settings) -> None:
    """The data directory with its catalog and admin key, made on first use. Raises SettingsError."""
    from monitoring.pipeline.store.catalog import CATALOG_FILE, Catalog
    from monitoring.pipeline.store.keys import ensure_admin_key

    if chosen.text("store") != "sqlite":
        from monitoring.pipeline.store.logs import check_logs  # all of the store, which a supervisor does not need else

        check_logs(chosen)
    chosen.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    Catalog.create_or_open(chosen.data / CATALOG_FILE, partitions=chosen.whole("partitions")).close()
    ensure_admin_key(chosen.data)


@contextmanager
def own(chosen: Settings) -> Iterator[Callable[[str], None]]:
    """Hold the lock of the data directory; yields how to note the address in it.

    Forked children hold it too: it is free when the last of them has ended. Raises AlreadyRunning.
    """
    try:
        chosen.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(chosen.data / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise MonitoringError(f"the data directory {chosen.data} cannot be used: {error.strerror}") from error
    try:
        _lock(handle, chosen.data)

        def note(address: str) -> None:
            os.ftruncate(handle, 0)
            os.pwrite(handle, orjson.dumps({"pid": os.getpid(), "address": address}), 0)

        note("")
        yield note
        os.ftruncate(handle, 0)
    finally:
        os.close(handle)


def noted_address(data: Path) -> str:
    """Where the `monitoring up` of this data directory says that its API listens; "" without one."""
    try:
        handle = os.open(data / LOCK_FILE, os.O_RDONLY)
    except OSError:
        return ""
    try:
        return _noted(handle)[1]
    finally:
        os.close(handle)


def runs_here(data: Path) -> bool:
    """Whether a `monitoring up` of this data directory runs on this machine."""
    try:
        handle = os.open(data / LOCK_FILE, os.O_RDONLY)
    except OSError:
        return False
    try:
        pid, address = _noted(handle)
        return bool(address) and alive(pid)
    finally:
        os.close(handle)


def _lock(handle: int, data: Path) -> None:
    deadline = time.monotonic() + 3.0
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            pid, address = _noted(handle)
            # Where its supervisor was killed just now, the others are about to end.
            if (pid and alive(pid)) or time.monotonic() > deadline:
                who = f"pid {pid}" + (f", {address}" if address else "") if pid else "it has not said its pid"
                raise AlreadyRunning(
                    f"`monitoring up` already runs on {data} ({who}): use that one, end it with "
                    f"`kill {pid or 'PID'}`, or set MONITORING_DATA_DIR"
                ) from None
            time.sleep(0.05)


def _noted(handle: int) -> tuple[int, str]:
    try:
        noted = orjson.loads(os.pread(handle, 4096, 0))
        return int(noted["pid"]), str(noted["address"])
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return 0, ""

"""Which host works in a data directory: leases and SQLite's locks hold among the processes of one kernel.

    <data>/host     {"boot": id of the boot, "name": of the host, "beat": counts up every two seconds}

A lease tells a dead holder by its boot: to a second host, every holder of the first would be dead. So whoever starts
and finds the beat of another boot watches it. One that stands still was left by a host that is gone, or by this one
before it was booted; one that goes on belongs to a host that lives, and this one has to keep out.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from monitoring.pipeline.clock import boot_id
from monitoring.pipeline.errors import PermanentError

__all__ = ["BEAT_SECONDS", "WATCH_SECONDS", "HostMark", "OtherHost"]

FILE = "host"
BEAT_SECONDS = 2.0
WATCH_SECONDS = 7.0
"""Three beats and a little: what a start after a reboot waits, once."""


class OtherHost(PermanentError):
    """Another host works in this data directory."""


class HostMark:
    """The mark of this host in a data directory. Where the system does not tell its boot, there is none."""

    def __init__(self, data: Path, *, boot: str | None = None, name: str | None = None) -> None:
        self._file = data / FILE
        self._boot = boot_id() if boot is None else boot
        self._name = name or socket.gethostname()
        self._beat = 0
        self._due = float("-inf")

    def move_in(self, *, sleep: Callable[[float], None] = time.sleep) -> None:
        """Make sure that no other host works here. Raises OtherHost; waits for WATCH_SECONDS where one did."""
        found = self._other()
        if found is None:
            return
        sleep(WATCH_SECONDS)
        now = self._other()
        if now is not None and now != found:
            raise self._refusal(now)
        self._write()

    def beat(self, now: float) -> None:
        """Say that this host is at work, every two seconds of `now`, a steady clock. Raises OtherHost."""
        if now < self._due or not self._boot:
            return
        found = self._other()
        if found is not None:
            raise self._refusal(found)
        self._due = now + BEAT_SECONDS
        self._write()

    def _write(self) -> None:
        self._beat += 1
        told = {"boot": self._boot, "name": self._name, "beat": self._beat}
        temporary = self._file.with_suffix(f".{self._boot[:8]}")
        temporary.write_bytes(orjson.dumps(told))
        temporary.replace(self._file)

    def _other(self) -> dict[str, Any] | None:
        """What another boot says here; None where this one does, or nobody."""
        try:
            told = orjson.loads(self._file.read_bytes())
            return dict(told) if self._boot and told["boot"] != self._boot else None
        except (FileNotFoundError, ValueError, TypeError, KeyError):
            return None

    def _refusal(self, told: dict[str, Any]) -> OtherHost:
        return OtherHost(
            f"the host {str(told.get('name'))[:100]} works in {self._file.parent}: everything that writes there runs "
            "on one host. Others send to it: MONITORING_URL and MONITORING_API_KEY, or the bus"
        )

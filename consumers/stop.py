"""The stop flag of a process that works in slices.

A signal handler raises it, the loop looks at it between commits. Looking also says "I am not stuck": the
worker that started this process reads the time of the last look and ends a process that has hung.
"""

from __future__ import annotations

import mmap
import os
import select
import signal
import struct
import time
from contextlib import suppress
from types import FrameType

__all__ = ["Pulse", "attach", "handle_signals", "request", "requested", "reset", "wait"]

_CLOCK = struct.Struct("d")


class Pulse:
    """When a forked child last looked at its stop flag, in memory that it shares with its parent."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _CLOCK.size)

    def beat(self, now_seconds: float) -> None:
        """Say that the process is not stuck; `now_seconds` is monotonic time."""
        _CLOCK.pack_into(self._memory, 0, now_seconds)

    def last(self) -> float:
        """Monotonic time of the last beat, in seconds."""
        return float(_CLOCK.unpack_from(self._memory, 0)[0])

    def close(self) -> None:
        """Give the memory back."""
        self._memory.close()


_requested = False
_pulse: Pulse | None = None
_wake: tuple[int, int] | None = None


def requested() -> bool:
    """Whether this process should end at the next commit; ask at least every few seconds."""
    if _pulse is not None:
        _pulse.beat(time.monotonic())
    return _requested


def wait(seconds: float) -> None:
    """Sleep, but wake as soon as a stop is requested."""
    if requested():
        return
    if _wake is None:
        time.sleep(seconds)
    else:
        select.select([_wake[0]], [], [], seconds)
    requested()  # a beat after the sleep


def request() -> None:
    """Ask this process to end at its next commit."""
    global _requested
    _requested = True
    if _wake is not None:
        with suppress(BlockingIOError):  # so many requests are waiting that one more says nothing
            os.write(_wake[1], b"!")


def reset() -> None:
    """Forget what was requested of, and set up for, the parent: a forked child starts with a lowered flag."""
    global _requested, _pulse, _wake
    _requested, _pulse, _wake = False, None, None


def attach(pulse: Pulse | None) -> None:
    """Beat on this pulse from now on."""
    global _pulse
    _pulse = pulse


def handle_signals() -> None:
    """Turn SIGTERM and SIGINT into a request, in this process: call it anew after a fork."""
    global _wake
    _wake = os.pipe()  # inherited ones stay with the parent
    os.set_blocking(_wake[1], False)
    signal.signal(signal.SIGTERM, _on_signal)
    signal.signal(signal.SIGINT, _on_signal)


def _on_signal(signal_number: int, frame: FrameType | None) -> None:
    request()

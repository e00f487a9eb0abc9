"""The stop flag of a process that works in slices.

A signal handler raises it, the loop looks at it between commits. Looking also says "I am not stuck": the
worker that started this process reads the time of the last look and ends a process that has hung.
"""

from __future__ import annotations

import mmap
import signal
import struct
import time
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


def requested() -> bool:
    """Whether this process should end at the next commit; ask at least every few seconds."""
    if _pulse is not None:
        _pulse.beat(time.monotonic())
    return _requested


def wait(seconds: float) -> None:
    """Sleep, but wake soon after a stop is requested."""
    ends = time.monotonic() + seconds
    while not requested() and (left := ends - time.monotonic()) > 0:
        time.sleep(min(left, 0.1))


def request() -> None:
    """Ask this process to end at its next commit."""
    global _requested
    _requested = True


def reset() -> None:
    """Forget a request: a forked child starts with a lowered flag."""
    global _requested
    _requested = False


def attach(pulse: Pulse | None) -> None:
    """Beat on this pulse from now on."""
    global _pulse
    _pulse = pulse


def handle_signals() -> None:
    """Turn SIGTERM and SIGINT into a request."""
    signal.signal(signal.SIGTERM, _on_signal)
    signal.signal(signal.SIGINT, _on_signal)


def _on_signal(signal_number: int, frame: FrameType | None) -> None:
    request()

"""What goes wrong inside the SDK: counted by reason, and told on standard error once a minute at most."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable

__all__ = ["QUIET_SECONDS", "Trouble"]

QUIET_SECONDS = 60.0
"""Between two lines on standard error: whoever reads a service's output at night is not here for us."""

_LIMITS = frozenset({"BaseTimeoutException", "ShutDownImminentException", "SoftTimeLimitExceeded"})
"""Names of what RQ and Celery raise from a signal handler, wherever the program is just then, once."""


def _to_stderr(line: str) -> None:
    """Best effort: standard error may be closed, None under pythonw, or be written to when a signal came."""
    try:
        sys.stderr.write(line)
        sys.stderr.flush()
    except Exception:  # whatever stands there, nobody is left to be told
        return


class Trouble:
    """Thread-safe by being simple: a count that a race loses is of no consequence here. Never raises, but see `bug`."""

    def __init__(
        self, *, write: Callable[[str], None] = _to_stderr, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.counts: dict[str, int] = {}
        self._write = write
        self._clock = clock
        self._said_at = float("-inf")
        self._held_back = 0
        self._lock = threading.RLock()

    def count(self, reason: str) -> None:
        """One more of this reason, a short slug."""
        self.counts[reason] = self.counts.get(reason, 0) + 1

    def say(self, text: str) -> None:
        """Tell it on standard error, unless something was told within the last minute."""
        self.said(text)

    def said(self, text: str) -> bool:
        """As `say`; whether it was told."""
        with self._lock:
            now = self._clock()
            if now - self._said_at < QUIET_SECONDS:
                self._held_back += 1
                return False
            more = f" (and {self._held_back} more since the last such line)" if self._held_back else ""
            self._said_at, self._held_back = now, 0
        self._write(f"monitoring: {text}{more}\n")
        return True

    def bug(self, doing: str, error: BaseException) -> None:
        """A fault of ours, or of what the application handed us: counted as `internal` and told.

        Raises the error where it is neither: a task queue's limit came in while our code ran, and must take effect.
        """
        if any(kind.__name__ in _LIMITS for kind in type(error).__mro__):
            raise error
        self.count("internal")
        self.say(f"{doing}: {type(error).__name__}: {error}")

    def renew_after_fork(self) -> None:
        """In a forked child: another thread of the parent may have held the lock."""
        self._lock = threading.RLock()
        self.counts = {}

"""An answer that many ask for and that may be a second old is put together once a second."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

__all__ = ["FRESH_SECONDS", "Glance"]

FRESH_SECONDS = 1.0
"""A dashboard asks every few seconds; fifty of them then cost what one does."""


class Glance:
    """Keeps the last answer. While one thread makes the next, others wait for it and share it. Safe between threads."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[str, Any] | None = None
        self._until = 0.0

    def get(self, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The answer, made now or within the last second. Raises what `make` does; nothing is kept then."""
        with self._lock:
            if self._known is None or self._clock() >= self._until:
                self._known = None
                self._known = make()
                self._until = self._clock() + FRESH_SECONDS
            return self._known

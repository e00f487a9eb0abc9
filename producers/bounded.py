"""A collector that may hang: it is waited for with a limit, in a thread of its own."""

from __future__ import annotations

import sys
import threading
import time

from monitoring.pipeline.publish import own_threads
from monitoring.producers.collector import Collector, ReadingFailed

__all__ = ["PATIENCE_SECONDS", "Bounded"]

PATIENCE_SECONDS = 5.0
"""A thousand times what a sample takes; the thread that waits has others to collect and metrics to send."""


class Bounded:
    """Calls a collector in a daemon thread, of which there is one at most.

    The kernel does not let go of a thread that waits for a dead disk or driver, so it is left there; as long as it
    is, the collector is not called again, and nothing waits for it.
    """

    def __init__(self, collector: Collector, *, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._collector = collector
        self._patience_seconds = patience_seconds
        self._thread: threading.Thread | None = None
        self._began = 0.0
        self._error: Exception | None = None

    def collect(self) -> None:
        """As the collector. Raises ReadingFailed, too, where it has not come back in time."""
        if self._thread is not None and self._thread.is_alive():
            raise ReadingFailed(f"hangs for {time.monotonic() - self._began:.0f} s")
        self._error = None
        self._began = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="monitoring-collector", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # no more threads: the interpreter ends, or a limit is reached
            self._thread = None
            if sys.is_finalizing():
                return
            raise
        self._thread.join(self._patience_seconds)
        if self._thread.is_alive():
            raise ReadingFailed(f"has not come back within {self._patience_seconds:g} s")
        if self._error is not None:
            raise self._error

    def clear(self) -> None:
        """As the collector's, unless it hangs: then it shows what it showed."""
        if self._thread is None or not self._thread.is_alive():
            self._collector.clear()

    def _run(self) -> None:
        try:
            with own_threads.within():
                self._collector.collect()
        except Exception as error:
            self._error = error

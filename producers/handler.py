"""The standard library's logging, published: existing code and other people's libraries arrive as they are.

Two ways in. `capture()` sees the records of every logger of the process, also of those that do not propagate
(gunicorn's, uvicorn's), and `logging.config.dictConfig` cannot take it away, because it is no handler: it stands in
front of `Logger.callHandlers`, the one place that all records pass. `MonitoringHandler` is an ordinary handler for who
configures logging by hand. A record that comes both ways is published once.
"""

from __future__ import annotations

import logging
import threading
from contextvars import ContextVar
from threading import get_ident
from typing import Any

from monitoring.pipeline.errors import MonitoringError
from monitoring.pipeline.publish import own_threads
from monitoring.producers import foreign
from monitoring.producers.client import active
from monitoring.producers.records import SEEN, event_of
from monitoring.producers.reported import TELLERS, is_reported

__all__ = ["MonitoringHandler", "capture", "expect_again", "is_captured", "publish", "release"]

_OWN_THREADS = own_threads.idents


def publish(record: logging.LogRecord) -> None:
    """Publish a record, once. Never raises; without a client it does nothing.

    Records of our own sending threads are left out: sending them would make more of them. So is what a record of a
    request or job tells already.
    """
    values = record.__dict__
    if SEEN in values or get_ident() in _OWN_THREADS:
        return
    client = active()
    if client is None or ((record.exc_info or record.name in TELLERS) and is_reported(record)):
        return
    try:
        event = event_of(record, client.resource)
        values[SEEN] = True
        if not _repeats or not _was_expected(record.name, event.message):
            client.take(event)
    except MonitoringError:  # durability is `required`, and nobody expects logging to raise
        client.trouble.count("refused")
    except Exception as error:
        client.trouble.bug("a log record could not be published", error)


_repeats = False
"""Whether `expect_again` was ever called in this process."""
_expected: ContextVar[tuple[str, str] | None] = ContextVar("monitoring_expected", default=None)


def expect_again(logger: str, text: str) -> None:
    """What was published just now will come once more, as a record of this logger whose message holds the text."""
    global _repeats
    _repeats = True
    _expected.set((logger, text))


def _was_expected(logger: str, message: str) -> bool:
    expected = _expected.get()
    if expected is None:
        return False
    _expected.set(None)
    return expected[0] == logger and expected[1] in message


class MonitoringHandler(logging.Handler):
    """A handler that publishes. It needs `start_monitoring_with_config()`, before or after; it takes no formatter.

    It holds no lock and waits for nothing, so it does not matter whether it is flushed or closed.
    """

    def handle(self, record: logging.LogRecord) -> bool:
        """As logging's, without the lock: `publish` is safe in any thread."""
        try:
            kept = foreign.call(self.filter, record) if self.filters else record
        except RecursionError:  # a filter that logs what comes here again
            return False
        if kept:
            self.emit(kept if isinstance(kept, logging.LogRecord) else record)
        return bool(kept)

    emit = staticmethod(publish)

    def createLock(self) -> None:  # noqa: N802 - logging's name
        """There is none."""
        self.lock = None


_lock = threading.Lock()
_original: Any = None


def capture() -> None:
    """Publish the records of all loggers from now on. Calling it again does no harm."""
    global _original
    with _lock:
        if _original is not None:
            return
        _original = original = logging.Logger.callHandlers

        def call_handlers(self: logging.Logger, record: logging.LogRecord) -> None:
            publish(record)
            original(self, record)

        call_handlers.__doc__ = original.__doc__
        logging.Logger.callHandlers = call_handlers  # type: ignore[method-assign]  # the one place all records pass


def release() -> None:
    """Undo `capture`, unless somebody has put himself in front of us since."""
    global _original
    with _lock:
        if _original is not None and logging.Logger.callHandlers.__module__ == __name__:
            logging.Logger.callHandlers = _original  # type: ignore[method-assign]  # what stood there
            _original = None


def is_captured() -> bool:
    """Whether `capture` is in force."""
    return _original is not None

"""The loggers beside ours, each as its own documentation has it for production, the fastest where there is a choice.

Whatever writes lines writes them to /dev/null; whatever exports does so in the background, to an exporter that
counts and drops.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TextIO

__all__ = ["NAME", "PEERS", "Peer", "Write", "devnull", "extra", "standard", "with_extra"]

NAME = "bench.models"
Write = Callable[[str, dict[str, Any]], object]
"""Logs a message with fields at INFO: what the background's cost is measured with, for messages that all differ."""


def _nothing() -> None:
    return


class Peer(NamedTuple):
    """A logger set up. `call` logs the message with four fields, written out as a program would.

    `settle` returns when the background has nothing left to do; `delivered` is how many events have left through
    it so far, where it has one.
    """

    call: Callable[[], object]
    write: Write | None = None
    settle: Callable[[], object] = _nothing
    delivered: Callable[[], int] | None = None


def devnull(buffering: int = -1) -> TextIO:
    """A file that takes everything at once and keeps nothing."""
    return Path(os.devnull).open("w", buffering)


def _binary_devnull() -> BinaryIO:
    return Path(os.devnull).open("wb")


# ------------------------------------------------------------------------------------------- the standard library


def standard(handler: logging.Handler) -> logging.Logger:
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    return logging.getLogger(NAME)


def with_extra(log: logging.Logger) -> Callable[[], None]:
    def call() -> None:
        log.info("model loaded", extra={"model": "llama-3-8b", "seconds": 3.2, "tokens": 4711, "cached": True})

    return call


def extra(log: logging.Logger) -> Write:
    return lambda message, fields: log.info(message, extra=fields)


def bare_record(url: str) -> Peer:
    """A record that is made and handed to a handler which does nothing: the least that the route costs."""
    return Peer(with_extra(standard(logging.NullHandler())))


def stdlib_text(url: str) -> Peer:
    """A line of text, the fields in the message."""
    handler = logging.StreamHandler(devnull())
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    log = standard(handler)

    def call() -> None:
        log.info("model loaded model=%s seconds=%s tokens=%d cached=%s", "llama-3-8b", 3.2, 4711, True)

    return Peer(call)


def _json_formatter() -> logging.Formatter:
    from pythonjsonlogger.orjson import OrjsonFormatter

    found: logging.Formatter = OrjsonFormatter("%(asctime)s %(levelname)s %(name)s %(message)s")
    return found


def stdlib_json(url: str) -> Peer:
    """python-json-logger with orjson."""
    handler = logging.StreamHandler(devnull())
    handler.setFormatter(_json_formatter())
    log = standard(handler)
    return Peer(with_extra(log), extra(log))


def stdlib_queue(url: str) -> Peer:
    """The same behind the standard library's QueueHandler: its thread formats and writes."""
    import queue
    from logging.handlers import QueueHandler, QueueListener

    class Counting(logging.StreamHandler[TextIO]):
        number = 0

        def emit(self, record: logging.LogRecord) -> None:
            super().emit(record)
            self.number += 1

    handler = Counting(devnull())
    handler.setFormatter(_json_formatter())
    waiting: queue.Queue[Any] = queue.Queue()
    listener = QueueListener(waiting, handler)
    listener.start()
    log = standard(QueueHandler(waiting))
    return Peer(with_extra(log), extra(log), waiting.join, lambda: handler.number)


def stdlib_disabled(url: str) -> Peer:
    """A level that is filtered out."""
    log = standard(logging.NullHandler())

    def call() -> None:
        log.debug("model loaded", extra={"model": "llama-3-8b", "seconds": 3.2, "tokens": 4711, "cached": True})

    return Peer(call)


# ------------------------------------------------------------------------------------------------ structlog, loguru


def _structlog() -> Any:
    """As structlog's page on performance has it: cached, filtered by the wrapper, orjson, bytes."""
    import orjson
    import structlog

    structlog.configure(
        cache_logger_on_first_use=True,
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(serializer=orjson.dumps),
        ],
        logger_factory=structlog.BytesLoggerFactory(_binary_devnull()),
    )
    return structlog.get_logger(logger_name=NAME).bind()


def structlog_json(url: str) -> Peer:
    """A line of JSON."""
    log = _structlog()

    def call() -> None:
        log.info("model loaded", model="llama-3-8b", seconds=3.2, tokens=4711, cached=True)

    return Peer(call)


def structlog_disabled(url: str) -> Peer:
    """A level that is filtered out."""
    log = _structlog()

    def call() -> None:
        log.debug("model loaded", model="llama-3-8b", seconds=3.2, tokens=4711, cached=True)

    return Peer(call)


def _loguru() -> Any:
    from loguru import logger

    logger.remove()
    logger.add(devnull(), level="INFO", format="{message}", serialize=True, backtrace=False, diagnose=False)
    return logger


def loguru_json(url: str) -> Peer:
    """A line of JSON."""
    log = _loguru()

    def call() -> None:
        log.info("model loaded", model="llama-3-8b", seconds=3.2, tokens=4711, cached=True)

    return Peer(call)


def loguru_disabled(url: str) -> Peer:
    """A level that is filtered out."""
    log = _loguru()

    def call() -> None:
        log.debug("model loaded", model="llama-3-8b", seconds=3.2, tokens=4711, cached=True)

    return Peer(call)


# -------------------------------------------------------------------------------------------- OpenTelemetry, Sentry


def _opentelemetry(consume: Callable[[Any], object]) -> Peer:
    """The SDK's handler and its batch processor with its defaults."""
    import warnings

    from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExporter, LogRecordExportResult
    from opentelemetry.sdk.resources import Resource

    class Counting(LogRecordExporter):  # type: ignore[misc]  # it need not be there
        number = 0

        def export(self, batch: Any) -> Any:
            consume(batch)
            self.number += len(batch)
            return LogRecordExportResult.SUCCESS

        def force_flush(self, timeout_millis: int = 10_000) -> bool:
            return True

        def shutdown(self) -> None:
            return

    exporter = Counting()
    provider = LoggerProvider(Resource.create({"service.name": "bench"}))
    provider.add_log_record_processor(BatchLogRecordProcessor(exporter))
    with warnings.catch_warnings():  # it is to move into another package, which has the same one
        warnings.simplefilter("ignore", DeprecationWarning)
        log = standard(LoggingHandler(logger_provider=provider))
    return Peer(with_extra(log), extra(log), provider.force_flush, lambda: exporter.number)


def opentelemetry(url: str) -> Peer:
    """Its exporter counts and drops, encoding nothing."""
    return _opentelemetry(len)


def opentelemetry_otlp(url: str) -> Peer:
    """Its exporter encodes as OTLP, then drops."""
    from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs

    return _opentelemetry(lambda batch: encode_logs(batch).SerializeToString())


def _sentry(*, logs: bool) -> Peer:
    import sentry_sdk
    from sentry_sdk.envelope import Envelope
    from sentry_sdk.transport import Transport

    class Dropping(Transport):  # type: ignore[misc]
        number = 0

        def capture_envelope(self, envelope: Envelope) -> None:
            for item in envelope.items:
                self.number += item.headers.get("item_count", 1)

    transport = Dropping()
    sentry_sdk.init(dsn="http://key@127.0.0.1:9/1", transport=transport, enable_logs=logs)
    log = standard(logging.NullHandler())
    return Peer(with_extra(log), extra(log), sentry_sdk.flush, (lambda: transport.number) if logs else None)


def sentry(url: str) -> Peer:
    """As it is by default: a breadcrumb, which is sent only with an error."""
    return _sentry(logs=False)


def sentry_logs(url: str) -> Peer:
    """With its logs switched on; the transport counts and drops."""
    return _sentry(logs=True)


PEERS: dict[str, Callable[[str], Peer]] = {
    "bare_record": bare_record,
    "stdlib_text": stdlib_text,
    "stdlib_json": stdlib_json,
    "stdlib_queue": stdlib_queue,
    "stdlib_disabled": stdlib_disabled,
    "structlog_json": structlog_json,
    "structlog_disabled": structlog_disabled,
    "loguru_json": loguru_json,
    "loguru_disabled": loguru_disabled,
    "opentelemetry": opentelemetry,
    "opentelemetry_otlp": opentelemetry_otlp,
    "sentry": sentry,
    "sentry_logs": sentry_logs,
}

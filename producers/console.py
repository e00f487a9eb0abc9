"""Events on standard error, as they happen: for the terminal of a developer and the log of a container."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import TextIO

from monitoring.pipeline.events.event import Event
from monitoring.producers import foreign
from monitoring.producers.client import Resource
from monitoring.producers.formatter import JSONFormatter, TextFormatter

__all__ = ["Console"]


class Console:
    """Writes a line an event, redacted. `echo` is for our own loggers; `attach` brings the standard library's.

    Best effort: a stream that is closed or full is left alone.
    """

    def __init__(
        self, form: str, resource: Resource, *, redact: Callable[[str], str], stream: TextIO | None = None
    ) -> None:
        """`form` is `json` or `text`; the stream, where none is given, is what sys.stderr is at the time."""
        self._formatter = (JSONFormatter if form == "json" else TextFormatter)(resource, redact=redact)
        self._stream = stream
        self._handler: logging.Handler | None = None

    def echo(self, event: Event) -> None:
        """Write an event."""
        self._write(self._formatter.line(event))

    def attach(self) -> None:
        """Show records of the standard library too, unless the program has said where they should go."""
        root = logging.getLogger()
        if not root.handlers:
            self._handler = _Lines(self._formatter, self._write)
            root.addHandler(self._handler)

    def detach(self) -> None:
        """Undo `attach`."""
        if self._handler is not None:
            logging.getLogger().removeHandler(self._handler)
            self._handler = None

    def _write(self, line: str) -> None:
        try:
            foreign.call((self._stream or sys.stderr).write, f"{line}\n")
        except Exception:  # closed, full, absent, or a stream of the application's own that raises, or logs in turn
            return


class _Lines(logging.Handler):
    def __init__(self, formatter: logging.Formatter, write: Callable[[str], None]) -> None:
        super().__init__()
        self.setFormatter(formatter)
        self._write = write

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record."""
        self._write(self.format(record))

"""The structured logger: a message and fields.

    log = get_logger(__name__)
    log.info("model loaded", model="llama", seconds=3.2)

A level that is filtered out costs as much as an empty method, because it is one: `filter_below` puts it in the place
of the real one, for all loggers of the process at once.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from functools import lru_cache, partial
from typing import Any

from monitoring.pipeline.events import levels
from monitoring.producers import foreign
from monitoring.producers.client import active
from monitoring.producers.values import shown

__all__ = [
    "SEVERITIES",
    "STANDARD_LEVELS",
    "StructuredLogger",
    "filter_below",
    "from_standard",
    "get_logger",
    "threshold",
]

TRACE, DEBUG, INFO, WARNING, ERROR, FATAL = 1, 5, 9, 13, 17, 21
STANDARD_LEVELS = {TRACE: 5, DEBUG: 10, INFO: 20, 10: 25, WARNING: 30, ERROR: 40, FATAL: 50}
"""Our levels as those of the standard library's logging."""
SEVERITIES = {standard: severity for severity, standard in STANDARD_LEVELS.items()}
"""The levels of the standard library's logging as ours."""


class StructuredLogger:
    """Logs under a name, with fields of its own. Thread-safe; never raises, but where durability is `required`.

    A message may have `%` places for positional arguments, as in the standard library. Fields named `request_id`,
    `trace_id` and `span_id` fill those columns; `exc_info` (True, an exception or its triple) adds an exception,
    `stack_info=True` the stack.
    """

    __slots__ = ("_fields", "name")

    def __init__(self, name: str, fields: dict[str, Any] | None = None) -> None:
        self.name = name
        self._fields = fields or {}

    def __repr__(self) -> str:
        return f"<StructuredLogger {self.name}>"

    def bind(self, **fields: Any) -> StructuredLogger:
        """A logger that adds these fields to each of its events."""
        return StructuredLogger(self.name, {**self._fields, **fields})

    def unbind(self, *names: str) -> StructuredLogger:
        """A logger without these fields; what is bound to the context stays."""
        return StructuredLogger(self.name, {name: value for name, value in self._fields.items() if name not in names})

    def trace(self, message: object, /, *args: object, **fields: Any) -> None:
        """An event of level TRACE."""
        self._write(TRACE, message, args, fields)

    def debug(self, message: object, /, *args: object, **fields: Any) -> None:
        """An event of level DEBUG."""
        self._write(DEBUG, message, args, fields)

    def info(self, message: object, /, *args: object, **fields: Any) -> None:
        """An event of level INFO."""
        self._write(INFO, message, args, fields)

    def warning(self, message: object, /, *args: object, **fields: Any) -> None:
        """An event of level WARNING."""
        self._write(WARNING, message, args, fields)

    def error(self, message: object, /, *args: object, **fields: Any) -> None:
        """An event of level ERROR."""
        self._write(ERROR, message, args, fields)

    def exception(self, message: object, /, *args: object, **fields: Any) -> None:
        """An event of level ERROR with the exception that is being handled."""
        fields.setdefault("exc_info", True)
        self._write(ERROR, message, args, fields)

    def critical(self, message: object, /, *args: object, **fields: Any) -> None:
        """An event of level FATAL."""
        self._write(FATAL, message, args, fields)

    fatal = critical
    warn = warning

    def log(self, level: int | str, message: object, /, *args: object, **fields: Any) -> None:
        """An event of a level given as a name, or as a number of the standard library's logging."""
        severity = levels.parse(level) if isinstance(level, str) else from_standard(level)
        if severity is None:
            fields["level"], severity = level, INFO
        if severity >= _threshold:
            self._write(severity, message, args, fields)

    def is_enabled_for(self, level: str) -> bool:
        """Whether events of the level with this name are kept."""
        return (levels.parse(level) or INFO) >= _threshold

    def _write(self, level: int, message: object, args: tuple[object, ...], fields: dict[str, Any]) -> None:
        text = message if type(message) is str and not args else _formatted(message, args)
        if self._fields:
            fields = {**self._fields, **fields}
        client = active()
        if client is None:
            _to_standard(level, self.name, text, fields)
        else:
            client.log(level, self.name, text, fields, True)


def _filled_in(message: object, args: tuple[object, ...]) -> str:
    text = str(message)
    return text % args if args else text


def _formatted(message: object, args: tuple[object, ...]) -> str:
    """The message with its arguments filled in; as they are where they do not fit."""
    try:
        return foreign.call(_filled_in, message, args)
    except Exception:
        return f"{shown(message)} {shown(args)}"


def _to_standard(level: int, name: str, message: str, fields: dict[str, Any]) -> None:
    """Without a client: a record of the standard library, the fields behind the message."""
    target = logging.getLogger(name)
    number = STANDARD_LEVELS.get(level, 20)
    if target.isEnabledFor(number):
        special = {key: fields.pop(key) for key in ("exc_info", "stack_info") if key in fields}
        pairs = "".join(f" {key}={shown(value)}" for key, value in fields.items())
        write = partial(target.log, stacklevel=5, **special)
        with suppress(RecursionError):  # a handler that logs what it is given, by a logger of ours
            foreign.call(write, number, "%s%s", message, pairs)


@lru_cache(maxsize=64)
def from_standard(number: int) -> int:
    """The severity of a level number of the standard library's logging."""
    known = SEVERITIES.get(number)
    if known is not None:
        return known
    below = [standard for standard in SEVERITIES if standard <= number]
    return SEVERITIES[max(below)] if below else TRACE


def _skip(self: StructuredLogger, message: object, /, *args: object, **fields: Any) -> None:
    """What a method does whose level is filtered out."""


_METHODS = {
    "trace": TRACE,
    "debug": DEBUG,
    "info": INFO,
    "warning": WARNING,
    "warn": WARNING,
    "error": ERROR,
    "exception": ERROR,
    "critical": FATAL,
    "fatal": FATAL,
}
_REAL = {name: getattr(StructuredLogger, name) for name in _METHODS}
_threshold = 0


def filter_below(severity: int) -> None:
    """Drop events below this severity (1-24) from now on, in every logger; 0 keeps all."""
    global _threshold
    _threshold = severity
    for name, level in _METHODS.items():
        setattr(StructuredLogger, name, _REAL[name] if level >= severity else _skip)


def threshold() -> int:
    """The severity below which events are dropped; 0 where all are kept."""
    return _threshold


_loggers: dict[str, StructuredLogger] = {}
"""Without a lock: it would be copied locked by a fork, and a signal handler could ask for it in the middle."""


def get_logger(name: str | None = None, **fields: Any) -> StructuredLogger:
    """The logger of this name, usually `__name__`; with fields, one that adds them to each of its events."""
    name = name or "root"
    logger = _loggers.get(name) or _loggers.setdefault(name, StructuredLogger(name))
    return logger.bind(**fields) if fields else logger

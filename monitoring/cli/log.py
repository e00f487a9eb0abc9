"""The product's own log, on standard error: text for people, JSON for machines."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime

import orjson

from monitoring.pipeline.settings import Settings

__all__ = ["configure"]

_LEVELS = {"TRACE": 5, "DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40, "FATAL": 50}


class _Text(logging.Formatter):
    def __init__(self, process: str) -> None:
        super().__init__(f"%(asctime)s %(levelname)s {process}: %(message)s", "%Y-%m-%dT%H:%M:%S%z")


class _Json(logging.Formatter):
    """One object a line, with the names that our own ingest reads."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        line: dict[str, str | int] = {
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "service": f"monitoring-{self._process}",
            "logger": record.name,
            "message": record.getMessage(),
            "pid": record.process or 0,
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(line).decode()


def configure(settings: Settings, process: str) -> None:
    """Log to standard error from now on, as this process; call it anew in a forked child."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json(process) if settings.text("log_format") == "json" else _Text(process))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(_LEVELS[settings.text("log_level")], logging.INFO))  # libraries stay quiet below INFO
    logging.getLogger("monitoring").setLevel(_LEVELS[settings.text("log_level")])

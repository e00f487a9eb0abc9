"""The product's own log, on standard error: text for people, JSON for machines."""

from __future__ import annotations

import logging
import sys

from monitoring.pipeline.events.defaults import host_name
from monitoring.pipeline.settings import Settings
from monitoring.producers.client import Resource
from monitoring.producers.formatter import JSONFormatter

__all__ = ["configure"]

_LEVELS = {"TRACE": 5, "DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40, "FATAL": 50}


class _Text(logging.Formatter):
    def __init__(self, process: str) -> None:
        super().__init__(f"%(asctime)s %(levelname)s {process}: %(message)s", "%Y-%m-%dT%H:%M:%S%z")


def configure(settings: Settings, process: str) -> None:
    """Log to standard error from now on, as this process; call it anew in a forked child."""
    handler = logging.StreamHandler(sys.stderr)
    if settings.text("log_format") == "json":
        handler.setFormatter(JSONFormatter(Resource(f"monitoring-{process}", host=host_name())))
    else:
        handler.setFormatter(_Text(process))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(_LEVELS[settings.text("log_level")], logging.INFO))  # libraries stay quiet below INFO
    logging.getLogger("monitoring").setLevel(_LEVELS[settings.text("log_level")])

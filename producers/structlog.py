"""structlog's events, published: a processor to put before the renderer.

structlog.configure(processors=[..., MonitoringProcessor(), structlog.dev.ConsoleRenderer()])
"""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from typing import Any

from monitoring.pipeline.events import levels
from monitoring.producers import handler
from monitoring.producers.client import active
from monitoring.producers.values import shown

__all__ = ["MonitoringProcessor"]

_OWN = frozenset({"event", "level", "logger", "logger_name", "timestamp", "log_level"})


class MonitoringProcessor:
    """Publishes each event and hands it on unchanged. Never raises; without a client it does nothing.

    Put it behind `add_log_level`, `add_logger_name` and `merge_contextvars` and before what renders exceptions or
    text. Where the event goes on to a logger of the standard library it is published once all the same.
    """

    def __call__(self, logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """See structlog's processors."""
        client = active()
        if client is not None:
            message = event.get("event", "")
            text = message if isinstance(message, str) else shown(message)
            name = str(event.get("logger") or event.get("logger_name") or getattr(logger, "name", "") or "structlog")
            fields = {key: value for key, value in event.items() if key not in _OWN}
            level = levels.parse(str(event.get("level") or method)) or levels.DEFAULT_LEVEL
            if method == "exception":
                fields.setdefault("exc_info", True)
            if isinstance(fields.get("exception"), str):  # rendered already
                fields["stack"] = fields.pop("exception")
            client.log(level, name, text, fields, echo=False)
            if isinstance(logger, logging.Logger):
                handler.expect_again(logger.name, text)
        return event

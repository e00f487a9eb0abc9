"""loguru's messages, published: a sink.

from loguru import logger
from monitoring.producers.loguru import monitoring_sink
logger.add(monitoring_sink, format="{message}", level=0)
"""

from __future__ import annotations

from typing import Any

from monitoring.producers.client import active
from monitoring.producers.logger import from_standard

__all__ = ["monitoring_sink"]


def monitoring_sink(message: Any) -> None:
    """Publish a message of loguru with its `extra` fields and exception. Without a client it does nothing."""
    client = active()
    if client is None:
        return
    record = message.record
    fields = dict(record["extra"])
    if record["exception"] is not None:
        fields["exc_info"] = record["exception"].value
    client.log(from_standard(record["level"].no), record["name"] or "loguru", record["message"], fields, echo=False)

"""Self-hosted monitoring and logging for Python teams.

Services publish events over Redis streams; workers batch-write them to SQLite; a thin API serves search.

    from monitoring.startup import start_monitoring_with_config
    from monitoring import get_logger

    start_monitoring_with_config()
    get_logger(__name__).info("model loaded", model="llama", seconds=3.2)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from monitoring.producers import llm
    from monitoring.producers.context import bind, clear, contextual, unbind
    from monitoring.producers.decorators import error_context, log_function
    from monitoring.producers.formatter import JSONFormatter
    from monitoring.producers.handler import MonitoringHandler
    from monitoring.producers.logger import StructuredLogger, get_logger
    from monitoring.producers.metrics import counter, gauge, histogram, timer
    from monitoring.producers.work import set_user

__version__ = "0.1.0"

__all__ = [
    "JSONFormatter",
    "MonitoringHandler",
    "StructuredLogger",
    "__version__",
    "bind",
    "clear",
    "contextual",
    "counter",
    "error_context",
    "gauge",
    "get_logger",
    "histogram",
    "llm",
    "log_function",
    "set_user",
    "timer",
    "unbind",
]

_HOMES = {
    "JSONFormatter": "formatter",
    "MonitoringHandler": "handler",
    "StructuredLogger": "logger",
    "bind": "context",
    "clear": "context",
    "contextual": "context",
    "counter": "metrics",
    "error_context": "decorators",
    "gauge": "metrics",
    "get_logger": "logger",
    "histogram": "metrics",
    "llm": "llm",
    "log_function": "decorators",
    "set_user": "work",
    "timer": "metrics",
    "unbind": "context",
}


def __getattr__(name: str) -> Any:
    """A name of the public face, imported when it is first asked for: the command line needs none of them."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = importlib.import_module(f"monitoring.producers.{_HOMES[name]}")
    value = home if name == _HOMES[name] else getattr(home, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

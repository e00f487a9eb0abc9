"""Our own loggers that are measured, in every way that a service may use them."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any

from bench.sdk.peers import NAME, Peer, Write, devnull, extra, standard, with_extra

__all__ = ["OURS", "delivered", "settle_ours", "start"]


def start(url: str, **overrides: Any) -> None:
    """As a service starts it, publishing to this bus."""
    from monitoring.startup import start_monitoring_with_config

    start_monitoring_with_config(bus_url=url, service="bench", environment="production", release="1.0", **overrides)


def settle_ours() -> None:
    """Wait until everything is on the bus. Raises RuntimeError where it does not get there within a minute."""
    from monitoring.startup import flush_monitoring

    if not flush_monitoring(60):
        raise RuntimeError("our events did not reach the bus")


def delivered() -> int:
    """Events that were sealed in frames so far."""
    from monitoring.producers import sdk

    started = sdk.running()
    assert started is not None
    counters = started.logs.counters()
    return counters.sealed + counters.committed


def _peer(call: Callable[[], object], write: Write | None = None) -> Peer:
    return Peer(call, write, settle_ours, delivered)


def ours(url: str, **overrides: Any) -> Peer:
    """Our structured logger."""
    start(url, **overrides)
    from monitoring import get_logger

    log = get_logger(NAME)

    def call() -> None:
        log.info("model loaded", model="llama-3-8b", seconds=3.2, tokens=4711, cached=True)

    return _peer(call, lambda message, fields: log.info(message, **fields))


def ours_bound(url: str) -> Peer:
    """With what a request binds: two ids and a field."""
    from monitoring import bind

    peer = ours(url)
    bind(request_id="01JB8ZQ4M7", trace_id="4bf92f3577b34da6a3ce929d0e0e4736", tenant="acme")
    return peer


def ours_console(url: str) -> Peer:
    """Published, and written to standard error as a line of redacted JSON."""
    sys.stderr = devnull(1)  # as standard error is: a write a line
    return ours(url, console="on", log_format="json")


def ours_stdlib(url: str) -> Peer:
    """The standard library's logger, captured."""
    start(url)
    log = logging.getLogger(NAME)
    return _peer(with_extra(log), extra(log))


def ours_handler(url: str) -> Peer:
    """The standard library's logger with our handler, nothing captured."""
    from monitoring import MonitoringHandler

    start(url, capture_logging=False)
    log = standard(MonitoringHandler())
    return _peer(with_extra(log), extra(log))


def ours_disabled(url: str) -> Peer:
    """A level that is filtered out."""
    start(url)
    from monitoring import get_logger

    log = get_logger(NAME)

    def call() -> None:
        log.debug("model loaded", model="llama-3-8b", seconds=3.2, tokens=4711, cached=True)

    return _peer(call)


def ours_disabled_alone(url: str) -> Peer:
    """A level that is filtered out, the message without fields: Python makes a dictionary of those, wanted or not."""
    start(url)
    from monitoring import get_logger

    log = get_logger(NAME)
    return _peer(lambda: log.debug("model loaded"))


OURS: dict[str, Callable[..., Peer]] = {
    "ours": ours,
    "ours_bound": ours_bound,
    "ours_console": ours_console,
    "ours_stdlib": ours_stdlib,
    "ours_handler": ours_handler,
    "ours_disabled": ours_disabled,
    "ours_disabled_alone": ours_disabled_alone,
}
"""By name; each starts everything in this process, publishing to the bus at the URL."""

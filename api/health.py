"""Whether this process lives, whether the instance can do its work, and how it is doing."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

import apsw

from monitoring.api.routes import Answer, Call
from monitoring.api.runtime import Runtime
from monitoring.pipeline.errors import BusUnavailable, MonitoringError
from monitoring.pipeline.events.signals import SIGNALS
from monitoring.pipeline.overview import overview as at_a_glance
from monitoring.pipeline.query.limits import Deadline
from monitoring.pipeline.status import gather
from monitoring.pipeline.store import rule_files

__all__ = ["UNREADY_LAG_SECONDS", "facts", "live", "overview", "ready", "status"]

UNREADY_LAG_SECONDS = 60.0
"""A killed drain is replaced within 15 s; frames that wait four times as long say that nobody drains."""


def live(call: Call) -> Answer:
    """Whether this process answers."""
    return {"status": "ok"}


def ready(call: Call) -> Answer:
    """Whether bus, store and drains work; 503 with the reasons where they do not.

    Says nothing secret, for it is open to all.
    """
    checks = {"bus": _bus, "store": _store, "lag": _lag}
    reasons = {name: reason for name, check in checks.items() if (reason := _reason(check, call.runtime))}
    members = {name: reasons.get(name, "ok") for name in checks}
    return {"ready": not reasons, "checks": members}, 503 if reasons else 200


def status(call: Call) -> Answer:
    """Lag, rates, drops, dead letters, producers and the books by partition."""
    return facts(call.runtime)


def overview(call: Call) -> Answer:
    """Health at a glance: the instance, requests, host, services and ingest of the last five minutes."""
    runtime = call.runtime
    return runtime.glance.get(lambda: _overview(runtime))


def _overview(runtime: Runtime) -> dict[str, Any]:
    with runtime.gate.entered():
        return at_a_glance(
            runtime.store,
            runtime.metrics,
            facts(runtime),
            now_ns=runtime.now_ns(),
            deadline=Deadline(runtime.settings.number("query_timeout")),
            alerts=runtime.alerts.summary,
        )


def facts(runtime: Runtime) -> dict[str, Any]:
    """The state of the instance, whether or not a bus is known."""
    try:
        streams = runtime.streams
    except BusUnavailable:
        streams = None
    now = runtime.now_ns()
    return {**gather(runtime.catalog, streams, now_ns=now), "rules": rule_files.status(runtime.control, now)}


def _reason(check: Callable[[Runtime], str], runtime: Runtime) -> str:
    try:
        return check(runtime)
    except MonitoringError as error:
        return _REASONS.get(check, type(error).__name__)
    except (apsw.Error, OSError):
        return _REASONS[check]


def _bus(runtime: Runtime) -> str:
    for signal in SIGNALS:
        runtime.transport.partitions(signal)
    return ""


def _store(runtime: Runtime) -> str:
    runtime.catalog.partitions()
    runtime.control.rows("SELECT 1 FROM key LIMIT 1")
    free = shutil.disk_usage(runtime.settings.data).free
    reserve = runtime.settings.whole("disk_reserve")
    return "" if free >= reserve else f"{free >> 20} MiB of disk are free, {reserve >> 20} MiB are reserved"


def _lag(runtime: Runtime) -> str:
    now = runtime.now_ns()
    waits = [
        runtime.streams.oldest_created(signal, number)
        for signal in SIGNALS
        for number in runtime.catalog.partitions(signal)
    ]
    seconds = max((now - created) / 1e9 for created in [now, *(wait for wait in waits if wait is not None)])
    return "" if seconds < UNREADY_LAG_SECONDS else f"the oldest frame has waited for {seconds:.0f} s: is a worker up?"


_REASONS: dict[Callable[[Runtime], str], str] = {
    _bus: "the bus does not answer or is not announced: is `monitoring up` running?",
    _store: "the store cannot be opened",
    _lag: "not known while the bus or the store is down",
}

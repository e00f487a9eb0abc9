"""Notices for tests, as the evaluation of alerts would put them."""

from __future__ import annotations

from typing import Any

import orjson

from monitoring.pipeline.clock import wall_ns
from monitoring.pipeline.store.control import Control
from monitoring.pipeline.store.outbox import Notice, put


def alert(identity: str = "a1", **members: Any) -> dict[str, Any]:
    """An alert as the API shows it, with what notices carry besides."""
    return {
        "id": identity,
        "rule": "slow-responses",
        "state": "active",
        "severity": "critical",
        "labels": {"service": "api", "host": "web1"},
        "annotations": {"summary": "Responses are slow", "description": "p95 over 5 s", "runbook": "https://wiki/slow"},
        "value": 7.25,
        "threshold": 5,
        "started_at": "2026-01-02T03:04:05Z",
        "updated_at": "2026-01-02T03:09:05Z",
        "acknowledged_by": None,
        "samples": [
            {"timestamp": "2026-01-02T03:04:01Z", "level": "ERROR", "service": "api", "message": "upstream timed out",
             "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "attributes": {"run_id": "ft-17"}}
        ],
        "links": {"alert": "https://mon.example/alerts/a1", "logs": "https://mon.example/logs?query=x",
                  "acknowledge": "https://mon.example/alerts/a1?acknowledge"},
    } | members  # fmt: skip


def notice(
    channel: str, identity: str = "a1", number: int = 1, event: str = "firing", grouping: str = "", **members: Any
) -> Notice:
    body = orjson.dumps(alert(identity, **members))
    return Notice(f"{identity}:{number}:{channel}", channel, event, grouping, body, wall_ns())


def put_all(control: Control, *notices: Notice) -> None:
    with control.transaction() as connection:
        put(connection, notices, wall_ns())


def states(control: Control) -> dict[str, str]:
    """State of each notice by its key."""
    return dict(control.rows("SELECT key, state FROM outbox"))

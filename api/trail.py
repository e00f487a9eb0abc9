"""What goes into the audit log: every change that was made, and who could not prove who they are or may not.

A route says what it does (`Route.audit`); the object is in its address, the states before and after come from the
answers, as far as the endpoint does not say more (`Call.changed`). Secrets in them are hidden as in the SDK's events.
"""

from __future__ import annotations

import logging
from typing import Any

from monitoring.api.runtime import Runtime
from monitoring.pipeline.errors import MonitoringError

__all__ = ["Trail", "note", "note_failure"]

_log = logging.getLogger("monitoring.api")


class Trail:
    """What an endpoint says of the change that it makes."""

    __slots__ = ("actor", "after", "before", "nothing", "object")

    def __init__(self) -> None:
        self.actor = ""
        self.nothing = False
        self.object = ""
        self.before: Any = None
        self.after: Any = None


def note(runtime: Runtime, action: str, trail: Trail, *, address: str, request_id: str) -> None:
    """Write a change down. It has been made: where the log cannot take it, it goes to the server's own log whole."""
    before, after = (runtime.redactor.value(state) for state in (trail.before, trail.after))
    try:
        runtime.audit.record(
            None, trail.actor, action, trail.object, before, after, address, request_id=request_id
        )  # fmt: skip
    except MonitoringError as error:
        _log.error(
            "not in the audit log (%s): %s %s %s from %s, request %s: %r -> %r",
            error, trail.actor, action, trail.object, address, request_id, before, after,
        )  # fmt: skip


def note_failure(runtime: Runtime, action: str, *, actor: str, address: str, what: str, request_id: str) -> None:
    """Write down that somebody could not prove who they are, or may not do what they asked for; bounded."""
    left_out = runtime.failures.admit(address)
    if left_out is None:
        return
    trail = Trail()
    trail.actor, trail.object = actor, what
    trail.after = {"left_out_before": left_out} if left_out else None
    note(runtime, action, trail, address=address, request_id=request_id)

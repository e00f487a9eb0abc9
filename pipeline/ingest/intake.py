"""What a body of some protocol held: events, and what could not become one."""

from __future__ import annotations

from typing import Any, NamedTuple

from monitoring.pipeline.errors import IngestRefused
from monitoring.pipeline.events.event import Rejected

__all__ = ["Intake", "TooMuch"]


class Intake(NamedTuple):
    """What a body held, rows of one signal. `Rejected.line` counts lines, items or records from 1."""

    events: list[Any]
    rejected: list[Rejected]


class TooMuch(IngestRefused):
    """The body holds more than is taken in one piece: whoever sends it should split it."""

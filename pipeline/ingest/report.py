"""What a run of ingest tells of itself, while it goes on and in the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from monitoring.pipeline.events.event import Event, Rejected

__all__ = ["EXAMPLES", "FileReport", "Outcome", "Reason", "Report"]

EXAMPLES = 3
_MANY_SERVICES = 100

Outcome = Literal["read", "unchanged", "stopped", "unreadable"]
"""Read to its end; read by an earlier run already; left before its end; not read at all, or not further."""


@dataclass(slots=True)
class FileReport:
    """What came of one input. `lines` counts from the start of the file, `bytes` what this run has read."""

    name: str
    format: str = ""
    outcome: Outcome = "read"
    problem: str = ""
    events: int = 0
    rejected: int = 0
    lines: int = 0
    bytes: int = 0
    resumed_at_line: int = 0


@dataclass(slots=True)
class Reason:
    """How many lines were rejected for one reason, and the first few of them as `file:line`."""

    count: int = 0
    examples: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Report:
    """Totals of a run: `events` and `rejected` are stored in `ingest.db`, and of these `in_flight` are not known
    to be committed. `recovered` events are those that an earlier run had left in flight.

    `done_bytes` of `total_bytes` (None: unknown) are read; `trouble` says why nothing gets through at present.
    """

    files: list[FileReport] = field(default_factory=list)
    events: int = 0
    rejected: int = 0
    reasons: dict[str, Reason] = field(default_factory=dict)
    recovered: int = 0
    in_flight: int = 0
    oldest_ns: int = 0
    newest_ns: int = 0
    services: set[str] = field(default_factory=set)
    interrupted: bool = False
    seconds: float = 0.0
    done_bytes: int = 0
    total_bytes: int | None = 0
    trouble: str = ""

    def add(self, events: Sequence[Event], rejected: Sequence[Rejected]) -> None:
        """Count what has just been stored."""
        self.events += len(events)
        self.rejected += len(rejected)
        if events:
            times = [event[0] for event in events]
            self.oldest_ns = min(min(times), self.oldest_ns or times[0])
            self.newest_ns = max(max(times), self.newest_ns)
            if len(self.services) < _MANY_SERVICES:
                self.services.update([event[2] for event in events])
        for item in rejected:
            reason = self.reasons.setdefault(item.reason, Reason())
            reason.count += 1
            if len(reason.examples) < EXAMPLES:
                reason.examples.append(f"{item.source}:{item.line}")

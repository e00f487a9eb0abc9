"""An alert: one group of a rule that is, or was, beyond what the rule allows; and the entries of its history."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson

from monitoring.pipeline.alerts.rule import Rule
from monitoring.pipeline.clock import rfc3339

__all__ = ["OPEN", "STATES", "Alert", "Entry", "alert_id", "labels_of"]

STATES = ("pending", "active", "acknowledged", "resolved")
OPEN = ("pending", "active", "acknowledged")


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of an alert's history. `kind`: transition | comment | notification | held.

    `before` and `after` are states; `actor` a person's key, or "rule" where the data did it.
    """

    kind: str
    before: str
    after: str
    actor: str = "rule"
    note: str = ""
    value: float | None = None


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert as it is stored. Times are nanoseconds since 1970, None for what has not happened.

    `started`: since when the rule's condition holds; `activated`: since when it has held for long enough, this time;
    `good_since`: since when it does not hold while the alert is open. `fired` are the latest activations. `told` is
    what channels last heard, "firing", "resolved" or nothing, and `channels` are those that did. `escalated` counts the
    steps of escalation that were taken. `held` says why a notice waits. `by_hand`: somebody resolved it while the
    condition held. `number` is that of its newest history entry.
    """

    id: str
    rule: str
    kind: str
    fingerprint: str
    labels: Mapping[str, str]
    state: str
    severity: str
    value: float | None
    threshold: float | None
    operator: str
    started: int
    updated: int
    activated: int | None = None
    resolved: int | None = None
    acknowledged: int | None = None
    acknowledged_by: str = ""
    good_since: int | None = None
    fired: Sequence[int] = ()
    flapping: bool = False
    told: str = ""
    told_at: int | None = None
    channels: Sequence[str] = ()
    escalated: int = 0
    held: str = ""
    by_hand: bool = False
    number: int = 0
    texts: Mapping[str, str] = field(default_factory=dict)

    @property
    def open(self) -> bool:
        """Whether it is not resolved."""
        return self.state in OPEN

    def to_json(self) -> bytes:
        """As it is stored."""
        return orjson.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: bytes) -> Alert:
        """What `to_json` wrote."""
        return cls(**orjson.loads(text))

    def describe(self) -> dict[str, Any]:
        """As JSON members."""
        return {
            "id": self.id,
            "rule": self.rule,
            "kind": self.kind,
            "state": self.state,
            "severity": self.severity,
            "labels": dict(self.labels),
            "value": self.value,
            "operator": self.operator,
            "threshold": self.threshold,
            "summary": self.texts.get("summary", ""),
            "description": self.texts.get("description", ""),
            "runbook": self.texts.get("runbook", ""),
            "started_at": rfc3339(self.started),
            "active_at": _time(self.activated),
            "updated_at": rfc3339(self.updated),
            "resolved_at": _time(self.resolved),
            "acknowledged_at": _time(self.acknowledged),
            "acknowledged_by": self.acknowledged_by or None,
            "flapping": self.flapping,
            "held": self.held or None,
            "channels": list(self.channels),
            "fingerprint": self.fingerprint,
        }


def alert_id(fingerprint: str, started: int) -> str:
    """The identity of an alert: the same however often its beginning is worked out."""
    return hashlib.sha256(f"{fingerprint}:{started}".encode()).hexdigest()[:20]


def labels_of(rule: Rule, group: Mapping[str, str]) -> dict[str, str]:
    """The labels of an alert: the group's, and the rule's where the group has none of the name."""
    return {**rule.labels, **group}


def _time(moment: int | None) -> str | None:
    return None if moment is None else rfc3339(moment)

"""What the checker found."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Report"]

_EXAMPLES = 5


@dataclass(slots=True)
class Report:
    """What was found. `findings` counts by kind, `examples` show the first few of each kind.

    `own` are events of the product itself, of those that are `stored`; `counted` is the sum
    of what the producers of metrics had counted and is stored.
    """

    events: int = 0
    acknowledged: int = 0
    stored: int = 0
    own: int = 0
    dead_lettered: int = 0
    segments: int = 0
    unacknowledged_absent: int = 0
    counted: int = 0
    counted_acknowledged: int = 0
    derived: int = 0
    metric_segments: int = 0
    rollups: int = 0
    alerts: int = 0
    notices: int = 0
    copies: int = 0
    letters: Counter[str] = field(default_factory=Counter)
    findings: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def find(self, kind: str, detail: str, count: int = 1) -> None:
        """Note a finding."""
        self.findings[kind] += count
        examples = self.examples.setdefault(kind, [])
        if len(examples) < _EXAMPLES:
            examples.append(detail)

    def as_dict(self) -> dict[str, Any]:
        """All of it, ready for JSON; lost and doubled are there even when 0."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {**fields, "lost": self.findings["lost"], "doubled": self.findings["doubled"], "ok": not self.findings}

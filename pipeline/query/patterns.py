"""Which kinds of messages match: templates with how often, since when and until when, and an example of each."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from monitoring.pipeline.events.levels import LEVELS
from monitoring.pipeline.query.ast import Node
from monitoring.pipeline.query.limits import Deadline
from monitoring.pipeline.query.parse import parse
from monitoring.pipeline.query.sample import Sample
from monitoring.pipeline.query.sweep import Segments
from monitoring.pipeline.query.templates import Template, Templates
from monitoring.pipeline.store.reader import Reader

__all__ = ["DEFAULT_PATTERNS", "MAX_PATTERNS", "Pattern", "Patterns", "folded", "patterns"]

DEFAULT_PATTERNS = 50
MAX_PATTERNS = 1000
"""Of one answer: a list to read."""
LONGEST_MESSAGE = 2000
"""Characters of an example's message: what the template was made of."""
_TOLD = ("id", "timestamp", "level", "service", "host")


@dataclass(slots=True)
class Pattern:
    """A template and the events that have it; `example` is the newest of them, cut to what tells it."""

    template: Template
    example: dict[str, Any]
    count: int = 0
    first_seen: str = ""
    last_seen: str = ""
    levels: Counter[str] = field(default_factory=Counter)
    services: Counter[str] = field(default_factory=Counter)

    def document(self) -> dict[str, Any]:
        """As the API shows it."""
        return {
            "template": self.template.text,
            "count": self.count,
            "first_seen": self.first_seen,
            "last_seen": self.last_seen,
            "levels": {name: self.levels[name] for name in LEVELS if self.levels[name]},
            "services": dict(self.services.most_common()),
            "example": self.example,
        }


@dataclass(frozen=True, slots=True)
class Patterns:
    """The commonest of `distinct` patterns of the newest `events` matches; `sampled` where more events match."""

    patterns: list[Pattern]
    distinct: int
    events: int
    sampled: bool
    partial_reason: str | None

    def document(self) -> dict[str, Any]:
        """As the API shows it."""
        return {
            "patterns": [pattern.document() for pattern in self.patterns],
            "distinct": self.distinct,
            "events": self.events,
            "sampled": self.sampled,
        }


def patterns(
    catalog: Segments,
    reader: Reader,
    query: str | Node,
    start_ns: int,
    end_ns: int,
    *,
    limit: int = DEFAULT_PATTERNS,
    deadline: Deadline,
    signal: str = "logs",
) -> Patterns:
    """The `limit` commonest patterns among the newest events in [start_ns, end_ns) that match.

    Raises QuerySyntaxError.
    """
    node = parse(query) if isinstance(query, str) else query
    return folded(Sample.of(catalog, reader, node, start_ns, end_ns, deadline=deadline, signal=signal), limit)


def folded(sample: Sample, limit: int) -> Patterns:
    """The `limit` commonest patterns of a sample."""
    templates, found = Templates(), dict[Template, Pattern]()
    for event in sample:  # the newest first
        template = templates.fold(event["message"])
        pattern = found.get(template)
        if pattern is None:
            pattern = found[template] = Pattern(template, _cut(event), last_seen=event["timestamp"])
        pattern.count += 1
        pattern.first_seen = event["timestamp"]
        pattern.levels[event["level"]] += 1
        pattern.services[event["service"]] += 1
    ranked = sorted(found.values(), key=lambda pattern: (-pattern.count, pattern.template.text))
    return Patterns(ranked[:limit], len(ranked), sample.count, sample.sampled, sample.partial_reason)


def _cut(event: dict[str, Any]) -> dict[str, Any]:
    """An event that thousands of can be held."""
    return {**{name: event[name] for name in _TOLD}, "message": event["message"][:LONGEST_MESSAGE]}

"""The commonest values of fields among the events that match.

Level, service and host are counted exactly, by the roll-ups and the index where these can; every other field over the
newest matches only, and the answer says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from monitoring.pipeline.query.ast import Node
from monitoring.pipeline.query.counting import count, resolved
from monitoring.pipeline.query.limits import Deadline
from monitoring.pipeline.query.parse import parse
from monitoring.pipeline.query.sample import Sample
from monitoring.pipeline.query.sweep import Segments, Sweep
from monitoring.pipeline.query.tally import COUNTED, Grid
from monitoring.pipeline.query.values import texts_of
from monitoring.pipeline.store.reader import Reader

__all__ = [
    "DEFAULT_FIELDS",
    "DEFAULT_VALUES",
    "MAX_FIELDS",
    "MAX_VALUES",
    "Facet",
    "Facets",
    "facet",
    "facets",
    "sampled",
]

DEFAULT_FIELDS = ("level", "service", "host")
MAX_FIELDS = 20
"""Fields of one answer: what a side bar shows."""
DEFAULT_VALUES = 10
MAX_VALUES = 1000
"""Values of a field: a list, not an export."""


@dataclass(frozen=True, slots=True)
class Facet:
    """The commonest values of a field with how many events have each; of `events` looked at, `missing` have none."""

    field: str
    values: list[tuple[str, int]]
    distinct: int
    missing: int
    events: int
    sampled: bool


@dataclass(frozen=True, slots=True)
class Facets:
    """A facet for every field that was asked for, and why some events are missing."""

    facets: list[Facet]
    partial_reason: str | None

    def document(self) -> dict[str, Any]:
        """As the API shows it."""
        return {
            "facets": [
                {
                    "field": facet.field,
                    "values": [{"value": value, "count": number} for value, number in facet.values],
                    "distinct": facet.distinct,
                    "missing": facet.missing,
                    "events": facet.events,
                    "sampled": facet.sampled,
                }
                for facet in self.facets
            ]
        }


def facets(
    catalog: Segments,
    reader: Reader,
    query: str | Node,
    start_ns: int,
    end_ns: int,
    *,
    fields: Sequence[str] = DEFAULT_FIELDS,
    limit: int = DEFAULT_VALUES,
    deadline: Deadline,
    signal: str = "logs",
) -> Facets:
    """The `limit` commonest values of each field among the events in [start_ns, end_ns) that match.

    Raises QuerySyntaxError.
    """
    node = parse(query) if isinstance(query, str) else query
    sweep = Sweep(catalog, reader, start_ns, end_ns, deadline=deadline, signal=signal)
    whole = Grid.whole(*resolved(sweep))
    found: dict[str, Facet] = {}
    exact = [dimension for dimension in COUNTED if dimension in fields]
    if exact:
        for dimension, buckets in count(sweep, node, whole, exact).items():
            counts = sum(buckets, Counter[str]())
            found[dimension] = facet(dimension, counts, counts.pop("", 0), counts.total(), limit)
    others = [name for name in dict.fromkeys(fields) if name not in found]
    sample = Sample.of(catalog, reader, node, start_ns, end_ns, deadline=deadline, signal=signal)
    if others:
        found |= sampled(sample, others, limit)
    return Facets([found[name] for name in dict.fromkeys(fields)], sweep.partial_reason or sample.partial_reason)


def sampled(sample: Sample, fields: Sequence[str], limit: int) -> dict[str, Facet]:
    """The facets of fields over a sample."""
    counts: dict[str, Counter[str]] = {name: Counter() for name in fields}
    missing = Counter[str]()
    for event in sample:
        for name, counter in counts.items():
            values = texts_of(event, name)
            counter.update(values)
            missing[name] += not values
    return {
        name: facet(name, counter, missing[name], sample.count - missing[name], limit, sampled=sample.sampled)
        for name, counter in counts.items()
    }


def facet(field: str, counts: Counter[str], missing: int, having: int, limit: int, *, sampled: bool = False) -> Facet:
    """The facet of a field: so many events have it, so many do not."""
    ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return Facet(field, ranked[:limit], len(ranked), missing, having + missing, sampled)

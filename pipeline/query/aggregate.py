"""What statistics tell of a group, as people write it: `count`, `p95(duration_ms)`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from monitoring.pipeline.errors import PermanentError
from monitoring.pipeline.query.fields import is_attribute

__all__ = ["MAX_AGGREGATES", "Aggregate", "AggregateInvalid", "aggregates"]

MAX_AGGREGATES = 20
"""Of one answer: a table as wide as a screen has fewer."""

_NAMES = "count, rate, min(f), max(f), avg(f), sum(f), p50(f) … p99(f)"
_CALL = re.compile(r"(?P<name>min|max|avg|sum|p(?P<percent>\d{1,2}(?:\.\d{1,3})?))\((?P<field>.+)\)")


class AggregateInvalid(PermanentError):
    """A text that should name an aggregate names none."""


@dataclass(frozen=True, slots=True)
class Aggregate:
    """What is told of a group. `text` is how it was written; `field` is "" for count and rate."""

    text: str
    name: str
    field: str = ""
    share: float = 0.0


def aggregates(text: str) -> list[Aggregate]:
    """The aggregates of a list that commas divide. Raises AggregateInvalid."""
    found = []
    for part in filter(None, (piece.strip() for piece in _split(text))):
        call = _CALL.fullmatch(part)
        if part in ("count", "rate"):
            found.append(Aggregate(part, part))
        elif call and is_attribute(call["field"]):
            share = float(call["percent"]) / 100 if call["percent"] else 0.0
            found.append(Aggregate(part, "quantile" if call["percent"] else call["name"], call["field"], share))
        else:
            raise AggregateInvalid(f"{part[:60]!r} is no aggregate: use {_NAMES}, where f is an attribute")
    if not 0 < len(found) <= MAX_AGGREGATES:
        raise AggregateInvalid(f"{len(found)} aggregates: use 1 to {MAX_AGGREGATES} of {_NAMES}, divided by commas")
    return list(dict.fromkeys(found))


def _split(text: str) -> list[str]:
    """At commas outside of parentheses."""
    return re.findall(r"(?:[^,(]|\([^)]*\)?)+", text)

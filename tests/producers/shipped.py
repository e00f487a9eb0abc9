"""What a metrics store would add up, from the frames that were committed."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import orjson

from monitoring.pipeline.bus.frame import decode_payload
from monitoring.pipeline.events.delta import Delta
from tests.pipeline.publish.support import Store


def deltas(store: Store) -> list[Delta]:
    """All committed deltas, lane by lane, in the order of their frames."""
    found: list[Delta] = []
    for _, frame in sorted(store.frames.items()):
        payload = decode_payload(frame)
        assert not payload.rejected
        columns = [column if isinstance(column, list) else [column] * payload.events for column in payload.columns]
        found += [Delta(*values) for values in zip(*columns, strict=True)]
    return found


def totals(store: Store) -> dict[tuple[str, str], Any]:
    """By name and labels: exact sums of counters, `[sum, counts]` of histograms, the last value of gauges."""
    found: dict[tuple[str, str], Any] = {}
    for row in deltas(store):
        family, value = orjson.loads(row.family), orjson.loads(row.value)
        key = (family["name"], row.labels)
        if family["kind"] == "counter":
            found[key] = found.get(key, 0) + Fraction(value)
        elif family["kind"] == "gauge":
            found[key] = value
        else:
            assert len(value["counts"]) == len(family["bounds"]) + 1
            before, counts = found.get(key, (0, [0] * len(value["counts"])))
            more = [have + new for have, new in zip(counts, value["counts"], strict=True)]
            found[key] = (before + Fraction(value["sum"]), more)
    return found

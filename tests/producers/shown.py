"""What a registry's instruments show, for tests to look at."""

from __future__ import annotations

import orjson

from monitoring.producers.collector import Series
from monitoring.producers.registry import Registry

__all__ = ["ORDER", "sent", "shown", "value"]

ORDER = ("mount", "device", "fstype", "interface", "direction", "gpu", "uuid", "name")
"""Of labels, as tests write their values; others by name."""


def shown(registry: Registry) -> dict[str, dict[Series, float]]:
    """Each instrument that has values, by the name it is queried by: the values by the values of its labels."""
    found: dict[str, dict[Series, float]] = {}
    for instrument in registry.instruments:
        name = instrument.meaning.name + ("_total" if instrument.meaning.kind == "counter" else "")
        for series in instrument.series:
            if series.value is not None:
                labels = orjson.loads(series.labels)
                order = sorted(labels, key=lambda label: (ORDER.index(label) if label in ORDER else -1, label))
                found.setdefault(name, {})[tuple(labels[label] for label in order)] = series.value
    return found


def value(registry: Registry, name: str, *labels: str) -> float:
    """One series of an instrument."""
    return shown(registry)[name][labels]


def sent(registry: Registry) -> set[str]:
    """Base names of the metrics that have something to send; it counts as sent."""
    with registry.collect(0) as collected:
        collected.committed()
        return {orjson.loads(row.family)["name"] for row in collected.rows}

"""What the product's alerts about itself go by: its status, not its metrics, which pass through what may be broken."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping
from typing import Any

from monitoring.pipeline.bus.streams import Streams
from monitoring.pipeline.drops import known
from monitoring.pipeline.settings import Settings
from monitoring.pipeline.status import gather
from monitoring.pipeline.store.catalog import Catalog
from monitoring.pipeline.store.rises import Rises

__all__ = ["look"]

_WINDOW_NS = 3600 * 1_000_000_000
"""How long what was lost counts: somebody who was at lunch hears of it, and the alert ends by itself."""
_TOTALS = {"logs": "totals", "metrics": "metrics"}

Groups = list[tuple[dict[str, str], float | None]]
"""Labels and value of each group; None where it cannot be known now."""


def look(
    fact: str, chosen: Settings, catalog: Catalog, streams: Streams, rises: Rises, *, now_ns: int
) -> Groups:  # fmt: skip
    """The groups of one of `rule.FACTS` at this time. Raises what the store or the disk raises."""
    if fact == "disk_free_reserves":
        reserve = chosen.whole("disk_reserve")
        return [({}, shutil.disk_usage(catalog.data).free / reserve if reserve else None)]
    status = gather(catalog, streams, now_ns=now_ns)
    found = {signal: status[name] for signal, name in _TOTALS.items()}
    if fact == "ingest_lag_seconds":
        return [({"signal": signal}, _lag(totals)) for signal, totals in found.items()]
    if fact == "books_residual":
        return [({"signal": signal}, float(totals["residual"])) for signal, totals in found.items()]
    if fact == "dead_letters_last_hour":
        counts = {signal: int(totals["dead_lettered"]) for signal, totals in found.items()}
        risen = rises.last(fact, counts, now_ns=now_ns, window_ns=_WINDOW_NS)
        return [({"signal": signal}, float(count)) for signal, count in risen.items()]
    return _dropped(fact, found, rises, now_ns)


def _lag(totals: Mapping[str, Any]) -> float | None:
    return None if totals["lag"] is None else float(totals["lag"]["seconds"])


def _dropped(fact: str, found: Mapping[str, Mapping[str, Any]], rises: Rises, now_ns: int) -> Groups:
    """By signal and reason."""
    counts: Counter[str] = Counter()
    for signal, totals in found.items():
        for reason, count in totals["dropped"].items():
            counts[f"{signal} {known(reason)}"] += count
    risen = rises.last(fact, counts, now_ns=now_ns, window_ns=_WINDOW_NS)
    return [(dict(zip(("signal", "reason"), key.split(), strict=True)), float(n)) for key, n in risen.items()]

"""The signals: what kinds of rows travel in frames, and what the wire and the publisher know of each."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from monitoring.pipeline.events.delta import Delta
from monitoring.pipeline.events.event import Event

__all__ = ["LATEST_NS", "LOGS", "METRICS", "SIGNALS", "Row", "Signal", "is_optional"]

LATEST_NS = 3_198_000_000_000_000_000
"""Five days before a row's id, microseconds since 2000 shifted by 12, leaves 64 bits in May 2071."""

Row = Event | Delta
"""Two integers, then texts."""


@dataclass(frozen=True, slots=True)
class Signal:
    """One kind of row.

    `ranges` are the least and greatest value of the two integer columns; `long` the columns whose length is
    measured, the rest being short; `repeating` those in which a few texts come again and again, and which are sent
    as such. `sheds`: rows may be dropped for more important ones when memory is short; else what was taken stays.
    `optional`: an instance may do without it, and that is no trouble.
    """

    name: str
    row: type[Event] | type[Delta]
    ranges: tuple[tuple[int, int], tuple[int, int]]
    long: tuple[int, ...]
    repeating: tuple[int, ...] = ()
    sheds: bool = False
    optional: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns, in the order of the payload."""
        return self.row._fields


def _places(row: type[Event] | type[Delta], *names: str) -> tuple[int, ...]:
    return tuple(map(row._fields.index, names))


LOGS = Signal(
    "logs",
    Event,
    ranges=((0, LATEST_NS), (1, 24)),
    long=_places(Event, "message", "exception", "attributes"),
    sheds=True,
)
METRICS = Signal(
    "metrics",
    Delta,
    ranges=((0, LATEST_NS), (0, LATEST_NS)),
    long=_places(Delta, "family", "labels", "value"),
    repeating=_places(Delta, "family", "labels"),
    optional=True,
)
SIGNALS = MappingProxyType({signal.name: signal for signal in (LOGS, METRICS)})
"""All signals by their names on the wire."""


def is_optional(name: str) -> bool:
    """Whether an instance may do without this signal; true of one that only newer releases know."""
    return name not in SIGNALS or SIGNALS[name].optional

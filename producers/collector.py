"""What a collector is: it reads a source and brings the instruments that it owns up to date."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from monitoring.pipeline.errors import PermanentError, RetryableError
from monitoring.pipeline.events.delta import Across
from monitoring.producers.instruments import Counter, Gauge
from monitoring.producers.registry import Registry

__all__ = ["Collector", "Levels", "NothingToRead", "ReadingFailed", "Series", "Totals", "read_each"]

Series = tuple[str, ...]
"""Values of an instrument's labels, in their order; () where it has none."""


class ReadingFailed(RetryableError):
    """A part of what a collector reads could not be read; the other parts were."""


class NothingToRead(PermanentError):
    """There is nothing that the collector could read here, and will not be while the process lives."""


class Totals:
    """A source that counts up, as a counter that gains the difference between two readings.

    The first reading of a series sets its base, as what happened before is not ours to report. A reading below the
    one before (a reset, or a kernel whose idle time steps back) sets a new base: what happened in between is not
    known, and is not claimed. So it never goes down, and gains nothing that did not happen.
    """

    def __init__(self, counter: Counter, labels: Series) -> None:
        self._counter = counter
        self._labels = labels
        self._last: dict[Series, float] = {}

    def update(self, totals: Mapping[Series, float]) -> None:
        """All that the source shows now; what it does not show any more is forgotten, and begins anew if it returns."""
        for series, total in totals.items():
            gain = max(0.0, total - self._last.get(series, total))
            self._counter.inc(gain, **dict(zip(self._labels, series, strict=True)))
        self._last = dict(totals)

    def rebase(self, totals: Mapping[Series, float]) -> None:
        """What the next readings are compared with."""
        self._last = dict(totals)

    def clear(self) -> None:
        """The next readings set the base."""
        self._last = {}


class Levels:
    """A source that goes up and down, as a gauge without the series that the source does not show any more."""

    def __init__(self, gauge: Gauge, labels: Series) -> None:
        self._gauge = gauge
        self._labels = labels
        self._shown: set[Series] = set()

    def update(self, values: Mapping[Series, float]) -> None:
        """All that the source shows now."""
        for series, value in values.items():
            self._gauge.set(value, **dict(zip(self._labels, series, strict=True)))
        for series in self._shown.difference(values):
            self._gauge.remove(**dict(zip(self._labels, series, strict=True)))
        self._shown = set(values)

    def clear(self) -> None:
        """Show nothing."""
        self.update({})


class Collector(ABC):
    """Owns its instruments. Used by one thread at a time."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._instruments: list[Totals | Levels] = []

    @abstractmethod
    def collect(self) -> None:
        """Read the source once. Raises ReadingFailed where a part of it could not be read, when the rest has been."""

    def clear(self) -> None:
        """Take back what the gauges show, and begin anew: somebody else measures from now on."""
        for instrument in self._instruments:
            instrument.clear()

    def _totals(self, name: str, meaning: str, *, unit: str = "", labels: Series = ()) -> Totals:
        made = Totals(self._registry.counter(name, meaning, unit=unit, labels=labels), labels)
        self._instruments.append(made)
        return made

    def _levels(
        self, name: str, meaning: str, *, unit: str = "", labels: Series = (), across: Across = "last"
    ) -> Levels:
        made = Levels(self._registry.gauge(name, meaning, unit=unit, labels=labels, across=across), labels)
        self._instruments.append(made)
        return made


def read_each(parts: Iterable[tuple[str, Callable[[], Any]]]) -> None:
    """Call each part, whatever became of those before. Raises ReadingFailed that names all that failed."""
    failures = []
    for name, read in parts:
        try:
            read()
        except Exception as error:
            failures.append(f"{name}: {type(error).__name__}: {error}")
    if failures:
        raise ReadingFailed("; ".join(failures))

"""Instruments: a metric's name and meaning, and its series by their labels.

    requests = counter("shop_orders_total", "Orders placed.")
    requests.inc(channel="web")               # the series of these labels, looked up
    web = requests.labels(channel="web")      # the same series, kept: a third of the time
    web.inc()

Recording never raises. What cannot be recorded is counted in `Registry.dropped`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Generic, SupportsFloat, TypeVar

from monitoring.pipeline.events.delta import Across, Kind, family_text
from monitoring.producers.labels import MAX_VALUE, OTHER, LabelsInvalid, label_texts, labels_text, redacted, relabelled
from monitoring.producers.series import CounterSeries, GaugeSeries, HistogramSeries, Series, Tracked

__all__ = ["DEFAULT_BUCKETS", "Counter", "Gauge", "Histogram", "Instrument", "Limits", "Meaning", "check_bounds"]

DEFAULT_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Seconds. Up to 10 those of Prometheus' own clients, each also a bound of OpenTelemetry's for HTTP, so that dashboards
and `le="0.5"` carry over. Calls to a model take longer than 10 s as a matter of course, and are given up at 30 or 60,
so those are bounds too: beyond the last bound a quantile cannot be told. Neighbours are a factor of 2 to 3 apart, by
which a quantile between them may be wrong at most."""

S = TypeVar("S", bound=Series)


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a metric is: the members of `Delta.family`, and the label names it was declared with (none: any).

    As it is asked for, what was not said is empty; an instrument's own has the defaults.
    """

    name: str
    kind: Kind
    help: str
    unit: str
    names: tuple[str, ...]
    across: Across | None = None
    bounds: tuple[float, ...] = ()

    def completed(self) -> Meaning:
        """With the defaults in place of what was not said."""
        if self.kind == "gauge":
            return replace(self, across=self.across or "last")
        return replace(self, bounds=self.bounds or DEFAULT_BUCKETS) if self.kind == "histogram" else self

    def joined(self, asked: Meaning) -> Meaning:
        """What it is after somebody asked for it so. Raises ValueError where that is something else."""
        for what in ("kind", "names", "across", "bounds", "unit"):
            mine, other = getattr(self, what), getattr(asked, what)
            if other and other != mine and (mine or what != "unit"):
                raise ValueError(f"the metric {self.name} is there already, with {what} {mine!r} and not {other!r}")
        return replace(self, help=self.help or asked.help, unit=self.unit or asked.unit)

    @property
    def family(self) -> str:
        """See `Delta.family`."""
        return family_text(
            name=self.name, kind=self.kind, across=self.across, unit=self.unit, help=self.help, bounds=self.bounds
        )


@dataclass(slots=True)
class Limits:
    """What the instruments of a registry share: how many series there may be, the hook, the counts, the lock.

    `drops` has all its reasons from the start, so that adding to one is a single step, see `series`.
    """

    max_series: int
    max_series_each: int
    redact: Callable[[str], str]
    series: int = 0
    overflowed: int = 0
    drops: dict[str, int] = field(default_factory=lambda: {"invalid": 0, "watch": 0})
    lock: threading.RLock = field(default_factory=threading.RLock)


class Instrument(Generic[S]):
    """A metric and its series. Made by a Registry.

    The labels as they are given lead to the series by one look-up. Only what is not found there, because it is new,
    or written in another order, or to be redacted, is cleaned first, under the lock.
    """

    __slots__ = ("_all", "_by_text", "_known", "_limits", "_other", "_void", "meaning")

    def __init__(self, meaning: Meaning, limits: Limits) -> None:
        self.meaning = meaning
        self._limits = limits
        self._known: dict[tuple[str, ...], S] = {}
        self._by_text: dict[str, S] = {}
        self._all: list[S] = []
        self._other: S | None = None
        self._void = self._make("")

    def _make(self, labels: str) -> S:
        raise NotImplementedError

    def labels(self, /, **labels: object) -> S:
        """The series with these labels, to be kept by who records into it often. Never raises.

        Labels that cannot be are counted as dropped, once, and what is recorded into the series is nowhere. Where
        there are too many series already, it is the one whose labels are all `__other__`.
        """
        try:
            return self._known[(*labels, *map(str, labels.values())) if labels else ()]
        except Exception:  # not known, or without a text
            return self._find(labels)

    @property
    def series(self) -> list[S]:
        """All series there are."""
        return self._all.copy()

    def look(self) -> None:
        """Ask the functions that are watched. No lock is held: they are the application's."""

    def renew(self) -> None:
        """In a forked child: begin at nothing. Another thread may have been in the middle of adding a series."""
        self._known = {}
        self._by_text = {}
        for series in self._all:
            self._by_text.setdefault(series.labels, series)
            series.renew()

    def _find(self, labels: dict[str, object]) -> S:
        """The series of labels that are not known as they stand."""
        try:
            texts = label_texts(labels, self.meaning.names, self.meaning.kind)
            with self._limits.lock:
                clean = redacted(texts, self._limits.redact)
                found = self._by_text.get(labels_text(clean))
                if found is None and labels and self._full:
                    self._limits.overflowed += 1
                    return self._overflow(clean)
                found = found or self._add(labels_text(clean))
                self._remember(texts, found)
                return found
        except LabelsInvalid:
            self._limits.drops["invalid"] += 1
            return self._void

    @property
    def _full(self) -> bool:
        return len(self._all) >= self._limits.max_series_each or self._limits.series >= self._limits.max_series

    def _add(self, text: str) -> S:
        made = self._make(text)
        found = self._by_text.setdefault(text, made)  # a signal handler may have been here since we looked
        if found is made:
            self._all.append(made)
            self._limits.series += 1
        return found

    def _overflow(self, labels: dict[str, str]) -> S:
        """The one series for all that is beyond the limits; where any labels may be, it has those of the first."""
        if self._other is None:
            self._other = self._add(labels_text(dict.fromkeys(labels, OTHER)))
        return self._other

    def _remember(self, labels: dict[str, str], series: S) -> None:
        """Find it by these labels as they stand next time, unless that would remember all that is ever said."""
        short = all(len(value) <= MAX_VALUE for value in labels.values())
        if short and len(self._known) < 4 * self._limits.max_series_each:
            self._known[(*labels, *labels.values())] = series

    def relabel(self, redact: Callable[[str], str]) -> None:
        """Pass all labels through a new hook. Series whose labels are the same then go on as two, which add up."""
        with self._limits.lock:
            self._known = {}
            self._by_text = {}
            for series in self._all:
                series.labels = relabelled(series.labels, redact)
                self._by_text.setdefault(series.labels, series)

    def _forget(self, labels: dict[str, object]) -> None:
        try:
            texts = label_texts(labels, self.meaning.names, self.meaning.kind)
            with self._limits.lock:
                gone = self._by_text.pop(labels_text(redacted(texts, self._limits.redact)), None)
                if gone is None:
                    return
                self._all.remove(gone)
                self._known = {key: series for key, series in self._known.copy().items() if series is not gone}
                self._limits.series -= 1
                if gone is self._other:
                    self._other = None
        except LabelsInvalid:
            self._limits.drops["invalid"] += 1


class Counter(Instrument[CounterSeries]):
    """Counts up: requests, tokens, errors."""

    __slots__ = ()

    def _make(self, labels: str) -> CounterSeries:
        return CounterSeries(labels, self._limits.drops)

    def inc(self, /, amount: SupportsFloat = 1, **labels: object) -> None:
        """Add so much, at least 0, to the series with these labels. Never raises."""
        try:
            series = self._known[(*labels, *map(str, labels.values())) if labels else ()]
        except Exception:  # not known, or without a text
            series = self._find(labels)
        series.inc(amount)


class Gauge(Instrument[GaugeSeries]):
    """Goes up and down: memory, jobs that wait, the loss of a training step."""

    __slots__ = ()

    def _make(self, labels: str) -> GaugeSeries:
        return GaugeSeries(labels, self._limits.drops)

    def set(self, /, value: SupportsFloat, **labels: object) -> None:
        """It is so much now. Never raises."""
        try:
            series = self._known[(*labels, *map(str, labels.values())) if labels else ()]
        except Exception:  # not known, or without a text
            series = self._find(labels)
        series.set(value)

    def inc(self, /, amount: SupportsFloat = 1, **labels: object) -> None:
        """It is so much more now. Never raises."""
        try:
            series = self._known[(*labels, *map(str, labels.values())) if labels else ()]
        except Exception:  # not known, or without a text
            series = self._find(labels)
        series.inc(amount)

    def dec(self, /, amount: SupportsFloat = 1, **labels: object) -> None:
        """It is so much less now. Never raises."""
        try:
            series = self._known[(*labels, *map(str, labels.values())) if labels else ()]
        except Exception:  # not known, or without a text
            series = self._find(labels)
        series.dec(amount)

    def look(self) -> None:
        """See Instrument."""
        for series in self.series:
            series.look()

    def track(self, /, **labels: object) -> Tracked:
        """For a `with` block: one more inside than outside."""
        return self.labels(**labels).track()

    def watch(self, function: Callable[[], SupportsFloat | None], /, **labels: object) -> Gauge:
        """Ask this function for the value whenever it is handed over, see `GaugeSeries.watch`. Returns the gauge."""
        self.labels(**labels).watch(function)
        return self

    def remove(self, /, **labels: object) -> None:
        """Forget the series with these labels: what it measured is over. One that is still kept records nowhere."""
        self._forget(labels)


class Histogram(Instrument[HistogramSeries]):
    """Counts values by how large they are: durations, sizes."""

    __slots__ = ()

    def _make(self, labels: str) -> HistogramSeries:
        return HistogramSeries(labels, self._limits.drops, self.meaning.bounds)

    def observe(self, /, value: SupportsFloat, **labels: object) -> None:
        """Count this value in the series with these labels. Never raises."""
        try:
            series = self._known[(*labels, *map(str, labels.values())) if labels else ()]
        except Exception:  # not known, or without a text
            series = self._find(labels)
        series.observe(value)


MAX_BOUNDS = 100
"""Each is a series where it is queried, and a number in each delta."""


def check_bounds(bounds: Sequence[float]) -> tuple[float, ...]:
    """The bounds of a histogram, without a last infinity. Raises ValueError."""
    found = tuple(float(bound) for bound in bounds)
    found = found[:-1] if found and found[-1] == float("inf") else found
    rising = all(low < high for low, high in pairwise(found))
    if not 1 <= len(found) <= MAX_BOUNDS or not rising or not all(abs(bound) < float("inf") for bound in found):
        raise ValueError(f"buckets={tuple(bounds)}: expected 1 to {MAX_BOUNDS} rising numbers")
    return found

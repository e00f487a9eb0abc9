"""The registry: all instruments of a process, and the hand-over of what they gathered.

    collect -> Collected -> the publisher takes its rows -> committed
                                      it does not        -> returned: they go on adding up

Until a collection is committed or returned nobody else gets one, so no increment is handed over twice.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar

from monitoring.pipeline.events.delta import ACROSS, Across
from monitoring.pipeline.publish.forks import in_every_child
from monitoring.producers.instruments import (
    Counter,
    Gauge,
    Histogram,
    Instrument,
    Limits,
    Meaning,
    check_bounds,
)
from monitoring.producers.labels import check_label_names, exposed_names, metric_name, prose
from monitoring.producers.series import Series
from monitoring.producers.timer import Timer

__all__ = ["MAX_SERIES", "MAX_SERIES_EACH", "Collected", "Registry", "Taken"]

MAX_SERIES = 10_000
"""Series of a process: 10,000 counters take 4 MB, and 0.03 s of CPU to hand over when all of them changed."""
MAX_SERIES_EACH = 1_000
"""Series of an instrument: what has more labels than that is an identifier, and belongs into a log event."""

I = TypeVar("I", bound=Instrument[Any])  # noqa: E741 - an instrument


class Taken(NamedTuple):
    """What a series gathered: texts as in Delta."""

    family: str
    labels: str
    value: str


_Part = tuple[Taken, Series, Any]


class Collected:
    """What all series gathered until `timestamp` within `window` (nanoseconds), to be committed or returned.

    It belongs to the thread that asked for it. Leaving the `with` block returns what was not committed. Both may be
    said again, and in a forked child, where they do nothing.
    """

    __slots__ = ("_at", "_parts", "_registry", "_turn", "rows", "timestamp", "window")

    def __init__(
        self, registry: Registry, turn: threading.RLock, parts: list[_Part], at: float, *, timestamp: int, window: int
    ) -> None:
        self._registry = registry
        self._turn = turn
        self._parts = parts
        self._at = at
        self.rows = [row for row, _, _ in parts]
        self.timestamp = timestamp
        self.window = window

    def committed(self) -> None:
        """The rows are somebody else's now: the next ones begin behind them."""
        if self._registry._out is self:
            for _, series, state in self._parts:
                series.handed_over(state, self._at)
            self._registry._since = self._at
        self.returned()

    def returned(self) -> None:
        """Nobody took the rows: they are part of the next ones."""
        if self._registry._out is self:
            self._registry._out = None
            self._turn.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.returned()


class Registry:
    """Instruments by name. Thread-safe; in a forked child all series begin at nothing.

    Asking again for a name gives the same instrument; as another kind, with other labels, buckets, unit or `across`
    it raises ValueError. `redact` sees the text of each label's value before a series is made of it.
    """

    def __init__(
        self,
        *,
        max_series: int = MAX_SERIES,
        max_series_each: int = MAX_SERIES_EACH,
        redact: Callable[[str], str] = str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits = Limits(max_series, max_series_each, redact)
        self._clock = clock
        self._instruments: dict[str, Instrument[Any]] = {}
        self._owners: dict[str, str] = {}
        self._turn = threading.RLock()
        self._out: Collected | None = None
        self._since: float | None = None

    # defining

    def counter(self, name: str, help: str = "", *, unit: str = "", labels: Sequence[str] = ()) -> Counter:  # noqa: A002 - Prometheus' name for it
        """The counter of this name, with or without `_total`. Raises ValueError, see Registry."""
        base = metric_name(name, "counter")
        names = check_label_names(labels, "counter")
        return self._define(Counter, Meaning(base, "counter", prose(help), prose(unit), names))

    def gauge(
        self,
        name: str,
        help: str = "",  # noqa: A002 - as above
        *,
        unit: str = "",
        labels: Sequence[str] = (),
        across: Across | None = None,
    ) -> Gauge:
        """The gauge of this name. Raises ValueError, see Registry.

        `across` says how its values in several processes become one: the "last" one reported (the default), their
        "sum", "max" or "min".
        """
        if across not in (None, *ACROSS):
            raise ValueError(f"across={across!r}: expected one of {', '.join(ACROSS)}")
        base = metric_name(name, "gauge")
        names = check_label_names(labels, "gauge")
        return self._define(Gauge, Meaning(base, "gauge", prose(help), prose(unit), names, across))

    def histogram(
        self,
        name: str,
        help: str = "",  # noqa: A002 - as above
        *,
        unit: str = "",
        labels: Sequence[str] = (),
        buckets: Sequence[float] | None = None,
    ) -> Histogram:
        """The histogram of this name. Raises ValueError, see Registry.

        `buckets` are upper bounds, inclusive; the default, DEFAULT_BUCKETS, is for seconds.
        """
        base = metric_name(name, "histogram")
        names = check_label_names(labels, "histogram")
        bounds = () if buckets is None else check_bounds(buckets)
        return self._define(Histogram, Meaning(base, "histogram", prose(help), prose(unit), names, bounds=bounds))

    def timer(
        self,
        name: str,
        help: str = "",  # noqa: A002 - as above
        *,
        labels: Sequence[str] = (),
        buckets: Sequence[float] | None = None,
    ) -> Timer:
        """A timer whose seconds go into the histogram of this name. Raises ValueError, see Registry."""
        return Timer(self.histogram(name, help, unit="seconds", labels=labels, buckets=buckets))

    def _define(self, kind: type[I], meaning: Meaning) -> I:
        with self._limits.lock:
            known = self._instruments.get(meaning.name)
            if known is None:
                self._claim(meaning)
                known = self._instruments.setdefault(meaning.name, kind(meaning.completed(), self._limits))
                if self._since is None:
                    self._since = self._clock()
                    _remember(self)
            known.meaning = known.meaning.joined(meaning)
            return known  # type: ignore[return-value]  # of this kind, or `joined` has raised

    def _claim(self, meaning: Meaning) -> None:
        """Make the names that it is queried by its own. Raises ValueError where one is taken."""
        if len(self._instruments) >= self._limits.max_series:
            raise ValueError(
                f"{meaning.name}: {len(self._instruments)} metrics are there: put what differs into a label"
            )
        names = exposed_names(meaning.name, meaning.kind)
        for name in names:
            if self._owners.get(name, meaning.name) != meaning.name:
                raise ValueError(f"{meaning.name}: {name} is a name of the metric {self._owners[name]} already")
        self._owners.update(dict.fromkeys(names, meaning.name))

    def redact_with(self, redact: Callable[[str], str]) -> None:
        """Have label values redacted so, those of all series there are as well."""
        with self._limits.lock:
            self._limits.redact = redact
            for instrument in list(self._instruments.values()):
                instrument.relabel(redact)

    def take_time_from(self, clock: Callable[[], float]) -> None:
        """Count by this clock from now on, seconds that only go up: that of a simulation. Before anything is sent."""
        with self._limits.lock:
            self._clock = clock
            if self._since is not None:
                self._since = clock()

    # what there is

    @property
    def instruments(self) -> list[Instrument[Any]]:
        """All instruments."""
        return list(self._instruments.values())

    @property
    def series(self) -> int:
        """How many series there are."""
        return self._limits.series

    @property
    def dropped(self) -> dict[str, int]:
        """What could not be recorded since the process began, by reason.

        `invalid`: labels that cannot be, or a number that is none; `watch`: a watched function raised.
        """
        return {reason: number for reason, number in self._limits.drops.items() if number}

    @property
    def overflowed(self) -> int:
        """How many times labels were replaced by `__other__`, because there were too many series."""
        return self._limits.overflowed

    # handing over

    def collect(self, now_ns: int) -> Collected:
        """What was gathered since what was committed last. Waits while another collection is out.

        `now_ns` is the time of day, nanoseconds. Raises RuntimeError where the one that is out is this thread's own
        (a signal handler came in between).
        """
        for instrument in self.instruments:
            instrument.look()
        self._turn.acquire()
        try:
            if self._out is not None:
                raise RuntimeError("this thread has a collection out: commit or return it first")
            self._out = self._gather(now_ns)
        except BaseException:
            self._turn.release()
            raise
        return self._out

    def _gather(self, now_ns: int) -> Collected:
        now = self._clock()
        window = 0.0 if self._since is None else max(0.0, now - self._since)
        parts: list[_Part] = []
        for instrument in self.instruments:
            family = instrument.meaning.family
            for series in instrument.series:
                if (found := series.pending(now, window)) is not None:
                    value, state = found
                    parts.append((Taken(family, series.labels, value), series, state))
        return Collected(self, self._turn, parts, now, timestamp=now_ns, window=int(window * 1e9))

    # forks

    def renew_after_fork(self) -> None:
        """In a forked child: begin at nothing, with new locks. What was not handed over is the parent's to do."""
        self._limits.lock = threading.RLock()
        self._turn = threading.RLock()
        self._out = None
        self._limits.overflowed = 0
        self._limits.drops.update(dict.fromkeys(self._limits.drops, 0))
        for instrument in self.instruments:
            instrument.renew()
        self._limits.series = sum(len(instrument.series) for instrument in self.instruments)
        if self._since is not None:
            self._since = self._clock()


_live: weakref.WeakSet[Registry] = weakref.WeakSet()
_hooked = False


def _remember(registry: Registry) -> None:
    """Have the registry renewed in forked children."""
    global _hooked
    _live.add(registry)
    if not _hooked:
        _hooked = True
        in_every_child(_renew_all)


def _renew_all() -> None:
    for registry in list(_live):
        registry.renew_after_fork()

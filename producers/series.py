"""Series: where the numbers add up. Hot.

A series only ever adds: it keeps the total since the process began, and how much of that was handed over. A delta is
the difference. Handing over changes nothing until it is known to have worked, so there is nothing to put back where it
has not, and the next delta is that much larger.

No lock is taken. The interpreter switches threads and runs signal handlers only where a call returns or a loop turns
back, and in `total += amount` between two plain numbers there is neither (a test looks at the bytecode). So a count is
whole or has not begun, and what a signal handler, a finalizer or a greenlet counts in the middle of another count is
counted as well. A reentrant lock would make it three times as slow, and a fork or gevent could leave it locked.
Free-threaded builds of Python give no such guarantee and are not supported.
"""

from __future__ import annotations

import operator
from bisect import bisect_left
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self, SupportsFloat

import orjson

__all__ = [
    "LARGEST",
    "RESEND_SECONDS",
    "STILL_SECONDS",
    "CounterSeries",
    "GaugeSeries",
    "HistogramSeries",
    "Number",
    "Series",
    "Tracked",
]

Number = int | float
LARGEST = 1e300
"""No quantity is larger; a hundred million of these still add up to a number."""
RESEND_SECONDS = 60.0
"""A gauge that does not change is sent this often: the store takes it for dead after five minutes without."""
STILL_SECONDS = 240.0
"""A counter or histogram that gained nothing says so this often, for its total to stay in sight for those five minutes.
Less often than a gauge: a lost gauge is a wrong value, this is only one more line of zeros."""


class Series:
    """One label set of one metric. Recording is safe between threads and from signal handlers.

    `labels` is the text of `Delta.labels`. Drops are counted in `drops`, by reason.
    """

    __slots__ = ("_drops", "labels")

    def __init__(self, labels: str, drops: dict[str, int]) -> None:
        self.labels = labels
        self._drops = drops

    def pending(self, now: float, window_seconds: float) -> tuple[str, Any] | None:
        """What was not handed over yet, as in `Delta.value`, and what to tell `handed_over`; None: nothing.

        `now` is seconds of a steady clock; `window_seconds` have passed since the last time.
        """
        raise NotImplementedError

    def handed_over(self, state: Any, now: float) -> None:
        """What `pending` gave was taken; `now` is the time it was asked at."""
        raise NotImplementedError

    def renew(self) -> None:
        """Begin at nothing, in a forked child: what was not handed over is the parent's."""
        raise NotImplementedError


class CounterSeries(Series):
    """Counts up."""

    __slots__ = ("_sent", "_sent_at", "_total")

    def __init__(self, labels: str, drops: dict[str, int]) -> None:
        super().__init__(labels, drops)
        self._total: Number = 0
        self._sent: Number | None = None
        self._sent_at: float | None = None

    def inc(self, amount: SupportsFloat = 1) -> None:
        """Add so much, at least 0. Never raises; what is no such number is counted as dropped."""
        if (type(amount) is int or type(amount) is float) and 0 <= amount <= LARGEST:
            self._total += amount
            return
        number = _plain(amount)
        if number is None or number < 0:
            self._drops["invalid"] += 1
        else:
            self._total += number

    @property
    def value(self) -> Number:
        """The total since the process began."""
        return self._total

    def pending(self, now: float, window_seconds: float) -> tuple[str, Any] | None:
        """See Series. A new series is told once even while it is 0, so that queries know it before it counts; one that
        stands still, again before five minutes are over.
        """
        total, sent = self._total, self._sent
        if total == sent and not _silent(self._sent_at, now, window_seconds):
            return None
        return _text(total - (sent or 0)), total

    def handed_over(self, state: Any, now: float) -> None:
        """See Series."""
        self._sent, self._sent_at = state, now

    def renew(self) -> None:
        """See Series. That it stands still is the parent's to say, until it counts here as well."""
        self._total = self._sent = 0
        self._sent_at = None


class GaugeSeries(Series):
    """Goes up and down."""

    __slots__ = ("_lives", "_sent", "_sent_at", "_value", "_watched")

    def __init__(self, labels: str, drops: dict[str, int]) -> None:
        super().__init__(labels, drops)
        self._lives = 0
        self._watched: Callable[[], SupportsFloat | None] | None = None
        self._value: Number | None = None
        self._sent: Number | None = None
        self._sent_at = 0.0

    def set(self, value: SupportsFloat) -> None:
        """It is so much now. Never raises; what is no number is counted as dropped."""
        if (type(value) is int or type(value) is float) and -LARGEST <= value <= LARGEST:
            self._value = value
            return
        number = _plain(value)
        if number is None:
            self._drops["invalid"] += 1
        else:
            self._value = number

    def inc(self, amount: SupportsFloat = 1) -> None:
        """It is so much more now. Never raises."""
        number = amount if type(amount) is int or type(amount) is float else _plain(amount)
        if number is not None and -LARGEST <= number <= LARGEST:
            self._value = (self._value or 0) + number
        else:
            self._drops["invalid"] += 1

    def dec(self, amount: SupportsFloat = 1) -> None:
        """It is so much less now. Never raises."""
        number = amount if type(amount) is int or type(amount) is float else _plain(amount)
        if number is not None and -LARGEST <= number <= LARGEST:
            self._value = (self._value or 0) - number
        else:
            self._drops["invalid"] += 1

    def track(self) -> Tracked:
        """For a `with` block: one more inside than outside."""
        return Tracked(self)

    def watch(self, function: Callable[[], SupportsFloat | None]) -> None:
        """Ask this function for the value whenever it is handed over; None: there is none at present.

        It runs in the reporter's thread. Where it raises that is counted as dropped, by the reason `watch`.
        """
        self._watched = function

    def look(self) -> None:
        """Ask the watched function, if there is one. Never raises."""
        if self._watched is None:
            return
        try:
            value = self._watched()
        except Exception:  # the application's own function: its failure is counted, and must not stop the others
            self._drops["watch"] += 1
            return
        if value is None:
            self._value = None
        else:
            self.set(value)

    @property
    def value(self) -> Number | None:
        """What it is now; None where it was not set yet."""
        return self._value

    def pending(self, now: float, window_seconds: float) -> tuple[str, Any] | None:
        """See Series. Again after a minute, before it is longer."""
        value = self._value
        if value is None or (value == self._sent and now - self._sent_at + window_seconds <= RESEND_SECONDS):
            return None
        return _text(value), value

    def handed_over(self, state: Any, now: float) -> None:
        """See Series."""
        self._sent = state
        self._sent_at = now

    def renew(self) -> None:
        """See Series. What was set is the parent's; what is watched is this process's as well."""
        self._lives += 1
        self._value = self._sent = None


class Tracked:
    """One more while the block runs. A block that a fork leaves twice counts in the parent, which entered it."""

    __slots__ = ("_life", "_series")

    def __init__(self, series: GaugeSeries) -> None:
        self._series = series
        self._life = -1

    def __enter__(self) -> Self:
        self._life = self._series._lives
        self._series.inc()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._life == self._series._lives:
            self._series.dec()


class HistogramSeries(Series):
    """Counts observations by bucket, and adds them up."""

    __slots__ = ("_bounds", "_counts", "_sent", "_sent_at", "_sent_sum", "_sum")

    def __init__(self, labels: str, drops: dict[str, int], bounds: Sequence[float]) -> None:
        super().__init__(labels, drops)
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum: Number = 0
        self._sent: list[int] | None = None
        self._sent_sum: Number = 0
        self._sent_at: float | None = None

    def observe(self, value: SupportsFloat) -> None:
        """Count this value. Never raises; what is no number is counted as dropped."""
        number = value if type(value) is float or type(value) is int else _plain(value)
        if number is not None and -LARGEST <= number <= LARGEST:
            counts, bucket = self._counts, bisect_left(self._bounds, number)
            counts[bucket] += 1  # from here to the end nothing is called: count and sum change as one
            self._sum += number
        else:
            self._drops["invalid"] += 1

    @property
    def count(self) -> int:
        """Observations since the process began."""
        return sum(self._counts)

    @property
    def sum(self) -> Number:
        """All of them added up."""
        return self._sum

    def pending(self, now: float, window_seconds: float) -> tuple[str, Any] | None:
        """See Series."""
        total = self._sum
        counts = self._counts.copy()  # sum and counts are of one moment: only a call that returned could part them
        sent = self._sent
        if counts == sent and not _silent(self._sent_at, now, window_seconds):
            return None
        more = [count - before for count, before in zip(counts, sent, strict=True)] if sent else counts
        text = f'{{"sum":{_text(total - self._sent_sum)},"counts":{orjson.dumps(more).decode()}}}'
        return text, (counts, total)

    def handed_over(self, state: Any, now: float) -> None:
        """See Series."""
        self._sent, self._sent_sum = state
        self._sent_at = now

    def renew(self) -> None:
        """See Series."""
        self._counts[:] = [0] * len(self._counts)  # in place: an observation may be on its way into this list
        self._sent = self._counts.copy()
        self._sum = self._sent_sum = 0
        self._sent_at = None


def _silent(sent_at: float | None, now: float, window_seconds: float) -> bool:
    """Whether the next time could be too late to say that nothing was gained; never where nothing was said yet."""
    return sent_at is not None and now - sent_at + window_seconds > STILL_SECONDS


def _plain(value: object) -> Number | None:
    """The number as an int or a float: those of numpy, Decimal and the like have their own kinds. None: it is none."""
    try:
        number: Number = int(operator.index(value))  # type: ignore[arg-type]  # it raises what is caught here
    except Exception:
        if isinstance(value, str | bytes | bytearray):
            return None
        try:
            number = float(value)  # type: ignore[arg-type]  # the same
        except Exception:
            return None
    return number if -LARGEST <= number <= LARGEST else None


def _text(number: Number) -> str:
    """The number in JSON; whole ones as such, as far as every reader takes them."""
    return repr(number if type(number) is float or -(1 << 63) <= number < 1 << 63 else float(number))

"""Gauges of what is over: their last value is handed over once more, then they are gone.

A run that lasts for less than the interval at which metrics are sent would otherwise leave nothing, and one that ended
would stay in the process for ever.
"""

from __future__ import annotations

from collections.abc import Mapping

from monitoring.producers.instruments import Gauge
from monitoring.producers.series import GaugeSeries, Number

__all__ = ["arrive", "leave"]


def arrive(gauge: Gauge, labels: Mapping[str, str]) -> GaugeSeries:
    """The series with these labels, new, even where one of them is about to leave."""
    gauge.remove(**labels)
    return gauge.labels(**labels)


def leave(gauge: Gauge, labels: Mapping[str, str]) -> None:
    """Let the series go after the next time that metrics are sent."""
    series = gauge.labels(**labels)
    series.watch(_Farewell(gauge, labels, series))


class _Farewell:
    """What a leaving series is asked when metrics are sent: the value, and then no more."""

    def __init__(self, gauge: Gauge, labels: Mapping[str, str], series: GaugeSeries) -> None:
        self._gauge, self._labels, self._series = gauge, labels, series
        self._said = False

    def __call__(self) -> Number | None:
        if self._said:
            self._gauge.remove(**self._labels)
            return None
        self._said = True
        return self._series.value

"""Functions of a time in seconds since 1970, in UTC: hour, day_of_week and so on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from monitoring.pipeline.query.promql.source import Floats

__all__ = ["CALENDAR"]

_FARTHEST = 9.0e15
"""Seconds from which on a year no longer fits numpy's day arithmetic; such times have no calendar here (NaN)."""
_Dates = npt.NDArray[np.datetime64]
_Counts = npt.NDArray[np.int64]


def _since(seconds: _Dates, unit: str, of: str) -> _Counts:
    """How many of a unit have passed since the larger one `of` began."""
    passed: _Counts = (seconds.astype(f"M8[{unit}]") - seconds.astype(f"M8[{of}]").astype(f"M8[{unit}]")).astype(
        np.int64
    )
    return passed


def _days_in_month(seconds: _Dates) -> _Counts:
    months = seconds.astype("M8[M]")
    days: _Counts = ((months + 1).astype("M8[D]") - months.astype("M8[D]")).astype(np.int64)
    return days


_PARTS: dict[str, Callable[[_Dates], _Counts]] = {
    "day_of_month": lambda seconds: _since(seconds, "D", "M") + 1,
    "day_of_week": lambda seconds: (seconds.astype("M8[D]").astype(np.int64) + 4) % 7,  # 1970 began on a Thursday
    "day_of_year": lambda seconds: _since(seconds, "D", "Y") + 1,
    "days_in_month": _days_in_month,
    "hour": lambda seconds: _since(seconds, "h", "D"),
    "minute": lambda seconds: _since(seconds, "m", "h"),
    "month": lambda seconds: _since(seconds, "M", "Y") + 1,
    "year": lambda seconds: seconds.astype("M8[Y]").astype(np.int64) + 1970,
}


def _calendar(part: Callable[[_Dates], _Counts]) -> Callable[[Floats], Floats]:
    def compute(values: Floats) -> Floats:
        fits = np.abs(values) < _FARTHEST  # false for NaN
        seconds = np.trunc(np.where(fits, values, 0.0)).astype(np.int64).astype("M8[s]")
        return np.where(fits, part(seconds).astype(np.float64), np.nan)

    return compute


CALENDAR: dict[str, Callable[[Floats], Floats]] = {name: _calendar(part) for name, part in _PARTS.items()}

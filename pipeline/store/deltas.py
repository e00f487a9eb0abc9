"""Understanding deltas: what stands in their texts, and which windows their increments belong to. Pure.

The store keeps increments by windows of 10 s, which begin at whole multiples of 10 s.

- A delta of up to 15 s goes into one window: the one in which the middle of its last 10 s lies. So it does not matter
  that a producer wakes some milliseconds after the window's end, which is what `timestamp` says then.
- A longer one is spread evenly over as many windows as it is long, that one and those before it: at most 360, the last
  hour. Whole numbers stay whole: window k of n gets floor(v * (k + 1) / n) - floor(v * k / n). Floats are split so in
  units of their last bit. Either way the parts add up to exactly what the delta said, in any order. (What floats of
  several deltas add up to is rounded, as every sum of floats is; whole numbers are not.)
- A gauge has one value, in that last window.
- Of a total that is cumulative, what it gained since the point before (`cumulative.py`) is spread likewise; where more
  than an hour lies between the two, the last hour gets its share and the rest stands in the window where it began.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import orjson

from monitoring.pipeline.events.delta import ACROSS, NOT_FINITE, STALE, TYPES

__all__ = [
    "DESCRIBES",
    "MOST_WINDOWS",
    "OTHER",
    "RESOURCE",
    "WINDOW_NS",
    "Buckets",
    "DeltaInvalid",
    "Family",
    "Number",
    "Sample",
    "Total",
    "merged",
    "read_family",
    "read_labels",
    "read_value",
    "shares",
    "windows_of",
]

Number = int | float
WINDOW_NS = 10_000_000_000
"""A delta's usual length, and the finest that a graph of hours can show."""
MOST_WINDOWS = 360
"""An hour. A process that could not send for longer says little of when it happened, and each window costs."""
RESOURCE = ("service", "environment", "release", "host")
"""Columns of a delta that become labels of its series."""
OTHER = "__other__"
"""What labels say of the series that takes what is beyond the limits."""
DESCRIBES = "null"
"""The value of a delta that only says what its family is."""
_LARGEST = 1e300  # as in the SDK: a hundred million of these still add up to a number
_MOST_COUNT = 1 << 53
_INT64 = 1 << 63
_MAX_NAME = 200
_MAX_LABELS = 64
_MAX_VALUE = 1024
_MAX_PROSE = 10_000
_MAX_BOUNDS = 1000
_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*")


class DeltaInvalid(ValueError):
    """This delta cannot be understood; the text says why."""


class Family(NamedTuple):
    """What series of a name share. Those of another kind, `across` or bounds are another family of the same name."""

    name: str
    kind: str
    across: str
    bounds: tuple[Number, ...]
    unit: str = ""
    help: str = ""
    type: str = ""
    cumulative: bool = False


class Buckets(NamedTuple):
    """Increments of a histogram: a count for each bound of values up to it and above the last, one for the rest."""

    sum: Number
    counts: list[int]


class Total(NamedTuple):
    """What a cumulative counter or histogram had counted since `start`, nanoseconds; 0: that is not known."""

    start: int
    stream: str
    value: Number | Buckets


class Sample(NamedTuple):
    """A sample as it is stored: a number, None for NaN (SQLite has none), or `STALE`."""

    value: Number | str | None


def _json(text: str, what: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise DeltaInvalid(f"{what} is no JSON: {error}") from None


def _number(value: Any) -> Number:
    """The value, as a float where SQLite has no such integer."""
    if type(value) is int:
        return value if -_INT64 <= value < _INT64 else float(value)
    if type(value) is float and -_LARGEST <= value <= _LARGEST:
        return value
    raise DeltaInvalid(f"{value!r} is no number that can be stored")


def read_family(text: str) -> Family:
    """The family of `Delta.family`. Raises DeltaInvalid."""
    found = _json(text, "the family")
    if type(found) is not dict:
        raise DeltaInvalid("the family is no object")
    name, kind, across = found.get("name"), found.get("kind"), found.get("across", "")
    unit, prose = found.get("unit", ""), found.get("help", "")
    if type(name) is not str or len(name) > _MAX_NAME or not _METRIC.fullmatch(name):
        raise DeltaInvalid(f"{name!r} cannot name a metric")
    if kind not in ("counter", "gauge", "histogram", "sample"):
        raise DeltaInvalid(f"{kind!r} is no kind of metric")
    if kind == "gauge":
        across = across or ACROSS[0]
    if across not in (ACROSS if kind == "gauge" else ("",)):
        raise DeltaInvalid(f"across={across!r} does not go with a {kind}")
    if type(unit) is not str or type(prose) is not str:
        raise DeltaInvalid("unit or help is no text")
    cumulative = found.get("cumulative", False)
    if type(cumulative) is not bool or (cumulative and kind not in ("counter", "histogram")):
        raise DeltaInvalid(f"cumulative={cumulative!r} does not go with a {kind}")
    bounds = _bounds(found.get("bounds", []), kind)
    of = found.get("type", "") if kind == "sample" else ""
    known = of if of in TYPES else ""
    return Family(name, kind, across, bounds, unit[:_MAX_NAME], prose[:_MAX_PROSE], known, cumulative)


def _bounds(found: Any, kind: str) -> tuple[Number, ...]:
    if type(found) is not list or len(found) > _MAX_BOUNDS or (found and kind != "histogram"):
        raise DeltaInvalid(f"these bounds do not go with a {kind}")
    bounds = tuple(map(_number, found))
    if any(bound >= following for bound, following in pairwise(bounds)):
        raise DeltaInvalid("the bounds do not rise")
    return bounds


def read_labels(text: str) -> dict[str, str]:
    """The labels of `Delta.labels`, without those that are empty. Raises DeltaInvalid."""
    found = _json(text, "labels") if text else {}
    if type(found) is not dict or len(found) > _MAX_LABELS:
        raise DeltaInvalid(f"labels are no object, or more than {_MAX_LABELS}")
    for name, value in found.items():
        if len(name) > _MAX_NAME or not _LABEL.fullmatch(name):
            raise DeltaInvalid(f"{name!r} cannot name a label")
        if type(value) is not str:
            raise DeltaInvalid(f"the label {name} is no text")
    return {name: value[:_MAX_VALUE] for name, value in found.items() if value}


def merged(labels: dict[str, str], resource: Sequence[str]) -> dict[str, str]:
    """All labels of a series: its own, and where it comes from (`RESOURCE`, in this order), sorted by name.

    Where both have a name, the origin keeps it and the metric's own label becomes `exported_<name>`, as Prometheus
    does when it scrapes: who filters by service must find that service's series and no others.
    """
    origin = {name: value[:_MAX_VALUE] for name, value in zip(RESOURCE, resource, strict=True) if value}
    found = dict(labels)
    for name in origin:
        if name in found:
            value, free = found.pop(name), f"exported_{name}"
            while free in found:
                free = f"exported_{free}"
            found[free] = value
    return dict(sorted({**found, **origin}.items()))


def read_value(family: Family, text: str) -> Number | Buckets | Total | Sample:
    """The value of a delta of this family. Raises DeltaInvalid."""
    found = _json(text, "the value")
    if family.kind == "sample":
        return _sample(found)
    if not family.cumulative:
        return _gained(family, found)
    start, stream = (found.get("start", 0), found.get("stream", "")) if type(found) is dict else (None, "")
    if type(start) is not int or not 0 <= start < _INT64 or type(stream) is not str or len(stream) > _MAX_NAME:
        raise DeltaInvalid("a cumulative value says since when, and that in nanoseconds")
    return Total(start, stream, _gained(family, found if family.kind == "histogram" else found.get("value")))


def _gained(family: Family, found: Any) -> Number | Buckets:
    if family.kind == "histogram":
        return _buckets(found, len(family.bounds) + 1)
    number = _number(found)
    if family.kind == "counter" and number < 0:
        raise DeltaInvalid(f"a counter cannot grow by {number}")
    return number


def _sample(found: Any) -> Sample:
    if type(found) is str:
        if found == STALE:
            return Sample(STALE)
        number = NOT_FINITE.get(found)
        if number is None:
            raise DeltaInvalid(f"{found[:20]!r} is no value of a sample")
        return Sample(None if math.isnan(number) else number)
    if type(found) is int:
        return Sample(float(found))
    if type(found) is not float:
        raise DeltaInvalid(f"{str(found)[:20]!r} is no value of a sample")
    return Sample(found)


def _buckets(found: Any, length: int) -> Buckets:
    counts = found.get("counts") if type(found) is dict else None
    if type(counts) is not list or len(counts) != length:
        raise DeltaInvalid(f"a histogram of this family has {length} counts")
    if not all(type(count) is int and 0 <= count <= _MOST_COUNT for count in counts):
        raise DeltaInvalid("the counts are no increments")
    return Buckets(_number(found.get("sum")), counts)


def windows_of(timestamp: int, window: int) -> tuple[int, int]:
    """The last window (its number since 1970) that a delta belongs to, and over how many it is spread."""
    last = max(0, timestamp - min(window, WINDOW_NS) // 2) // WINDOW_NS
    return last, max(1, min((window + WINDOW_NS // 2) // WINDOW_NS, MOST_WINDOWS, last + 1))


_TINY = 2.0**-900


def shares(value: Number, count: int) -> list[Number]:
    """The value in so many parts, as even as can be; they add up to it exactly."""
    if count == 1:
        return [value]
    if type(value) is int:
        edges = [value * place // count for place in range(count + 1)]
        return [after - before for before, after in pairwise(edges)]
    if abs(value) < _TINY:  # its parts would be below what a float can tell apart
        return [*([0] * (count - 1)), value]
    fraction, exponent = math.frexp(value)
    return [math.ldexp(part, exponent - 53) for part in shares(int(fraction * 2**53), count)]

"""A metric's delta: what one series of one process gathered in one window."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import orjson

__all__ = ["ACROSS", "Across", "Delta", "Kind", "family_text"]

Kind = Literal["counter", "gauge", "histogram"]
Across = Literal["last", "sum", "max", "min"]
ACROSS: tuple[Across, ...] = ("last", "sum", "max", "min")
"""How the values of a gauge in several processes become one."""


class Delta(NamedTuple):
    """One delta. Adding up the deltas of counters and histograms, of whatever lanes, gives exact totals.

    `timestamp` is the end of the window, nanoseconds since 1970 in UTC; `window` its length in nanoseconds. A window
    is as long as the process could not hand its deltas over, so it may be much longer than usual.

    `family` says what all series of a name share, see `family_text`. `labels` is the JSON text of an object of
    strings with sorted keys and without empty values, so that equal label sets are equal texts.

    `value` is JSON text: a counter's increment, a gauge's value at the end of the window, or a histogram's increments
    `{"sum":x,"counts":[…]}`, a count for each bound of the family, of values up to it and above the bound before,
    and one for what is above them all.
    """

    timestamp: int
    window: int
    service: str
    environment: str = ""
    release: str = ""
    host: str = ""
    family: str = ""
    labels: str = ""
    value: str = ""


def family_text(
    *,
    name: str,
    kind: Kind,
    across: Across | None = None,
    unit: str = "",
    help: str = "",  # noqa: A002 - Prometheus' name for it
    bounds: tuple[float, ...] = (),
) -> str:
    """The JSON text of a `Delta.family`; members without a value are absent.

    `name` is Prometheus' base name, without `_total`, `_bucket`, `_sum` or `_count`; `across` goes with gauges,
    `bounds`, rising, with histograms (a `le` for each, and `+Inf` beyond).
    """
    members: dict[str, Any] = {"name": name, "kind": kind, "across": across, "unit": unit, "help": help}
    return orjson.dumps({key: value for key, value in {**members, "bounds": bounds}.items() if value}).decode()

"""A metric's delta: what one series of one process gathered in one window."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import orjson

__all__ = ["ACROSS", "NOT_FINITE", "STALE", "TYPES", "Across", "Delta", "Kind", "family_text"]

Kind = Literal["counter", "gauge", "histogram"]
Across = Literal["last", "sum", "max", "min"]
ACROSS: tuple[Across, ...] = ("last", "sum", "max", "min")
"""How the values of a gauge in several processes become one."""
TYPES = ("counter", "gauge", "histogram", "summary", "unknown")
"""What samples may be of, as Prometheus' metadata says it."""
STALE = "stale"
"""Of a sample: its series ended here. On Prometheus' own wire it is the NaN of the bits 0x7ff0000000000002."""
NOT_FINITE = {"NaN": float("nan"), "+Inf": float("inf"), "-Inf": float("-inf")}
"""Values of samples for which JSON has no number."""


class Delta(NamedTuple):
    """One delta. Adding up the deltas of counters and histograms, of whatever lanes, gives exact totals.

    `timestamp` is the end of the window, nanoseconds since 1970 in UTC; `window` its length in nanoseconds. A window
    is as long as the process could not hand its deltas over, so it may be much longer than usual.

    `family` says what all series of a name share, see `family_text`. `labels` is the JSON text of an object of
    strings with sorted keys and without empty values, so that equal label sets are equal texts.

    `value` is JSON text: a counter's increment, a gauge's value at the end of the window, or a histogram's increments
    `{"sum":x,"counts":[…]}`, a count for each bound of the family, of values up to it and above the bound before,
    and one for what is above them all.

    Two kinds of points come from elsewhere as they are:

    - Of a family that is `cumulative`, `value` is no increment but the total since `start`, nanoseconds, 0 where that
      is not known: `{"start":n,"value":x}` or `{"start":n,"sum":x,"counts":[…]}`. The drain makes increments of them.
      An optional member `stream`, text, tells apart processes that count into the same series.
    - Kind "sample" is what Prometheus scraped: `labels` are all there are, the columns of the origin are empty, the
      name is the whole one, and `value` is a number or one of the texts "NaN", "+Inf", "-Inf" and "stale". A value of
      `null` says nothing but what the family is.
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
    kind: Kind | Literal["sample"],
    across: Across | None = None,
    unit: str = "",
    help: str = "",  # noqa: A002 - Prometheus' name for it
    bounds: tuple[float, ...] = (),
    cumulative: bool = False,
    type: str = "",  # noqa: A002 - Prometheus' name for it
) -> str:
    """The JSON text of a `Delta.family`; members without a value are absent.

    `name` is Prometheus' base name, without `_total`, `_bucket`, `_sum` or `_count`; `across` goes with gauges,
    `bounds`, rising, with histograms (a `le` for each, and `+Inf` beyond), `cumulative` with both and counters, `type`
    (one of `TYPES`) with samples.
    """
    members: dict[str, Any] = {"name": name, "kind": kind, "across": across, "unit": unit, "help": help}
    members |= {"bounds": bounds, "cumulative": cumulative, "type": type}
    return orjson.dumps({key: value for key, value in members.items() if value}).decode()

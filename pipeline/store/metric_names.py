"""How families of the store are seen by queries: the names, parts and `le` labels that Prometheus would give them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Literal, NamedTuple

from monitoring.pipeline.query.promql.source import NAME
from monitoring.pipeline.store.deltas import Number
from monitoring.pipeline.store.matchers import Matcher

__all__ = ["LE", "Exposed", "Part", "exposed", "le_labels", "le_test", "metadata_name", "name_test", "number_text"]

LE = "le"
Part = Literal["total", "bucket", "sum", "count", "value", "sample"]


class Exposed(NamedTuple):
    """A name under which a family is seen, and the part of it that this name shows."""

    name: str
    part: Part


def exposed(name: str, kind: str) -> tuple[Exposed, ...]:
    """All names of a family: of a counter with `_total`, of a histogram `_bucket`, `_sum` and `_count`."""
    if kind == "counter":
        return (Exposed(metadata_name(name, kind), "total"),)
    if kind == "histogram":
        return (Exposed(f"{name}_bucket", "bucket"), Exposed(f"{name}_sum", "sum"), Exposed(f"{name}_count", "count"))
    return (Exposed(name, "sample" if kind == "sample" else "value"),)


def metadata_name(name: str, kind: str) -> str:
    """The name under which type, help and unit are listed: a histogram's has no suffix."""
    return f"{name}_total" if kind == "counter" and not name.endswith("_total") else name


def number_text(value: Number) -> str:
    """A bound as the value of `le`: always with a point or an exponent, as Prometheus 3 and OpenMetrics write it.

    Go's `strconv.FormatFloat(x, 'g', -1, 64)`, an exponent from a million on and below 0.0001, else ".0" where there
    is no fraction.
    """
    number = Decimal(repr(float(value)))
    if not number:
        return "0.0"
    sign, digits, exponent = number.normalize().as_tuple()
    power = len(digits) + int(exponent) - 1
    if -4 <= power < 6:
        text = f"{number:f}"
        return text if "." in text else f"{text}.0"
    figures = "".join(map(str, digits))
    tail = f".{figures[1:]}" if len(figures) > 1 else ""
    return f"{'-' if sign else ''}{figures[0]}{tail}e{'-' if power < 0 else '+'}{abs(power):02d}"


def le_labels(bounds: Sequence[Number]) -> list[str]:
    """The `le` of each bucket; the last is everything."""
    return [*map(number_text, bounds), "+Inf"]


def name_test(matchers: Sequence[Matcher]) -> Callable[[str], bool]:
    """Whether a name fits all matchers of `__name__`."""
    tests = [matcher.test() for matcher in matchers if matcher.label == NAME]
    return lambda name: all(test(name) for test in tests)


def le_test(matchers: Sequence[Matcher]) -> Callable[[str], bool]:
    """Whether an `le` fits all its matchers. Numbers are compared as such: `le="1"` finds "1.0"."""
    tests = [_le_test(matcher) for matcher in matchers if matcher.label == LE]
    return lambda le: all(test(le) for test in tests)


def _le_test(matcher: Matcher) -> Callable[[str], bool]:
    if matcher.operator in ("=", "!="):
        try:
            return matcher._replace(value=_canonical(matcher.value)).test()
        except ValueError:
            return matcher.test()
    test = matcher.test()
    if matcher.operator == "=~":
        return lambda le: test(le) or test(_short(le))
    return lambda le: test(le) and test(_short(le))


def _canonical(text: str) -> str:
    number = float(text)
    return text if number in (float("inf"), float("-inf")) or number != number else number_text(number)


def _short(le: str) -> str:
    """As Prometheus 2 wrote it."""
    return le.removesuffix(".0")

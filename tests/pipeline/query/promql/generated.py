"""Queries and series out of a seed, for comparing engines.

Prometheus 2 has ranges and lookbacks that are closed at both ends, Prometheus 3 (and we) open at the start: so no
sample, and no step of a subquery, lies on a multiple of 5 s, and all queries do. Left out is what 2.42 does otherwise:
the names that atan2 left, `@` in timestamp() and predict_linear() over a range, `@` of a subquery around another `@`
(it loads too few samples), stddev of a single NaN, the extrapolation of a counter that starts within a window and is
reset there; and what is left open: which of equal values topk() takes, the date of NaN, the last digit of a sum or a
power where it shows.
"""

from __future__ import annotations

import random

import numpy as np

from monitoring.pipeline.query.promql.source import STALE, Samples

BASE = 1_600_000_000
"""Seconds since 1970 when the samples begin."""
LENGTH = 3000
"""Seconds for which there are some: what Prometheus takes in one write without calling the end too old."""


def series(seed: int) -> list[Samples]:
    """Counters with resets, gauges, histograms; some begin late, have gaps, or end with a stale mark."""
    draw = random.Random(seed)
    made = []
    for route in ("/a", "/b", "/c"):
        for instance in ("1", "2", "3"):
            labels = {"route": route, "instance": instance}
            made.append(_counter(draw, {"__name__": "requests_total", **labels, "code": draw.choice(["200", "500"])}))
            made.append(_gauge(draw, {"__name__": "temperature", **labels}))
            made.append(_gauge(draw, {"__name__": "load", **labels, "note": "x y"}))
    for instance in ("1", "2", "3"):
        made.append(_gauge(draw, {"__name__": "limit", "instance": instance, "zone": draw.choice(["eu", "us"])}))
        made += _histogram(draw, instance)
    return made


def _times(draw: random.Random) -> list[int]:
    start = draw.choice([0, 0, 0, 400, 1100])
    end = draw.choice([LENGTH, LENGTH, LENGTH, 2000])
    times = range(start, end, draw.choice([15, 15, 30]))
    gap = draw.choice([0, 0, 300, 600])
    return [
        (BASE + at) * 1000 + draw.choice([1230, 2000, 3217])
        for at in times
        if not (gap and 1300 < at < 1300 + gap) and draw.random() > 0.03
    ]


def _made(labels: dict[str, str], times: list[int], values: list[float], stale: bool) -> Samples:
    if stale:
        times, values = [*times, times[-1] + 10_000], [*values, STALE]
    return Samples(labels, np.array(times, dtype=np.int64), np.array(values))


def _counter(draw: random.Random, labels: dict[str, str]) -> Samples:
    start, every = draw.choice([0, 0, 400]), draw.choice([15, 30])
    times = [(BASE + at) * 1000 + draw.choice([1230, 2000]) for at in range(start, LENGTH, every)]
    value, values = 100_000.0, []
    for place in range(len(times)):
        reset = place > _SURE and draw.random() < 0.02
        value = draw.choice([0.0, 3.0]) if reset else value + draw.choice([0, 1, 2.5, 40])
        values.append(value)
    return _made(labels, times, values, draw.random() < 0.3)


def _gauge(draw: random.Random, labels: dict[str, str]) -> Samples:
    times = _times(draw)
    odd = labels["__name__"] == "load"
    values = [float("nan") if odd and draw.random() < 0.03 else draw.gauss(20, 15) for _ in times]
    return _made(labels, times, values, draw.random() < 0.3)


def _histogram(draw: random.Random, instance: str) -> list[Samples]:
    times = _times(draw)
    bounds = ["0.1", "0.5", "1", "5", "+Inf"]
    counts = [50.0 * (place + 1) for place in range(len(bounds))]
    rows: list[list[float]] = [[] for _ in bounds]
    for _ in times:
        more = 0
        for place in range(len(bounds)):
            more += draw.choice([0, 1, 4])
            counts[place] += more
            rows[place].append(counts[place])
    return [
        _made({"__name__": "latency_bucket", "instance": instance, "le": bound}, times, row, stale=False)
        for bound, row in zip(bounds, rows, strict=True)
    ]


_SURE = 90
"""Samples before the first reset: more than a window holds."""
_GAUGES = ("temperature", "load", 'temperature{route!="/b"}', 'load{instance=~"1|2"}', "limit")
_MATHS = ("abs", "ceil", "floor", "sqrt", "exp", "ln", "log2", "log10", "sgn", "sin", "cosh", "atan", "deg", "rad")
_DATES = ("hour", "minute", "day_of_week", "day_of_month", "day_of_year", "days_in_month", "month", "year")
_OVER = ("avg", "min", "max", "sum", "count", "stddev", "stdvar", "last", "present")
_RANGES = ("40s", "1m", "5m", "10m", "20m")
_AGGREGATIONS = ("sum", "avg", "min", "max", "count", "group")
_LABELS = ("route", "instance", "route, instance", "zone", "code", "")


class Queries:
    """Expressions, drawn from a grammar."""

    def __init__(self, seed: int) -> None:
        self._draw = random.Random(seed)

    def _pick(self, *choices: str) -> str:
        return self._draw.choice(choices)

    def _moved(self) -> str:
        offset = self._pick("", "", "", "", " offset 5m", " offset -1m", " offset 35s")
        at = self._pick("", "", "", "", "", f" @ {BASE + 1500}", " @ end()", " @ start()")
        return self._pick(offset + at, at + offset)

    def _gauge(self) -> str:
        return self._pick(*_GAUGES) + self._moved()

    def _range(self, depth: int) -> str:
        if depth > 0 and self._draw.random() < 0.25:
            inner = self.vector(depth - 1)
            length, step = self._pick("3m11s", "7m13s", "601s"), self._pick("30s", "1m", "", "35s")
            return f"({inner})[{length}:{step}]" + ("" if "@" in inner else self._moved())
        name = self._pick("requests_total", *_GAUGES)
        return f"{name}[{self._pick(*_RANGES)}]" + self._moved()

    def _number(self) -> str:
        return self._pick(
            "0", "1", "2.5", "-3", "20", "0.3", "scalar(limit{instance='1'})", "time() / 1e9", "NaN", "pi()"
        )

    def _by(self) -> str:
        return f"{self._pick('by', 'without')} ({self._pick(*_LABELS)})"

    def _over_time(self, depth: int) -> str:
        if self._draw.random() < 0.15:
            return f"quantile_over_time({self._pick('0.1', '0.5', '0.99', '1.5', '-1')}, {self._range(depth)})"
        return f"{self._pick(*_OVER)}_over_time({self._range(depth)})"

    def _rate(self, depth: int) -> str:
        counter = f"requests_total[{self._pick(*_RANGES)}]" + self._moved()
        return self._pick(
            f"{self._pick('rate', 'increase', 'irate')}({counter})",
            f"{self._pick('irate', 'delta', 'idelta', 'resets', 'changes', 'deriv')}({self._range(depth)})",
        )

    def _aggregation(self, depth: int) -> str:
        inner = self.vector(depth - 1)
        kind = self._draw.random()
        if kind < 0.15:
            vector = "temperature" + self._pick("", " offset 5m", f" @ {BASE + 1500}")
            return f"{self._pick('topk', 'bottomk')} {self._by()} ({self._pick('1', '2', '5')}, {vector})"
        if kind < 0.3:
            return f"quantile {self._by()} ({self._pick('0', '0.25', '0.9', '1', '2')}, {inner})"
        if kind < 0.35:
            return f'count_values {self._by()} ("value", floor(temperature / {self._pick("4", "20")}))'
        if kind < 0.4:
            return f"{self._pick('stddev', 'stdvar')} {self._by()} (temperature)"
        return f"{self._pick(*_AGGREGATIONS)} {self._pick(self._by(), '')} ({inner})"

    def _binary(self, depth: int) -> str:
        operator = self._pick("+", "-", "*", "/", "%", "==", "!=", ">", "<=", "> bool", "== bool")
        left, right = self.vector(depth - 1), self.vector(depth - 1)
        match self._draw.randrange(6):
            case 0:
                return f"({left}) {operator} {self._number()}"
            case 1:
                return f"{self._number()} {operator} ({right})"
            case 2:
                return f"({left}) {operator} on (instance) group_left ({self._pick('', 'zone')}) limit"
            case 3:
                return f"limit {operator} on (instance) group_right () ({right})"
            case 4:
                return f"({left}) {self._pick('and', 'or', 'unless')} {self._matching()} ({right})"
            case _:
                return f"({left}) {operator} {self._matching()} ({right})"

    def _matching(self) -> str:
        return self._pick("", "", "on (route, instance)", "ignoring (code, note)", "on (instance)", "on ()")

    def _other(self, depth: int) -> str:
        inner = self.vector(depth - 1)
        return self._pick(
            f"{self._pick(*_MATHS)}({inner})",
            f"{self._pick(*_DATES)}({self._pick('', 'temperature * 1e7', 'vector(86399)', 'vector(-1)')})",
            f"clamp({inner}, 5, {self._number()})",
            f"clamp_min({inner}, 10)",
            f"clamp_max({inner}, 10)",
            f"round({inner}, {self._pick('1', '0.1', '5')})",
            f"-({inner})",
            f"timestamp(abs({inner}))",
            f"({inner}) ^ {self._pick('2', '0.5', '-1')}",
            f"timestamp({self._pick(*_GAUGES)} offset {self._pick('5m', '-35s')})",
            f"absent({inner})",
            "absent(nothing{a='b'})",
            f"absent_over_time({self._range(depth)})",
            f"vector({self._number()})",
            f'label_replace({inner}, "{self._pick("new", "route")}", "$1-x", "route", "/([ab])")',
            f'label_join({inner}, "joined", "-", "route", "instance")',
            f"predict_linear({self._pick(*_GAUGES)}[5m] offset 1m, {self._pick('60', '-300')})",
            f"predict_linear(({inner})[7m13s:1m], 60)",
            f"holt_winters({self._range(depth)}, 0.3, 0.6)",
            f"histogram_quantile({self._pick('0.5', '0.95', '1.5', 'NaN')}, rate(latency_bucket[5m]))",
            "histogram_quantile(0.9, sum by (le) (latency_bucket))",
            f"sort_desc({inner})",
        )

    def vector(self, depth: int) -> str:
        """An expression whose value is a vector, at most so deep."""
        if depth <= 0:
            return self._pick(self._gauge(), f"rate(requests_total[{self._pick(*_RANGES)}])", self._gauge())
        kind = self._pick("over", "rate", "aggregation", "aggregation", "binary", "binary", "other", "leaf")
        match kind:
            case "over":
                return self._over_time(depth)
            case "rate":
                return self._rate(depth)
            case "aggregation":
                return self._aggregation(depth)
            case "binary":
                return self._binary(depth)
            case "other":
                return self._other(depth)
            case _:
                return self.vector(0)

"""A source of series that a test writes down, in the notation of Prometheus' own tests.

    http_requests_total{job="api"}  0+10x5 _ _ stale 70 NaN -Inf 1x3

One sample every `step_seconds`, from time 0: `a+bxn` is a, a+b, … (n + 1 of them), `axn` is a, n + 1 times, `_` is no
sample, `_xn` is n of them, `stale` the mark of a series that has ended.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np

from monitoring.pipeline.query.promql.parse import selector
from monitoring.pipeline.query.promql.source import NAME, STALE, Matcher, Samples

_SERIES = re.compile(r"(?P<selector>[^{\s]*(?:\{(?:[^\"}]|\"(?:[^\"\\]|\\.)*\")*\})?)\s+(?P<values>.*)")
_NUMBER = r"[+-]?(?:[0-9.]+(?:e[+-]?[0-9]+)?|inf|nan)"
_ITEM = re.compile(rf"(?P<first>{_NUMBER})(?:(?P<rise>[+-](?:[0-9.]+(?:e[+-]?[0-9]+)?))?x(?P<times>[0-9]+))?", re.I)


def values(notation: str) -> Iterator[float | None]:
    """The values that a notation stands for; None where there is no sample."""
    for item in notation.split():
        if item.startswith("_"):
            yield from [None] * int(item[2:] or 1)
        elif item == "stale":
            yield STALE
        else:
            found = _ITEM.fullmatch(item)
            assert found, f"{item!r} is no item of the notation"
            first, rise = float(found["first"]), float(found["rise"] or 0)
            yield first
            for _ in range(int(found["times"] or 0)):
                first += rise
                yield first


def series(line: str, step_seconds: float) -> Samples:
    """One line of the notation."""
    found = _SERIES.fullmatch(line.strip())
    assert found, f"{line!r} is no series"
    labels = {matcher.label: matcher.value for matcher in selector(found["selector"])}
    kept = [(place, value) for place, value in enumerate(values(found["values"])) if value is not None]
    times = np.array([round(place * step_seconds * 1000) for place, _ in kept], dtype=np.int64)
    return Samples(labels, times, np.array([value for _, value in kept], dtype=np.float64))


class MemorySource:
    """Series in memory. One of the implementations of `Source`."""

    def __init__(self, lines: str | Sequence[Samples], step_seconds: float = 60) -> None:
        if isinstance(lines, str):
            written = [line.strip() for line in lines.splitlines()]
            lines = [series(line, step_seconds) for line in written if line and not line.startswith("#")]
        self._series = list(lines)

    def _matching(self, matchers: Sequence[Matcher]) -> list[Samples]:
        tests = [(matcher.label, matcher.test()) for matcher in matchers]
        return [one for one in self._series if all(test(one.labels.get(label, "")) for label, test in tests)]

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int, step_ms: int) -> list[Samples]:
        found = []
        for one in self._matching(matchers):
            low, high = np.searchsorted(one.times, [start_ms, end_ms + 1])
            found.append(Samples(one.labels, one.times[low:high], one.values[low:high]))
        return found

    def series(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> list[dict[str, str]]:
        return [dict(one.labels) for one in self.select(matchers, start_ms, end_ms, 0) if len(one.times)]

    def label_names(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> list[str]:
        return sorted({name for labels in self.series(matchers, start_ms, end_ms) for name in labels})

    def label_values(self, name: str, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> list[str]:
        found = {labels.get(name, "") for labels in self.series(matchers, start_ms, end_ms)}
        return sorted(found - {""})

    def metadata(self) -> dict[str, tuple[str, str, str]]:
        return {one.labels[NAME]: ("unknown", "", "") for one in self._series if NAME in one.labels}

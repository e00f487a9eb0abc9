"""Whether what was seen grows: pure functions of samples."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import NamedTuple

from bench.soak.watch import Sample

__all__ = ["Finding", "findings", "slope"]

MEMORY_MB_PER_HOUR = 1.0
WAL_MB = 64.0
"""A WAL is checkpointed at 4 MB, and may grow while a reader holds an old moment: 16 commits of a full batch."""
LATENCY_RATIO = 1.5
"""Between the last third and the first: a shared machine's speed changes by a third by itself."""
_WARM = 0.4
"""So much of a run is left out of slopes: the API's caches take 25 minutes to fill."""
_MOST_POINTS = 200


class Finding(NamedTuple):
    """A figure, its bound and whether it keeps to it."""

    what: str
    value: float
    bound: float
    unit: str

    @property
    def good(self) -> bool:
        """Whether the figure is within its bound."""
        return self.value <= self.bound


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Growth of the second by the first: the median of the slopes between all pairs, which single peaks do not move.

    Source: the estimator of Theil and Sen. 0 for fewer than two points.
    """
    chosen = points[:: max(1, len(points) // _MOST_POINTS)]
    slopes = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in combinations(chosen, 2) if b[0] != a[0]]
    return statistics.median(slopes) if slopes else 0.0


def findings(samples: Sequence[Sample]) -> list[Finding]:
    """Every figure of a run with its bound."""
    warm = samples[int(len(samples) * _WARM) :]
    parts = sorted({name for sample in warm for name in sample.memory})
    found = [
        Finding(
            f"memory of {part}", slope(_line(warm, part, lambda s: s.memory)) * 3600 / 1e6, MEMORY_MB_PER_HOUR, "MB/h"
        )
        for part in parts
    ]
    found += [Finding(f"descriptors of {part}", _gained(warm, part), _spread(warm, part), "more") for part in parts]
    found.append(Finding("largest WAL", max(sample.wal for sample in samples) / 1e6, WAL_MB, "MB"))
    found.append(
        Finding("answers, last third to first", _ratio([sample.answer for sample in warm]), LATENCY_RATIO, "x")
    )
    found.append(Finding("found after, last third to first", _ratio([s.arrival for s in warm]), LATENCY_RATIO, "x"))
    return found


def _line(samples: Sequence[Sample], part: str, of: Callable[[Sample], dict[str, int]]) -> list[tuple[float, float]]:
    return [(sample.time, of(sample)[part]) for sample in samples if part in of(sample)]


def _gained(samples: Sequence[Sample], part: str) -> float:
    """By how much the median of the last third is above that of the first."""
    values = [value for _, value in _line(samples, part, lambda s: s.descriptors)]
    third = max(1, len(values) // 3)
    return statistics.median(values[-third:]) - statistics.median(values[:third])


def _spread(samples: Sequence[Sample], part: str) -> float:
    """What descriptors come and go by anyway: open segments, requests, work-horses; a tenth, but two at least."""
    values = [value for _, value in _line(samples, part, lambda s: s.descriptors)]
    return max(2.0, statistics.median(values) * 0.1)


def _ratio(values: Sequence[float]) -> float:
    third = max(1, len(values) // 3)
    first = statistics.median(values[:third])
    return statistics.median(values[-third:]) / first if first else 1.0

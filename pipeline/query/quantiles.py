"""Quantiles of many numbers in bounded memory: exact while they are few, within one percent beyond."""

from __future__ import annotations

import math
from array import array
from collections import Counter

__all__ = ["ACCURACY", "Quantiles"]

ACCURACY = 0.01
"""Relative error of a quantile once the numbers themselves are no longer kept."""
_GAMMA = (1 + ACCURACY) / (1 - ACCURACY)
_LOG_GAMMA = math.log(_GAMMA)
_TINY = 1e-12
"""Nearer to nought than this is nought."""


class Quantiles:
    """Takes numbers, tells quantiles. `exact` until `fold` is called.

    Beyond, numbers are counted in buckets whose bounds grow by a constant factor, so that the middle of a bucket is
    within ACCURACY of all its members: Masson, Rim, Lee, "DDSketch", VLDB 2019. The doubles of one sign need some
    70,000 buckets at most, those of real measurements a few hundred.
    """

    def __init__(self) -> None:
        self.exact = True
        self._values = array("d")
        self._buckets: Counter[tuple[int, int]] = Counter()

    def add(self, value: float) -> None:
        """Take a finite number."""
        if self.exact:
            self._values.append(value)
        else:
            self._buckets[_bucket(value)] += 1

    def extend(self, values: array[float]) -> None:
        """Take finite numbers."""
        if self.exact:
            self._values.extend(values)
        else:
            self._buckets.update(map(_bucket, values))

    def fold(self) -> None:
        """Give the numbers' memory back, and be exact no more."""
        self._buckets.update(map(_bucket, self._values))
        self._values = array("d")
        self.exact = False

    def at(self, share: float) -> float | None:
        """The quantile, 0 <= share <= 1: between two numbers, in proportion. None where there was none."""
        if not self.exact:
            return self._folded(share)
        if not self._values:
            return None
        ranked = sorted(self._values)
        place = share * (len(ranked) - 1)
        low, high = ranked[math.floor(place)], ranked[math.ceil(place)]
        return low if low == high else low + (high - low) * (place - math.floor(place))

    def _folded(self, share: float) -> float | None:
        place = share * (self._buckets.total() - 1)
        seen = 0
        for sign, index in sorted(self._buckets, key=lambda bucket: bucket[0] * (bucket[1] + _SHIFT)):
            seen += self._buckets[sign, index]
            if seen > place:
                return sign * 2 * _GAMMA**index / (_GAMMA + 1) if sign else 0.0
        return None


_SHIFT = 1 << 20
"""Makes every index positive, so that sign and index give the order of the numbers."""


def _bucket(value: float) -> tuple[int, int]:
    if abs(value) < _TINY:
        return 0, 0
    return (1 if value > 0 else -1), math.ceil(math.log(abs(value)) / _LOG_GAMMA)

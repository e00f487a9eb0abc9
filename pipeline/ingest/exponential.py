"""Exponential histograms brought to fixed bounds, so that those of any scale add up.

    le = 0, 2^-20, 2^-19.5, … 2^39.5, 2^40, +Inf          two bounds an octave, from a millionth to a million millions

A bucket of scale 1 or finer lies within one of ours, so nothing is lost but what the finer one knew; that is every
histogram whose values span less than 80 octaves in the usual 160 buckets. One of a coarser scale counts where its
upper end is. Zeros and negative values count at 0. Source: OpenTelemetry's data model, "ExponentialHistogram".
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["BOUNDS", "fixed_counts"]

_LEAST, _MOST = -40, 80
"""Exponents of the square root of 2: seconds from microseconds on, bytes up to a terabyte."""
BOUNDS: tuple[float, ...] = (0.0, *(2.0 ** (exponent / 2) for exponent in range(_LEAST, _MOST + 1)))
_MAX_SCALE = 64


def fixed_counts(scale: int, offset: int, counts: Sequence[int], at_or_below_zero: int) -> list[int]:
    """The counts for `BOUNDS` and beyond of buckets (base^i, base^(i+1)], i from `offset` on, base = 2^(2^-scale).

    Raises ValueError for a scale that cannot be.
    """
    if abs(scale) > _MAX_SCALE:
        raise ValueError(f"a scale of {scale} cannot be")
    found = [0] * (len(BOUNDS) + 1)
    found[0] = at_or_below_zero
    for index, count in enumerate(counts, offset + 1):
        if count:
            upper = -(-index >> (scale - 1)) if scale > 0 else index << (1 - scale)
            found[min(max(upper, _LEAST), _MOST + 1) - _LEAST + 1] += count
    return found

"""What operators do with two floats, whole matrices at a time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from monitoring.pipeline.query.promql.source import Floats, Mask

__all__ = ["ARITHMETIC", "COMPARISONS"]

ARITHMETIC: dict[str, Callable[[Floats, Floats], Floats]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "%": np.fmod,
    "^": np.power,
    "atan2": np.arctan2,
}
COMPARISONS: dict[str, Callable[[Floats, Floats], Mask]] = {
    "==": np.equal,
    "!=": np.not_equal,
    ">": np.greater,
    "<": np.less,
    ">=": np.greater_equal,
    "<=": np.less_equal,
}

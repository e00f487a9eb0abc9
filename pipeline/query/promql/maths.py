"""Functions of one value at a time: rounding, logarithms, angles, bounds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from monitoring.pipeline.query.promql.source import Floats

__all__ = ["MATHS", "clamped", "rounded"]

MATHS: dict[str, Callable[[Floats], Floats]] = {
    "abs": np.abs,
    "acos": np.arccos,
    "acosh": np.arccosh,
    "asin": np.arcsin,
    "asinh": np.arcsinh,
    "atan": np.arctan,
    "atanh": np.arctanh,
    "ceil": np.ceil,
    "cos": np.cos,
    "cosh": np.cosh,
    "deg": lambda values: values * 180 / np.pi,
    "exp": np.exp,
    "floor": np.floor,
    "ln": np.log,
    "log10": np.log10,
    "log2": np.log2,
    "rad": lambda values: values * np.pi / 180,
    "sgn": lambda values: np.where(values == 0, values, np.sign(values)),
    "sin": np.sin,
    "sinh": np.sinh,
    "sqrt": np.sqrt,
    "tan": np.tan,
    "tanh": np.tanh,
}


def rounded(values: Floats, nearest: Floats | float = 1.0) -> Floats:
    """To the nearest multiple, halves up; by the inverse, as Prometheus does, so that 0.1 rounds well."""
    inverse = 1.0 / np.asarray(nearest)
    return np.floor(values * inverse + 0.5) / inverse


def clamped(values: Floats, least: Floats | float, most: Floats | float) -> Floats:
    """No smaller than `least`, no larger than `most`; NaN where any of the three is."""
    return np.maximum(least, np.minimum(most, values))

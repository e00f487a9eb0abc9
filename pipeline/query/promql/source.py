"""Where series come from: what the engine asks of a store of metrics."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from monitoring.pipeline.store.matchers import Matcher

__all__ = ["NAME", "NAMING", "STALE", "STALE_BITS", "Floats", "Labels", "Mask", "Matcher", "Samples", "Source", "Times"]

Labels = Mapping[str, str]
"""Names and values of a series, `__name__` among them. A label that is not there is the empty text."""
Floats = npt.NDArray[np.float64]
Times = npt.NDArray[np.int64]
"""Milliseconds since 1970; also places in arrays."""
Mask = npt.NDArray[np.bool_]

NAME = "__name__"
NAMING = frozenset({NAME, "__type__", "__unit__"})
"""What says which metric a series is of: it goes with the name (Prometheus' type-and-unit-labels)."""
STALE_BITS = 0x7FF0000000000002
"""Prometheus' mark of a series that has ended: a NaN that no computation yields (its `pkg/value`)."""
STALE: float = struct.unpack("<d", struct.pack("<Q", STALE_BITS))[0]


class Samples(NamedTuple):
    """One series: `times` rise and are as many as `values`."""

    labels: dict[str, str]
    times: Times
    values: Floats


class Source(Protocol):
    """A store of series. Times are milliseconds since 1970, both ends included; what matches nothing is empty."""

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int, step_ms: int) -> list[Samples]:
        """Every series that all matchers fit (`__name__` is a label), with its samples of the time range.

        `step_ms`: 0, or how fine the samples must be at least: a store may answer from coarser ones as long as those
        are not further apart than this. The engine changes none of the arrays.
        """
        ...

    def series(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> list[dict[str, str]]:
        """The labels of every series that matches and has a sample in the range."""
        ...

    def label_names(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> list[str]:
        """Names of the labels of these series, sorted."""
        ...

    def label_values(self, name: str, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> list[str]:
        """Values of one label in these series, sorted."""
        ...

    def metadata(self) -> dict[str, tuple[str, str, str]]:
        """Of every metric family: type, help, unit."""
        ...

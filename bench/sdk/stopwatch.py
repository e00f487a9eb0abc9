"""How long a call takes: in a row, and one by one, without what the measuring itself costs."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import repeat
from statistics import median
from typing import NamedTuple

__all__ = ["InARow", "in_a_row", "one_by_one", "percentile"]


class InARow(NamedTuple):
    """Microseconds a call, of many calls in a row, the mean.

    `cpu` is the CPU of the calling thread alone; `wall` has also what it waited for, such as a thread in the
    background that held the interpreter's lock.
    """

    cpu: float
    wall: float


def _nothing() -> None:
    return


def in_a_row(call: Callable[[], object], number: int) -> InARow:
    """Call it so often; what calling an empty function as often costs is subtracted."""
    return InARow(*(max(0.0, it - empty) for it, empty in zip(_row(call, number), _row(_nothing, number), strict=True)))


def _row(call: Callable[[], object], number: int) -> InARow:
    wall, cpu = time.perf_counter_ns(), time.thread_time_ns()
    for _ in repeat(None, number):
        call()
    cpu, wall = time.thread_time_ns() - cpu, time.perf_counter_ns() - wall
    return InARow(cpu / number / 1000, wall / number / 1000)


def one_by_one(call: Callable[[], object], number: int) -> list[float]:
    """Microseconds of each of so many calls by the wall clock, in rising order.

    Reading the clock twice and calling take some 60 ns of it; the median of that, measured with an empty function,
    is subtracted.
    """
    overhead = median(_each(_nothing, number))
    return sorted(max(0, took - overhead) / 1000 for took in _each(call, number))


def _each(call: Callable[[], object], number: int) -> list[int]:
    now = time.perf_counter_ns
    took = [0] * number
    for index in range(number):
        began = now()
        call()
        took[index] = now() - began
    return took


def percentile(rising: list[float], share: float) -> float:
    """The value below which this share of a sorted list lies."""
    return rising[min(len(rising) - 1, int(len(rising) * share))]

"""A run: work with a beginning and an end, and an id that ties its logs, metrics and outcome together."""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Literal, Self

from monitoring.pipeline.clock import NowNs, wall_ns
from monitoring.producers.context import bind, bound, contextual, unbind
from monitoring.producers.llm.recording import label, wrong
from monitoring.producers.logger import get_logger

__all__ = ["Clock", "Outcome", "Run", "new_run_id", "outcome_of"]

Clock = Callable[[], float]
"""A function that returns seconds, which only go up."""
Outcome = Literal["succeeded", "failed", "cancelled"]
_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base 32: its digits sort as they count, and none is mistaken for another."""
_RANDOM_BITS = 25
"""Five digits. Runs collide only where two of 33 million are drawn alike within one millisecond."""


def new_run_id(now_ns: NowNs = wall_ns, random_bits: Callable[[int], int] = secrets.randbits) -> str:
    """14 letters and digits, sorted by the millisecond of their making until the year 3084; one word to the search."""
    number = (now_ns() // 1_000_000 << _RANDOM_BITS) | random_bits(_RANDOM_BITS)
    return "".join(_DIGITS[number >> shift & 31] for shift in range(65, -1, -5))


def outcome_of(error: BaseException | str | None) -> Outcome:
    """What an exception means: one that is no `Exception` (Ctrl-C, `sys.exit`, a cancelled task) was asked for."""
    if error is None:
        return "succeeded"
    return "failed" if isinstance(error, Exception | str) else "cancelled"


class Run:
    """What fine-tuning jobs and evaluations have in common. Begins once and ends once; thread-safe.

    Within its `with` block, or from `start` to `finish` in the thread or task that called `start`, `run_id` is bound:
    every event carries it. Where other threads work for a run they log through `log`, or bind the id themselves.
    A process that was forked from the one that began a run does not end it by leaving the block.
    """

    def __init__(self, kind: str, run_id: str, clock: Clock) -> None:
        self.run_id = label(run_id) or new_run_id()
        self.log = get_logger(f"llm.{kind}").bind(run_id=self.run_id)
        self.outcome = ""
        self._clock = clock
        self._begun, self._ended = threading.Lock(), threading.Lock()  # taken once and for ever
        self._began_at = clock()
        self._pid = os.getpid()
        self._scope: Any = None
        self._outer: Any = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.run_id} {self.outcome or 'running'}>"

    def start(self) -> Self:
        """Begin without a block, and bind `run_id` here until `finish`."""
        if self._begin():
            self._outer = bound().get("run_id")
            bind(run_id=self.run_id)
        return self

    def __enter__(self) -> Self:
        self._scope = contextual(run_id=self.run_id)
        self._scope.__enter__()
        self._begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if os.getpid() == self._pid:
                self._end(outcome_of(error), error)
        finally:
            self._scope.__exit__(None, None, None)

    def _begin(self) -> bool:
        """Whether this began it."""
        if not self._begun.acquire(blocking=False):
            return False
        self._began_at = self._clock()
        self._pid = os.getpid()
        self._on_begin()
        return True

    def _is_over(self, doing: str) -> bool:
        """Whether it has ended, which is told; begins one that has not begun."""
        self._begin()
        if self.outcome:
            wrong(f"{doing} of a run that has ended: {self!r}")
        return bool(self.outcome)

    def _end(self, outcome: str, error: BaseException | str | None) -> None:
        """End it, unless it has ended; one that never began begins first, so that its story is whole."""
        self._begin()
        if not self._ended.acquire(blocking=False):
            return
        self.outcome = outcome
        self._on_end(self._clock() - self._began_at, error)
        if self._scope is None and bound().get("run_id") == self.run_id:
            unbind("run_id")
            if self._outer:
                bind(run_id=self._outer)

    def _on_begin(self) -> None:
        """Tell of the beginning; does not raise."""

    def _on_end(self, seconds: float, error: BaseException | str | None) -> None:
        """Tell of `outcome` after so many seconds; does not raise."""

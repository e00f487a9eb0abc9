"""How long something takes, into a histogram: a block, a function, a coroutine."""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import Callable
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Self, TypeVar

from monitoring.producers.instruments import Histogram

__all__ = ["Timer"]

F = TypeVar("F", bound=Callable[..., Any])

_Entered = tuple["Timer", float, "_Entered | None"]
_entered: ContextVar[Any] = ContextVar("monitoring_timers", default=None)
"""The timed blocks that this thread or task is in, the innermost first, each with the time it was entered at."""


class Timer:
    """Observes seconds. One may be used by any number of threads and tasks at once, and within itself.

        QUERY = timer("db_query_seconds", labels=("table",))

        with QUERY.labels(table="orders"):
            ...

        @timer("train_step_seconds")
        async def step(): ...

    What is left by an exception is observed as well.
    """

    __slots__ = ("_observe", "histogram")

    def __init__(self, histogram: Histogram, observe: Callable[[float], None] | None = None) -> None:
        self.histogram = histogram
        self._observe = observe or histogram.observe

    def labels(self, /, **labels: object) -> Timer:
        """The timer of the series with these labels."""
        return Timer(self.histogram, self.histogram.labels(**labels).observe)

    def __enter__(self) -> Self:
        _entered.set((self, time.perf_counter(), _entered.get()))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        now = time.perf_counter()
        block = _entered.get()
        while block is not None and block[0] is not self:
            block = block[2]
        if block is not None:  # else it was entered in another context, as an asynchronous generator may be
            _entered.set(block[2])
            self._observe(now - block[1])

    def __call__(self, function: F) -> F:
        """The function, each call timed; a coroutine until it is done. Raises TypeError for generators.

        A generator is worked off by somebody else: use `with` around that loop.
        """
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(f"{function!r} is a generator: time the loop that runs through it, using `with`")
        observe = self._observe
        timed: Any
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def timed(*args: Any, **kwargs: Any) -> Any:
                began = time.perf_counter()
                try:
                    return await function(*args, **kwargs)
                finally:
                    observe(time.perf_counter() - began)

        else:

            @functools.wraps(function)
            def timed(*args: Any, **kwargs: Any) -> Any:
                began = time.perf_counter()
                try:
                    return function(*args, **kwargs)
                finally:
                    observe(time.perf_counter() - began)

        return timed  # type: ignore[no-any-return]  # it has the function's own signature

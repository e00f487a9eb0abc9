"""Code of the application's that runs within a log call: the `repr` of its objects, the stream that it has put up.

It may log, and what it logs may need it again. Each level could ask for it several times, so that a recursion which
Python would stop at its limit would not end in this universe's time: 3 ** 200 calls. So there is a limit of ours.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import TypeVar

__all__ = ["MAX_NESTED", "call"]

MAX_NESTED = 3
"""Log calls within log calls: an object whose `repr` logs another one is ordinary, a third level is not."""
_nested: ContextVar[int] = ContextVar("monitoring_nested", default=0)
_Result = TypeVar("_Result")


def call(function: Callable[..., _Result], *arguments: object) -> _Result:
    """What the function answers. Raises RecursionError where log calls are nested too deep, else what it raises."""
    depth = _nested.get()
    if depth >= MAX_NESTED:
        raise RecursionError("log calls within log calls")
    token = _nested.set(depth + 1)
    try:
        return function(*arguments)
    finally:
        _nested.reset(token)

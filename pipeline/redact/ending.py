"""The end of the interpreter, as far as RE2 has to do with it.

RE2 works without the interpreter's lock. A thread that wants it back while the interpreter is torn down is ended by
Python up to 3.13 on the spot, which C++ code does not allow, and so the process ends with "terminate called without an
active exception" and SIGABRT. Only daemon threads live that long: from then on they wait for the end outside.
"""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Callable
from functools import cache, wraps
from threading import get_ident
from typing import Any, TypeVar, cast

from monitoring.pipeline.publish.forks import in_every_child

__all__ = ["outlived", "watch"]

LONGEST_SECONDS = 1.0
"""What the end waits for threads that are in RE2; a large batch takes a few hundredths."""
_inside: set[int] = set()
_ended = False
_Method = TypeVar("_Method", bound=Callable[..., Any])


def outlived(method: _Method) -> _Method:
    """The method, safe to be running in a daemon thread when the interpreter ends."""

    @wraps(method)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        ident = get_ident()
        if ident in _inside:
            return method(*args, **kwargs)
        _inside.add(ident)
        try:
            if _ended and ident != threading.main_thread().ident:
                _wait_for_the_end(ident)
            return method(*args, **kwargs)
        finally:
            _inside.discard(ident)

    return cast(_Method, guarded)


def _wait_for_the_end(ident: int) -> None:
    _inside.discard(ident)
    while True:
        time.sleep(LONGEST_SECONDS)


@cache
def watch() -> None:
    """Hear of the end, from now on. What was registered with `atexit` later can still redact in all threads."""
    atexit.register(_end)
    in_every_child(_inside.clear)


def _end() -> None:
    global _ended
    _ended = True
    ends = time.monotonic() + LONGEST_SECONDS
    while _inside - {get_ident()} and time.monotonic() < ends:
        time.sleep(0.001)

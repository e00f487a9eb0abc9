"""Processes that end without saying so: `os._exit` runs nothing, and forked workers end by it.

RQ's work-horses and the children of `multiprocessing` call `os._exit`; what they have in memory would be lost.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

__all__ = ["after_fork", "before_exit", "held_off"]

LONGEST_SECONDS = 1.0
"""How long a fork is held off at most; what is imported meanwhile takes 20 ms."""

_lock = threading.Lock()
_gate = threading.Lock()
_gated = False
_forking = threading.local()
_real_exit: Callable[[int], NoReturn] | None = None
_last_words: Callable[[], None] | None = None
_children: list[Callable[[], None]] = []


def before_exit(flush: Callable[[], None]) -> None:
    """Call this before `os._exit` from now on. Whatever it raises is passed over: the process is ending."""
    global _real_exit, _last_words
    with _lock:
        _last_words = flush
        if _real_exit is not None:
            return
        _real_exit = os._exit

        def _exit(status: int) -> NoReturn:
            try:
                if _last_words is not None:
                    _last_words()
            finally:
                _end(status)

        _exit.__doc__ = os._exit.__doc__
        os._exit = _exit


@contextmanager
def held_off() -> Iterator[None]:
    """No fork within the block, which is short: a thread of ours imports a module.

    A child that is forked meanwhile finds the module's import lock held by a thread that it does not have, and waits
    for ever when it imports the same.
    """
    global _gated
    with _lock:
        if not _gated:
            os.register_at_fork(before=_wait, after_in_parent=_go_on, after_in_child=_renew_gate)
            _gated = True
    with _gate:
        yield


def _wait() -> None:
    _forking.waits = _gate.acquire(timeout=LONGEST_SECONDS)


def _go_on() -> None:
    if _forking.waits:
        _gate.release()


def _renew_gate() -> None:
    global _gate
    _gate = threading.Lock()


def _end(status: int) -> NoReturn:
    assert _real_exit is not None  # noqa: S101 - it is set before anybody can come here
    _real_exit(status)


def after_fork(renew: Callable[[], None]) -> None:
    """Call this in every forked child from now on, in place of what was given before."""
    with _lock:
        if not _children:
            os.register_at_fork(after_in_child=_in_child)
        _children[:] = [renew]


def _in_child() -> None:
    global _lock
    _lock = threading.Lock()
    for renew in _children:
        renew()

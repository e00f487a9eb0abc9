"""Processes that end without saying so: `os._exit` runs nothing, nor does a signal that is left to its default.

RQ's work-horses and the children of `multiprocessing` call `os._exit`; uvicorn's workers raise the signal that they
were stopped by once more, by `signal.raise_signal`. What they have in memory would be lost.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn, cast

from monitoring.pipeline.publish.forks import in_every_child

__all__ = ["after_fork", "before_exit", "forget", "without_threads"]

_ENDING = {
    getattr(signal, name)
    for name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGALRM", "SIGUSR1", "SIGUSR2", "SIGXCPU")
    if hasattr(signal, name)
}
"""Signals that end a process which has said nothing about them, and that are not a crash."""
_last_words: Callable[[], None] | None = None
_real_exit: Callable[[int], NoReturn] | None = None
_real_raise: Callable[[int], None] | None = None
_children: list[Callable[[], None]] = []


def before_exit(flush: Callable[[], None]) -> None:
    """Call this before `os._exit`, and before `signal.raise_signal` where that ends the process, from now on."""
    global _last_words, _real_exit, _real_raise
    _last_words = flush
    if _real_exit is None:
        _real_exit, os._exit = os._exit, _exit
    if _real_raise is None:
        _real_raise, signal.raise_signal = signal.raise_signal, _raise_signal


def forget() -> None:
    """Undo `before_exit`; where somebody else has put himself in front of us since, ours stays and does nothing."""
    global _last_words, _real_exit, _real_raise
    _last_words = None
    if _real_exit is not None and os._exit is _exit:
        os._exit, _real_exit = cast(Any, _real_exit), None
    if _real_raise is not None and signal.raise_signal is _raise_signal:
        signal.raise_signal, _real_raise = _real_raise, None


def after_fork(renew: Callable[[], None]) -> None:
    """Call this in every forked child from now on, in place of what was given before."""
    if not _children:
        in_every_child(lambda: _children[-1]())
    _children[:] = [renew]


def without_threads() -> str:
    """Why no thread of ours will run in this process; "" where they do."""
    options = getattr(sys.modules.get("uwsgi"), "opt", {})
    if not options or any(options.get(name, b"0") not in _OFF for name in _THREADED):
        return ""
    return "uWSGI runs no threads, so events wait in memory until a worker ends: start it with --enable-threads"


_OFF = (b"0", b"false", b"off", b"no", False)
_THREADED = ("enable-threads", "threads", "gevent", "asyncio", "loop")
"""Options of uWSGI with which Python's threads, or greenlets in their place, run beside requests."""


def _exit(status: int) -> NoReturn:
    """Exit to the system with specified status, without normal exit processing."""
    try:
        if _last_words is not None:
            _last_words()
    finally:
        assert _real_exit is not None  # noqa: S101 - it is set before anybody can come here
        _real_exit(status)  # whatever was raised: a timeout of the job's, a Ctrl-C, a fault of ours


def _raise_signal(signalnum: int, /) -> None:
    """Send a signal to the executing process."""
    if signalnum in _ENDING and signal.getsignal(signalnum) == signal.SIG_DFL and _last_words is not None:
        with suppress(Exception):  # the process is ending: nobody is left to be told
            _last_words()
    assert _real_raise is not None  # noqa: S101 - as above
    _real_raise(signalnum)

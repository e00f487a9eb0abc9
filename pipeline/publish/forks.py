"""What has to be made anew in a forked child, whoever forks: Python, or uWSGI behind its back.

uWSGI loads the application, forks in C, and runs Python's fork hooks only with --py-call-osafterfork. A thread that
runs meanwhile can leave the interpreter's own lock locked in the child for ever, so there must be none: what is
emitted before the fork waits, and the first worker sends it, because the master never comes to it.
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["awaited", "check", "held_off", "in_every_child", "is_heir"]

LONGEST_SECONDS = 1.0
"""How long a fork is held off at most; what is imported meanwhile takes 20 ms, a batch that is redacted as long."""

_renewals: list[Callable[[], None]] = []
_pid = 0
_inherited: Any = None
"""One byte that all children share: whether one of them has taken over what the uWSGI master had."""
_heir = False
_gate = threading.Lock()
_gated = False
_forking = threading.local()


def in_every_child(renew: Callable[[], None]) -> None:
    """Call this in every forked child from now on, once in each; in the order in which they were given."""
    global _pid
    if not _renewals:
        _pid = os.getpid()
        os.register_at_fork(after_in_child=check)
        if awaited():
            _ask_uwsgi()
    _renewals.append(renew)


def check() -> None:
    """Where this is a forked child that was not renewed yet, renew it."""
    global _pid, _heir
    pid = os.getpid()
    if pid == _pid:
        return
    _pid = pid
    _heir = _inherited is not None and not _inherited[0] and _uwsgi().worker_id() == 1
    if _heir:
        _inherited[0] = 1  # it may be started again, from the same master
    for renew in _renewals:
        renew()


def is_heir() -> bool:
    """Whether what was buffered before the fork is this child's to send; else it is the parent's."""
    return _heir


def awaited() -> bool:
    """Whether this process is the one that uWSGI will fork its workers from, so that no thread may run in it."""
    uwsgi = _uwsgi()
    return uwsgi is not None and not (uwsgi.worker_id() or uwsgi.mule_id() or uwsgi.i_am_the_spooler())


@contextmanager
def held_off() -> Iterator[None]:
    """No fork within the block, which is short: a thread of ours imports a module, or is in a library that has locks.

    A child that is forked meanwhile finds the module's import lock held by a thread that it does not have, and waits
    for ever when it imports the same. RE2's locks are like that, too.
    """
    global _gated
    if not _gated:
        _gated = True
        os.register_at_fork(before=_wait, after_in_parent=_go_on, after_in_child=_renew_gate)
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


def _uwsgi() -> Any:
    """The module that exists only within a uWSGI process; None elsewhere."""
    module = sys.modules.get("uwsgi")
    return module if hasattr(module, "i_am_the_spooler") else None


def _ask_uwsgi() -> None:
    """uWSGI calls one function after each fork. Whoever replaces it later, its decorators do: events `check`, too."""
    global _inherited
    _inherited = importlib.import_module("mmap").mmap(-1, 1)
    uwsgi = _uwsgi()
    theirs = getattr(uwsgi, "post_fork_hook", None)

    def post_fork_hook() -> None:
        check()
        if theirs is not None:
            theirs()

    uwsgi.post_fork_hook = post_fork_hook

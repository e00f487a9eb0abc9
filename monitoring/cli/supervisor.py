"""Processes that run together: forked from one that has loaded everything, restarted when they fall, ended in order.

The supervisor has one thread and does nothing but wait, so its forks are clean and its children share the
memory of what it has imported: six processes cost what two would, each started by itself. They die with
it, even when it is killed.
"""

from __future__ import annotations

import atexit
import gc
import logging
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import FrameType

from monitoring.pipeline.process import call_it, die_with_parent, prepare

__all__ = ["Backoff", "Child", "Supervisor", "describe_status"]

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_HANDLED = (*_STOP_SIGNALS, signal.SIGCHLD)
_SAME_REQUEST_SECONDS = 0.3
"""A closing terminal sends two signals, a person cannot press Ctrl-C as fast."""
_LOOK_SECONDS = 30.0
"""How often it looks around without being called: only logs have to be kept bounded."""
_LONGEST_PAUSE_SECONDS = 30.0
_STEADY_SECONDS = 60.0
"""Who has run for so long starts again without delay."""


@dataclass(slots=True)
class Backoff:
    """How long to wait before the next start: half a second, then twice as long each time, up to half a minute."""

    failures: int = 0

    def next(self, lived_seconds: float) -> float:
        """Seconds to wait after an end; `lived_seconds` is how long it had run."""
        self.failures = 0 if lived_seconds >= _STEADY_SECONDS else self.failures
        self.failures += 1
        return float(min(0.5 * 2 ** (self.failures - 1), _LONGEST_PAUSE_SECONDS))


@dataclass(slots=True)
class Child:
    """A process: its name, what it runs (a forked child calls it and ends with it), and when it is stopped.

    `order` says who is asked to stop first; the others wait `patience_seconds` for it, or less if it ends sooner.
    """

    name: str
    main: Callable[[], object]
    order: int = 0
    patience_seconds: float = 1.0
    pid: int = 0
    started: float = 0.0
    due: float = 0.0
    backoff: Backoff = field(default_factory=Backoff)


class Supervisor:
    """Starts, watches and stops its children. Made and used in the main thread of a process without others.

    `say` takes one line for people. `watch` is called whenever it looks around (at least every half minute)
    and returns when it wants to be called again, in seconds of monotonic time.
    """

    def __init__(self, children: Sequence[Child], *, say: Callable[[str], None]) -> None:
        self._children = list(children)
        self._say = say
        self._stops = 0
        self._asked = float("-inf")
        self._reader, self._writer = os.pipe()
        for end in (self._reader, self._writer):
            os.set_blocking(end, False)
        self._former: dict[int, object] = {}

    @property
    def stopping(self) -> bool:
        """Whether somebody asked it to stop."""
        return self._stops > 0

    def install(self) -> None:
        """Take over the signals. Until `run`, a stop only shows in `stopping`."""
        prepare()
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for number in _HANDLED:
            if signal.getsignal(number) != signal.SIG_IGN:  # nohup means it
                self._former[number] = signal.signal(number, self._on_signal)

    def run(self, watch: Callable[[], float] | None = None, *, ready: Callable[[], None] | None = None) -> None:
        """Start the children and keep them running until a stop is asked for; call `ready` once all are started."""
        gc.collect()
        gc.freeze()  # the collector must not write to what the children share
        while not self.stopping:
            now = time.monotonic()
            self._reap()
            for child in self._children:
                if not child.pid and child.due <= now:
                    self._start(child)
            if ready is not None:
                ready()
                ready = None
            wake = min([watch() if watch else now + _LOOK_SECONDS, *(c.due for c in self._children if not c.pid)])
            self._wait(min(wake, now + _LOOK_SECONDS))

    def stop(self, deadline: float) -> list[str]:
        """Ask the children to end, in their order; by force at `deadline` (monotonic) or at a second request.

        The names of those that needed force.
        """
        for order in sorted({child.order for child in self._children}):
            group = [child for child in self._children if child.order == order]
            for child in group:
                self._signal(child, signal.SIGTERM)
            patience = time.monotonic() + max(child.patience_seconds for child in group)
            self._await(group, min(patience, deadline))
        self._await(self._children, deadline)
        forced = [child.name for child in self._children if child.pid]
        for child in self._children:
            self._signal(child, signal.SIGKILL)
        self._await(self._children, time.monotonic() + 1.0, hurried=True)
        return forced

    def close(self) -> None:
        """Give the signals back."""
        signal.set_wakeup_fd(-1)
        for number, former in self._former.items():
            signal.signal(number, former)  # type: ignore[arg-type]  # as signal.signal returned it
        os.close(self._reader)
        os.close(self._writer)

    # ------------------------------------------------------------------ one child

    def _start(self, child: Child) -> None:
        parent = os.getpid()
        _flush()
        signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED)
        pid = os.fork()
        if pid == 0:
            self._become(child, parent)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HANDLED)
        child.pid, child.started = pid, time.monotonic()

    def _become(self, child: Child, parent: int) -> None:
        """The forked child's life. Never returns."""
        status = 1
        try:
            die_with_parent(parent)
            call_it(f"mon:{child.name}")
            os.setpgid(0, 0)  # Ctrl-C in the terminal is for the supervisor, which ends its children in order
            signal.set_wakeup_fd(-1)
            for number in _HANDLED:
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _HANDLED)
            os.close(self._reader)
            os.close(self._writer)
            nothing = os.open(os.devnull, os.O_RDONLY)
            os.dup2(nothing, 0)
            os.close(nothing)
            child.main()
            status = 0
        except SystemExit as request:
            status = request.code if isinstance(request.code, int) else 1 if request.code else 0
        except BaseException:
            logging.getLogger("monitoring.supervisor").exception("%s failed", child.name)
        finally:
            with suppress(Exception):  # what it says, it has printed
                atexit._run_exitfuncs()  # leaving by sys.exit would unwind the supervisor's own frames
            _flush()
            os._exit(status)

    def _reap(self) -> None:
        for child in self._children:
            status = _ended(child.pid)
            if status is None:
                continue
            pid, child.pid = child.pid, 0
            if self.stopping:
                continue
            pause = child.backoff.next(time.monotonic() - child.started)
            child.due = time.monotonic() + pause
            self._say(f"{child.name} (pid {pid}) {describe_status(status)}; starting it again in {pause:g} s")

    def _signal(self, child: Child, number: signal.Signals) -> None:
        """Signal a child; by force, whatever it has started with it."""
        if not child.pid:
            return
        with suppress(ProcessLookupError):
            if number == signal.SIGKILL:
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(child.pid, number)
            os.kill(child.pid, number)

    # ------------------------------------------------------------------ waiting

    def _await(self, children: Sequence[Child], until: float, *, hurried: bool = False) -> None:
        """Wait until these have ended, or `until`, or somebody asks a second time."""
        while any(child.pid for child in children) and (hurried or self._stops < 2):
            self._reap()
            left = until - time.monotonic()
            if left <= 0:
                return
            if any(child.pid for child in children):
                self._wait(time.monotonic() + min(left, 0.2))

    def _wait(self, until: float) -> None:
        """Sleep until a signal comes, or `until`."""
        select.select([self._reader], [], [], max(0.0, until - time.monotonic()))
        with suppress(BlockingIOError):
            while os.read(self._reader, 4096):
                pass

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if number != signal.SIGCHLD and time.monotonic() - self._asked > _SAME_REQUEST_SECONDS:
            self._asked = time.monotonic()
            self._stops += 1


def _ended(pid: int) -> int | None:
    """The raw wait status of a child that has ended; None while it runs or is not started."""
    if not pid:
        return None
    try:
        found, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return 0
    return status if found else None


def describe_status(status: int) -> str:
    """A raw wait status in words."""
    if os.WIFSIGNALED(status):
        return f"was ended by {signal.Signals(os.WTERMSIG(status)).name}"
    return f"ended with exit status {os.waitstatus_to_exitcode(status)}"


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()

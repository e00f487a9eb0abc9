"""Ends that run nothing of Python's are heard of, once each, and given back as they were found."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest

from monitoring.producers import fork


def status_of(act: Callable[[], object]) -> int:
    """What a forked child that does this ends with; 9 where it does not end by it."""
    child = os.fork()
    if child == 0:
        try:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)  # whatever a test before this one made of it
            act()
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.fixture
def said(tmp_path):
    path = tmp_path / "said"
    fork.before_exit(lambda: path.write_text("last words") and None)
    yield lambda: path.exists()
    fork.forget()


def test_exit_and_a_raised_signal_that_ends_the_process_are_preceded_by_the_last_words(said):
    assert status_of(lambda: os._exit(3)) == 3 and said()


def test_a_raised_signal(said):
    assert status_of(lambda: signal.raise_signal(signal.SIGTERM)) == -signal.SIGTERM and said()


def test_a_raised_signal_that_somebody_handles_is_no_end(said):
    def act() -> None:
        signal.signal(signal.SIGTERM, lambda number, frame: os.kill(os.getpid(), signal.SIGINT))
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.raise_signal(signal.SIGTERM)

    assert status_of(act) == -signal.SIGINT and not said()


def test_last_words_that_fail_stop_nothing():
    def fail() -> None:
        raise KeyboardInterrupt

    fork.before_exit(fail)
    try:
        assert status_of(lambda: os._exit(3)) == 3
    finally:
        fork.forget()


def test_what_was_there_is_given_back_and_somebody_elses_hook_is_left_alone():
    real_exit, real_raise = os._exit, signal.raise_signal
    fork.before_exit(lambda: None)
    fork.before_exit(lambda: None)
    ours = os._exit
    assert ours is not real_exit
    fork.forget()
    assert (os._exit, signal.raise_signal) == (real_exit, real_raise)
    fork.before_exit(lambda: None)

    def theirs(status: int) -> None:
        ours(status)

    os._exit = theirs  # type: ignore[assignment]  # another that never returns, as it seems
    try:
        fork.forget()
        assert os._exit is theirs
        fork.before_exit(lambda: None)
        assert status_of(lambda: os._exit(4)) == 4, "no circle"
    finally:
        os._exit = ours
        fork.forget()
    assert os._exit is real_exit

"""Our own troubles: counted always, told once a minute."""

from __future__ import annotations

import sys

import pytest

from monitoring.producers.trouble import QUIET_SECONDS, Trouble


def test_it_speaks_once_a_minute_and_says_how_much_it_held_back():
    said: list[str] = []
    now = [0.0]
    trouble = Trouble(write=said.append, clock=lambda: now[0])
    for second in range(100):
        now[0] = float(second)
        trouble.say(f"the bus is away {second}")
    assert said == [
        "monitoring: the bus is away 0\n",
        f"monitoring: the bus is away {QUIET_SECONDS:.0f} (and 59 more since the last such line)\n",
    ]


def test_bugs_are_counted_though_nothing_is_said():
    said: list[str] = []
    trouble = Trouble(write=said.append, clock=lambda: 0.0)
    for _ in range(3):
        trouble.bug("an event could not be made", ValueError("x"))
    assert trouble.counts == {"internal": 3}
    assert said == ["monitoring: an event could not be made: ValueError: x\n"]


def test_a_task_queues_limit_that_comes_in_while_our_code_runs_is_let_through():
    class BaseTimeoutException(Exception):
        """As RQ's is named."""

    class JobTimeoutException(BaseTimeoutException):
        """And the one it raises."""

    trouble = Trouble(write=lambda line: None)
    with pytest.raises(JobTimeoutException):
        trouble.bug("an event could not be made", JobTimeoutException())
    assert trouble.counts == {}


def test_a_closed_standard_error_does_no_harm(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    Trouble().say("x")

"""Work that comes round: each at its interval, one that fails does not stop the others."""

from __future__ import annotations

import os
import threading

from monitoring.producers.rounds import Rounds
from monitoring.producers.trouble import Trouble


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_each_is_called_at_its_interval_and_missed_ones_are_not_made_up_for():
    clock, calls = Clock(), []
    rounds = Rounds(Trouble(), clock=clock)
    rounds.add("fast", 10.0, lambda: calls.append(("fast", clock.now)))
    rounds.add("slow", 30.0, lambda: calls.append(("slow", clock.now)))
    for second in (1.0, 5.0, 12.0, 31.0, 500.0, 501.0):
        clock.now = second
        rounds.step()
    assert [when for name, when in calls if name == "fast"] == [1.0, 12.0, 31.0, 500.0]
    assert [when for name, when in calls if name == "slow"] == [1.0, 31.0, 500.0]


def test_one_that_fails_is_told_and_called_again():
    clock = Clock()
    calls: list[str] = []
    said: list[str] = []
    rounds = Rounds(Trouble(write=said.append), clock=clock)

    def fail() -> None:
        calls.append("bad")
        raise ValueError("broken")

    rounds.add("the bad one", 1.0, fail)
    rounds.add("the good one", 1.0, lambda: calls.append("good"))
    for clock.now in (1.0, 2.5):
        rounds.step()
    assert calls == ["bad", "good", "bad", "good"]
    assert said == ["monitoring: the bad one failed: ValueError: broken\n"]


def test_the_thread_begins_when_asked_and_ends():
    came = threading.Event()
    rounds = Rounds(Trouble())
    rounds.add("it", 0.01, came.set)
    assert not came.wait(0.02)
    rounds.begin()
    rounds.begin()
    assert came.wait(10)
    rounds.end()
    assert not [thread for thread in threading.enumerate() if thread.name == "monitoring-rounds"]
    rounds.begin()  # after the end nothing begins
    assert not [thread for thread in threading.enumerate() if thread.name == "monitoring-rounds"]


def test_a_forked_child_has_no_thread_until_it_begins():
    came = threading.Event()
    rounds = Rounds(Trouble())
    rounds.add("it", 0.01, came.set)
    rounds.begin()
    assert came.wait(10)
    child = os.fork()
    if child == 0:
        rounds.renew_after_fork()
        came.clear()
        rounds.begin()
        os._exit(0 if came.wait(10) else 1)
    _, status = os.waitpid(child, 0)
    rounds.end()
    assert status == 0


def test_an_aligned_round_comes_at_whole_multiples_of_its_interval():
    clock, calls = Clock(), []
    rounds = Rounds(Trouble(), clock=clock, now_ns=lambda: int((clock.now + 3) * 1e9))
    rounds.add("aligned", 10.0, lambda: calls.append(clock.now + 3), aligned=True)
    for _ in range(3):
        clock.now += rounds.step()
    rounds.step()
    assert calls == [10.0, 20.0, 30.0]

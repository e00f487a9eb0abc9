"""A few queries run, the others take turns in the order in which they came, and too many are sent away."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial

import pytest

from monitoring.pipeline.query.gate import Gate, TooBusy


def until(holds: Callable[[], bool]) -> None:
    ends = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < ends
        time.sleep(0.001)


def test_those_who_wait_come_in_one_by_one_in_their_order() -> None:
    gate = Gate(2, 10, 30)
    entered: list[int] = []
    leave = [threading.Event() for _ in range(8)]

    def work(number: int) -> None:
        with gate.entered():
            entered.append(number)
            leave[number].wait()

    def came(count: int) -> bool:
        return len(entered) + len(gate._queue) == count

    def let_in(count: int) -> bool:
        return len(entered) == count

    threads = []
    for number in range(8):
        threads.append(threading.Thread(target=work, args=(number,)))
        threads[-1].start()
        until(partial(came, number + 1))
    for number in range(8):
        until(partial(let_in, min(8, number + 2)))
        assert entered == list(range(min(8, number + 2)))
        leave[number].set()
    for thread in threads:
        thread.join()
    assert gate._free == 2


def test_who_comes_when_all_places_are_taken_and_enough_wait_is_sent_away() -> None:
    gate = Gate(1, 0, 30)
    with gate.entered(), pytest.raises(TooBusy), gate.entered():
        raise AssertionError("let in")
    with gate.entered():
        pass


def test_who_has_waited_too_long_goes_and_leaves_no_gap_in_the_queue() -> None:
    gate = Gate(1, 1, 0.01)
    with gate.entered():
        for _ in range(3):
            with pytest.raises(TooBusy), gate.entered():
                raise AssertionError("let in")
    with gate.entered():
        pass


def test_a_place_is_free_again_after_an_error() -> None:
    gate = Gate(1, 0, 0)
    with pytest.raises(ValueError, match="within"), gate.entered():
        raise ValueError("within")
    with gate.entered():
        pass

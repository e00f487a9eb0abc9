"""The buffer keeps its bounds, sheds the least first, and counts whatever is lost."""

from __future__ import annotations

import signal
import threading
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from monitoring.pipeline.events.event import MAX_EVENT_BYTES, Event, Rejected
from monitoring.pipeline.publish.buffer import BASE_BYTES, Buffer, text_bytes

DEBUG, INFO, WARNING, ERROR = 5, 9, 13, 17


def event(level: int = INFO, size: int = 0, number: int = 0) -> Event:
    return Event(number, level, "api", message="x" * size)


def buffer(max_events: int = 100, max_bytes: int = 1 << 20, *, shed: bool = True) -> Buffer:
    return Buffer(max_events, max_bytes, lambda: None, shed=shed)


def offered(some: Buffer) -> int:
    tally = some.tally()
    return tally.sealed + tally.waiting + sum(tally.dropped.values())


def test_events_come_out_in_the_order_they_came_in() -> None:
    some = buffer()
    for number in range(10):
        assert some.add(event(number=number))
    assert [e.timestamp for e in some.take(4).events] == [0, 1, 2, 3]
    assert [e.timestamp for e in some.take(100).events] == [4, 5, 6, 7, 8, 9]
    assert some.take(5).events == []


def test_the_estimate_covers_message_exception_and_attributes() -> None:
    one = Event(1, 9, "api", message="a" * 10, exception="b" * 20, attributes="c" * 30)
    some = buffer()
    some.add(one)
    assert some.used_bytes == text_bytes([one]) == 60 + BASE_BYTES


def test_near_the_cap_debug_goes_first_then_info_and_a_reserve_is_left_for_warnings() -> None:
    some = buffer(100)
    accepted = Counter(level for level in [DEBUG] * 100 if some.add(event(level)))
    accepted += Counter(level for level in [INFO] * 100 if some.add(event(level)))
    accepted += Counter(level for level in [WARNING] * 10 if some.add(event(level)))
    assert accepted == {DEBUG: 70, INFO: 85, WARNING: 10}, "info drives debug out, warnings find 15 % free"
    levels = Counter(e.level for e in some.take(1000).events)
    assert levels == {INFO: 85, WARNING: 10}
    assert some.tally().dropped == {"buffer_full": 45, "shed": 70}


def test_warnings_drive_out_what_is_less_important_oldest_first_and_are_lost_last() -> None:
    some = buffer(100)
    for number in range(85):
        some.add(event(INFO, number=number))
    assert all(some.add(event(ERROR)) for _ in range(100))
    assert not some.add(event(ERROR)), "all are errors now: the newest goes"
    assert some.count == 100
    assert some.tally().dropped == {"shed": 85, "buffer_full": 1}


def test_the_oldest_of_a_rank_is_driven_out_first() -> None:
    some = buffer(100)
    for number in range(85):
        some.add(event(INFO, number=number))
    for _ in range(20):
        some.add(event(ERROR))
    left = [e.timestamp for e in some.take(1000).events if e.level == INFO]
    assert left == list(range(5, 85))


def test_bytes_bound_the_buffer_as_well_as_counts() -> None:
    some = buffer(100_000, 1_000_000)
    while some.add(event(INFO, 10_000)):
        pass
    assert 800_000 < some.used_bytes <= 850_000 + 10_000 + BASE_BYTES
    while some.add(event(ERROR, 10_000)):
        if not some.tally().dropped.get("shed"):
            continue
    assert some.used_bytes <= 1_000_000


def test_the_important_come_out_first_when_there_is_a_backlog() -> None:
    some = buffer(10)
    for level in [INFO] * 8 + [ERROR] * 2:
        some.add(event(level))
    some.add(event(ERROR))
    assert [e.level for e in some.take(4).events] == [ERROR, ERROR, ERROR, INFO]


def test_without_shedding_what_was_accepted_stays_and_a_refusal_is_not_counted() -> None:
    some = buffer(10, shed=False)
    assert all(some.add(event(DEBUG)) for _ in range(10))
    assert not some.add(event(ERROR))
    assert some.count == 10 and some.tally().dropped == {}


def test_an_event_that_is_too_large_or_none_at_all_is_counted_by_reason() -> None:
    some = buffer(10, 1 << 30)
    assert not some.add(event(INFO, MAX_EVENT_BYTES + 1))
    assert not some.add(Event(1, INFO, "api", message="\u00e4" * (MAX_EVENT_BYTES * 3 // 4))), "in bytes"
    assert some.add(event(INFO, MAX_EVENT_BYTES))
    anything: Any = (1, 2)
    assert not some.add(anything)
    anything = Event(1, 9, "api")._replace(message=None)  # type: ignore[arg-type]  # what a caller without types may do
    assert not some.add(anything)
    assert some.tally().dropped == {"too_large": 2, "invalid": 2}


def test_rejected_input_is_bounded_counted_and_taken_with_the_events() -> None:
    some = buffer(4)
    kept = [some.add_rejected(Rejected("bad", b"x", "f", number)) for number in range(5)]
    assert kept == [True] * 4 + [False]
    batch = some.take(10)
    assert [item.line for item in batch.rejected] == [0, 1, 2, 3]
    some.settle(batch, text_bytes(batch.events, batch.rejected), {})
    assert offered(some) == 5 and some.used_bytes == 0


def test_all_are_taken_in_or_none() -> None:
    some = buffer(10)
    assert some.add_all([event()] * 6, [Rejected("bad", b"x")] * 2)
    assert not some.add_all([event()] * 3)
    assert some.add_all([event()] * 2)
    assert some.count == 10 and some.tally().dropped == {}


def test_a_mark_is_passed_when_everything_before_it_is_taken_or_shed_and_not_before() -> None:
    some = buffer(10)
    for number in range(4):
        some.add(event(INFO, number=number))
    mark = some.mark()
    some.add(event(ERROR))
    some.take(4)
    assert not some.passed(mark), "the error came later and went first"
    some.take(1)
    assert some.passed(mark)


def test_the_waker_is_called_once_when_more_wait_than_was_asked_for() -> None:
    calls: list[None] = []
    some = Buffer(100, 1 << 20, lambda: calls.append(None))
    some.add(event())
    assert not calls, "nobody asked"
    assert some.arm(0), "one waits already"
    some.take(1)
    assert not some.arm(2)
    for _ in range(10):
        some.add(event())
    assert len(calls) == 1


def test_the_waker_is_called_at_the_cap_too() -> None:
    calls: list[None] = []
    some = Buffer(10, 1 << 20, lambda: calls.append(None))
    some.arm(8)
    for _ in range(10):
        some.add(event(ERROR))
    assert len(calls) == 1


def test_threads_lose_and_double_nothing() -> None:
    some = buffer(1_000_000, 1 << 30)
    seen: list[int] = []
    done = threading.Event()

    def fill(start: int) -> None:
        for number in range(start, start + 5000):
            some.add(event(number=number))

    def empty() -> None:
        while not done.is_set() or some.count:
            batch = some.take(100)
            seen.extend(e.timestamp for e in batch.events)
            some.settle(batch, text_bytes(batch.events), {})

    threads = [threading.Thread(target=fill, args=(start,)) for start in range(0, 20_000, 5000)]
    reader = threading.Thread(target=empty)
    for thread in [*threads, reader]:
        thread.start()
    for thread in threads:
        thread.join()
    done.set()
    reader.join()
    assert sorted(seen) == list(range(20_000))
    assert some.tally().sealed == 20_000 and some.used_bytes == 0


def test_a_signal_handler_that_logs_does_not_deadlock_or_break_the_counts() -> None:
    some = buffer(50)
    handled = 0

    def handler(*_: object) -> None:
        nonlocal handled
        handled += 1
        some.add(event(ERROR))

    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    try:
        added = 0
        while handled < 50:
            some.add(event(INFO))
            added += 1
            if added % 60 == 0:
                batch = some.take(30)
                some.settle(batch, text_bytes(batch.events), {})
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert offered(some) == added + handled


class BufferMachine(RuleBasedStateMachine):
    """Whatever is offered is waiting, taken or counted as dropped, and no bound is passed."""

    def __init__(self) -> None:
        super().__init__()
        self.buffer = buffer(50, 20_000)
        self.offers = 0
        self.taken: Counter[int] = Counter()
        self.levels: Counter[int] = Counter()

    @rule(level=st.sampled_from([DEBUG, INFO, WARNING, ERROR]), size=st.integers(0, 3000), number=st.integers(1, 30))
    def add(self, level: int, size: int, number: int) -> None:
        for _ in range(number):
            self.offers += 1
            if self.buffer.add(event(level, size)):
                self.levels[level] += 1

    @rule(number=st.integers(0, 30))
    def reject(self, number: int) -> None:
        for _ in range(number):
            self.offers += 1
            self.buffer.add_rejected(Rejected("bad", b"x" * 10))

    @rule(number=st.integers(1, 40), lost=st.integers(0, 3))
    def take(self, number: int, lost: int) -> None:
        batch = self.buffer.take(number)
        lost = min(lost, len(batch.events))
        self.taken.update(e.level for e in batch.events)
        self.buffer.settle(batch, text_bytes(batch.events, batch.rejected), {"too_large": lost} if lost else {})

    @rule()
    def mark(self) -> None:
        self.buffer.mark()

    @invariant()
    def everything_is_accounted_for(self) -> None:
        assert offered(self.buffer) == self.offers
        assert self.buffer.count <= 50
        assert 0 <= self.buffer.used_bytes <= 20_000 + 3000
        assert all(self.taken[level] <= self.levels[level] for level in self.levels)


TestBufferMachine = BufferMachine.TestCase
TestBufferMachine.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


@given(st.lists(st.sampled_from([DEBUG, INFO, WARNING, ERROR]), max_size=300))
def test_no_warning_is_lost_while_anything_less_is_kept(levels: list[int]) -> None:
    some = buffer(50)
    lost = [level for level in levels if not some.add(event(level))]
    kept = [e.level for e in some.take(1000).events]
    if any(level >= WARNING for level in lost):
        assert all(level >= WARNING for level in kept)


@pytest.mark.parametrize("level", [DEBUG, INFO, ERROR])
def test_a_flood_keeps_the_bounds(level: int) -> None:
    some = buffer(1000, 1 << 20)
    for _ in range(20_000):
        some.add(event(level, 100))
    assert some.count <= 1000 and some.used_bytes <= 1 << 20
    assert offered(some) == 20_000

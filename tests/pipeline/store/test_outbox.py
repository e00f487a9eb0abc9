"""The outbox: groups, leases, pace and order, with the clock in the test's hand."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.pipeline.store.control import Control
from monitoring.pipeline.store.outbox import GROUP_WAIT_NS, KEPT_NS, LEASE_NS, LONGEST_WAIT_NS, Notice, Outbox, put
from monitoring.pipeline.store.outbox import message_id as identity_of

SECOND = 10**9


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000 * SECOND

    def __call__(self) -> int:
        return self.now


def pace(channel: str) -> float:
    return 600.0


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def control(tmp_path: Path) -> Iterator[Control]:
    with contextlib.closing(Control(tmp_path / "control.db")) as control:
        yield control


@pytest.fixture
def outbox(control: Control, clock: Clock) -> Outbox:
    return Outbox(control, now_ns=clock)


def add(control: Control, clock: Clock, *keys: str, channel: str = "c", grouping: str = "", after: int = 0) -> None:
    with control.transaction() as connection:
        put(connection, [Notice(key, channel, "firing", grouping, b"{}", clock.now + after) for key in keys], clock.now)


def keys(outbox: Outbox) -> list[list[str]]:
    return [[notice.key for notice in message.notices] for message in outbox.claim(10, pace)]


def test_a_notice_is_put_with_what_caused_it_or_not_at_all_and_once_by_its_key(
    control: Control, clock: Clock, outbox: Outbox
) -> None:
    with pytest.raises(RuntimeError), control.transaction() as connection:
        put(connection, [Notice("a", "c", "firing", "", b"{}", clock.now)], clock.now)
        raise RuntimeError
    assert outbox.due_at() is None
    add(control, clock, "a")
    add(control, clock, "a", channel="other")
    assert keys(outbox) == [["a"]]


def test_a_group_waits_for_company_from_its_first_notice_on(control: Control, clock: Clock, outbox: Outbox) -> None:
    add(control, clock, "a", grouping="g")
    assert outbox.due_at() == clock.now + GROUP_WAIT_NS
    clock.now += GROUP_WAIT_NS - 1
    add(control, clock, "b", grouping="g")
    assert keys(outbox) == []
    clock.now += 1
    assert keys(outbox) == [["a", "b"]]


def test_a_message_that_nobody_finished_is_taken_again_as_it_was_when_its_lease_is_over(
    control: Control, clock: Clock, outbox: Outbox
) -> None:
    add(control, clock, "a", "b", grouping="g")
    clock.now += GROUP_WAIT_NS
    (first,) = outbox.claim(10, pace)
    add(control, clock, "c", grouping="g")
    clock.now += LEASE_NS - 1
    assert outbox.claim(10, pace) == []
    assert outbox.due_at() == clock.now + 1
    clock.now += 1
    (again,) = outbox.claim(10, pace)
    assert again == first._replace(attempts=2)
    outbox.sent(again.id, "ok")
    assert keys(outbox) == [["c"]]


def test_a_renewed_lease_holds(control: Control, clock: Clock, outbox: Outbox) -> None:
    add(control, clock, "a")
    outbox.claim(10, pace)
    clock.now += LEASE_NS - 1
    outbox.renew(["c"])
    clock.now += LEASE_NS - 1
    assert outbox.claim(10, pace) == []


def test_a_channel_takes_one_message_at_a_time_and_the_oldest_first(
    control: Control, clock: Clock, outbox: Outbox
) -> None:
    add(control, clock, "a")
    clock.now += 1
    add(control, clock, "b")
    add(control, clock, "x", channel="d")
    assert sorted(keys(outbox)) == [["a"], ["x"]]
    assert keys(outbox) == []
    outbox.sent("a", "")
    assert keys(outbox) == [["b"]]


def test_what_is_put_off_comes_back_then_with_its_progress(control: Control, clock: Clock, outbox: Outbox) -> None:
    add(control, clock, "a", "b")
    outbox.claim(10, pace)
    outbox.retry("a", "busy", 5 * SECOND, progress="half")
    found = outbox.find("a")
    assert found is not None
    assert (found.state, found.error, found.due, found.attempts) == ("waiting", "busy", clock.now + 5 * SECOND, 1)
    assert keys(outbox) == [["b"]]  # the channel itself is free
    outbox.sent("b", "")
    clock.now += 5 * SECOND
    (message,) = outbox.claim(10, pace)
    assert (message.id, message.progress, message.attempts) == ("a", "half", 2)


def test_a_pause_holds_for_all_of_a_channel(control: Control, clock: Clock, outbox: Outbox) -> None:
    add(control, clock, "a", "b")
    outbox.claim(10, pace)
    outbox.retry("a", "429", 60 * SECOND, pause=True)
    clock.now += 60 * SECOND - 1
    assert outbox.claim(10, pace) == []
    clock.now += 1
    assert len(outbox.claim(10, pace)) == 1


def test_what_ended_stays_as_it_is_whatever_a_late_deliverer_says(
    control: Control, clock: Clock, outbox: Outbox
) -> None:
    add(control, clock, "a")
    outbox.claim(10, pace)
    outbox.sent("a", "first")
    outbox.fail("a", "late")
    outbox.retry("a", "later", 0)
    found = outbox.find("a")
    assert found is not None
    assert (found.state, found.reply) == ("sent", "first")
    assert outbox.claim(10, pace) == []


def test_a_clock_that_was_set_back_holds_up_nothing(control: Control, clock: Clock, outbox: Outbox) -> None:
    add(control, clock, "a", "b", grouping="g")
    add(control, clock, "c", channel="d")
    (taken,) = outbox.claim(10, pace)
    outbox.retry(taken.id, "busy", LONGEST_WAIT_NS, pause=True)
    clock.now -= 86_400 * SECOND
    due = outbox.due_at()
    assert due is not None
    assert due <= clock.now
    assert sorted(keys(outbox)) == [["a", "b"], ["c"]]


def test_a_pace_is_kept_over_any_run_of_messages(control: Control, clock: Clock, outbox: Outbox) -> None:
    add(control, clock, *(f"a{number}" for number in range(100)))
    taken = []
    for _ in range(600):
        for message in outbox.claim(1, lambda channel: 6.0):
            taken.append(clock.now)
            outbox.sent(message.id, "")
        clock.now += SECOND
    assert len(taken) == 6 + 59  # a minute's at once, then one in ten seconds
    assert min(b - a for a, b in pairwise(taken[6:])) >= 10 * SECOND


def test_what_ended_is_forgotten_after_a_month(control: Control, clock: Clock, outbox: Outbox) -> None:
    add(control, clock, "a", "b")
    outbox.claim(1, pace)
    outbox.sent("a", "")
    clock.now += KEPT_NS + 1
    outbox.prune()
    assert control.rows("SELECT key FROM outbox") == [("b",)]
    assert control.rows("SELECT id FROM message") == [("b",)]
    assert control.rows("SELECT key FROM part") == [("b",)]


@given(st.lists(st.text(max_size=300), min_size=1, max_size=5, unique=True))
def test_an_id_can_stand_in_a_header_and_is_the_same_each_time(found: list[str]) -> None:
    identity = identity_of(found)
    assert identity == identity_of(found)
    assert identity.isascii()
    assert identity.isprintable()
    assert " " not in identity
    assert 0 < len(identity) <= 200

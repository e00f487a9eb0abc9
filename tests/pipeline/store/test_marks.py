"""Marks: each frame is applied once, whatever order, repetition or gap it arrives in."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.pipeline.bus.frame import Frame
from monitoring.pipeline.store.marks import STALE_SECONDS, WINDOW, Mark
from tests.frames import T0, Sender, event


def frames(count: int, *, dropped_at: int = -1) -> list[Frame]:
    sender = Sender()
    made = []
    for number in range(count):
        if number == dropped_at:
            sender.drop(7)
        made.append(sender.frame([event(number)] * (number % 3 + 1)))
    return made


def test_a_frame_is_new_once_and_seen_ever_after():
    mark = Mark(born=T0)
    (frame,) = frames(1)
    assert mark.verdict(frame) == "new"
    mark.apply(frame, committed=1, dead_lettered=0)
    assert mark.verdict(frame) == "seen"
    assert (mark.low, mark.committed, mark.residual) == (1, 1, 0)


def test_another_frame_under_a_seq_that_was_applied_is_a_conflict():
    mark = Mark(born=T0)
    mark.apply(Sender().frame([event(1)]), committed=1, dead_lettered=0)
    assert mark.verdict(Sender().frame([event(2)])) == "conflict"


def test_a_frame_further_ahead_than_any_producer_sends_has_to_wait():
    made = frames(WINDOW + 1)
    assert Mark(born=T0).verdict(made[WINDOW - 1]) == "new"
    assert Mark(born=T0).verdict(made[WINDOW]) == "ahead"


def test_a_frame_sealed_over_a_week_before_its_lane_became_known_is_stale():
    born = T0 + STALE_SECONDS * 10**9
    frame = Sender(created=T0 - 1).frame([event(0)])
    assert Mark(born=born).verdict(frame) == "stale"
    assert Mark(born=born - 1).verdict(frame) == "new"


def test_the_watermark_waits_for_a_gap_and_then_passes_all_that_is_there():
    mark = Mark(born=T0)
    first, second, third = frames(3)
    mark.apply(third, committed=3, dead_lettered=0)
    mark.apply(second, committed=2, dead_lettered=0)
    assert mark.low == 0 and set(mark.above) == {2, 3}
    mark.apply(first, committed=1, dead_lettered=0)
    assert (mark.low, mark.above, mark.residual, mark.accounted) == (3, {}, 0, 6)


def test_drops_do_not_look_like_losses():
    mark = Mark(born=T0)
    for frame in frames(5, dropped_at=3):
        mark.apply(frame, committed=frame.count, dead_lettered=0)
    assert mark.residual == 0
    assert mark.dropped == {"buffer_full": 7}
    assert mark.emitted == mark.committed + 7


def test_what_the_producer_released_before_a_backup_was_restored_counts_as_missing():
    sender = Sender()
    sender.frame([event(0)] * 10)
    sender.frame([event(1)] * 5)
    sender.released_below = 3
    third = sender.frame([event(2)])
    mark = Mark(born=T0)
    assert mark.verdict(third) == "new"
    mark.apply(third, committed=1, dead_lettered=0)
    assert (mark.low, mark.missing, mark.residual) == (3, 15, 0)


def test_a_producer_that_miscounts_leaves_a_residual():
    mark = Mark(born=T0)
    frame = Sender().frame([event(0)], counters={"emitted": 3, "dropped": {}})
    mark.apply(frame, committed=1, dead_lettered=0)
    assert mark.residual == 2


@given(seed=st.integers(0, 2**32), count=st.integers(1, 60))
def test_any_order_with_repetitions_applies_each_frame_once(seed, count):
    made = frames(count)
    arrivals = made + made
    random.Random(seed).shuffle(arrivals)
    mark = Mark(born=T0)
    applied = []
    for frame in arrivals:
        verdict = mark.verdict(frame)
        assert verdict in ("new", "seen")
        if verdict == "new":
            mark.apply(frame, committed=frame.count, dead_lettered=0)
            applied.append(frame.seq)
        assert mark.low == next((seq for seq in range(count + 1) if seq + 1 not in applied), count)
        mark = Mark.restore(
            mark.window(), born=mark.born, low=mark.low, through=mark.through, accounted=mark.accounted,
            missing=mark.missing, committed=mark.committed, dead_lettered=mark.dead_lettered, emitted=mark.emitted,
            dropped=mark.dropped,
        )  # fmt: skip
    assert sorted(applied) == list(range(1, count + 1))
    assert (mark.residual, mark.missing, mark.committed) == (0, 0, sum(frame.count for frame in made))


@pytest.mark.parametrize("cut", [1, 3, 10])
def test_low_follows_released_below_over_frames_that_were_applied_beyond_the_gap(cut):
    sender = Sender()
    made = [sender.frame([event(0)]) for _ in range(10)]
    mark = Mark(born=T0)
    for frame in made[cut:]:
        mark.apply(frame, committed=1, dead_lettered=0)
    assert mark.low == 0 or cut == 0
    sender.released_below = 11
    last = sender.frame([event(0)])
    mark.apply(last, committed=1, dead_lettered=0)
    assert (mark.low, mark.missing, mark.residual) == (11, cut, 0)

"""A lane forgets a frame when it is committed and not before, whatever happens on the way."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from monitoring.pipeline.bus.frame import Frame, decode_payload
from monitoring.pipeline.bus.lanes import REPLAY_AFTER_SECONDS, RETAINED_FRAMES, Lane
from monitoring.pipeline.events.event import Event, Rejected

LANE = "0123456789abcdef0123456789abcdef"


def lane(partition: int | None = 0) -> Lane:
    return Lane(LANE, "logs", partition)


def seal(some: Lane, number: int = 1, dropped: dict[str, int] | None = None) -> Frame:
    return some.seal([Event(index, 9, "api") for index in range(number)], now_ns=1, dropped=dropped)


def test_seqs_are_consecutive_from_one_and_the_frames_verify() -> None:
    some = lane()
    frames = [seal(some) for _ in range(5)]
    assert [frame.seq for frame in frames] == [1, 2, 3, 4, 5]
    for frame in frames:
        frame.verify()


def test_rejected_input_travels_in_the_frame_and_counts() -> None:
    frame = lane().seal([Event(1, 9, "api")], [Rejected("no json", b"{", "a.log", 3)], now_ns=1)
    payload = decode_payload(frame)
    assert (frame.count, payload.events, payload.rejected) == (2, 1, [Rejected("no json", b"{", "a.log", 3)])
    assert frame.counters == {"emitted": 2, "dropped": {}}


def test_counters_say_that_what_was_emitted_is_what_is_in_frames_and_what_was_dropped() -> None:
    some = lane()
    frames = [seal(some, 3), seal(some, 2, {"shed": 4}), seal(some, 1, {"shed": 1, "too_large": 1})]
    some.note_dropped({"shed": 2})
    frames.append(seal(some, 1))
    sealed = 0
    for frame in frames:
        sealed += frame.count
        assert frame.counters["emitted"] == sealed + sum(frame.counters["dropped"].values())
    assert frames[-1].counters["dropped"] == {"shed": 7, "too_large": 1}
    assert some.sealed_events == 7


def test_a_draft_changes_nothing_until_it_is_retained() -> None:
    some = lane()
    one, two = some.draft(b"{}", 1, 7, {"shed": 1}), some.draft(b"{}", 1, 7, {"shed": 1})
    assert one == two
    assert some.next_seq == 1 and some.held == 0 and some.dropped == {}
    some.retain(one)
    with pytest.raises(ValueError, match="does not follow"):
        some.retain(two)


def test_the_window_takes_256_frames_and_no_more() -> None:
    some = lane()
    for _ in range(RETAINED_FRAMES):
        seal(some)
    assert some.room == 0
    with pytest.raises(ValueError, match="holds 256"):
        seal(some)
    some.sent(1, "1-0", 0.0)
    some.committed(1)
    assert seal(some).seq == 257


def test_released_below_is_the_lowest_seq_not_known_to_be_committed() -> None:
    some = lane()
    for _ in range(3):
        assert seal(some).released_below == 1
    for seq in (1, 2, 3):
        some.sent(seq, f"{seq}-0", 0.0)
    assert [frame.seq for frame in some.committed(2)] == [1, 2]
    assert seal(some).released_below == 3
    some.committed(3)
    some.sent(4, "4-0", 0.0)
    some.committed(4)
    assert some.idle
    assert seal(some).released_below == 5


def test_a_watermark_that_goes_back_changes_nothing() -> None:
    some = lane()
    for seq in (1, 2):
        seal(some)
        some.sent(seq, f"{seq}-0", 0.0)
    some.committed(2)
    assert some.committed(1) == []
    assert some.low == 2


def test_frames_are_sent_in_order_once_and_bounded_by_count_and_bytes() -> None:
    some = lane()
    frames = [seal(some, 10) for _ in range(5)]
    assert some.unsent(2, 1 << 20) == frames[:2]
    assert some.unsent(5, len(frames[0].payload) * 3) == frames[:3]
    assert some.unsent(5, 1) == frames[:1], "one goes even if it is larger than the bound"
    for frame in frames[:3]:
        some.sent(frame.seq, "1-0", 0.0)
    assert some.unsent(9, 1 << 20) == frames[3:]


def test_only_the_oldest_frame_is_doubted_and_only_after_five_seconds() -> None:
    some = lane()
    for seq in (1, 2):
        seal(some)
        some.sent(seq, f"{seq}-0", 100.0)
    assert some.doubt(100.0 + REPLAY_AFTER_SECONDS - 0.01) is None
    doubt = some.doubt(100.0 + REPLAY_AFTER_SECONDS)
    assert doubt is not None and (doubt.frame.seq, doubt.entry_id) == (1, "1-0")
    some.seen(1, 105.0)
    assert some.doubt(109.0) is None, "the stream still shows it: the drain is slow"
    some.committed(1)
    doubt = some.doubt(109.0)
    assert doubt is not None and doubt.frame.seq == 2


def test_a_frame_whose_reply_was_lost_is_doubted_without_an_id_and_known_again_after_its_replay() -> None:
    some = lane()
    seal(some)
    some.sent(1, None, 0.0)
    assert not some.on_bus(1)
    doubt = some.doubt(5.0)
    assert doubt is not None and doubt.entry_id is None
    some.sent(1, "9-0", 5.0)
    assert some.on_bus(1) and some.doubt(6.0) is None


def test_a_frame_never_sent_is_not_doubted() -> None:
    some = lane()
    seal(some)
    assert some.doubt(1e9) is None


def test_a_restored_lane_sends_its_frames_again_and_continues_behind_them() -> None:
    old = lane()
    frames = [seal(old, 2, {"shed": 1}) for _ in range(4)]
    new = lane()
    new.restore(frames[2:])
    assert new.unsent(9, 1 << 20) == frames[2:], "the same frames, byte for byte"
    following = seal(new)
    assert (following.seq, following.released_below) == (5, 3)
    assert following.counters == {"emitted": 13, "dropped": {"shed": 4}}
    assert [frame.seq for frame in new.committed(4)] == [3, 4], "they may have been sent before, by the earlier process"


def test_a_restored_frame_that_turns_out_to_be_committed_is_not_sent() -> None:
    old = lane()
    frames = [seal(old) for _ in range(4)]
    new = lane()
    new.restore(frames)
    assert new.committed(2) == frames[:2]
    assert new.unsent(9, 1 << 20) == frames[2:]


def test_frames_in_the_tail_are_loaded_in_order_and_never_sent_before() -> None:
    some = lane()
    frames = [some.draft(b"{}", 1, 1)]
    some.retain(frames[0])
    for _ in range(3):
        frames.append(some.draft(b"{}", 1, 1))
        some.retain(frames[-1], hold=False)
    assert (some.held, some.tail) == (1, 3)
    with pytest.raises(ValueError, match="3 wait behind"):
        some.retain(some.draft(b"{}", 1, 1))
    with pytest.raises(ValueError, match="is not the next"):
        some.load(frames[2:3])
    some.load(frames[1:3])
    assert [frame.seq for frame in some.unsent(9, 1 << 20)] == [1, 2, 3]
    assert not some.on_bus(4)


def test_a_watermark_beyond_what_was_sent_releases_nothing_unsent_and_closes_the_lane() -> None:
    some = lane()
    for _ in range(3):
        seal(some)
    some.sent(1, "1-0", 0.0)
    assert [frame.seq for frame in some.committed(9)] == [1]
    assert some.overtaken and some.held == 2
    with pytest.raises(ValueError, match="further in the store"):
        seal(some)


def test_the_partition_is_fixed_once() -> None:
    some = lane(None)
    some.place(1)
    some.place(1)
    with pytest.raises(ValueError, match="belongs to partition 1"):
        some.place(0)


class LaneMachine(RuleBasedStateMachine):
    """A lane against a bus that loses and doubles entries and replies, and a store that commits in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.lane = lane()
        self.frames: dict[int, Frame] = {}
        self.stream: dict[str, int] = {}
        self.applied: set[int] = set()
        self.disk: dict[int, Frame] = {}
        self.entries = 0

    @property
    def low(self) -> int:
        low = 0
        while low + 1 in self.applied:
            low += 1
        return low

    def add_entry(self, seq: int) -> str:
        self.entries += 1
        entry_id = f"{self.entries}-0"
        self.stream[entry_id] = seq
        return entry_id

    @rule(number=st.integers(1, 40), spill=st.booleans())
    def seal(self, number: int, spill: bool) -> None:
        for _ in range(number):
            if self.lane.overtaken:
                return
            hold = self.lane.tail == 0 and self.lane.room > 0 and not spill
            if not hold and not (spill or self.lane.tail):
                return
            frame = self.lane.draft(uuid.uuid4().bytes, 1, 1)
            self.lane.retain(frame, hold=hold)
            assert frame.seq == len(self.frames) + 1
            self.frames[frame.seq] = frame
            self.disk[frame.seq] = frame

    @rule(most=st.integers(1, 300))
    def load(self, most: int) -> None:
        last = min(self.lane.next_seq - 1, self.lane.loaded_to + min(most, self.lane.room))
        self.lane.load([self.disk[seq] for seq in range(self.lane.loaded_to + 1, last + 1)])

    @rule(arrives=st.booleans(), answered=st.booleans(), most=st.integers(1, 16))
    def publish(self, arrives: bool, answered: bool, most: int) -> None:
        for frame in self.lane.unsent(most, 1 << 20):
            assert frame is self.frames[frame.seq]
            entry_id = self.add_entry(frame.seq) if arrives else None
            self.lane.sent(frame.seq, entry_id if answered else None, self.now)

    @rule(data=st.data())
    @precondition(lambda self: self.stream)
    def commit(self, data: st.DataObject) -> None:
        entry_id = data.draw(st.sampled_from(sorted(self.stream)))
        assert self.stream[entry_id] <= self.low + RETAINED_FRAMES, "the store's marks reach no further"
        self.applied.add(self.stream.pop(entry_id))

    @rule(known=st.floats(0, 1))
    def read_watermark(self, known: float) -> None:
        told = int(self.low * known)
        for frame in self.lane.committed(told):
            assert frame.seq in self.applied

    @rule()
    def lose_the_bus(self) -> None:
        self.stream.clear()

    @rule()
    def wait(self) -> None:
        self.now += REPLAY_AFTER_SECONDS

    @rule(arrives=st.booleans(), answered=st.booleans())
    def look_after_the_oldest(self, arrives: bool, answered: bool) -> None:
        doubt = self.lane.doubt(self.now)
        if doubt is None:
            return
        assert doubt.frame.seq == self.lane.low + 1
        if doubt.entry_id in self.stream:
            self.lane.seen(doubt.frame.seq, self.now)
        else:
            entry_id = self.add_entry(doubt.frame.seq) if arrives else None
            self.lane.sent(doubt.frame.seq, entry_id if answered else None, self.now)

    @rule(known=st.floats(0, 1), loads=st.integers(0, 300))
    def restart(self, known: float, loads: int) -> None:
        """The process dies; another one finds the frames on disk and what was known to be committed."""
        old, self.lane = self.lane, lane()
        self.lane.resume(old.low, self.disk.get(old.next_seq - 1))
        if loads:
            self.load(loads)
        self.read_watermark(known)

    @invariant()
    def every_uncommitted_frame_is_kept(self) -> None:
        assert self.lane.low <= self.low
        assert self.lane.held <= RETAINED_FRAMES
        assert self.lane.released_below == self.lane.low + 1
        assert self.lane.next_seq == len(self.frames) + 1
        assert self.lane.held + self.lane.tail + self.lane.low == len(self.frames)
        assert not self.lane.overtaken

    def teardown(self) -> None:
        """Once nothing fails any more, everything is committed."""
        for _ in range(3 * len(self.frames) + 10):
            self.load(RETAINED_FRAMES)
            self.publish(True, True, 300)
            self.wait()
            self.look_after_the_oldest(True, True)
            for entry_id in sorted(self.stream):
                self.applied.add(self.stream.pop(entry_id))
            self.read_watermark(1.0)
            if self.lane.idle:
                break
        assert self.applied == set(self.frames)
        assert self.lane.idle and self.lane.held == 0 and self.lane.held_bytes == 0


TestLaneMachine = LaneMachine.TestCase
TestLaneMachine.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)

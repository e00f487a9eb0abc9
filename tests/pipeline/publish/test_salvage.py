"""Whatever a disk does to a file of frames, the good ones are found and the sequence stays whole."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring.pipeline.bus.frame import Frame, decode_payload
from monitoring.pipeline.bus.lanes import Lane
from monitoring.pipeline.publish.salvage import fill_gaps, salvage
from tests.frames import event, lane_id

LANE = lane_id(4)


def frames(counts: list[int]) -> list[Frame]:
    some = Lane(LANE, "logs", 0)
    return [
        some.seal([event(index) for index in range(count)], now_ns=seq + 1, dropped={"shed": 1})
        for seq, count in enumerate(counts)
    ]


def whole(data: bytes, through: int, after: int = 0) -> list[Frame]:
    return fill_gaps(salvage(data).frames, lane=LANE, signal="logs", after=after, through=through)


def test_good_records_come_out_as_they_went_in() -> None:
    made = frames([3, 1, 4])
    data = b"".join(frame.to_record() for frame in made)
    assert salvage(data) == (made, len(data))
    assert whole(data, 3) == made and whole(data, 3, after=2) == made[2:]


def test_nothing_is_found_in_nothing() -> None:
    assert salvage(b"") == ([], 0)
    assert salvage(b"MFR1" * 100) == ([], 0)


def test_a_stand_in_carries_as_many_dead_letters_as_events_were_lost() -> None:
    made = frames([3, 5, 4])
    records = [frame.to_record() for frame in made]
    back = whole(records[0] + b"\0" * len(records[1]) + records[2], 3)
    assert [frame.seq for frame in back] == [1, 2, 3]
    assert (back[0], back[2]) == (made[0], made[2])
    payload = decode_payload(back[1])
    assert (payload.events, len(payload.rejected)) == (0, 5)
    assert "damaged" in payload.rejected[0].reason
    emitted, dropped = back[1].counters["emitted"], back[1].counters["dropped"]
    assert emitted - sum(dropped.values()) == 8, "so that the lane's account still balances"


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.integers(1, 5), min_size=1, max_size=8),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), max_size=4),
    st.floats(0, 1),
)
def test_flipped_bytes_and_a_cut_tail_cost_only_the_records_they_hit(
    counts: list[int], flips: list[tuple[float, int]], kept: float
) -> None:
    made = frames(counts)
    records = [frame.to_record() for frame in made]
    data = bytearray(b"".join(records))
    hit = set()
    for place, value in flips:
        offset = int(place * len(data))
        data[offset] ^= value
        hit.add(offset)
    cut = bytes(data[: int(kept * len(data))])
    start, good = 0, []
    for frame, record in zip(made, records, strict=True):
        end = start + len(record)
        if end <= len(cut) and cut[start:end] == record:
            good.append(frame)
        start = end
    found, end = salvage(cut)
    assert found == good and end <= len(cut)
    last = good[-1].seq if good else 0
    back = whole(cut, last)
    assert [frame.seq for frame in back] == list(range(1, last + 1))
    for frame in back:
        frame.verify()
        decode_payload(frame)
        assert frame.seq not in {g.seq for g in good} or frame == made[frame.seq - 1]
    assert sum(frame.count for frame in back) == sum(counts[:last])

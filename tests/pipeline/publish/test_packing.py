"""One bad event does not spoil its frame, and none that can be mended is lost."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring.pipeline.bus.frame import MAX_FRAME_EVENTS, Payload, decode_payload, seal
from monitoring.pipeline.events.delta import Delta
from monitoring.pipeline.events.event import MAX_EVENT_BYTES, Event, Rejected
from monitoring.pipeline.events.signals import LATEST_NS, LOGS, METRICS, Signal
from monitoring.pipeline.publish.buffer import text_bytes
from monitoring.pipeline.publish.packing import Packing, mend, pack

AIM = 256 << 10


def decoded(packing: Packing, signal: Signal = LOGS) -> list[Payload]:
    """As the drain would read them: raises where it could not."""
    return [
        decode_payload(
            seal(
                lane="0" * 32, seq=1, released_below=1, signal=signal.name, count=packed.events, created=1,
                counters={"emitted": packed.events, "dropped": {}}, payload=packed.payload,
            )
        )
        for packed in packing.frames
    ]  # fmt: skip


def messages(packing: Packing) -> list[str]:
    found: list[str] = []
    for payload in decoded(packing):
        column = payload.columns[7] if payload.columns else []
        found += column if isinstance(column, list) else [column] * payload.events
    return found


def letters(packing: Packing) -> list[Rejected]:
    return [item for payload in decoded(packing) for item in payload.rejected]


def event(message: str = "m", **changes: Any) -> Event:
    return Event(1_790_000_000_000_000_000, 9, "api", message=message)._replace(**changes)


def test_ordinary_events_make_one_frame() -> None:
    packing = pack([event(str(number)) for number in range(1000)], max_text_bytes=AIM)
    assert messages(packing) == [str(number) for number in range(1000)]
    assert packing.dropped == {} and len(packing.frames) == 1


def test_nothing_makes_no_frame() -> None:
    assert pack([], max_text_bytes=AIM).frames == []


def test_rejected_input_alone_makes_a_frame() -> None:
    packing = pack([], [Rejected("bad", b"\xff", "f", 2)], max_text_bytes=AIM)
    assert decoded(packing)[0].rejected == [Rejected("bad", b"\xff", "f", 2)]


def test_lone_surrogates_are_replaced_and_pairs_become_their_character() -> None:
    packing = pack([event("a\ud800b"), event("\ud83d\ude00"), event("ok")], max_text_bytes=AIM)
    assert messages(packing) == ["a\ufffdb", "\U0001f600", "ok"]
    assert packing.dropped == {}


def test_surrogates_in_a_rejected_inputs_source_are_replaced() -> None:
    packing = pack([event()], [Rejected("bad \udcff", b"x", "/tmp/\udcff")], max_text_bytes=AIM)
    assert decoded(packing)[0].rejected == [Rejected("bad \ufffd", b"x", "/tmp/\ufffd")]


def test_values_of_other_types_are_converted_instead_of_spoiling_the_frame() -> None:
    odd = [event(service=None), event(logger=7), event(level=99), event(level=True), event(timestamp=1.5)]
    packing = pack([*odd, event("ok")], max_text_bytes=AIM)
    assert messages(packing)[-1] == "ok"
    assert packing.dropped == {}
    levels = decoded(packing)[0].columns[1]
    assert levels == [9, 9, 24, 1, 9, 9]


def test_a_text_that_is_a_tuple_is_not_taken_for_a_column() -> None:
    packing = pack([event(logger=("a", "b"))] * 2, max_text_bytes=AIM)
    assert decoded(packing)[0].columns[5] == "('a', 'b')"


def test_times_that_the_store_cannot_hold_are_moved_to_its_bounds() -> None:
    packing = pack([event(timestamp=-1), event(timestamp=1 << 70), event()], max_text_bytes=AIM)
    assert decoded(packing)[0].columns[0][:2] == [0, LATEST_NS]


def test_what_is_no_event_becomes_a_dead_letter_and_the_others_stay() -> None:
    odd: list[Any] = [event("a"), (1, 2, 3), event("b"), event(timestamp="soon")]
    # The buffer only takes what has the three long texts; so does the estimate.
    odd[1] = (1, 9, *[""] * 12)
    packing = pack(odd, max_text_bytes=AIM)
    assert messages(packing) == ["a", "b"]
    assert [item.reason for item in letters(packing)] == ["not an event"] * 2
    assert b"soon" in letters(packing)[1].raw and packing.dropped == {}


def test_an_event_beyond_the_limit_becomes_a_dead_letter_and_the_others_stay() -> None:
    large = event("\u00e4" * (MAX_EVENT_BYTES * 3 // 4))  # fewer characters than the limit, more bytes
    packing = pack([event("a"), large, event("b")], max_text_bytes=AIM)
    assert messages(packing) == ["a", "b"]
    (letter,) = letters(packing)
    assert "larger than" in letter.reason and len(letter.raw) == 64 << 10 and packing.dropped == {}


def test_a_large_field_that_the_buffer_does_not_measure_counts_too() -> None:
    packing = pack([event("a"), event(request_id="x" * (MAX_EVENT_BYTES + 1))], max_text_bytes=AIM)
    assert messages(packing) == ["a"] and len(letters(packing)) == 1


def test_an_event_just_within_the_limit_fits_whatever_its_escapes_take() -> None:
    packing = pack([event("\x01" * (MAX_EVENT_BYTES - 200))], max_text_bytes=AIM)
    assert len(messages(packing)[0]) == MAX_EVENT_BYTES - 200


def test_large_events_are_spread_over_several_frames() -> None:
    packing = pack([event("x" * 100_000) for _ in range(20)], max_text_bytes=AIM)
    assert len(messages(packing)) == 20
    assert 4 <= len(packing.frames) <= 20


def test_a_frame_has_no_more_events_than_the_wire_allows() -> None:
    packing = pack([event("")] * (MAX_FRAME_EVENTS + 1), max_text_bytes=1 << 40)
    assert [packed.events for packed in packing.frames] == [5001, 5000]


def test_rejected_input_is_cut_to_what_a_dead_letter_may_hold() -> None:
    packing = pack([], [Rejected("bad", b"x" * (MAX_EVENT_BYTES + 5))], max_text_bytes=AIM)
    assert len(decoded(packing)[0].rejected[0].raw) == MAX_EVENT_BYTES


def test_deltas_are_packed_mended_and_spread_like_events() -> None:
    sound = Delta(1, 10, "api", family="{}", labels="{}", value="1")
    other: Any = sound
    odd: list[Any] = [sound, sound._replace(window=-5, labels="\ud800"), other._replace(host=7), (1, 2, *"abcdefgh")]
    packing = pack(odd, max_text_bytes=AIM, signal=METRICS)
    (payload,) = decoded(packing, METRICS)
    assert payload.events == 3 and len(payload.rejected) == 1 and packing.dropped == {}
    assert payload.columns[1] == [10, 0, 10] and payload.columns[7] == ["{}", "\ufffd", "{}"]
    assert payload.columns[5] == ["", "", "7"] and b"'a', 'b'" in payload.rejected[0].raw
    many = pack([sound._replace(labels="x" * 100_000)] * 20, max_text_bytes=AIM, signal=METRICS)
    assert sum(frame.events for frame in many.frames) == 20 and len(many.frames) > 1


_texts = st.text(st.characters(codec=None), max_size=20)
_numbers = st.one_of(st.integers(-(1 << 70), 1 << 70), st.floats(), st.none(), st.booleans())
_events = st.builds(
    lambda numbers, texts: Event._make([*numbers, *texts]),
    st.tuples(_numbers, _numbers),
    st.lists(st.one_of(_texts, st.text()), min_size=11, max_size=11),
)


@settings(max_examples=200)
@given(st.lists(_events, max_size=8), st.lists(st.builds(Rejected, _texts, st.binary(max_size=9), _texts), max_size=3))
def test_whatever_comes_in_the_drain_can_read_it_and_everything_is_counted(
    events: list[Event], rejected: list[Rejected]
) -> None:
    packing = pack(events, rejected, max_text_bytes=1000)
    frames = decoded(packing)
    carried = sum(payload.events + len(payload.rejected) for payload in frames)
    assert carried + sum(packing.dropped.values()) == len(events) + len(rejected)
    assert packing.text_bytes == text_bytes(events, rejected)


@given(_events)
def test_mending_a_sound_event_changes_nothing(some: Event) -> None:
    mended = mend(some)
    if mended is not None:
        assert mend(mended) == mended

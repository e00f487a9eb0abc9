"""Frames: what is sealed is what arrives, and nothing else passes for a frame."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.pipeline.bus.frame import Frame, decode_payload, iter_records
from monitoring.pipeline.errors import FrameCorrupt
from monitoring.pipeline.events.event import COLUMNS, Event, Rejected
from tests.frames import T0, Sender, entry, event

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
events = st.builds(
    Event, timestamp=st.integers(0, 2**62), level=st.integers(1, 24), **dict.fromkeys(COLUMNS[2:], texts)
)
rejects = st.builds(Rejected, reason=texts, raw=st.binary(max_size=30), source=texts, line=st.integers(0, 2**40))


def back(frame):
    payload = decode_payload(frame)
    columns = [column if isinstance(column, list) else [column] * payload.events for column in payload.columns]
    return [Event(*values) for values in zip(*columns, strict=True)], payload.rejected


@given(st.lists(events, max_size=5), st.lists(rejects, max_size=3))
def test_events_and_rejected_input_survive_the_wire(made, rejected):
    if not made and not rejected:
        return
    frame = Sender().frame(made, rejected)
    arrived = Frame.from_fields(entry(frame).fields)
    arrived.verify()
    assert arrived == frame
    assert back(arrived) == (made, rejected)


def test_a_column_that_all_events_share_is_sent_once():
    frame = Sender().frame([event(1), event(2)])
    columns = decode_payload(frame).columns
    assert columns[COLUMNS.index("service")] == "api"
    assert columns[COLUMNS.index("message")] == ["event number 1", "event number 2"]


@given(st.lists(st.lists(events, min_size=1, max_size=3), min_size=1, max_size=4), st.data())
def test_records_are_read_up_to_a_torn_tail_and_never_beyond(batches, data):
    sender = Sender()
    frames = [sender.frame(batch) for batch in batches]
    records = [frame.to_record() for frame in frames]
    whole = b"".join(records)
    cut = data.draw(st.integers(0, len(whole)))
    found = list(iter_records(whole[:cut]))
    ends = [sum(map(len, records[: number + 1])) for number in range(len(records))]
    assert [frame for frame, _ in found] == [frame for frame, end in zip(frames, ends, strict=True) if end <= cut]
    assert [end for _, end in found] == [end for end in ends if end <= cut]


@given(st.data())
def test_a_changed_byte_in_a_record_is_noticed(data):
    record = bytearray(Sender().frame([event(1), event(2)]).to_record())
    place = data.draw(st.integers(0, len(record) - 1))
    record[place] ^= data.draw(st.integers(1, 255))
    assert list(iter_records(bytes(record))) == []


@given(st.data())
def test_a_changed_field_is_noticed_by_the_digest_or_refused(data):
    sent = entry(Sender().frame([event(1)]))
    name = data.draw(st.sampled_from(sorted(sent.fields)))
    value = bytearray(sent.fields[name])
    place = data.draw(st.integers(0, len(value) - 1))
    value[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(FrameCorrupt):
        Frame.from_fields({**sent.fields, name: bytes(value)}).verify()


@given(st.dictionaries(st.sampled_from(sorted(entry(Sender().frame([event(1)])).fields)), st.binary(max_size=50)))
def test_whatever_is_in_an_entry_only_one_error_comes_out(fields):
    whole = entry(Sender().frame([event(1)])).fields
    try:
        frame = Frame.from_fields({**whole, **fields})
        frame.verify()
        decode_payload(frame)
    except FrameCorrupt:
        pass


@pytest.mark.parametrize(
    "payload",
    [b"", b"[]", b"{}", b'{"columns": 1}', b'{"columns": [[1]]}', b'{"columns": []}',
     b'{"columns": [1, 9, null, "", "", "", "", "", "", "", "", "", ""]}',
     b'{"columns": [1, true, "", "", "", "", "", "", "", "", "", "", ""]}',
     b'{"columns": [[1, 2], 9, "", "", "", "", "", "", "", "", "", "", ""]}',
     b'{"columns": [1, 9, "", "", "", "", "", "", "", "", "", "", ""], "rejected": [1]}'],
)  # fmt: skip
def test_a_payload_of_another_shape_is_refused(payload):
    frame = Sender().frame([event(1)], payload=payload, count=1, created=T0)
    with pytest.raises(FrameCorrupt):
        decode_payload(frame)

"""Frames: what is sealed is what arrives, and nothing else passes for a frame."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.pipeline.bus.frame import Frame, decode_payload, encode_payload, iter_records
from monitoring.pipeline.errors import FrameCorrupt
from monitoring.pipeline.events.delta import Delta
from monitoring.pipeline.events.event import COLUMNS, Event, Rejected
from monitoring.pipeline.events.signals import METRICS
from tests.frames import T0, Sender, entry, event

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
events = st.builds(
    Event, timestamp=st.integers(0, 2**62), level=st.integers(1, 24), **dict.fromkeys(COLUMNS[2:], texts)
)
deltas = st.builds(
    Delta,
    timestamp=st.integers(0, 2**62),
    window=st.integers(0, 2**62),
    **dict.fromkeys(Delta._fields[2:], st.sampled_from(["", "a", "\u00e4", '{"x":1}']) | texts),
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


def metrics_frame(made, rejected=(), **changes):
    payload = encode_payload(made, rejected, METRICS)
    return Sender().frame(made, rejected, signal="metrics", **{"payload": payload, **changes})


@given(st.lists(deltas, max_size=12), st.lists(rejects, max_size=3))
def test_deltas_survive_the_wire(made, rejected):
    if not made and not rejected:
        return
    arrived = Frame.from_fields(entry(metrics_frame(made, rejected)).fields)
    arrived.verify()
    payload = decode_payload(arrived)
    columns = [column if isinstance(column, list) else [column] * payload.events for column in payload.columns]
    assert ([Delta(*values) for values in zip(*columns, strict=True)], payload.rejected) == (made, rejected)


def test_a_text_that_many_deltas_share_is_sent_once():
    made = [Delta(1, 1, "s", family=f"family {number % 2}", labels=str(number), value="1") for number in range(100)]
    frame = metrics_frame(made)
    assert frame.payload.count(b"family 1") == 1
    assert decode_payload(frame).columns[6] == ["family 0", "family 1"] * 50


@pytest.mark.parametrize(
    "family",
    ['{"values": ["a"], "rows": [0, 1]}', '{"values": ["a"], "rows": [0, -1]}', '{"values": ["a"], "rows": [0]}',
     '{"values": ["a"], "rows": [0, true]}', '{"values": ["a"], "rows": []}', '{"values": ["a"]}', "{}",
     '{"values": "ab", "rows": [0, 1]}', '{"values": [1], "rows": [0, 0]}', '{"values": ["a"], "rows": 0}',
     '{"values": ["a"], "rows": "00"}', '{"values": ["a"], "rows": {"0": 0}}'],
)  # fmt: skip
def test_a_numbered_column_that_does_not_fit_is_refused(family):
    payload = f'{{"columns": [1, 1, "", "", "", "", {family}, "", "1"]}}'.encode()
    with pytest.raises(FrameCorrupt):
        decode_payload(metrics_frame([Delta(1, 1, "s")] * 2, payload=payload))


def test_logs_have_no_numbered_columns():
    payload = b'{"columns": [1, 9, {"values": ["a"], "rows": [0]}, "", "", "", "", "", "", "", "", "", ""]}'
    with pytest.raises(FrameCorrupt):
        decode_payload(Sender().frame([event(1)], payload=payload))


def test_a_signal_that_nobody_knows_is_refused():
    with pytest.raises(FrameCorrupt, match="spans"):
        decode_payload(Sender().frame([event(1)], signal="spans"))


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

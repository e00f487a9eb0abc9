"""Syslog off the wire: the same messages however the bytes are cut, and nothing grows without bound."""

from __future__ import annotations

import orjson
from hypothesis import given
from hypothesis import strategies as st

from monitoring.pipeline.events.defaults import Defaults
from monitoring.pipeline.events.event import MAX_EVENT_BYTES
from monitoring.pipeline.ingest.lines import TooLong
from monitoring.pipeline.ingest.syslog import Framer, read_messages

DEFAULTS = Defaults(received_ns=1_764_000_000 * 10**9, fallback_service="syslog")
FULL = b'<165>1 2003-10-11T22:14:15.003Z web-1 app 1234 ID47 [id@1 user="ann"] \xef\xbb\xbfhello'

LINES = st.binary(max_size=30).map(lambda data: b"<34>" + data.replace(b"\n", b" "))
MESSAGES = st.lists(st.tuples(st.booleans(), LINES), max_size=8)


def wire(messages: list[tuple[bool, bytes]]) -> bytes:
    """Counted, or one a line."""
    return b"".join(b"%d %b" % (len(data), data) if counted else data + b"\n" for counted, data in messages)


@given(messages=MESSAGES, cuts=st.lists(st.integers(1, 40), max_size=30))
def test_messages_are_the_same_however_the_bytes_are_cut(messages: list[tuple[bool, bytes]], cuts: list[int]) -> None:
    data, framer = wire(messages), Framer()
    found = []
    for size in cuts:
        found += framer.push(data[:size])
        data = data[size:]
    found += framer.push(data)
    assert found == [message for _, message in messages]
    assert framer.last() == b""


def test_a_line_without_its_end_and_half_a_message_are_kept_at_the_end() -> None:
    for data, rest in ((b"<34>half", b"<34>half"), (b"99 <34>half", b"<34>half"), (b"12", b"12")):
        framer = Framer()
        assert framer.push(data) == []
        assert framer.last() == rest


def test_what_is_too_long_is_passed_over_in_bounded_memory_and_what_follows_is_read() -> None:
    size = 3 * MAX_EVENT_BYTES
    for head, tail in ((b"<34>", b"\n"), (b"%d " % (size + 4) + b"<34>", b"")):
        framer = Framer()
        found = framer.push(head)
        for _ in range(size >> 16):
            found += framer.push(b"x" * (1 << 16))
            assert len(framer._rest) <= MAX_EVENT_BYTES + (1 << 16)
        found += framer.push(tail + b"<34>next\n")
        assert isinstance(found[0], TooLong)
        assert found[0].prefix.startswith(b"<34>xx")
        assert found[1:] == [b"<34>next"]


def test_both_rfcs_are_read_and_the_peer_is_the_host_of_those_that_name_none() -> None:
    messages = [FULL, b"<34>Oct 11 22:14:15 db-1 su[42]: no\n", b"<4>no time", b"no priority", b"", b"\r\n"]
    intake = read_messages(messages, DEFAULTS, "syslog:192.0.2.7", "192.0.2.7")
    assert [(event.host, event.service, event.level, event.message) for event in intake.events] == [
        ("web-1", "app", 10, "hello"),
        ("db-1", "su", 21, "no"),
        ("192.0.2.7", "syslog", 13, "no time"),
        ("192.0.2.7", "syslog", 9, "no priority"),
    ]
    assert orjson.loads(intake.events[0].attributes) == {
        "user": "ann",
        "pid": 1234,
        "facility": "local4",
        "msgid": "ID47",
    }
    assert intake.events[2].timestamp == DEFAULTS.received_ns
    (refused,) = read_messages([TooLong(b"<34>x", 9)], DEFAULTS, "syslog:a", "a").rejected
    assert (refused.raw, refused.source) == (b"<34>x", "syslog:a")

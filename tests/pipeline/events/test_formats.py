"""Lines of each format, and telling the formats apart."""

from __future__ import annotations

from datetime import UTC
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.pipeline.errors import SettingsError
from monitoring.pipeline.events.defaults import Defaults
from monitoring.pipeline.events.event import Event
from monitoring.pipeline.events.formats.format import number
from monitoring.pipeline.events.formats.known import FORMATS, NAMES, by_key, by_name, sniff
from monitoring.pipeline.events.lenient import NotAnEvent
from monitoring.pipeline.events.reader import Reader
from tests.pipeline.events.samples import LINES, NOON, NOW

DEFAULTS = Defaults(received_ns=NOW, fallback_service="file", host="here", zone=UTC)


def events(text: str | bytes, name: str | None = None) -> list[Event]:
    """The events of a file of these lines; none may be rejected."""
    lines = (text.encode() if isinstance(text, str) else text).splitlines()
    reader = Reader(by_name(name) if name else sniff(lines, DEFAULTS), DEFAULTS, "f", strict=name is not None)
    reader.feed(lines)
    reader.flush()
    found, rejected = reader.take()
    assert rejected == []
    return found


def check(event: Event, **expected: Any) -> None:
    for name, value in expected.items():
        found: Any = getattr(event, name)
        if name in ("attributes", "exception"):
            found = orjson.loads(found or "null")
        assert found == value, name


@pytest.mark.parametrize(("name", "line", "expected"), LINES, ids=[f"{name}: {line[:40]}" for name, line, _ in LINES])
def test_a_line_of_a_format_is_told_by_looking_and_understood(name: str, line: str, expected: dict[str, Any]) -> None:
    assert sniff([line.encode()] * 3, DEFAULTS).name == name
    (event,) = events(line)
    check(event, **expected)


@pytest.mark.parametrize(("name", "line", "expected"), LINES, ids=[f"{name}: {line[:40]}" for name, line, _ in LINES])
def test_a_line_is_understood_too_when_its_format_is_named(name: str, line: str, expected: dict[str, Any]) -> None:
    (event,) = events(line, name)
    check(event, **expected)


@pytest.mark.parametrize(
    "line",
    [
        "0 errors found", "No ERROR here at all", "information desk", "the error was mine", "warnings: 3",
        "2024-05-01 12:00:00 no errors, 3 warnings", "Errors may follow", "debugger attached", "alerting disabled",
        "FATALITY", "config loaded: ERROR_LOG=/x", "critical path analysis",
    ],
)  # fmt: skip
def test_a_word_that_only_sounds_like_a_level_is_none(line: str) -> None:
    (event,) = events(line)
    assert event.level == 9


def test_the_zone_given_is_that_of_times_without_one() -> None:
    from zoneinfo import ZoneInfo

    berlin = Defaults(received_ns=NOW, zone=ZoneInfo("Europe/Berlin"))
    for line in (
        "2024-05-01 14:00:00 x",
        "May  1 14:00:00 h app: x",
        "123:M 01 May 2024 14:00:00.000 * x",
        "2024/05/01 14:00:00 [error] 1#2: x",
    ):
        reader = Reader(sniff([line.encode()], berlin), berlin, "f")
        reader.feed([line.encode()])
        reader.flush()
        assert [event.timestamp for event in reader.take()[0]] == [NOON], line


def test_docker_lines_are_unwrapped_and_what_is_inside_is_parsed_again() -> None:
    found = events(
        r"""{"log":"{\"level\":\"error\",\"msg\":\"json inside\"}\n","stream":"stdout",\
"time":"2024-05-01T12:00:00.000000005Z"}
{"log":"2024-05-01 13:00:00,000 - app - WARNING - own time\n","stream":"stderr","time":"2024-05-01T12:00:01Z"}
{"log":"plain\r\n","stream":"stdout","time":"2024-05-01T12:00:02Z","attrs":{"tag":"shop"}}
""".replace("\\\n", "")
    )
    check(found[0], timestamp=NOON + 5, level=17, message="json inside", attributes={"stream": "stdout"})
    check(
        found[1],
        timestamp=NOON + 3600 * 10**9,
        level=13,
        logger="app",
        message="own time",
        attributes={"stream": "stderr"},
    )
    check(found[2], timestamp=NOON + 2 * 10**9, message="plain", attributes={"stream": "stdout", "tag": "shop"})


def test_long_lines_that_docker_splits_are_joined_across_the_streams() -> None:
    found = events(
        b'{"log":"one ","stream":"stdout","time":"2024-05-01T12:00:00Z"}\n'
        b'{"log":"err\\n","stream":"stderr","time":"2024-05-01T12:00:01Z"}\n'
        b'{"log":"two ","stream":"stdout","time":"2024-05-01T12:00:02Z"}\n'
        b'{"log":"three\\n","stream":"stdout","time":"2024-05-01T12:00:03Z"}\n'
    )
    assert [(event.message, event.timestamp - NOON) for event in found] == [("one two three", 0), ("err", 10**9)]


def test_cri_lines_are_unwrapped_and_parts_joined() -> None:
    found = events(
        b"2024-05-01T12:00:00.000000005Z stdout F hello\n"
        b'2024-05-01T12:00:01Z stdout P {"level":"err\n'
        b"2024-05-01T12:00:02Z stderr F WARNING:app:careful\n"
        b'2024-05-01T12:00:03Z stdout F or","msg":"joined"}\n'
        b"2024-05-01T12:00:04+00:00 stderr F\n"
        b"2024-05-01T14:00:05+02:00 stderr F:x last\n"
    )
    assert [(event.message, event.level, event.timestamp - NOON) for event in found] == [
        ("hello", 9, 5),
        ("joined", 17, 10**9),
        ("careful", 13, 2 * 10**9),
        ("last", 9, 5 * 10**9),
    ]


def test_a_last_part_without_its_end_is_an_event_all_the_same() -> None:
    (event,) = events(b"2024-05-01T12:00:01Z stdout P half a line\n")
    assert event.message == "half a line"


def test_the_journals_json_is_understood() -> None:
    found = events(
        rb"""{"__CURSOR":"1","__REALTIME_TIMESTAMP":"1714564800000005","PRIORITY":"3","MESSAGE":"boom","SYSLOG_IDENTIFIER":"shop",
"_HOSTNAME":"web-1","_PID":"12","_SYSTEMD_UNIT":"shop.service"}
{"__REALTIME_TIMESTAMP":"1714564800000005","_SOURCE_REALTIME_TIMESTAMP":"1714564800000001","PRIORITY":"6",
"MESSAGE":[104,105,255],"_SYSTEMD_UNIT":"shop.service"}
{"__REALTIME_TIMESTAMP":"1714564800000005","MESSAGE":"{\"level\":\"warn\",\"msg\":\"inside\"}","PRIORITY":"6","_COMM":"shop"}
{"__REALTIME_TIMESTAMP":"1714564800000005","MESSAGE":"failed\nTraceback (most recent call last):\n  File x\nE: y",
"PRIORITY":"3"}
{"__REALTIME_TIMESTAMP":"1714564800000005","MESSAGE":null,"TAG":["a","b"]}""".replace(b",\n", b",")
    )
    check(found[0], timestamp=NOON + 5000, level=17, service="shop", host="web-1", message="boom",
          attributes={"_PID": 12, "_SYSTEMD_UNIT": "shop.service"})  # fmt: skip
    check(found[1], timestamp=NOON + 1000, level=9, service="shop", message="hi\\xff")
    check(found[2], level=13, service="shop", message="inside")
    check(found[3], message="failed", exception="Traceback (most recent call last):\n  File x\nE: y")
    check(found[4], message="", attributes={"TAG": "a\nb"})


def test_a_paragraph_of_apts_history_is_one_event() -> None:
    found = events(
        b"\nStart-Date: 2024-05-01  12:00:00\nCommandline: apt-get install x\nInstall: x:amd64 (1)\n"
        b"End-Date: 2024-05-01  12:00:09\n\n"
        b"Start-Date: 2024-05-01  13:00:00\nRemove: x:amd64 (1)\nEnd-Date: 2024-05-01  13:00:01\n"
    )
    assert [event.timestamp - NOON for event in found] == [0, 3600 * 10**9]
    assert found[0].message == "Commandline: apt-get install x\nInstall: x:amd64 (1)\nEnd-Date: 2024-05-01  12:00:09"


@pytest.mark.parametrize(
    ("lines", "key"),
    [
        ([b'{"a":1}', b"noise", b'{"a":2}', b'{"broken'], "json"),
        ([b"{", b'  "a": 1', b"}", b"{", b'  "a": 2', b"}"], "json"),
        ([b"banner", b"", b"=====", *[b"2024-05-01 12:00:00,1 - a - INFO - x"] * 5], "python"),
        ([b"2024-05-01 12:00:00,1 - a - ERROR - x", b"Traceback (most recent call last):", b'  File "x"', b"VError: x",
          b"", b"During handling of the above exception, another exception occurred:", b"",
          b"Traceback (most recent call last):", b'  File "x"', b"KeyError: 'k'"], "python"),
        ([b"2024-05-01T12:00:00Z stdout F INFO:a:b"] * 3, "cri:python-basic"),
        ([b'{"log":"a=1 b=2\\n","stream":"stdout","time":"2024-05-01T12:00:00Z"}'] * 3, "docker:logfmt"),
        ([b'{"log":"x","stream":"stdout","time":"2024-05-01T12:00:00Z","level":"info"}'] * 3, "json"),
        ([], "plain"), ([b"", b"  "], "plain"), ([b"a = b", b"c"], "plain"),
    ],
)  # fmt: skip
def test_a_files_format_is_told_by_what_most_of_its_first_lines_are(lines: list[bytes], key: str) -> None:
    found = sniff(lines, DEFAULTS)
    assert found.key == key
    assert by_key(found.key).key == key


def test_every_format_has_a_name_that_finds_it() -> None:
    assert [by_name(item.name).name for item in FORMATS] == [item.name for item in FORMATS]
    assert by_name("NGINX").name == "access" and by_name("redis").name == "valkey"
    assert all(by_name(name) for name in NAMES)
    with pytest.raises(SettingsError, match="known are access"):
        by_name("nonsense")


@given(
    st.sampled_from([item for item in FORMATS if item.unwrap is None]),
    st.text(max_size=120) | st.sampled_from([line for _, line, _ in LINES]),
)
def test_no_text_makes_a_format_fail(item: Any, text: str) -> None:
    try:
        event = item.parse(text, DEFAULTS)
    except NotAnEvent:
        return
    assert event is None or isinstance(event, Event)


@given(st.sampled_from([line for _, line, _ in LINES]), st.data())
def test_no_damage_to_a_line_makes_it_fail(line: str, data: st.DataObject) -> None:
    raw = bytearray(line.encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at : at + data.draw(st.integers(0, 8))] = data.draw(st.binary(max_size=4))
        raw = raw or bytearray(b"x")
    reader = Reader(sniff([bytes(raw)], DEFAULTS), DEFAULTS, "f")
    reader.feed(bytes(raw).split(b"\n"))
    reader.flush()
    assert reader.ready or reader.rejected or not bytes(raw).strip(b"\x00\r\n\t \x0b\x0c\x1c\x1d\x1e\x1f\xc2\x85\xa0")


@pytest.mark.parametrize(
    ("text", "value"),
    [("42", 42), ("-7", -7), ("0", 0), ("1.5", 1.5), ("-0.25", -0.25), ("007", "007"), ("1e5", "1e5"), ("", ""),
     ("-", "-"), ("1.", "1."), (".5", ".5"), ("00.5", "00.5"), ("12345678901234567890", "12345678901234567890"),
     ("٣", "٣"), ("1_000", "1_000")],
)  # fmt: skip
def test_text_that_is_the_usual_spelling_of_a_number_is_one(text: str, value: Any) -> None:
    assert number(text) == value and type(number(text)) is type(value)

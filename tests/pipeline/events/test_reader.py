"""From lines to events: what is joined, what is kept, and that a reader can be replaced anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.pipeline.bus.frame import MAX_FRAME_BYTES, encode_payload
from monitoring.pipeline.events import multiline
from monitoring.pipeline.events.defaults import Defaults
from monitoring.pipeline.events.event import MAX_EVENT_BYTES, Event, Rejected
from monitoring.pipeline.events.formats.format import Format
from monitoring.pipeline.events.formats.known import FORMATS, by_key, by_name, sniff
from monitoring.pipeline.events.lenient import MAX_RAW_BYTES
from monitoring.pipeline.events.reader import MAX_OPEN, Boundary, Reader
from tests.pipeline.events.samples import LINES, NOON, NOW

DEFAULTS = Defaults(received_ns=NOW, fallback_service="file", host="here", zone=UTC)


def reader(lines: Sequence[bytes], name: str = "", *, strict: bool = False, inherit: bool = False) -> Reader:
    found = by_key(name) if name else sniff(lines, DEFAULTS)
    return Reader(found, DEFAULTS, "app.log", strict=strict, inherit=inherit)


def read(text: str | bytes, name: str = "", *, strict: bool = False, inherit: bool = False) -> list[Event]:
    lines = (text.encode() if isinstance(text, str) else text).split(b"\n")
    made = reader(lines, name, strict=strict, inherit=inherit)
    made.feed(lines)
    made.flush()
    assert made.rejected == []
    return made.ready


def shown(events: Sequence[Event]) -> list[tuple[int, str, str]]:
    """Level, message and exception of each."""
    return [(event.level, event.message, str(orjson.loads(event.exception or '""'))) for event in events]


PYTHON_TRACE = """Traceback (most recent call last):
  File "/app/a.py", line 3, in f
    g()
    ~^^
ValueError: no"""
CHAINED = f"""{PYTHON_TRACE}

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/app/a.py", line 5, in <module>
    raise KeyError("k") from error
KeyError: 'k'

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/app/a.py", line 9, in <module>
app.errors.Broken"""
GROUP = """  + Exception Group Traceback (most recent call last):
  |   File "/app/a.py", line 1, in <module>
  | ExceptionGroup: two (2 sub-exceptions)
  +-+---------------- 1 ----------------
    | ValueError: a
    +------------------------------------"""
JAVA_TRACE = """java.lang.IllegalStateException: no
\tat com.example.Shop.buy(Shop.java:12)
\tat com.example.Main.main(Main.java:3)
Caused by: java.io.IOException: disk
\t... 2 more
\tSuppressed: java.lang.Exception: x
\t\tat com.example.A.b(A.java:1)"""
IN_THREAD = f'Exception in thread "main" {JAVA_TRACE}'
SYNTAX_ERROR = """  File "<stdin>", line 1
    f(
     ^
SyntaxError: '(' was never closed"""
GO_TRACE = """goroutine 1 [running]:
main.(*Shop).Buy(0x0, {0x1, 0x2})
\t/src/main.go:12 +0x1d
created by main.main in goroutine 1
\t/src/main.go:3 +0x2a
exit status 2"""
NODE_TRACE = """    at Shop.buy (/app/shop.js:3:9)
    at async main (/app/main.js:1:1) {
  code: 'ENOENT'
}"""
RUBY_TRACE = "\tfrom app.rb:7:in `block in main'\n\tfrom app.rb:9:in `main'"


@pytest.mark.parametrize("trace", [PYTHON_TRACE, CHAINED, JAVA_TRACE], ids=["python", "chained", "java"])
@pytest.mark.parametrize(
    "head", ["2024-05-01 12:00:00,000 - app - ERROR - it failed", "ERROR:app:it failed", "ERROR it failed", "it failed"]
)
def test_a_trace_belongs_to_the_event_before_it(head: str, trace: str) -> None:
    found = read(f"{head}\n{trace}\n{head}\n")
    assert shown(found) == [(17, "it failed", trace), (9 if head == "it failed" else 17, "it failed", "")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"ERROR it failed\n{GROUP}", (17, "it failed", GROUP)),
        (f"TypeError: x is not a function\n{NODE_TRACE}", (17, "TypeError: x is not a function", NODE_TRACE)),
        (f"app.rb:3:in `f': no (RuntimeError)\n{RUBY_TRACE}", (17, "app.rb:3:in `f': no (RuntimeError)", RUBY_TRACE)),
        (f"panic: no\n\n{GO_TRACE}", (21, "panic: no", f"panic: no\n\n{GO_TRACE}")),
        (PYTHON_TRACE, (17, "ValueError: no", PYTHON_TRACE)),
        (CHAINED, (17, "app.errors.Broken", CHAINED)),
        (IN_THREAD, (17, IN_THREAD.partition("\n")[0], IN_THREAD)),
        (SYNTAX_ERROR, (17, "SyntaxError: '(' was never closed", SYNTAX_ERROR)),
    ],
    ids=["exception group", "node", "ruby", "go", "python alone", "python chained alone", "java alone", "syntax error"],
)  # fmt: skip
def test_traces_of_other_languages_and_traces_alone(text: str, expected: tuple[int, str, str]) -> None:
    assert shown(read(text)) == [expected]


def test_a_trace_behind_an_info_is_what_a_dying_program_left() -> None:
    """It is an event of its own, found by level:error, and of the time of the one before it."""
    found = read(f"2024-05-01 12:00:00,000 - app - INFO - fine\n{PYTHON_TRACE}\n", inherit=True)
    assert shown(found) == [(9, "fine", ""), (17, "ValueError: no", PYTHON_TRACE)]
    assert [event.timestamp for event in found] == [NOON, NOON]


def test_two_traces_in_a_row_are_two_events() -> None:
    assert shown(read(f"{PYTHON_TRACE}\n{PYTHON_TRACE}\n")) == [(17, "ValueError: no", PYTHON_TRACE)] * 2


def test_a_trace_among_json_lines_is_an_event_of_its_own() -> None:
    found = read(f'{{"msg":"a","level":"error"}}\n{CHAINED}\nsome print\n{{"msg":"b"}}\n')
    assert shown(found) == [(17, "a", ""), (17, "app.errors.Broken", CHAINED), (9, "some print", ""), (9, "b", "")]


def test_indented_lines_belong_to_the_one_before_them() -> None:
    assert shown(read("first\n  second\n\tthird\nnext\n\n  alone\n")) == [
        (9, "first\n  second\n\tthird", ""),
        (9, "next", ""),
        (9, "  alone", ""),
    ]


def test_in_a_file_of_dated_lines_the_others_go_on() -> None:
    lines = [
        "2024-05-01 12:00:00,000 - app - INFO - one",
        "two",
        "",
        "three",
        "",
        "2024-05-01 12:00:01,000 - app - INFO - x",
    ]
    assert shown(read("\n".join(lines) + "\n")) == [(9, "one\ntwo\n\nthree", ""), (9, "x", "")]


@pytest.mark.parametrize(
    "line",
    [
        '{"msg":"json"}',
        '127.0.0.1 - - [01/May/2024 12:00:00] "GET / HTTP/1.1" 200 -',
        "123:M 01 May 2024 12:00:00.000 * json",
        "2024/05/01 12:00:00 [error] 1#2: json",
    ],
)
def test_a_line_of_another_known_format_does_not_go_on(line: str) -> None:
    first = "2024-05-01 12:00:00,000 - app - INFO - one"
    found = read(f"{first}\n{line}\n{first}\n", "python")
    assert [event.message for event in found][::2] == ["one", "one"] and len(found) == 3


def test_an_object_over_several_lines_is_one_event() -> None:
    found = read('{\n  "msg": "a",\n  "extra": {\n    "n": 1\n  }\n}\n{\n  "msg": "b"\n}\n')
    assert [event.message for event in found] == ["a", "b"]
    assert found[0].attributes == '{"n":1}'


def test_what_only_looks_like_an_object_is_text() -> None:
    assert shown(read("start\n{\n  code: 1\n}\n{x} y\nend\n")) == [
        (9, "start", ""), (9, "{\n  code: 1\n}", ""), (9, "{x} y", ""), (9, "end", ""),
    ]  # fmt: skip


def test_traces_of_two_streams_do_not_mix() -> None:
    def line(stream: str, text: str) -> bytes:
        return b"2024-05-01T12:00:00Z %s F %s" % (stream.encode(), text.encode())

    lines = [line("stderr", "ERROR one"), line("stdout", "ERROR two")]
    for first, second in zip(PYTHON_TRACE.splitlines(), PYTHON_TRACE.splitlines(), strict=True):
        lines += [line("stdout", first), line("stderr", second)]
    found = read(b"\n".join(lines))
    assert shown(found) == [(17, "one", PYTHON_TRACE), (17, "two", PYTHON_TRACE)]
    assert [event.attributes for event in found] == ['{"stream":"stderr"}', '{"stream":"stdout"}']


def test_an_event_without_time_takes_that_of_the_one_before_it_or_of_receipt() -> None:
    text = 'first\n{"ts":"2024-05-01T12:00:00Z","msg":"a"}\nsecond\n'
    assert [event.timestamp for event in read(text, "json", inherit=True)] == [NOW, NOON, NOON]
    assert [event.timestamp for event in read(text, "json")] == [NOW, NOON, NOW]


def test_broken_lines_are_rejected_with_file_line_and_reason() -> None:
    lines = [b'{"msg":"a"}', b'{"msg":', b"", b'{"msg":"b"}', b"[1,2]", b'{"a":' + b"[" * 50 + b"]" * 50 + b"}"]
    made = reader(lines)
    made.feed(lines)
    made.feed_too_long(b"x" * 100, 2 << 20)
    made.flush()
    assert [event.message for event in made.ready] == ["a", "b", "[1,2]"]
    assert [(item.source, item.line, item.reason.partition(":")[0]) for item in made.rejected] == [
        ("app.log", 2, "not valid JSON"),
        ("app.log", 6, "nested deeper than 32 levels"),
        ("app.log", 7, "longer than 1048576 bytes"),
    ]
    assert made.rejected[0].raw == b'{"msg":'
    assert made.boundary == Boundary(sum(len(line) + 1 for line in lines) + (2 << 20), 8)


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("json", b'{"a":1}', [b"text", b"{", b"[1]", b"ERROR:x:y"]),
        ("access", b'h - - [01/May/2024:12:00:00 +0000] "GET / HTTP/1.1" 200 1', [b"text", b'{"a":1', b'{"a":1}']),
        ("logfmt", b"a=1 b=2", [b"text"]),
        ("rfc5424", b"<34>1 - - - - - - m", [b"text", b"<34>x"]),
        ("cri", b"2024-05-01T12:00:00Z stdout F x", [b"text"]),
        ("docker", b'{"log":"x\\n","stream":"stdout","time":"2024-05-01T12:00:00Z"}', [b"text", b'{"a":1}']),
        ("python", b"2024-05-01 12:00:00,1 - a - INFO - b", []),
    ],
)
def test_when_the_format_is_named_other_lines_are_rejected(name: str, good: bytes, bad: list[bytes]) -> None:
    made = Reader(by_name(name), DEFAULTS, "app.log", strict=True)
    for line in [good, *bad, good]:
        made.feed([line])
        made.flush()
    assert len(made.ready) == 2
    assert [item.raw for item in made.rejected] == bad


def test_zeros_that_a_crash_left_are_passed_over_and_binary_is_rejected() -> None:
    lines = [b"\x00" * 100 + b'{"msg":"a"}', b"\x00" * 50, b"te\x00xt"]
    made = reader([b'{"a":1}'])
    made.feed(lines)
    made.flush()
    assert [event.message for event in made.ready] == ["a"]
    assert [item.reason for item in made.rejected] == ["not text"]


def test_a_mark_at_the_start_of_a_file_is_no_part_of_its_first_line() -> None:
    assert [event.message for event in read(b'\xef\xbb\xbf{"msg":"a"}\n{"msg":"b"}')] == ["a", "b"]


def test_bytes_that_are_not_utf8_are_kept_readable() -> None:
    assert read(b"caf\xe9 \xff")[0].message == "caf\\xe9 \\xff"


@pytest.mark.parametrize("line", [b"  at com.example.A(A.java:1)", b"  indented", b"x" * 2000])
def test_a_group_is_bounded_and_its_rest_is_not_lost(line: bytes) -> None:
    head = b"2024-05-01 12:00:00,000 - app - ERROR - one"
    many = multiline.MAX_GROUP_BYTES // len(line) + multiline.MAX_LINES
    made = reader([head])
    for _ in range(many):
        made.feed([head] if made.boundary == Boundary(0, 1) and not made.waiting else [line])
    made.flush()
    text = "".join(event.message + str(orjson.loads(event.exception or '""')) for event in made.ready)
    assert many - 1 <= text.count(line.decode().strip()) < many + len(made.ready)  # a trace's first line names it too
    assert len(made.ready) > 1
    assert all(len(event.message) + len(event.exception) < MAX_EVENT_BYTES for event in made.ready)


def test_an_event_that_grows_too_large_when_it_is_written_as_json_is_rejected() -> None:
    made = reader([b"x"])
    made.feed([b"\x01" * (MAX_EVENT_BYTES - 10), b"\xff" * (MAX_EVENT_BYTES // 2), b"x" * (MAX_EVENT_BYTES - 100)])
    made.flush()
    assert [len(event.message) for event in made.ready] == [MAX_EVENT_BYTES - 100]
    assert [len(item.raw) for item in made.rejected] == [MAX_RAW_BYTES] * 2
    assert len(encode_payload(made.ready, made.rejected)) < MAX_FRAME_BYTES


@pytest.mark.parametrize(
    "unit", ["(", ")", "a.", "a.A", "1:", "\\x41", '"', 'a="', "[", " ", ', client: "', "#1 ", "at "]
)
def test_no_line_makes_a_pattern_go_wild(unit: str) -> None:
    """A pattern that looks at every pair of places in such a line would outlast any patience."""
    line = (unit * 100_000)[: multiline.MAX_GROUP_BYTES - 1000].encode()
    for before in (
        b"panic: x",
        b"Traceback (most recent call last):",
        b"java.lang.AnException: x",
        b"Error: x\n    at y",
        b"x",
    ):
        for file_format in (by_name("plain"), by_name("python")):
            made = Reader(file_format, DEFAULTS, "f")
            made.feed([*before.split(b"\n"), line])
            made.flush()
            assert made.ready


def test_what_waits_for_the_end_of_a_line_in_parts_is_bounded() -> None:
    made = reader([], "cri:plain")
    made.feed([b"2024-05-01T12:00:00Z stdout P begun"])
    made.feed([b"2024-05-01T12:00:01Z stderr F line %d" % number for number in range(3 * MAX_OPEN)])
    assert len(made.ready) > 2 * MAX_OPEN
    made.feed([b"2024-05-01T12:00:02Z stdout F ended"])
    made.flush()
    messages = [event.message for event in made.ready]
    assert messages[0] == "begun" and "ended" in messages and len(messages) == 3 * MAX_OPEN + 2


def test_a_line_in_parts_that_grows_too_long_is_rejected() -> None:
    made = reader([], "cri:plain")
    made.feed([b"2024-05-01T12:00:00Z stdout P " + b"x" * 300_000] * 5)
    made.feed([b"2024-05-01T12:00:00Z stdout F end", b"2024-05-01T12:00:00Z stdout F next"])
    made.flush()
    assert [event.message for event in made.ready] == ["next"]
    assert [(item.line, len(item.raw)) for item in made.rejected] == [(1, MAX_RAW_BYTES)]


# --- properties ------------------------------------------------------------------------------------------

_CRI = [f"2024-05-01T12:00:00Z {stream} {tag} ".encode() for stream in ("stdout", "stderr") for tag in "PFF"]
_TRACES = (CHAINED, GROUP, JAVA_TRACE, GO_TRACE, NODE_TRACE, RUBY_TRACE)
_TEXTS = [
    *(line.encode() for _, line, _ in LINES),
    *(line.encode() for trace in _TRACES for line in trace.splitlines()),
    b"", b"  ", b"panic: x", b"{", b'  "a": 1', b"}", b"plain words", b"  indented", b'{"msg":"a"}',
    b'{"broken', b"\xff\x00",
    b'{"log":"part ","stream":"stdout","time":"2024-05-01T12:00:00Z"}',
    b'{"log":"end\\n","stream":"stdout","time":"2024-05-01T12:00:00Z"}',
    b'{"log":"Traceback (most recent call last):\\n","stream":"stderr","time":"2024-05-01T12:00:00Z"}',
]  # fmt: skip
SOME_LINES = st.lists(
    st.sampled_from(_TEXTS) | st.builds(lambda cri, text: cri + text, st.sampled_from(_CRI), st.sampled_from(_TEXTS)),
    max_size=30,
)
SOME_FORMATS = st.sampled_from(
    [*FORMATS, by_key("cri:python"), by_key("cri:json"), by_key("docker:json"), by_key("docker:python")]
)


@given(SOME_LINES, SOME_FORMATS, st.booleans(), st.lists(st.integers(0, 30), max_size=4))
def test_a_reader_can_be_replaced_at_any_line_and_the_events_are_the_same(
    lines: list[bytes], file_format: Format, strict: bool, cuts: list[int]
) -> None:
    if file_format.unwrap is not None and file_format.inner is None:
        file_format = file_format.around(by_name("plain"))

    def made(boundary: Boundary, last_ns: int) -> Reader:
        return Reader(file_format, DEFAULTS, "f", strict=strict, inherit=True, boundary=boundary, last_ns=last_ns)

    whole = made(Boundary(0, 1), -1)
    whole.feed(lines)
    whole.flush()
    expected = whole.take()

    events: list[Event] = []
    rejected: list[Rejected] = []
    current = made(Boundary(0, 1), -1)
    for cut in sorted(min(cut, len(lines)) for cut in cuts):
        current.feed(lines[current.boundary.line - 1 : cut])
        taken = current.take()
        events += taken[0]
        rejected += taken[1]
        assert current.boundary.offset == sum(len(line) + 1 for line in lines[: current.boundary.line - 1])
        current = made(current.boundary, current.last_ns)
    current.feed(lines[current.boundary.line - 1 :])
    current.flush()
    taken = current.take()
    assert (events + taken[0], rejected + taken[1]) == expected


@given(
    st.lists(st.binary(max_size=60).map(lambda raw: raw.replace(b"\n", b"")) | st.sampled_from(_TEXTS), max_size=12),
    SOME_FORMATS,
)
def test_any_lines_become_events_or_are_rejected_and_can_be_sent(lines: list[bytes], file_format: Format) -> None:
    made = Reader(file_format, DEFAULTS, "f")
    made.feed(lines)
    made.flush()
    assert not made.waiting
    assert made.boundary == Boundary(sum(len(line) + 1 for line in lines), len(lines) + 1)
    if made.ready or made.rejected:
        encode_payload(made.ready, made.rejected)
    assert all(1 <= event.level <= 24 and event.timestamp >= 0 and event.service for event in made.ready)
    assert all(item.reason and 1 <= item.line <= len(lines) for item in made.rejected)


_WORDS = st.text(st.characters(codec="ascii", categories=["Lu", "Ll", "Nd"]), min_size=1, max_size=6)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["", "  ", "\t", "    at ", "Traceback (most recent call last): ", "ValueError: ",
                             "Caused by: ", "panic: ", "goroutine 1 [", "2024-05-01 12:00:00,1 - a - ERROR - ",
                             "INFO:a:", "}", "#1 "]),
            _WORDS,
        ),
        max_size=20,
    ),
    SOME_FORMATS,
)  # fmt: skip
def test_joining_loses_no_text(parts: list[tuple[str, str]], file_format: Format) -> None:
    lines = [f"{prefix}word{number}x{word}".encode() for number, (prefix, word) in enumerate(parts)]
    made = Reader(file_format, DEFAULTS, "f")
    made.feed(lines)
    made.flush()
    text = "\n".join("\n".join(event) for event in (event[2:] for event in made.ready))
    text += "\n".join(item.raw.decode() for item in made.rejected)
    for number, (_, word) in enumerate(parts):
        assert f"word{number}x{word}" in text

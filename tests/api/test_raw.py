"""POST /api/v1/ingest/raw: lines become what they would have become in a file."""

from __future__ import annotations

import pytest

from monitoring.pipeline.events.defaults import Defaults
from monitoring.pipeline.ingest.intake import TooMuch
from monitoring.pipeline.ingest.raw import read_lines
from tests.instance import Instance

RAW = "/api/v1/ingest/raw"
PYTHON = b"""2026-11-24 12:00:00,123 INFO app.web: started
2026-11-24 12:00:01,000 ERROR app.web: failed
Traceback (most recent call last):
  File "a.py", line 1, in <module>
ValueError: no
2026-11-24 12:00:02,000 INFO app.web: stopped"""


def test_formats_are_found_by_looking_and_traces_joined(instance: Instance) -> None:
    answer = instance.call("POST", RAW, "ingest", query_string={"service": "shop"}, data=PYTHON)
    assert (answer.status_code, answer.json) == (202, {"accepted": 3, "rejected": []})
    answer = instance.call("POST", RAW, "ingest", data=b'{"message":"from json"}\n{"message":"again"}\n')
    assert answer.json == {"accepted": 2, "rejected": []}
    with instance.draining():
        assert instance.messages(3, "service:shop") == ["started", "failed", "stopped"]
        assert instance.messages(2, "service:ingest-key") == ["from json", "again"]
        (failed,) = instance.get("/api/v1/logs", query_string={"query": "has:exception"})["events"]
    assert (failed["level"], failed["timestamp"]) == ("ERROR", "2026-11-24T12:00:01.000000000Z")
    assert "ValueError: no" in failed["exception"]


def test_a_format_may_be_named_and_one_that_is_none_is_refused(instance: Instance) -> None:
    answer = instance.call("POST", RAW, "ingest", query_string={"format": "plain"}, data=b"level=warn x=1")
    assert answer.json == {"accepted": 1, "rejected": []}
    answer = instance.call("POST", RAW, "ingest", query_string={"format": "klingon"}, data=b"x")
    assert (answer.status_code, (answer.json or {})["field"]) == (400, "format")


def test_a_line_that_is_too_long_is_rejected_and_too_many_are_refused() -> None:
    defaults = Defaults(received_ns=1_764_000_000 * 10**9)
    intake = read_lines(b"a\n" + b"x" * (2 << 20) + b"\nb", defaults, "test", 9)
    assert [event.message for event in intake.events] == ["a", "b"]
    assert [item.line for item in intake.rejected] == [2]
    with pytest.raises(TooMuch):
        read_lines(b"x\n" * 10, defaults, "test", 9)

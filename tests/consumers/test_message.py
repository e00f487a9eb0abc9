"""What a message says, whatever the alert is."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from monitoring.consumers.channels.slack import payload
from monitoring.consumers.message import Content, compose, to_html, to_text
from monitoring.pipeline.store.outbox import Message, Notice
from tests.notices import alert, notice

values: Any = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=50),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)


def content(*notices: Notice) -> Content:
    return compose(Message("m", "c", notices, 0, 1, ""), "https://mon.example")


def test_one_alert_says_what_where_since_when_how_much_by_example_and_where_to_click() -> None:
    text = to_text(content(notice("c", operator=">")))
    for expected in (
        "FIRING: Responses are slow", "p95 over 5 s", "Rule:            slow-responses", "service=api, host=web1",
        "Since:           2026-01-02T03:04:05Z", "7.25 (threshold >5)", "upstream timed out", "run_id=ft-17",
        "trace_id=4bf92f3577b34da6a3ce929d0e0e4736", "https://wiki/slow", "https://mon.example/alerts/a1?acknowledge",
    ):  # fmt: skip
        assert expected in text


def test_of_what_happened_to_one_alert_the_last_is_told() -> None:
    found = content(notice("c", number=1), notice("c", number=2, event="resolved"))
    assert [each.event for each in found.alerts] == ["resolved"]
    assert found.resolved
    assert found.title == "[RESOLVED] Responses are slow (service=api, host=web1)"
    assert "Until:           2026-01-02T03:09:05Z" in to_text(found)


def test_many_alerts_are_counted_and_the_worst_come_first() -> None:
    found = content(
        notice("c", "a1", severity="info"),
        notice("c", "a2", event="resolved"),
        *(notice("c", f"b{number}", severity="warning") for number in range(25)),
        notice("c", "a3"),
    )
    assert found.title == "[CRITICAL] 28 alerts: 27 firing, 1 resolved"
    assert found.alerts[0].id == "a3"
    assert (len(found.alerts), found.more) == (20, 8)
    assert "and 8 more: https://mon.example/alerts" in to_text(found)


def test_an_alert_without_links_gets_one() -> None:
    assert content(notice("c", links={})).link == "https://mon.example/alerts/a1"


@given(st.sampled_from(sorted(alert())), values, st.sampled_from(["firing", "resolved", "escalated", "odd"]))
def test_whatever_a_member_holds_every_kind_of_message_can_be_made(member: str, value: Any, event: str) -> None:
    body = orjson.dumps({**alert(), member: value}, option=orjson.OPT_NON_STR_KEYS)
    found = content(Notice("k", "c", event, "", body, 0))
    assert found.title.isprintable()
    assert to_text(found)
    assert "<script" not in to_html(found).lower()
    assert orjson.dumps(payload(found))


@given(st.binary(max_size=50))
def test_a_body_that_is_no_alert_is_still_told(body: bytes) -> None:
    assert to_text(content(Notice("k", "c", "firing", "", body, 0)))


def test_a_description_keeps_its_lines_and_nothing_else_that_is_not_printable() -> None:
    found = content(notice("c", annotations={"description": "two lines:\r\n  first\x1b[31m\n\n\nsecond\u2028third"}))
    assert found.alerts[0].description == "two lines:\nfirst [31m\nsecond\nthird"
    assert "first [31m<br>second" in to_html(found)

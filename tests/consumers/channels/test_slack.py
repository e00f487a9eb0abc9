"""Slack's payload, and that it is delivered as a webhook is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from monitoring.consumers.channels.outcome import Refused, TryLater
from monitoring.consumers.channels.slack import payload
from monitoring.pipeline.store.outbox import Notice
from tests.consumers.channels.support import deliver, sending
from tests.notices import notice
from tests.sink import Sink, sinking

URL = {"url": "https://hooks.slack.com/services/x"}


@pytest.fixture
def sink() -> Iterator[Sink]:
    with sinking() as sink:
        yield sink


def shown(*notices: Notice) -> dict[str, Any]:
    return payload(sending("slack", URL, *notices).content)


def test_it_is_posted_with_what_the_alert_says_and_links(sink: Sink) -> None:
    assert deliver("slack", {"url": f"{sink.url}/services/T/B/x"}) == "200 thanks"
    text = sink.received[0].body.decode()
    for expected in ("Responses are slow", "service=api, host=web1", "7.25 (threshold 5)", "upstream timed out",
                     "<https://mon.example/alerts/a1|alert>", "trace_id=4bf9"):  # fmt: skip
        assert expected in text
    assert sink.received[0].key == "a1:1:c"


def test_colour_tells_severity_and_what_is_over() -> None:
    found = [
        shown(notice("c", severity=severity))["attachments"][0]["color"] for severity in ("critical", "warning", "info")
    ]
    found.append(shown(notice("c", event="resolved"))["attachments"][0]["color"])
    assert len(set(found)) == 4


def test_nothing_in_an_alert_can_mention_a_channel_or_break_out_of_a_block() -> None:
    evil = "<!channel> ```<https://evil|click>"
    found = shown(notice("c", annotations={"summary": evil}, rule=evil, samples=[{"message": evil}]))
    assert "<!channel>" not in str(found)
    assert "<https://evil" not in str(found)
    texts = [block["text"]["text"] for block in found["attachments"][0]["blocks"]]
    (sample,) = [text for text in texts if text.startswith("```")]
    assert sample.count("```") == 2


def test_a_storm_stays_within_what_slack_takes() -> None:
    many = [notice("c", f"a{number}", description="x" * 5000) for number in range(200)]
    found = shown(*many)
    assert len(found["attachments"]) == 21
    assert "and 180 more" in str(found["attachments"][-1])
    assert all(len(b["text"]["text"]) <= 3000 for a in found["attachments"] for b in a["blocks"])


@pytest.mark.parametrize(("status", "kind"), [("404", Refused), ("429 1", TryLater), ("500", TryLater)])
def test_its_refusals_are_told_apart(sink: Sink, status: str, kind: type[Exception]) -> None:
    sink.behave = lambda number, path: status
    with pytest.raises(kind):
        deliver("slack", {"url": sink.url})

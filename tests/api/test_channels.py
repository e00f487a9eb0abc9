"""Channels over HTTP: secrets go in and never come out, what is wrong is named, a test is a real delivery."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from monitoring.consumers.notify import run
from monitoring.pipeline import jobs
from monitoring.pipeline.bus.streams import connect
from tests.instance import Instance
from tests.sink import Sink, sinking

CHANNELS = "/api/v1/channels"


@pytest.fixture
def sink() -> Iterator[Sink]:
    with sinking() as sink:
        yield sink


@pytest.fixture
def instance(tmp_path: Path, valkey: str) -> Iterator[Instance]:
    made = Instance(
        tmp_path / "data", valkey, MONITORING_ALLOW_PRIVATE_WEBHOOKS="true", ENABLE_SLACK_ALERTS="true",
        SLACK_WEBHOOK_URL="https://hooks.slack.example/services/T/B/secret",
    )  # fmt: skip
    yield made
    made.close()


def test_a_channel_is_made_changed_listed_and_removed_and_its_secrets_are_never_shown(instance: Instance) -> None:
    config = {"url": "https://h.example/?token=sekret", "secret": "sekret", "headers": {"X-Key": "sekret"}}
    made = instance.call("POST", CHANNELS, json={"name": "h", "kind": "webhook", "config": config})
    assert made.status_code == 201
    assert instance.call("POST", CHANNELS, json={"name": "h", "kind": "webhook", "config": config}).status_code == 409
    changed = instance.call("PUT", f"{CHANNELS}/h", json={"default": True})
    listed = instance.call("GET", CHANNELS, "viewer")
    one = instance.call("GET", f"{CHANNELS}/h", "viewer")
    gone = instance.call("DELETE", f"{CHANNELS}/h")
    for answer in (made, changed, listed, one, gone):
        assert answer.status_code < 300, answer.text
        assert "sekret" not in answer.text
    assert one.json is not None
    assert one.json["config"] == {"url": "********", "secret": "********", "headers": {"X-Key": "********"}}
    assert one.json["default"] is True
    assert instance.call("GET", f"{CHANNELS}/h").status_code == 404


def test_channels_of_the_environment_are_shown_and_cannot_be_changed(instance: Instance) -> None:
    (found,) = instance.get(CHANNELS)["channels"]
    assert (found["name"], found["read_only"], found["default"]) == ("slack", True, True)
    assert "secret" not in str(found)
    assert instance.call("PUT", f"{CHANNELS}/slack", json={"enabled": False}).status_code == 409
    assert instance.call("DELETE", f"{CHANNELS}/slack").status_code == 409


@pytest.mark.parametrize(
    ("body", "field"),
    [({"kind": "pigeon"}, "kind"), ({"kind": "webhook", "config": {}}, "config.url"),
     ({"kind": "webhook", "config": {"url": "ftp://x"}}, "url"), ({"kind": "slack", "config": 1}, "config"),
     ({"kind": "webhook", "config": {"url": "https://a.example", "colour": 1}}, "config.colour"),
     ({"kind": "webhook", "config": {"url": "https://a.example", "headers": {"Host": "b"}}}, "config.headers"),
     ({"kind": "webhook", "config": {"url": "https://a.example", "headers": {"A": "b\r\nC: d"}}}, "config.headers.A"),
     ({"kind": "webhook", "config": {"url": {"env": "MONITORING_API_KEY"}}}, "env"),
     ({"kind": "webhook", "config": {"url": "********"}}, "config.url"), ({"kind": "slack", "enabled": 1}, "enabled"),
     ({"kind": "email", "config": {"server": "m", "from": "a@b.example\nBcc: c", "to": ["a@b"]}}, "config.from"),
     ({"name": "a b", "kind": "slack", "config": {"url": "https://a.example"}}, "name")],
)  # fmt: skip
def test_what_cannot_be_is_answered_with_the_member_at_fault(
    instance: Instance, body: dict[str, Any], field: str
) -> None:
    answer = instance.call("POST", CHANNELS, json={"name": "x", **body})
    assert answer.status_code == 400
    assert answer.json is not None
    assert answer.json["field"] == field


def test_a_test_is_delivered_now_and_says_what_the_far_end_said(instance: Instance, sink: Sink) -> None:
    instance.call("POST", CHANNELS, json={"name": "h", "kind": "webhook", "config": {"url": sink.url}})
    stopping = threading.Event()
    client = connect(instance.url)

    def work() -> None:
        while not stopping.wait(0.02):
            if jobs.queued(client, jobs.NOTIFY):
                client.delete("rq:queue:monitoring-notify")
                run(instance.settings)

    worker = threading.Thread(target=work)
    worker.start()
    try:
        good = instance.call("POST", f"{CHANNELS}/h/test")
        sink.behave = lambda number, path: "403"
        bad = instance.call("POST", f"{CHANNELS}/h/test")
    finally:
        stopping.set()
        worker.join()
    assert good.json is not None
    assert bad.json is not None
    assert (good.status_code, good.json["delivered"], good.json["said"]) == (200, True, "200 thanks")
    assert (bad.status_code, bad.json["delivered"]) == (200, False)
    assert "403" in bad.json["said"]
    assert [each.json["event"] for each in sink.received] == ["test", "test"]

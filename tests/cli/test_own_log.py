"""The API's own log goes through our own SDK, hides secrets, and does not feed on itself."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Response

from monitoring.cli.own_log import SERVICE, OwnLog, record
from tests.instance import Instance

OWN = f"service:{SERVICE}"


@contextlib.contextmanager
def logging_as(instance: Instance, choice: str) -> Iterator[None]:
    """What `monitoring api` sets up in its process."""
    chosen = instance.settings.replace(api_log=choice)
    record(instance.app, chosen)
    own = OwnLog(chosen)
    try:
        yield
    finally:
        own.close()


def failing(instance: Instance, status: int) -> None:
    """An address that answers so."""
    instance.app.add_url_rule(f"/fails/{status}", f"fails_{status}", lambda: Response(status=status))


def own_events(instance: Instance, count: int) -> list[dict[str, Any]]:
    assert len(instance.messages(count, OWN)) >= count
    found: list[dict[str, Any]] = instance.get("/api/v1/logs", query_string={"query": OWN, "order": "oldest"})["events"]
    return found


def test_changes_are_events_with_the_id_of_their_answer_and_what_was_asked_is_not(instance: Instance) -> None:
    with logging_as(instance, "changes"), instance.draining():
        made = instance.call("POST", "/api/v1/keys", json={"name": "x", "role": "viewer"})
        assert made.json is not None
        told = instance.call("DELETE", f"/api/v1/keys/{made.json['id']}", headers={"X-Request-Id": "mine-1"})
        assert (made.status_code, told.status_code) == (201, 200)
        instance.call("GET", "/api/v1/keys", headers={"X-Request-Id": "a b"})
        first, second = own_events(instance, 2)
    assert (first["message"], second["message"]) == ("POST /api/v1/keys 201", "DELETE /api/v1/keys/<identity> 200")
    assert (first["request_id"], second["request_id"]) == (made.headers["X-Request-Id"], "mine-1")
    assert "mon_" not in str([first, second])


@pytest.mark.parametrize("choice", ["trouble", "all"])
def test_ingest_feeds_nothing_and_what_fails_is_recorded_but_for_a_503(instance: Instance, choice: str) -> None:
    failing(instance, 500)
    failing(instance, 503)
    with logging_as(instance, choice), instance.draining():
        for _ in range(5):
            assert instance.post(b'{"message":"from outside"}').status_code == 202
            assert instance.call("GET", "/fails/503").status_code == 503
        assert instance.call("GET", "/fails/500").status_code == 500
        assert len(instance.messages(5, '"from outside"')) == 5
        found = [event for event in own_events(instance, 1) if event["attributes"]["status"] >= 500]
        assert [(event["message"], event["level"]) for event in found] == [("GET /fails/500 500", "ERROR")]
        assert not instance.messages(0, f"{OWN} route:/api/v1/logs method:POST")


def test_what_the_api_logs_is_published_without_its_secrets(instance: Instance) -> None:
    with logging_as(instance, "trouble"), instance.draining():
        try:
            raise RuntimeError("Authorization: Bearer mon_0123456789_abcdefabcdefabcdefabcdef")
        except RuntimeError:
            logging.getLogger("monitoring.api").exception("request %s failed, password=hunter2secret", "r-1")
        (event,) = own_events(instance, 1)
    assert (event["level"], event["logger"]) == ("ERROR", "monitoring.api")
    assert "request r-1 failed" in event["message"]
    assert event["exception"]["type"] == "RuntimeError"
    for secret in ("hunter2secret", "abcdefabcdef"):
        assert secret not in str(event)


def test_after_its_end_nothing_is_published(instance: Instance) -> None:
    with logging_as(instance, "changes"):
        pass
    with instance.draining():
        logging.getLogger("monitoring.api").error("nobody hears this")
        instance.call("POST", "/api/v1/keys", json={"name": "x", "role": "viewer"})
        instance.post(b'{"message":"last"}')
        assert instance.messages(1) == ["last"]

"""Apprise, the real one, to a local server; and without it installed."""

from __future__ import annotations

import sys

import pytest

from monitoring.consumers.channels.outcome import Refused, TryLater
from tests.consumers.channels.support import deliver
from tests.sink import sinking


def test_a_message_reaches_a_service_that_apprise_knows_by_url() -> None:
    with sinking() as sink:
        url = sink.url.replace("http://", "json://") + "/in"
        assert deliver("apprise", {"url": url}) == "taken by apprise"
        assert "Responses are slow" in sink.received[0].json["title"]
        assert "upstream timed out" in sink.received[0].json["message"]
        sink.behave = lambda number, path: "500"
        with pytest.raises(TryLater):
            deliver("apprise", {"url": url})


def test_a_url_that_it_does_not_know_is_refused() -> None:
    with pytest.raises(Refused, match="apprise does not know"):
        deliver("apprise", {"url": "nosuchthing://x"})


def test_where_it_is_not_installed_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(Refused, match=r"pip install 'monitoring-pipeline\[notify\]'"):
        deliver("apprise", {"url": "json://localhost"})

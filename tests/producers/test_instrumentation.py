"""Starting the SDK sets up requests and jobs by the settings, stopping it leaves the libraries as they were."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from monitoring.producers import request_policy
from monitoring.producers.request_policy import Override
from monitoring.startup import start_monitoring_with_config, stop_monitoring
from tests.producers.wsgi_call import Answer, answer, environ_of


@pytest.fixture(autouse=True)
def _no_bus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    for name in ("MONITORING_BUS_URL", "REDIS_URL", "MONITORING_URL", "LOG_LEVEL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MONITORING_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("MONITORING_COLLECTORS", "none")
    monkeypatch.setenv("MONITORING_CONSOLE", "off")
    yield
    stop_monitoring(0.1)


def test_the_settings_are_followed_from_the_start_on(monkeypatch):
    monkeypatch.setenv("MONITORING_SLOW_REQUEST", "5s")
    monkeypatch.setenv("MONITORING_REQUEST_SAMPLE", "/items/*=0.25")
    override = Override()
    assert override.policy().slow_seconds == 1.0
    start_monitoring_with_config()
    assert (override.policy().slow_seconds, override.policy().rate("/items/7")) == (5.0, 0.25)
    stop_monitoring(0.1)
    assert override.policy().slow_seconds == 1.0


def test_a_rate_that_cannot_be_used_is_told_and_left_out(monkeypatch, capfd):
    monkeypatch.setenv("MONITORING_REQUEST_SAMPLE", "/items/*=often")
    monkeypatch.setenv("MONITORING_SLOW_REQUEST", "5s")
    start_monitoring_with_config()
    policy = Override().policy()
    assert (policy.sample, policy.slow_seconds) == ((), 5.0)
    assert "MONITORING_REQUEST_SAMPLE: '/items/*=often'" in capfd.readouterr().err


def test_ids_go_onward_between_start_and_stop():
    untouched = requests.Session.send
    start_monitoring_with_config()
    assert requests.Session.send is not untouched
    stop_monitoring(0.1)
    assert requests.Session.send is untouched


def test_a_cut_body_is_redacted_by_the_redactor_of_the_settings(monkeypatch):
    monkeypatch.setenv("MONITORING_REDACT_PATTERNS", "employee=EMP-[0-9]{6}")
    start_monitoring_with_config()
    policy = request_policy._in_force()
    assert policy.redact("EMP-123456 in") == "[REDACTED:employee] in"


def test_requests_are_served_before_the_start_and_after_the_stop():
    from monitoring.producers.wsgi import MonitoringWSGI

    app = MonitoringWSGI(answer)
    for _ in range(2):
        assert Answer(app, environ_of()).read() == b"hello"
        start_monitoring_with_config()
        assert Answer(app, environ_of()).read() == b"hello"
        stop_monitoring(0.1)

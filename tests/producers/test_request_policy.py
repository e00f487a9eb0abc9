"""Which requests are recorded: settings decide, a middleware may be told otherwise, chance is drawn as it is asked."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from monitoring.pipeline import settings
from monitoring.pipeline.errors import SettingsError
from monitoring.producers import request_policy
from monitoring.producers.request import Request
from monitoring.producers.request_policy import Override, Policy, install, policy_from
from monitoring.producers.testing import capture


@pytest.fixture(autouse=True)
def _defaults() -> Iterator[None]:
    yield
    install(None)


def test_settings_are_what_counts():
    policy = policy_from(
        settings.load(
            {
                "MONITORING_SLOW_REQUEST": "250ms",
                "MONITORING_REQUEST_EXCLUDE": "/up, /assets/*",
                "MONITORING_REQUEST_SAMPLE": "/api/items/*=0.1, *=0.5",
                "MONITORING_CAPTURE_BODIES": "yes",
                "MONITORING_BODY_BYTES": "1kb",
            }
        )
    )
    assert (policy.slow_seconds, policy.capture_bodies, policy.body_bytes) == (0.25, True, 1024)
    assert [policy.excludes(path) for path in ("/up", "/up/2", "/assets/a.js", "/assets")] == [True, False, True, False]
    assert [policy.rate(route) for route in ("/api/items/<id>", "/api", "/api/items/<id>")] == [0.1, 0.5, 0.1]


@pytest.mark.parametrize("path", ["/health", "/healthz", "/livez", "/readyz", "/metrics", "/static/a.css"])
def test_by_default_probes_and_static_files_are_left_out(path):
    assert policy_from(settings.load({})).excludes(path)
    assert not policy_from(settings.load({})).excludes("/orders")


@pytest.mark.parametrize("text", ["/a", "/a=", "=0.5", "/a=often", "/a=1.5", "/a=-1", "/a=nan", "/a=0.5,/b"])
def test_rates_that_are_none_are_refused_by_name(text):
    with pytest.raises(SettingsError, match="MONITORING_REQUEST_SAMPLE"):
        policy_from(settings.load({"MONITORING_REQUEST_SAMPLE": text}))


def test_a_rule_with_an_equals_sign_or_a_comma_in_it_can_be_said_in_code():
    override = Override(sample={"/a=b,c": 0.25})
    assert override.policy().rate("/a=b,c") == 0.25


def test_a_middleware_is_told_otherwise_and_follows_the_rest():
    override = Override(slow_seconds=9.0, exclude=["/x"])
    install(Policy(slow_seconds=3.0, capture_bodies=True))
    policy = override.policy()
    assert (policy.slow_seconds, policy.capture_bodies, policy.excludes("/x")) == (9.0, True, True)
    assert override.policy() is policy
    install(Policy(slow_seconds=4.0))
    assert (override.policy().slow_seconds, override.policy().capture_bodies) == (9.0, False)
    assert Override().policy().slow_seconds == 4.0


def test_an_option_that_there_is_none_of_is_refused():
    with pytest.raises(TypeError, match="slow_second'"):
        Override(slow_second=1.0)  # type: ignore[call-arg]


class Plain(Request):
    """A request without a server."""

    def route(self) -> str:
        return self.path

    def peer(self) -> tuple[str, str]:
        return "", ""


def test_as_many_are_recorded_as_the_rate_says():
    chance = random.Random(7)
    policy = Policy(sample=(("/a", 0.2), ("/b", 0.0)), draw=chance.random)
    with capture() as captured:
        for path, status in (("/a", 200), ("/b", 200), ("/c", 200), ("/a", 500), ("/b", 503)):
            for _ in range(1000):
                Plain(policy, "GET", path, "", "", "").end(status, 0)
    counts = {key: len(captured.find(f"GET {key}")) for key in ("/a 200", "/b 200", "/c 200", "/a 500", "/b 503")}
    assert 150 < counts.pop("/a 200") < 250
    assert counts == {"/b 200": 0, "/c 200": 1000, "/a 500": 1000, "/b 503": 1000}


def test_drawing_does_not_touch_the_programs_own_generator():
    random.seed(7)
    expected = random.random()
    random.seed(7)
    request_policy.Policy(sample=(("*", 0.5),)).draw()
    assert random.random() == expected


def test_rates_are_not_remembered_without_end():
    policy = Policy(sample=(("*", 0.5),))
    for number in range(5000):
        assert policy.rate(f"/{number}") == 0.5
    assert len(policy._rates) <= 1024


def test_a_level_that_is_not_kept_leaves_records_out():
    from monitoring.producers.logger import filter_below

    with capture() as captured:
        filter_below(13)
        Plain(Policy(), "GET", "/", "", "", "").end(200, 0)
        Plain(Policy(slow_seconds=0.0), "GET", "/", "", "", "").end(200, 0)
    assert [event.level for event in captured.events] == ["WARNING"]

"""Who asks beside keys and sessions: users of trusted proxies and of an application around us; and how often."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import flask
import pytest

import monitoring.api
from monitoring.pipeline.errors import SettingsError
from tests.conftest import ValkeyServer
from tests.instance import Instance

PROXY = {
    "MONITORING_PROXY_ADDRESSES": "10.0.0.0/24, ::1",
    "MONITORING_PROXY_ROLES": "alice=admin, bob=operator, *=viewer",
}
ALICE = {"X-Forwarded-User": "alice"}


@pytest.fixture
def made(tmp_path: Path, valkey: str) -> Iterator[Callable[..., Instance]]:
    """A maker of one instance with settings of the test's own."""
    instances: list[Instance] = []

    def make(**environment: str) -> Instance:
        instances.append(Instance(tmp_path / "data", valkey, **environment))
        return instances[-1]

    yield make
    for instance in instances:
        instance.close()


def ask(instance: Instance, path: str, peer: str, method: str = "GET", **arguments: Any) -> Any:
    return instance.app.test_client().open(path, method=method, environ_base={"REMOTE_ADDR": peer}, **arguments)


def test_a_proxy_that_is_listed_says_who_asks_and_roles_follow(made: Callable[..., Instance]) -> None:
    instance = made(**PROXY)
    for user, path, status in (
        ("alice", "/api/v1/keys", 200), ("bob", "/api/v1/keys", 403), ("carol", "/api/v1/logs", 200),
        ("a,b", "/api/v1/logs", 401), ("", "/api/v1/logs", 401),
    ):  # fmt: skip
        assert ask(instance, path, "10.0.0.7", headers={"X-Forwarded-User": user}).status_code == status, user
    assert ask(instance, "/api/v1/session", "10.0.0.7", headers=ALICE).json["name"] == "alice"


@pytest.mark.parametrize("peer", ["127.0.0.1", "10.0.1.7", "192.168.0.1", "", "::2"])
def test_anybody_else_who_sends_the_header_is_nobody(made: Callable[..., Instance], peer: str) -> None:
    instance = made(**PROXY)
    headers = {**ALICE, "X-Forwarded-For": "10.0.0.7"}
    assert ask(instance, "/api/v1/logs", peer, headers=headers).status_code == 401


def test_without_a_list_no_proxy_is_believed(made: Callable[..., Instance]) -> None:
    assert ask(made(), "/api/v1/logs", "127.0.0.1", headers=ALICE).status_code == 401


def test_a_page_of_another_site_cannot_use_a_proxys_login(made: Callable[..., Instance]) -> None:
    instance = made(**PROXY)
    for origin, status in (("https://evil.example", 403), ("http://localhost", 200)):
        answer = ask(instance, "/api/v1/searches/x", "10.0.0.7", "PUT", json={"query": "x"},
                     headers={**ALICE, "Origin": origin})  # fmt: skip
        assert answer.status_code == status


def test_the_client_is_the_last_address_that_is_no_proxy(made: Callable[..., Instance]) -> None:
    instance = made(**PROXY)
    headers = {**ALICE, "X-Forwarded-For": "1.2.3.4, 203.0.113.9, 10.0.0.8"}
    ask(instance, "/api/v1/searches/x", "10.0.0.7", "PUT", json={"query": "x"}, headers=headers)
    [entry] = instance.get("/api/v1/audit?action=search.save")["entries"]
    assert (entry["address"], entry["actor"]) == ("203.0.113.9", "proxy:alice")


@pytest.mark.parametrize(
    "environment", [{"MONITORING_PROXY_ADDRESSES": "10.0.0.0/33"}, {"MONITORING_PROXY_ROLES": "alice=king"}]
)
def test_a_list_that_cannot_be_is_told_at_the_start(made: Callable[..., Instance], environment: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match=next(iter(environment))):
        made(**environment)


def test_a_blueprint_asks_the_application_around_it_who_it_is(instance: Instance) -> None:
    app = flask.Flask("somebody")
    users = {"1": ("alice", "operator"), "2": ("eve", "king")}
    app.register_blueprint(
        monitoring.api.blueprint(
            instance.settings, authorize=lambda request: users.get(request.headers.get("X-User", ""))
        ),
        url_prefix="/ops/monitoring",
    )
    client = app.test_client()
    alice = {"X-User": "1"}
    assert client.get("/ops/monitoring/api/v1/logs", headers=alice).status_code == 200
    assert client.get("/ops/monitoring/api/v1/keys", headers=alice).status_code == 403
    assert client.get("/ops/monitoring/api/v1/logs", headers={"X-User": "2"}).status_code == 403
    assert client.get("/ops/monitoring/api/v1/logs").status_code == 401
    path = "/ops/monitoring/api/v1/searches/x"
    assert client.put(path, json={"query": "x"}, headers={**alice, "Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert client.put(path, json={"query": "x"}, headers=alice).status_code == 200
    [entry] = instance.get("/api/v1/audit?action=search.save")["entries"]
    assert entry["actor"] == "host:alice"
    key = {"Authorization": f"Bearer {instance.keys['admin']}"}
    assert client.get("/ops/monitoring/api/v1/keys", headers=key).status_code == 200
    answer = client.get(f"/ops/monitoring/login?token={instance.runtime.sessions.invite('o', 'admin')}")
    assert answer.headers["Location"] == "/ops/monitoring/"
    assert "Path=/ops/monitoring/" in answer.headers["Set-Cookie"]
    assert client.get("/ops/monitoring/openapi.json").json["servers"] == [{"url": "/ops/monitoring"}]  # type: ignore[index]  # JSON
    app.extensions["monitoring"].close()


def test_pages_of_other_sites_read_nothing_unless_they_are_listed(made: Callable[..., Instance]) -> None:
    instance = made(MONITORING_CORS_ORIGINS="https://tools.example.org, http://localhost:3000")
    for origin, allowed in (("https://tools.example.org", True), ("https://evil.example", False), ("null", False)):
        headers = {"Origin": origin}
        answers = (
            instance.call("OPTIONS", "/api/v1/logs", None, headers=headers),
            instance.call("OPTIONS", "/api/v1/searches/x", None, headers=headers),
            instance.call("GET", "/api/v1/logs", headers=headers),
            instance.call("GET", "/api/v1/logs", None, headers=headers),
        )
        assert [answer.status_code for answer in answers] == [204, 204, 200, 401]
        for answer in answers:
            assert answer.headers.get("Access-Control-Allow-Origin") == (origin if allowed else None)
            assert "Access-Control-Allow-Credentials" not in answer.headers
            assert "Origin" in answer.headers["Vary"]
    with pytest.raises(SettingsError, match="MONITORING_CORS_ORIGINS"):
        made(MONITORING_CORS_ORIGINS="*")


def test_without_a_list_no_page_of_another_site_is_answered(instance: Instance) -> None:
    answer = instance.call("GET", "/api/v1/logs", headers={"Origin": "https://tools.example.org"})
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert instance.call("OPTIONS", "/api/v1/logs").status_code == 405


@pytest.mark.parametrize("kind", ["KEY", "ADDRESS"])
def test_beyond_a_limit_the_answer_is_429_and_says_when_to_come_back(made: Callable[..., Instance], kind: str) -> None:
    instance = made(**{f"MONITORING_RATE_{kind}": "3"})
    statuses = [instance.call("GET", "/api/v1/searches", "viewer").status_code for _ in range(8)]
    assert statuses.count(200) in (3, 6)  # a minute may end meanwhile
    assert set(statuses) == {200, 429}
    answer = instance.call("GET", "/api/v1/searches", "viewer")
    if answer.status_code == 429:
        assert 1 <= int(answer.headers["Retry-After"]) <= 60
        assert f"MONITORING_RATE_{kind}" in answer.json["fix"]  # type: ignore[index]  # a problem is JSON
    assert instance.client.get("/healthz").status_code == 200


def test_bad_keys_of_an_address_are_limited_and_good_ones_of_it_are_not(made: Callable[..., Instance]) -> None:
    instance = made(MONITORING_RATE_FAILED="3")
    bad = [ask(instance, "/api/v1/logs", "9.9.9.9", headers={"Authorization": "Bearer mon_a_b"}).status_code
           for _ in range(9)]  # fmt: skip
    assert set(bad) == {401, 429}
    assert bad.count(401) <= 6
    good = {"Authorization": f"Bearer {instance.keys['viewer']}"}
    assert ask(instance, "/api/v1/logs", "9.9.9.9", headers=good).status_code == 200


def test_without_a_bus_nothing_is_limited_and_the_log_says_so(
    tmp_path: Path, valkey_servers: Callable[..., ValkeyServer], caplog: pytest.LogCaptureFixture
) -> None:
    server = valkey_servers()
    instance = Instance(tmp_path / "data", server.url, MONITORING_RATE_KEY="1")
    server.kill()
    with caplog.at_level(logging.WARNING, "monitoring.api"):
        statuses = [instance.call("GET", "/api/v1/searches", "viewer").status_code for _ in range(5)]
    assert statuses == [200] * 5
    assert caplog.text.count("rate limits are not counted") == 1
    instance.close()

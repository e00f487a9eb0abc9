"""Sessions of browsers: one-time links, cookies, tokens against forged changes, logging out."""

from __future__ import annotations

import re
import time

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from monitoring.api.auth import COOKIE
from monitoring.pipeline.store.sessions import LINK_SECONDS, Sessions
from tests.instance import Instance


def link(instance: Instance, role: str = "admin") -> str:
    return instance.runtime.sessions.invite("owner", role)


def login(instance: Instance, role: str = "admin") -> FlaskClient:
    """A browser that has logged in."""
    client = instance.app.test_client()
    assert client.get(f"/login?token={link(instance, role)}").status_code == 303
    return client


def cookie(answer: TestResponse) -> str:
    return next((text for text in answer.headers.getlist("Set-Cookie") if text.startswith(COOKIE)), "")


def test_a_link_logs_in_once(instance: Instance) -> None:
    token = link(instance)
    browser, other = instance.app.test_client(), instance.app.test_client()
    answer = browser.get(f"/login?token={token}")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")
    text = cookie(answer)
    assert "HttpOnly" in text
    assert "SameSite=Strict" in text
    assert "Path=/" in text
    assert "Secure" not in text  # it came by plain http
    assert browser.get("/api/v1/session").json["role"] == "admin"  # type: ignore[index]  # a JSON answer
    again = other.get(f"/login?token={token}")
    assert again.status_code == 401
    assert "<script" not in again.text
    assert not cookie(again)


def test_behind_https_the_cookie_travels_by_https_only(instance: Instance) -> None:
    answer = instance.client.get(f"/login?token={link(instance)}", base_url="https://localhost")
    assert "Secure" in cookie(answer)


def test_a_preview_of_a_link_does_not_use_it_up(instance: Instance) -> None:
    token = link(instance)
    assert not cookie(instance.client.head(f"/login?token={token}"))
    assert cookie(instance.client.get(f"/login?token={token}"))


def test_an_old_link_and_an_old_session_are_refused(instance: Instance) -> None:
    now = time.time_ns()
    clock = [now]
    sessions = Sessions(instance.runtime.control, lifetime_seconds=3600, now_ns=lambda: clock[0])
    token = sessions.invite("owner", "viewer")
    clock[0] = now + int(LINK_SECONDS * 1e9)
    assert sessions.redeem(token) is None
    clock[0] = now
    found = sessions.redeem(sessions.invite("owner", "viewer"))
    assert found is not None
    assert sessions.find(found[1]) == found[0]
    clock[0] = now + 3600 * 10**9
    assert sessions.find(found[1]) is None


def test_nothing_that_is_stored_is_good_for_logging_in(instance: Instance) -> None:
    token = link(instance)
    found = instance.runtime.sessions.redeem(link(instance))
    assert found is not None
    stored = b"".join(path.read_bytes() for path in instance.data.glob("control.db*"))
    assert token.encode() not in stored
    assert found[1].encode() not in stored


def test_a_change_by_cookie_needs_the_token_of_its_session(instance: Instance) -> None:
    browser, other = login(instance), login(instance)
    made = {"name": "x", "role": "viewer"}
    assert browser.post("/api/v1/keys", json=made).status_code == 403
    foreign = other.get("/api/v1/session").json
    mine = browser.get("/api/v1/session").json
    assert foreign is not None
    assert mine is not None
    for wrong in ("", "x", foreign["csrf"], "é"):
        assert browser.post("/api/v1/keys", json=made, headers={"X-CSRF-Token": wrong}).status_code == 403
    assert browser.post("/api/v1/keys", json=made, headers={"X-CSRF-Token": mine["csrf"]}).status_code == 201


def test_a_key_logs_in_and_its_session_may_what_it_may_for_as_long_as_it_is_good(instance: Instance) -> None:
    made = instance.call("POST", "/api/v1/keys", json={"name": "me", "role": "viewer"}).json
    assert made is not None
    browser = instance.app.test_client()
    answer = browser.post("/api/v1/session", json={"key": made["key"]})
    assert answer.status_code == 201
    assert answer.json is not None
    assert (answer.json["name"], answer.json["role"]) == ("me", "viewer")
    assert re.fullmatch("[0-9a-f]{64}", answer.json["csrf"])
    assert browser.get("/api/v1/logs").status_code == 200
    assert browser.get("/api/v1/keys").status_code == 403
    instance.call("DELETE", f"/api/v1/keys/{made['prefix']}")
    ends = time.monotonic() + 5
    while browser.get("/api/v1/logs").status_code == 200:
        assert time.monotonic() < ends
        time.sleep(0.1)
    assert browser.get("/api/v1/logs").status_code == 401


@pytest.mark.parametrize(("body", "status"), [({"key": "mon_0_0"}, 401), ({"key": 1}, 400), ({}, 400), ([], 400)])
def test_what_is_no_key_does_not_log_in(instance: Instance, body: object, status: int) -> None:
    answer = instance.client.post("/api/v1/session", json=body)
    assert answer.status_code == status
    assert not cookie(answer)


def test_a_key_that_may_only_write_does_not_log_in(instance: Instance) -> None:
    assert instance.client.post("/api/v1/session", json={"key": instance.keys["ingest"]}).status_code == 403


def test_a_page_of_another_site_cannot_log_a_browser_in(instance: Instance) -> None:
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}):
        answer = instance.client.post("/api/v1/session", json={"key": instance.keys["viewer"]}, headers=headers)
        assert answer.status_code == 403
    same = {"Origin": "http://localhost"}
    assert (
        instance.client.post("/api/v1/session", json={"key": instance.keys["viewer"]}, headers=same).status_code == 201
    )


def test_a_login_begins_a_new_session_and_ends_the_old_one(instance: Instance) -> None:
    browser = login(instance, "viewer")
    before = browser.get_cookie(COOKIE)
    browser.get(f"/login?token={link(instance)}")
    after = browser.get_cookie(COOKIE)
    assert before is not None
    assert after is not None
    assert before.value != after.value
    assert instance.runtime.sessions.find(before.value) is None


def test_logging_out_ends_the_session_at_once(instance: Instance) -> None:
    browser = login(instance)
    kept = browser.get_cookie(COOKIE)
    facts = browser.get("/api/v1/session").json
    assert kept is not None
    assert facts is not None
    assert browser.delete("/api/v1/session", headers={"X-CSRF-Token": facts["csrf"]}).status_code == 204
    assert browser.get_cookie(COOKIE) is None
    browser.set_cookie(COOKIE, kept.value)
    assert browser.get("/api/v1/session").status_code == 401

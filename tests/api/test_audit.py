"""The audit log: every change and every refusal is in it, nobody can change it, and it is bounded."""

from __future__ import annotations

from typing import Any

import apsw
import orjson
import pytest

from monitoring.api.app import ROUTES
from monitoring.api.failures import Failures
from monitoring.api.routes import ASKING, DATA
from monitoring.pipeline.store.audit import MAX_STATE_BYTES, Audit, Wanted
from monitoring.pipeline.store.control import FILE_NAME
from tests.alarm import an_alert
from tests.api.test_routes import MATRIX
from tests.instance import Instance


def entries(instance: Instance, **query: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = instance.get("/api/v1/audit", query_string=query)["entries"]
    return found


def test_every_change_of_the_matrix_that_succeeds_is_on_record(instance: Instance) -> None:
    for route in ROUTES:
        if route.audit in ("", DATA, ASKING):
            continue
        _, address, arguments = MATRIX[route.method, route.path]
        known = {entry["id"] for entry in entries(instance, action=route.audit)}
        answer = instance.call(route.method, address, "admin", **arguments)
        changes = answer.status_code < 400 and not arguments.get("json", {}).get("dry_run") and address != "/login"
        new = [entry for entry in entries(instance, action=route.audit) if entry["id"] not in known]
        assert len(new) == changes, (route.method, route.path, answer.status_code)


def test_an_entry_says_who_did_what_to_which_object_from_where_with_both_states(instance: Instance) -> None:
    instance.call("PUT", "/api/v1/searches/mine", json={"query": "a"})
    instance.call("PUT", "/api/v1/searches/mine", "operator", json={"query": "b"}, headers={"X-Request-Id": "r-1"})
    entry = entries(instance, action="search.save")[0]
    assert entry["actor"].startswith("key:operator-key/")
    assert (entry["object"], entry["address"], entry["request_id"]) == ("mine", "127.0.0.1", "r-1")
    assert (entry["before"]["query"], entry["after"]["query"]) == ("a", "b")
    instance.call("DELETE", "/api/v1/searches/mine")
    entry = entries(instance, action="search.remove")[0]
    assert (entry["before"]["query"], entry["after"]) == ("b", None)


def test_changes_of_alerts_rules_and_windows_are_on_record_with_the_state_before(instance: Instance) -> None:
    alert, silence = an_alert(instance.data / FILE_NAME)
    window = {"matchers": ["rule=x"], "start": "02:00", "duration": "1h"}
    instance.call("PUT", "/api/v1/maintenance-windows/night", json=window)
    instance.call("POST", "/api/v1/rules", json={"name": "r", "kind": "logs", "query": "x", "threshold": 1})
    changes: list[tuple[str, str, str, dict[str, Any], str, Any, Any]] = [
        ("POST", f"alerts/{alert}/acknowledge", "alert.acknowledge", {}, "state", "active", "acknowledged"),
        ("POST", f"alerts/{alert}/resolve", "alert.resolve", {}, "state", "acknowledged", "resolved"),
        ("PUT", "rules/r", "rule.save", {"kind": "logs", "query": "x", "threshold": 2}, "threshold", 1, 2),
        ("POST", "rules/r/disable", "rule.disable", {}, "enabled", True, False),
        ("POST", "rules/r/enable", "rule.enable", {}, "enabled", False, True),
        ("PUT", f"silences/{silence}", "silence.change", {"reason": "other"}, "reason", "a test", "other"),
        ("DELETE", f"silences/{silence}", "silence.expire", {}, "state", "active", None),
        ("PUT", "maintenance-windows/night", "window.save", {**window, "start": "03:00"}, "start", "02:00", "03:00"),
        ("DELETE", "maintenance-windows/night", "window.remove", {}, "start", "03:00", None),
    ]
    for method, path, action, body, member, before, after in changes:
        answer = instance.call(method, f"/api/v1/{path}", "operator", **({"json": body} if body else {}))
        assert answer.status_code == 200, (path, answer.text)
        entry = entries(instance, action=action)[0]
        assert entry["before"][member] == before, path
        assert (entry["after"] or {}).get(member) == after, path


def test_a_change_that_failed_is_none(instance: Instance) -> None:
    assert instance.call("PUT", "/api/v1/searches/mine", json={"query": "("}).status_code == 400
    assert entries(instance, action="search.*") == []


def test_no_secret_is_written_down(instance: Instance) -> None:
    made = instance.call("POST", "/api/v1/keys", json={"name": "x", "role": "viewer"}).json
    assert made is not None
    instance.client.get("/api/v1/logs", headers={"Authorization": f"Bearer {made['key']}x"})
    instance.client.post("/api/v1/session", json={"key": made["key"]})
    instance.client.post("/api/v1/session", json={"key": made["key"] + "x"})
    text = instance.call("GET", "/api/v1/audit/export").text
    assert made["prefix"] in text
    assert made["key"].rpartition("_")[2] not in text


def test_who_could_not_prove_who_they_are_or_may_not_is_on_record(instance: Instance) -> None:
    instance.client.get("/api/v1/logs", headers={"Authorization": "Bearer mon_abc_def"})
    browser = instance.app.test_client()
    browser.set_cookie("monitoring_session", "x")
    browser.get("/api/v1/logs")
    instance.client.get("/login?token=x")
    instance.client.get("/api/v1/logs")  # no attempt: a browser that has not logged in
    instance.call("GET", "/api/v1/keys", "viewer")
    failed = {(entry["actor"], entry["object"]) for entry in entries(instance, action="auth.failed")}
    assert failed == {
        ("key:?/abc", "GET /api/v1/logs"), ("session:?", "GET /api/v1/logs"), ("session:?", "GET /login"),
    }  # fmt: skip
    [denied] = entries(instance, action="auth.denied")
    assert denied["actor"].startswith("key:viewer-key/")


def test_a_flood_of_failures_does_not_fill_the_log() -> None:
    clock = [0.0]
    failures = Failures(clock=lambda: clock[0])
    written = [failures.admit("10.0.0.1") for _ in range(1000)]
    assert len([left for left in written if left is not None]) == Failures.EACH
    everybody = [failures.admit(f"10.1.{number // 256}.{number % 256}") for number in range(100_000)]
    assert len([left for left in everybody if left is not None]) == Failures.ALL - Failures.EACH
    clock[0] = 60.0
    assert failures.admit("10.0.0.1") == 100_000 - (Failures.ALL - Failures.EACH)
    assert failures.admit("10.0.0.1") == 0


def test_entries_are_found_by_every_column_text_and_time_and_in_pages(instance: Instance) -> None:
    audit = Audit(instance.runtime.control, now_ns=lambda: 1_700_000_000 * 10**9)
    for number in range(25):
        audit.record(
            None, f"key:a{number % 2}", "rule.save", f"r{number}", None, {"note": f"Text {number}"}, "10.0.0.7"
        )
    assert len(entries(instance, actor="key:a1")) == 12
    assert [entry["object"] for entry in entries(instance, query="text 7")] == ["r7"]
    assert len(entries(instance, action="rule.*", start="1700000000", end="1700000001")) == 25
    assert entries(instance, end="1700000000") == []
    seen: list[str] = []
    before: dict[str, str] = {}
    while True:
        page = instance.get("/api/v1/audit", query_string={"limit": "10", "action": "rule.save", **before})
        seen += [entry["object"] for entry in page["entries"]]
        if page["next_before"] is None:
            break
        before = {"before": str(page["next_before"])}
    assert seen == [f"r{number}" for number in reversed(range(25))]
    lines = instance.call("GET", "/api/v1/audit/export?object=r3").text.splitlines()
    assert [orjson.loads(line)["object"] for line in lines] == ["r3"]


def test_nobody_changes_or_deletes_an_entry(instance: Instance) -> None:
    instance.runtime.audit.record(None, "a", "b", "c")
    for statement in ("DELETE FROM audit", "UPDATE audit SET actor = 'x'"):
        with pytest.raises(apsw.ConstraintError, match="append-only"), instance.runtime.control.transaction() as open_:
            open_.execute(statement)
    assert len(instance.runtime.audit.find(Wanted(), limit=10)) == 1


def test_a_state_is_cut_where_it_is_too_large(instance: Instance) -> None:
    instance.runtime.audit.record(None, "a", "b", "c", None, {"text": "x" * 10 * MAX_STATE_BYTES})
    [entry] = instance.runtime.audit.find(Wanted(), limit=1)
    assert len(entry.after["cut"]) == MAX_STATE_BYTES // 2

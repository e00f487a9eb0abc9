"""Alerts, rules, silences and windows over HTTP."""

from __future__ import annotations

import time
from typing import Any

import pytest

from monitoring.pipeline.store import rule_files
from monitoring.pipeline.store.control import FILE_NAME
from monitoring.pipeline.store.outbox import Outbox
from tests.alarm import NAME, an_alert
from tests.instance import Instance

RULE = {"name": "Errors", "kind": "logs", "query": "level:error", "threshold": 3, "window": "5m"}


@pytest.fixture
def alert(instance: Instance) -> str:
    return an_alert(instance.data / FILE_NAME)[0]


def test_an_alert_is_listed_acknowledged_and_resolved_and_its_history_says_by_whom(instance, alert):
    found = instance.get("/api/v1/alerts", "viewer")
    assert [each["id"] for each in found["alerts"]] == [alert] and found["counts"]["active"] == 1
    assert found["alerts"][0]["labels"] == {"host": "web-1"} and found["alerts"][0]["links"]["alert"]
    taken = instance.call("POST", f"/api/v1/alerts/{alert}/acknowledge", "operator", json={"comment": "on it"})
    assert taken.json["state"] == "acknowledged" and taken.json["acknowledged_by"].startswith("key:operator-key/")
    assert (
        instance.call("POST", f"/api/v1/alerts/{alert}/comments", "operator", json={"comment": "disk"}).status_code
        == 201
    )
    assert instance.call("POST", f"/api/v1/alerts/{alert}/resolve", "operator").json["state"] == "resolved"
    assert instance.call("POST", f"/api/v1/alerts/{alert}/resolve", "operator").status_code == 409
    history = instance.get(f"/api/v1/alerts/{alert}/history")["history"]
    told = [(each["kind"], each["to"], each["actor"].partition("/")[0]) for each in history]
    assert told == [
        ("transition", "active", "rule"), ("notification", "active", "rule"),
        ("transition", "acknowledged", "key:operator-key"), ("notification", "acknowledged", "rule"),
        ("comment", "acknowledged", "key:operator-key"),
        ("transition", "resolved", "key:operator-key"), ("notification", "resolved", "rule"),
    ]  # fmt: skip
    assert [each["number"] for each in history] == list(range(1, 8))
    assert instance.get("/api/v1/alerts")["alerts"] == []
    assert len(instance.get("/api/v1/alerts?state=resolved")["alerts"]) == 1
    events = instance.runtime.control.rows("SELECT event, key FROM outbox ORDER BY rowid")
    assert events == [("firing", f"{alert}:2:ops"), ("acknowledged", f"{alert}:4:ops"), ("resolved", f"{alert}:7:ops")]


def test_the_history_cannot_be_changed(instance, alert):
    import apsw

    for statement in ("DELETE FROM transition", "UPDATE transition SET actor = 'nobody'"):
        with pytest.raises(apsw.ConstraintError), instance.runtime.control.transaction() as connection:
            connection.execute(statement)
    assert len(instance.get(f"/api/v1/alerts/{alert}/history")["history"]) == 2


def test_a_rule_is_made_changed_switched_and_removed(instance):
    assert instance.call("POST", "/api/v1/rules", "operator", json=RULE).status_code == 201
    assert instance.call("POST", "/api/v1/rules", "operator", json=RULE).status_code == 409
    changed = instance.call("PUT", "/api/v1/rules/Errors", json={**RULE, "threshold": 9})
    assert changed.json["threshold"] == 9 and changed.json["changed_by"].startswith("key:admin/")
    assert instance.call("POST", "/api/v1/rules/Errors/disable").json["status"]["state"] == "disabled"
    assert instance.call("POST", "/api/v1/rules/Errors/enable").json["status"]["state"] == "new"
    assert "Errors" in instance.get("/api/v1/rules/export")["yaml"]
    assert instance.call("DELETE", "/api/v1/rules/Errors").status_code == 200
    assert instance.call("GET", "/api/v1/rules/Errors").status_code == 404


def test_a_wrong_member_is_named_with_what_to_write(instance):
    answer = instance.call("POST", "/api/v1/rules", json={**RULE, "treshold": 3})
    assert answer.status_code == 400
    assert answer.json["field"] == "treshold" and "threshold" in answer.json["fix"]


def test_rules_of_files_are_shown_with_their_errors_and_changed_only_there(instance):
    where = instance.data / "rules"
    where.mkdir()
    (where / "a.yaml").write_text("rules:\n  - {name: A, kind: logs, query: x, threshold: 1}\n")
    (where / "b.yaml").write_text("rules:\n  - name: B\n    kind: logs\n    threshold: x\n")
    rule_files.sync(instance.runtime.control, where, time.time_ns())
    found = instance.get("/api/v1/rules")
    assert [(rule["name"], rule["read_only"], rule["line"]) for rule in found["rules"]] == [("A", True, 2)]
    assert [[error["line"] for error in file["errors"]] for file in found["files"]] == [[], [4]]
    assert instance.get("/api/v1/status")["rules"]["file_errors"][0]["line"] == 4
    for method, path in (("PUT", ""), ("DELETE", ""), ("POST", "/disable")):
        answer = instance.call(
            method, f"/api/v1/rules/A{path}", json={**RULE, "name": "A"} if method == "PUT" else None
        )
        assert answer.status_code == 409 and "a.yaml, line 2" in answer.json["detail"]
    (where / "a.yaml").write_text("rules:\n  - {name: A, kind: logs, query: x, threshold: oops}\n")
    assert rule_files.sync(instance.runtime.control, where, time.time_ns())
    assert instance.get("/api/v1/rules/A")["threshold"] == 1  # what it had, until it is right
    (where / "a.yaml").unlink()
    rule_files.sync(instance.runtime.control, where, time.time_ns())
    assert instance.get("/api/v1/rules")["rules"] == []
    assert not rule_files.sync(instance.runtime.control, where, time.time_ns())


def test_a_silence_is_made_prolonged_and_ended(instance):
    body = {"matchers": ["rule=x"], "ends_at": "+2h", "reason": "works"}
    made = instance.call("POST", "/api/v1/silences", "operator", json=body).json
    assert made["author"].startswith("key:operator-key/") and made["state"] == "active"
    longer = instance.call("PUT", f"/api/v1/silences/{made['id']}", json={"ends_at": "+4h"}).json
    assert longer["ends_at"] > made["ends_at"] and longer["matchers"] == ["rule=x"]
    assert instance.call("DELETE", f"/api/v1/silences/{made['id']}").json["state"] == "expired"
    wrong = [("matchers", []), ("matchers", ["a=~("]), ("reason", ""), ("ends_at", "-1h")]
    for member, value in wrong:
        answer = instance.call("POST", "/api/v1/silences", json={**body, member: value})
        assert (answer.status_code, answer.json["field"]) == (400, member)


def test_a_maintenance_window_is_saved_and_removed(instance):
    body = {"matchers": ["rule=x"], "start": "00:00", "duration": "24h", "time_zone": "Europe/Berlin"}
    saved = instance.call("PUT", "/api/v1/maintenance-windows/always", json=body).json
    assert saved["active"] and saved["days"][0] == "mon"
    assert len(instance.get("/api/v1/maintenance-windows")["maintenance_windows"]) == 1
    assert instance.call("DELETE", "/api/v1/maintenance-windows/always").status_code == 200
    assert instance.call("DELETE", "/api/v1/maintenance-windows/always").status_code == 404


def test_a_backtest_says_when_a_rule_would_have_fired(instance):
    now = time.time()
    lines = "\n".join(f'{{"message": "boom {n}", "level": "error", "time": {now - 3600 + n}}}' for n in range(5))
    with instance.draining():
        instance.post(lines.encode())
        instance.messages(5)
    answer = instance.call("POST", "/api/v1/rules/test", "viewer", json={"rule": RULE, "since": "-2h"})
    assert answer.status_code == 200, answer.text
    found = answer.json
    assert found["fired"] == 1 and found["firings"][0]["peak"] == 5 and found["firings"][0]["resolved_at"]
    assert found["evaluations"] >= 120 and found["step_seconds"] == 60
    metric = {"kind": "metric", "expr": "vector(7)", "threshold": 5}
    always = instance.call("POST", "/api/v1/rules/test", json={"rule": metric, "since": "-1h"}).json
    assert always["fired"] == 1 and always["firings"][0]["resolved_at"] is None
    assert instance.call("POST", "/api/v1/rules/test", json={"name": NAME}).status_code == 404


def test_a_rule_that_names_what_is_not_there_is_refused_unless_it_did_so_before(instance):
    hook = {"name": "ops-hook", "kind": "webhook", "config": {"url": "https://hooks.example.com/in"}}
    assert instance.call("POST", "/api/v1/channels", json=hook).status_code == 201
    assert instance.call("POST", "/api/v1/rules", json={**RULE, "channels": ["ops-hook"]}).json["warnings"] == []
    wrong: dict[str, dict[str, Any]] = {
        "channels": {"channels": ["ops-hok"]},
        "escalation[0].channels": {"escalation": [{"after": "5m", "channels": ["ops-hok"]}]},
        "inhibited_by[0].rule": {"inhibited_by": [{"rule": "Erors"}]},
    }
    for field, members in wrong.items():
        answer = instance.call("POST", "/api/v1/rules", json={**RULE, "name": "other", **members})
        assert (answer.status_code, answer.json["field"]) == (400, field)
        assert "did you mean" in answer.json["fix"]
        assert instance.call("PUT", "/api/v1/rules/Errors", json={**RULE, **members}).status_code == 400
    instance.call("DELETE", "/api/v1/channels/ops-hook")
    kept = instance.call("PUT", "/api/v1/rules/Errors", json={**RULE, "channels": ["ops-hook"], "threshold": 4})
    assert kept.status_code == 200 and "there is no channel 'ops-hook'" in kept.json["warnings"][0]


def test_a_rule_of_a_file_that_names_what_is_not_there_is_kept_and_told_with_its_line(instance):
    where = instance.data / "rules"
    where.mkdir()
    (where / "a.yaml").write_text("rules:\n\n  - {name: A, kind: logs, threshold: 1, channels: [pager]}\n")
    rule_files.sync(instance.runtime.control, where, time.time_ns())
    found = instance.get("/api/v1/rules")
    assert found["rules"][0]["channels"] == ["pager"]
    ((warning,),) = [file["warnings"] for file in found["files"]]
    assert warning["line"] == 3 and warning["message"].startswith("A: channels: there is no channel 'pager'")
    pager = {"name": "pager", "kind": "webhook", "config": {"url": "https://hooks.example.com/in"}}
    instance.call("POST", "/api/v1/channels", json=pager)
    assert instance.get("/api/v1/rules")["files"][0]["warnings"] == []


def test_a_silence_says_what_it_matches_and_what_in_it_is_probably_a_slip(instance, alert):
    body = {"ends_at": "+2h", "reason": "works"}
    made = instance.call("POST", "/api/v1/silences", json={**body, "matchers": ["host=web-1"]}).json
    assert (made["matching"], made["warnings"]) == (1, [])
    slips = {
        "hots=web-1": "did you mean 'host'?", f"rule={NAME}s": f"did you mean {NAME!r}?",
        "severity=bad": "there is no severity",
    }  # fmt: skip
    for matcher, said in slips.items():
        made = instance.call("POST", "/api/v1/silences", json={**body, "matchers": [matcher]}).json
        assert made["matching"] == 0 and said in made["warnings"][0]
    window = {"matchers": ["hots=web-1"], "start": "00:00", "duration": "24h"}
    assert instance.call("PUT", "/api/v1/maintenance-windows/w", json=window).json["warnings"]


def test_who_acknowledges_second_is_told_that_somebody_was_first(instance, alert):
    first = instance.call("POST", f"/api/v1/alerts/{alert}/acknowledge", "operator").json
    second = instance.call("POST", f"/api/v1/alerts/{alert}/acknowledge", "admin", json={"comment": "me too"}).json
    assert (first["already_acknowledged"], second["already_acknowledged"]) == (False, True)
    assert second["acknowledged_by"] == first["acknowledged_by"]
    history = instance.get(f"/api/v1/alerts/{alert}/history")["history"]
    assert [each["note"] for each in history if each["kind"] == "comment"] == ["me too"]


def test_the_history_says_what_became_of_each_notification(instance, alert):
    outbox = Outbox(instance.runtime.control, now_ns=lambda: time.time_ns() + 10**10)
    (waiting,) = instance.get(f"/api/v1/alerts/{alert}/history")["history"][1]["deliveries"]
    assert (waiting["channel"], waiting["state"], waiting["at"]) == ("ops", "waiting", None)
    for message in outbox.claim(10, lambda name: 60.0):
        outbox.sent(message.id, "200 thanks")
    history = instance.get(f"/api/v1/alerts/{alert}/history")["history"]
    (sent,) = history[1]["deliveries"]
    assert (sent["state"], sent["said"], sent["attempts"]) == ("sent", "200 thanks", 1) and sent["at"]
    assert "deliveries" not in history[0]


def test_matchers_of_alertmanager_are_understood(instance):
    body = {"ends_at": "+2h", "reason": "x", "matchers": [{"name": "host", "value": "web-.*", "isRegex": True}]}
    assert instance.call("POST", "/api/v1/silences", json=body).json["matchers"] == ["host=~web-.*"]

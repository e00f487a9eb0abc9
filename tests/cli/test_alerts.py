"""`monitoring alerts`, here and over HTTP."""

from __future__ import annotations

import json

from monitoring.cli.instance import LOCK_FILE
from monitoring.pipeline.alerts.files import parse
from monitoring.pipeline.store.control import FILE_NAME
from tests.alarm import NAME, an_alert
from tests.cli.test_searches import run


def test_an_alert_is_listed_shown_acknowledged_resolved_and_told_of(instance, there):
    assert "nothing is wrong" in run("alerts", "list", env=there).stdout
    alert, _ = an_alert(instance.data / FILE_NAME)
    assert alert in run("alerts", "list", env=there).stdout
    assert json.loads(run("alerts", "list", "--json", env=there).stdout)[0]["value"] == 95
    assert "links: alert=" in run("alerts", "show", alert, env=there).stdout
    assert run("alerts", "ack", alert, "--comment", "on it", env=there).exit_code == 0
    assert run("alerts", "resolve", alert, env=there).exit_code == 0
    again = run("alerts", "resolve", alert, env=there)
    assert again.exit_code == 1 and "resolved already" in again.stderr
    told = run("alerts", "history", alert, env=there).stdout
    assert "on it" in told and "acknowledged -> resolved" in told
    assert run("alerts", "show", "nothing", env=there).exit_code == 1


def test_links_lead_to_the_api_that_runs_here_whatever_port_the_shell_knows(instance):
    alert, _ = an_alert(instance.data / FILE_NAME)
    (instance.data / LOCK_FILE).write_text('{"pid": 1, "address": "http://127.0.0.1:4711"}')
    here = {"MONITORING_DATA_DIR": str(instance.data), "MONITORING_BUS_URL": instance.url}
    assert f"alert=http://127.0.0.1:4711/alerts/{alert}" in run("alerts", "show", alert, env=here).stdout
    named = {**here, "MONITORING_PUBLIC_URL": "https://mon.example.com/"}
    assert f"alert=https://mon.example.com/alerts/{alert}" in run("alerts", "show", alert, env=named).stdout


def test_silences_rules_export_and_test(instance, there, tmp_path):
    an_alert(instance.data / FILE_NAME)
    made = run("alerts", "silence", "rule=x", "--for", "2h", "--reason", "works", "--json", env=there)
    identity = json.loads(made.stdout)["id"]
    assert identity in run("alerts", "silence", env=there).stdout
    assert run("alerts", "silence", "--expire", identity, env=there).exit_code == 0
    assert run("alerts", "silence", "rule=x", env=there).exit_code == 1  # a reason is needed
    assert run("alerts", "silence", "rule=x", "--for", "long", "--reason", "x", env=there).exit_code == 2
    assert "firing" in run("alerts", "rules", env=there).stdout
    exported = parse(run("alerts", "export", env=there).stdout)
    assert [rule.name for rule, _ in exported.rules] == [NAME] and exported.errors == []
    found = json.loads(run("alerts", "test", NAME, "--since", "1h", "--json", env=there).stdout)
    assert [(each["rule"], each["fired"]) for each in found] == [(NAME, 0)]
    file = tmp_path / "new.yaml"
    file.write_text("rules:\n  - {name: new, kind: metric, expr: vector(3), threshold: 1}\n")
    tested = run("alerts", "test", str(file), "--since", "30m", env=there)
    assert "fired 1 times" in tested.stdout, tested.stderr
    file.write_text("rules:\n  - {name: new, kind: metric}\n")
    wrong = run("alerts", "test", str(file), env=there)
    assert wrong.exit_code == 1 and "new.yaml:2: expr" in wrong.stderr

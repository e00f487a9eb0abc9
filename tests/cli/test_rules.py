"""`monitoring alerts rules`, `windows` and `comment`, here and over HTTP."""

from __future__ import annotations

import json
from pathlib import Path

from monitoring.pipeline.alerts.files import parse
from monitoring.pipeline.store.audit import Audit, Wanted
from monitoring.pipeline.store.control import FILE_NAME
from tests.alarm import NAME, an_alert
from tests.cli.test_searches import run

CREATE = ("alerts", "rules", "create", "Orders", "--set", "kind=logs", "--set", "query=level:error service:shop")


def test_a_rule_is_created_changed_switched_and_deleted(instance, there):
    made = run(*CREATE, "--set", "threshold=3", "--set", "group_by=service,host", "--set", "operator=>", "--set",
               "annotations.summary={{ value }} errors", "--json", env=there)  # fmt: skip
    assert made.exit_code == 0, made.output
    assert json.loads(made.stdout)["group_by"] == ["service", "host"]
    assert run(*CREATE, "--set", "threshold=3", env=there).exit_code == 1  # it is there
    changed = run("alerts", "rules", "edit", "Orders", "--set", "for=5m", "--unset", "group_by", "--json", env=there)
    assert json.loads(changed.stdout)["for"] == "5m" and json.loads(changed.stdout)["group_by"] == []
    shown = run("alerts", "rules", "show", "Orders", env=there).stdout
    assert "threshold: 3.0" in shown and "# from api" in shown
    unknown = run("alerts", "rules", "edit", "Orders", "--set", "channels=pager", env=there)
    assert unknown.exit_code == 1 and "there is no channel 'pager'" in unknown.stderr
    assert "did you mean 'Orders'?" in run("alerts", "rules", "show", "Order", env=there).stderr
    disabled = run("alerts", "rules", "disable", "Orders", "--json", env=there)
    assert json.loads(disabled.stdout)["enabled"] is False
    assert "disabled" in run("alerts", "rules", "list", env=there).stdout
    assert run("alerts", "rules", "enable", "Orders", env=there).exit_code == 0
    assert run("alerts", "rules", "delete", "Orders", env=there).stdout == "removed Orders\n"
    assert run("alerts", "rules", "delete", "Orders", env=there).exit_code == 1
    actions = [entry.action for entry in Audit(instance.runtime.control).find(Wanted(), limit=20)]
    assert actions == ["rule.remove", "rule.enable", "rule.disable", "rule.save", "rule.create"]


def test_what_is_exported_is_imported_elsewhere_whole_or_not_at_all(instance, there, tmp_path: Path):
    an_alert(instance.data / FILE_NAME)
    file = tmp_path / "rules.yaml"
    exported = run("alerts", "rules", "export", "--output", str(file), env=there)
    assert exported.exit_code == 0, exported.output
    assert [rule.name for rule, _ in parse(file.read_text()).rules] == [NAME]
    file.write_text(
        "rules:\n  - {name: B, kind: logs, threshold: 1, inhibited_by: [{rule: A}]}\n"
        "  - {name: A, kind: logs, threshold: 1}\n"
    )
    dry = run("alerts", "rules", "import", str(file), "--dry-run", env=there)
    assert dry.stdout == "would create A\nwould create B\n"
    assert run("alerts", "rules", "import", str(file), env=there).stdout == "create A\ncreate B\n"
    again = run("alerts", "rules", "import", str(file), "--json", env=there)
    assert [each["done"] for each in json.loads(again.stdout)["rules"]] == ["unchanged", "unchanged"]
    file.write_text(file.read_text().replace("rule: A}", "rule: Z}") + "  - {name: C, kind: logs, threshold: 1}\n")
    refused = run("alerts", "rules", "import", str(file), env=there)
    assert refused.exit_code == 1 and "rules.yaml:2: inhibited_by[0].rule: there is no rule 'Z'" in refused.stderr
    assert "C" not in [each["name"] for each in json.loads(run("alerts", "rules", "--json", env=there).stdout)["rules"]]


def test_an_editor_changes_a_rule_and_its_errors_have_lines(instance, tmp_path: Path):
    there = {"MONITORING_DATA_DIR": str(instance.data), "MONITORING_BUS_URL": instance.url}
    run(*CREATE, "--set", "threshold=3", env=there)
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nsed -i "s/threshold: 3.0/threshold: $WANTED/" "$1"\n')
    editor.chmod(0o755)
    env = {**there, "EDITOR": str(editor), "VISUAL": str(editor)}
    assert run("alerts", "rules", "edit", "Orders", env={**env, "WANTED": "7"}).stdout == "saved Orders\n"
    assert "threshold: 7.0" in run("alerts", "rules", "show", "Orders", env=there).stdout
    assert "nothing was changed" in run("alerts", "rules", "edit", "Orders", env={**env, "WANTED": "8"}).stderr
    editor.write_text('#!/bin/sh\nsed -i "s/threshold: 7.0/threshold: many/" "$1"\n')
    wrong = run("alerts", "rules", "edit", "Orders", env=env)
    assert wrong.exit_code == 1 and "line 6: threshold" in wrong.stderr


def test_windows_are_saved_listed_and_removed(instance, there):
    saved = run("alerts", "windows", "save", "night", "hots=x", "--start", "00:00", "--for", "24h", "--zone",
                "Europe/Berlin", env=there)  # fmt: skip
    assert saved.exit_code == 0, saved.output
    assert "in force now" in saved.stdout and "did you mean 'host'?" in saved.stderr
    assert "in force" in run("alerts", "windows", env=there).stdout
    (listed,) = json.loads(run("alerts", "windows", "list", "--json", env=there).stdout)
    assert (listed["name"], listed["time_zone"], len(listed["days"])) == ("night", "Europe/Berlin", 7)
    wrong = run("alerts", "windows", "save", "x", "host=a", "--start", "26:00", "--for", "1h", env=there)
    assert wrong.exit_code == 1 and "start" in wrong.stderr
    assert run("alerts", "windows", "remove", "night", env=there).exit_code == 0
    assert run("alerts", "windows", "remove", "night", env=there).exit_code == 1


def test_a_comment_is_added_and_a_second_acknowledge_says_who_was_first(instance, there):
    alert, _ = an_alert(instance.data / FILE_NAME)
    assert run("alerts", "comment", alert, "the cache again", env=there).exit_code == 0
    assert run("alerts", "ack", alert, env=there).stdout == f"acknowledged {alert}\n"
    again = run("alerts", "ack", alert, "--comment", "me too", env=there)
    assert again.exit_code == 0 and "acknowledged already, 20" in again.stdout and " by " in again.stdout
    told = run("alerts", "history", alert, env=there).stdout
    assert "the cache again" in told and "me too" in told

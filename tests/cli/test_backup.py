"""`monitoring backup`, `monitoring restore` and `monitoring doctor` as commands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from monitoring.cli.instance import own
from tests.cli.test_operate import fill, local, run
from tests.instance import Instance


def test_a_backup_is_made_restored_and_verified_by_commands(instance: Instance, tmp_path: Path) -> None:
    fill(instance)
    made = run("backup", str(tmp_path / "backup"), "--json", **local(instance))
    assert made.exit_code == 0, made.output
    facts = json.loads(made.stdout)
    assert facts["rows"]["logs"] == 2
    assert "hunter2" not in made.output
    elsewhere = {"MONITORING_DATA_DIR": str(tmp_path / "elsewhere"), "MONITORING_BUS_URL": instance.url}
    restored = run("restore", str(tmp_path / "backup"), **elsewhere)
    assert restored.exit_code == 0, restored.output
    assert f"as of {facts['created']}" in restored.stdout
    assert run("verify", **elsewhere).exit_code == 0
    entries = json.loads(run("audit", "--json", **elsewhere).stdout)
    assert "backup.restore" in str(entries)
    again = run("restore", str(tmp_path / "backup"), **elsewhere)
    assert (again.exit_code, "--force" in again.stderr) == (1, True)
    forced = run("restore", str(tmp_path / "backup"), "--force", **elsewhere)
    assert forced.exit_code == 0, forced.output
    assert "what was there before is in" in forced.stderr


def test_nothing_is_restored_under_a_running_instance(instance: Instance, tmp_path: Path) -> None:
    assert run("backup", str(tmp_path / "backup"), **local(instance)).exit_code == 0
    with own(instance.settings):
        refused = run("restore", str(tmp_path / "backup"), "--force", **local(instance))
    assert (refused.exit_code, "already runs" in refused.stderr) == (1, True)
    with instance.draining():
        instance.post(b'{"message":"x"}')
        instance.messages(1)
        refused = run("restore", str(tmp_path / "backup"), "--force", **local(instance))
    assert (refused.exit_code, "drains run" in refused.stderr) == (1, True)


@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_the_doctor_exits_with_1_where_there_is_a_problem_and_says_what_to_do(
    instance: Instance, flags: tuple[str, ...]
) -> None:
    sound = {
        **local(instance), "MONITORING_PORT": "0", "MONITORING_RETENTION_BYTES": "1mb",
        "MONITORING_METRICS_RETENTION_BYTES": "1mb", "MONITORING_DISK_RESERVE": "1mb",
    }  # fmt: skip
    instance.data.chmod(0o700)
    (instance.data / "control.db").chmod(0o600)
    assert run("doctor", *flags, **sound).exit_code == 0
    found = run("doctor", *flags, **{**sound, "ENABLE_EMAIL_ALERTS": "1"})
    assert found.exit_code == 1
    if flags:
        rows = {row["check"]: row for row in json.loads(found.stdout)}
        assert rows["mail"]["level"] == "problem"
    else:
        assert "-> set it, or leave ENABLE_EMAIL_ALERTS out" in found.stdout

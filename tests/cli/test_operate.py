"""`monitoring status`, `config` and `verify`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import apsw
from click.testing import CliRunner, Result

from monitoring.cli import main
from monitoring.pipeline.settings import TABLE
from tests.instance import Instance


def run(*arguments: str, **environment: str) -> Result:
    clean = dict.fromkeys(["REDIS_URL", *(row.name for row in TABLE)])
    return CliRunner().invoke(main, list(arguments), env={**clean, **environment})


def local(made: Instance) -> dict[str, str]:
    return {"MONITORING_DATA_DIR": str(made.data), "MONITORING_BUS_URL": made.url}


def fill(made: Instance) -> None:
    made.post(b'{"message":"a"}\n{"message":"b"}\nbroken')
    with made.draining():
        made.messages(2)


# status


def test_status_shows_each_partition_and_what_needs_attention(instance: Instance) -> None:
    fill(instance)
    shown = run("status", **local(instance))
    assert shown.exit_code == 0, shown.output
    lines = shown.output.splitlines()
    assert [line.split()[0:2] for line in lines if line.startswith("logs ")] == [["logs", "0"], ["logs", "1"]]
    assert any(line.startswith("all") for line in lines)
    assert "1 dead letters" in shown.output
    assert "problem" not in shown.output


def test_status_for_programs_is_the_same_locally_and_over_http(
    instance: Instance,
    remote: dict[str, str],
) -> None:
    fill(instance)
    here = json.loads(run("status", "--json", **local(instance)).output)
    there = json.loads(run("status", "--json", **remote).output)
    assert here["totals"]["committed"] == 2
    for found in (here, there):
        del found["time"], found["drains"]
        for producer in found["producers"]:
            del producer["reported"]
    assert {**here, "totals": None, "partitions": None} == {**there, "totals": None, "partitions": None}
    assert here["totals"]["emitted"] == there["totals"]["emitted"] == 3


def test_status_without_a_bus_still_tells_of_the_store(instance: Instance) -> None:
    fill(instance)
    shown = run("status", MONITORING_DATA_DIR=str(instance.data))
    assert shown.exit_code == 0
    assert "problem: bus: none is known" in shown.output
    assert "unknown" in shown.output


def test_without_any_instance_the_command_says_how_to_name_one(tmp_path: Path) -> None:
    shown = run("status", MONITORING_DATA_DIR=str(tmp_path / "none"))
    assert shown.exit_code == 2
    assert shown.stderr.startswith("monitoring: no instance: ")
    assert "MONITORING_URL" in shown.stderr


def test_a_wrong_key_and_a_silent_address_are_told_in_a_line(remote: dict[str, str]) -> None:
    wrong = run("status", **{**remote, "MONITORING_API_KEY": "mon_a_b"})
    assert (wrong.exit_code, wrong.stderr.count("\n")) == (1, 1)
    assert "unknown, expired or revoked" in wrong.stderr
    silent = run("status", **{**remote, "MONITORING_URL": "http://127.0.0.1:1"})
    assert silent.exit_code == 1
    assert "does not answer" in silent.stderr
    missing = run("status", **{**remote, "MONITORING_API_KEY": ""})
    assert missing.exit_code == 2


def test_watching_repeats_until_ctrl_c_and_that_is_no_failure(instance: Instance) -> None:
    clean = {name: text for name, text in os.environ.items() if not name.startswith(("MONITORING_", "REDIS_URL"))}
    command = [sys.executable, "-m", "monitoring", "status", "--watch", "--json"]
    with subprocess.Popen(command, env={**clean, **local(instance)}, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        times = [json.loads(running.stdout.readline())["time"] for _ in range(2)]
        running.send_signal(signal.SIGINT)
        assert running.wait(20) == 0
    assert times[0] < times[1]


# config


def test_config_shows_every_setting_with_its_source_and_reason(tmp_path: Path) -> None:
    shown = run("config", MONITORING_DATA_DIR=str(tmp_path), MONITORING_PORT="1234")
    assert shown.exit_code == 0
    for row in TABLE:
        assert f"\n{row.name} = " in f"\n{shown.output}"
        assert row.reason in shown.output
    assert "MONITORING_PORT = 1234 port   [MONITORING_PORT]" in shown.output


def test_config_masks_secrets(tmp_path: Path) -> None:
    environment = {
        "MONITORING_DATA_DIR": str(tmp_path),
        "REDIS_URL": "rediss://user:hunter2@bus.example:6380/0?password=hunter2",
        "MONITORING_API_KEY": "mon_aaaa_hunter2",
    }
    for flags in ((), ("--json",)):
        shown = run("config", *flags, **environment)
        assert shown.exit_code == 0
        assert "hunter2" not in shown.output
        assert "bus.example" in shown.output
    rows = {row["name"]: row for row in json.loads(run("config", "--json", **environment).output)}
    assert rows["MONITORING_BUS_URL"]["source"] == "REDIS_URL"
    assert set(rows) == {row.name for row in TABLE}


def test_config_finds_the_bus_that_up_wrote_down(tmp_path: Path) -> None:
    (tmp_path / "bus.url").write_text("redis://:hunter2@127.0.0.1:7777/0\n")
    rows = {row["name"]: row for row in json.loads(run("config", "--json", MONITORING_DATA_DIR=str(tmp_path)).output)}
    assert rows["MONITORING_BUS_URL"]["value"].endswith("@127.0.0.1:7777/0")
    assert rows["MONITORING_BUS_URL"]["source"] == str(tmp_path / "bus.url")
    assert "hunter2" not in str(rows)


def test_an_unknown_setting_is_a_usage_error_that_names_the_nearest() -> None:
    shown = run("config", MONITORING_PROT="1")
    assert shown.exit_code == 2
    assert "did you mean MONITORING_PORT?" in shown.stderr


# verify


def test_verify_finds_a_sound_store_sound(instance: Instance) -> None:
    fill(instance)
    shown = run("verify", **local(instance))
    assert shown.exit_code == 0, shown.output
    assert "whole and accounted for" in shown.output
    report = json.loads(run("verify", "--json", **local(instance)).output)
    assert report["sound"] is True
    assert sum(part["committed"] for part in report["partitions"]) == 2


def test_verify_exits_1_on_any_doubt_and_names_it(instance: Instance) -> None:
    fill(instance)
    victim = next(row.path for row in instance.catalog.segments() if _rows(row.path))
    connection = apsw.Connection(str(victim))
    connection.execute("DELETE FROM log WHERE id = (SELECT max(id) FROM log)")
    connection.close()
    shown = run("verify", **local(instance))
    assert shown.exit_code == 1
    assert "doubt: " in shown.output
    report = json.loads(run("verify", "--json", **local(instance)).output)
    assert report["sound"] is False
    assert any(str(victim) in finding for finding in report["findings"])


def test_verify_needs_the_files(tmp_path: Path) -> None:
    assert run("verify", MONITORING_DATA_DIR=str(tmp_path), MONITORING_URL="http://127.0.0.1:1").exit_code == 2


def _rows(path: Path) -> int:
    connection = apsw.Connection(str(path))
    try:
        return int(connection.execute("SELECT count(*) FROM log").get)
    finally:
        connection.close()

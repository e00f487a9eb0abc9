"""`monitoring ingest` from the command line to the store."""

from __future__ import annotations

import gzip
import json
import os
import pty
import shlex
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner, Result

from monitoring.cli import main
from monitoring.cli.ingest import next_command, parse_zone, render, summary
from monitoring.pipeline.ingest.report import FileReport, Reason, Report
from monitoring.pipeline.ingest.state import IngestState, identify
from monitoring.pipeline.settings import TABLE
from tests.instance import Instance

NOW = time.time_ns()
JSON_LINES = "".join(
    json.dumps({"ts": NOW - number * 10**6, "level": "error", "msg": f"line {number}", "n": number}) + "\n"
    for number in range(250)
)


def environment(made: Instance, **more: str) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MONITORING_", "REDIS_URL"))}
    return {**clean, "MONITORING_DATA_DIR": str(made.data), "MONITORING_BUS_URL": made.url, **more}


def run(made: Instance, *arguments: str | Path, **more: str) -> Result:
    clean = dict.fromkeys(["REDIS_URL", *(row.name for row in TABLE)])
    given = {"MONITORING_DATA_DIR": str(made.data), "MONITORING_BUS_URL": made.url, **more}
    return CliRunner().invoke(main, ["ingest", *map(str, arguments)], env={**clean, **given})


@contextmanager
def process(made: Instance, *arguments: str | Path, **more: Any) -> Iterator[subprocess.Popen[str]]:
    """The command as a process of its own."""
    given = environment(made, **more.pop("env", {}))
    started = subprocess.Popen(
        [sys.executable, "-m", "monitoring", "ingest", *map(str, arguments)],
        env=given,
        text=True,
        stdout=subprocess.PIPE,
        **{"stderr": subprocess.PIPE, **more},
    )
    try:
        yield started
    finally:
        started.kill()
        started.communicate()


def until(condition: Callable[[], bool]) -> None:
    ends = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < ends, "it did not come to pass"
        time.sleep(0.02)


def check(made: Instance, expected: list[str]) -> None:
    """Exactly these messages are stored, each once."""
    assert Counter(made.messages(len(expected))) == Counter(expected)


def named(first: int, last: int) -> list[str]:
    return [f"line {number}" for number in range(first, last)]


def test_what_was_read_can_be_searched_when_the_command_returns(instance: Instance, tmp_path: Path) -> None:
    path, zipped = tmp_path / "app.log", tmp_path / "old.log.gz"
    path.write_text(JSON_LINES)
    zipped.write_bytes(gzip.compress(b"May  1 12:00:00 web-1 sshd[7]: Accepted publickey\n"))
    with instance.draining():
        result = run(instance, path, zipped)
    assert result.exit_code == 0, result.output
    assert f"{path}: 250 events, format json" in result.output
    assert f"{zipped}: 1 events, format syslog" in result.output
    assert "251 events in" in result.output and "all of them stored" in result.output
    check(instance, [*named(0, 250), "Accepted publickey"])
    (found,) = instance.get("/api/v1/logs", query_string={"query": "n:7"})["events"]
    assert (found["service"], found["level"], found["attributes"]) == ("app", "ERROR", {"n": 7})


def test_the_next_command_that_it_names_shows_what_was_read(instance: Instance, tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    path.write_text(JSON_LINES)
    with instance.draining():
        result = run(instance, path)
    name, *arguments = shlex.split(result.output.splitlines()[-1].removeprefix("Next: "))
    assert name == "monitoring"
    shown = CliRunner().invoke(main, [*arguments, "--limit", "1000", "--json"], env=environment(instance))
    assert shown.exit_code == 0, shown.output
    assert len(shown.output.splitlines()) == 250


def test_the_summary_for_programs(instance: Instance, tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    path.write_text(JSON_LINES + '{"broken\n')
    with instance.draining():
        result = run(instance, path, "--json")
    found = json.loads(result.stdout)
    assert (found["events"], found["rejected"], found["in_flight"], found["interrupted"]) == (250, 1, 0, False)
    assert found["files"][0] == {
        "name": str(path), "format": "json", "outcome": "read", "problem": "", "events": 250, "rejected": 1,
        "lines": 251, "bytes": path.stat().st_size, "resumed_at_line": 0,
    }  # fmt: skip
    ((reason, facts),) = found["reasons"].items()
    assert reason.startswith("not valid JSON") and facts == {"count": 1, "examples": [f"{path}:251"]}
    assert found["oldest"] < found["newest"] and found["next"].startswith("monitoring logs service:app")


def test_lines_that_are_not_understood_are_told_and_kept(instance: Instance, tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    path.write_text('{"msg":"good"}\n{"msg":\n{"msg":"b', encoding="utf-8")
    with instance.draining():
        result = run(instance, path)
    assert result.exit_code == 0
    assert "2 lines were rejected; they are kept (monitoring dead-letters):" in result.output
    assert f"({path}:2, {path}:3)" in result.output
    letters = CliRunner().invoke(main, ["dead-letters", "list"], env=environment(instance)).output
    assert f"{path}:2" in letters and f"{path}:3" in letters


def test_a_second_run_finds_nothing_new(instance: Instance, tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    path.write_text(JSON_LINES)
    with instance.draining():
        run(instance, path)
        result = run(instance, path)
    assert result.exit_code == 0
    assert "nothing new since the last run (250 lines" in result.output
    check(instance, named(0, 250))


@pytest.mark.parametrize("names", [["none.log"], ["."], ["none.log", "."]])
def test_it_fails_only_where_nothing_could_be_read(instance: Instance, tmp_path: Path, names: list[str]) -> None:
    files = [tmp_path / name for name in names]
    result = run(instance, *files)
    assert result.exit_code == 1 and result.stdout == ""
    assert all(line.startswith("monitoring: ") for line in result.stderr.splitlines())
    assert ("." not in names) or f"name its files: monitoring ingest {tmp_path}/*.log" in result.stderr
    (tmp_path / "good.log").write_text("hello\n")
    with instance.draining():
        result = run(instance, *files, tmp_path / "good.log")
    assert result.exit_code == 0 and "1 events" in result.stdout
    assert len(result.stderr.splitlines()) == len(names)


def test_a_file_that_another_ingest_reads_is_left_to_it(instance: Instance, tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    path.write_text("x\n")
    with closing(IngestState(instance.data)) as state, path.open("rb") as file:
        lock = state.lock_file(identify(file.fileno()), str(path))
        result = run(instance, path)
        lock.release()
    assert result.exit_code == 1
    assert result.stderr == f"monitoring: {path} is being read by another ingest; wait for it or stop it\n"


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--format", "nonsense", "x"], 2, "there is no format nonsense; known are access"),
        (["--timezone", "Mars/Olympus", "x"], 2, "there is no time zone Mars/Olympus"),
        (["--follow", "-"], 2, "leave --follow out"),
        (["-", "-"], 2, "only one standard input"),
        ([], 2, "Missing argument"),
    ],
)
def test_wrong_usage_is_told(instance: Instance, arguments: list[str], status: int, message: str) -> None:
    result = run(instance, *arguments)
    assert result.exit_code == status
    assert message in result.stderr


def test_without_a_bus_nothing_is_read(instance: Instance, tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    path.write_text("x\n")
    result = run(instance, path, MONITORING_BUS_URL=f"unix://{tmp_path}/nobody")
    assert result.exit_code == 1 and result.stderr.startswith("monitoring: the bus did not answer")
    result = run(instance, path, MONITORING_BUS_URL="", MONITORING_DATA_DIR=str(tmp_path / "empty"))
    assert result.exit_code == 2 and "No bus is known" in result.stderr
    assert not (tmp_path / "empty").exists()


def test_over_http_each_line_is_stored_once_too(instance: Instance, remote: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    path.write_text(JSON_LINES + "{broken\n")
    with instance.draining():
        result = CliRunner().invoke(main, ["ingest", str(path)], env={**remote, "MONITORING_BUS_URL": None})
        again = CliRunner().invoke(main, ["ingest", str(path)], env={**remote, "MONITORING_BUS_URL": None})
    assert (result.exit_code, again.exit_code) == (0, 0), result.output
    assert "250 events, 1 rejected" in result.output and "nothing new" in again.output
    check(instance, named(0, 250))


def test_options_say_where_the_events_come_from(instance: Instance, tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    local = (datetime.now(UTC) - timedelta(hours=1)).astimezone(ZoneInfo("Asia/Tokyo")).replace(microsecond=0)
    path.write_text(f"{local:%Y-%m-%d %H:%M:%S},000 - app - ERROR - lost\n")
    with instance.draining():
        result = run(instance, path, "--service", "shop", "--environment", "prod", "--timezone", "Asia/Tokyo")
    assert result.exit_code == 0, result.output
    instance.messages(1)
    (found,) = instance.get("/api/v1/logs", query_string={"query": "service:shop environment:prod"})["events"]
    assert datetime.fromisoformat(found["timestamp"]) == local


def test_the_setting_names_the_service_too(instance: Instance, tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    path.write_text('{"msg":"x","service":"own"}\n')
    with instance.draining():
        run(instance, path, MONITORING_SERVICE="set")
    instance.messages(1)
    (found,) = instance.get("/api/v1/logs", query_string={"query": "x"})["events"]
    assert found["service"] == "set" and found["attributes"] == {"service_original": "own"}


def test_a_format_that_is_named_rejects_what_is_not_in_it(instance: Instance, tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    path.write_text('{"msg":"good"}\nnot json\n')
    with instance.draining():
        result = run(instance, path, "--format", "jsonl", "--json")
    found = json.loads(result.stdout)
    assert (found["events"], found["rejected"], list(found["reasons"])) == (1, 1, ["not a line of json"])


def test_standard_input_is_read_as_it_comes(instance: Instance) -> None:
    with instance.draining(), process(instance, "-", stdin=subprocess.PIPE) as piped:
        assert piped.stdin is not None
        for number in range(3):
            piped.stdin.write(f"line {number}\n")
            piped.stdin.flush()
            until(lambda number=number: len(instance.messages(0)) > number)  # type: ignore[misc]  # bound at once
        piped.stdin.write("line 3")
        output, _ = piped.communicate(timeout=60)
    assert piped.returncode == 0 and "stdin: 4 events" in output
    check(instance, named(0, 4))


def test_ctrl_c_says_what_is_in_flight_and_the_next_run_brings_it(instance: Instance, tmp_path: Path) -> None:
    """Nobody drains: what was read waits in ingest.db and on the bus."""
    path = tmp_path / "app.log"
    path.write_text(JSON_LINES)
    with process(instance, path) as reading:
        until(lambda: instance.streams.length("logs", 0) + instance.streams.length("logs", 1) > 0)
        reading.send_signal(signal.SIGINT)
        output, _ = reading.communicate(timeout=30)
    assert reading.returncode == 130
    assert "250 of what was sent is not confirmed yet. It is safe in ingest.db" in output
    with instance.draining():
        result = run(instance, path)
    assert result.exit_code == 0 and "250 events of an earlier run were still on their way" in result.output
    check(instance, named(0, 250))


@pytest.mark.parametrize("point", ["ingest-before-commit", "ingest-after-commit"])
def test_a_killed_run_is_gone_on_with_and_each_line_stored_once(instance: Instance, tmp_path: Path, point: str) -> None:
    path, points = tmp_path / "app.log", tmp_path / "points"
    points.mkdir()
    path.write_text(JSON_LINES)
    more = {"MONITORING_FAILPOINT_DIR": str(points), "MONITORING_FRAME_EVENTS": "50"}
    with instance.draining():
        for _ in range(3):
            (points / point).touch()
            with process(instance, path, env=more) as killed:
                killed.communicate(timeout=60)
            assert killed.returncode == -signal.SIGKILL
        result = run(instance, path)
    assert result.exit_code == 0, result.output
    check(instance, named(0, 250))


def test_a_file_is_followed_across_rotation_until_it_is_told_to_stop(instance: Instance, tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    path.write_text("line 0\n")
    with instance.draining(), process(instance, "--follow", path) as following:
        until(lambda: len(instance.messages(0)) == 1)
        with path.open("a") as file:
            file.write("line 1\n")
        path.rename(tmp_path / "app.log.1")
        path.write_text("line 2\n")
        until(lambda: len(instance.messages(0)) == 3)
        following.send_signal(signal.SIGTERM)
        output, _ = following.communicate(timeout=30)
    assert following.returncode == 0 and "3 events in" in output
    check(instance, named(0, 3))


def test_a_terminal_sees_a_bar_with_rate_and_size(instance: Instance, tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    path.write_text(JSON_LINES * 20)
    ours, theirs = pty.openpty()
    try:
        with (
            instance.draining(),
            process(instance, path, stderr=theirs, env={"COLUMNS": "120", "TERM": "xterm"}) as shown,
        ):
            output, _ = shown.communicate(timeout=60)
        os.close(theirs)
        seen = b""
        while True:
            try:
                block = os.read(ours, 65_536)
            except OSError:
                break
            seen += block
            if not block:
                break
    finally:
        os.close(ours)
    assert shown.returncode == 0 and "5,000 events" in output
    assert b"app.log" in seen and b"events" in seen and b"/s" in seen and b"kB" in seen


# the summary, without a store


def test_the_report_says_what_to_look_at() -> None:
    report = Report(
        files=[
            FileReport("a.log", "json", events=10, rejected=2, lines=12, resumed_at_line=5),
            FileReport("b.gz", "plain", problem="b.gz: gzip data is damaged", events=1, lines=1),
            FileReport("c.log", "plain", outcome="stopped", events=1, lines=7),
            FileReport("d.log"),
        ],
        events=12, rejected=2, reasons={"rare": Reason(1, ["a.log:3"]), "often": Reason(5, ["a.log:4", "a.log:5"])},
        oldest_ns=NOW - 3 * 86_400 * 10**9, newest_ns=NOW, services={"a b"}, seconds=2.0,
    )  # fmt: skip
    assert render(report, now_ns=NOW).splitlines() == [
        "a.log: 10 events, 2 rejected, format json, from line 5 on",
        "b.gz: 1 events, format plain, gzip data is damaged",
        "c.log: 1 events, format plain, stopped behind line 7",
        "d.log: 0 events, empty",
        "12 events in 2.0 s (6/s), all of them stored.",
        "2 lines were rejected; they are kept (monitoring dead-letters):",
        "        5  often  (a.log:4, a.log:5)",
        "        1  rare  (a.log:3)",
        "Next: monitoring logs 'service:\"a b\"' --since 3d",
    ]
    assert summary(report)["events_per_second"] == 6


@pytest.mark.parametrize(
    ("age_hours", "since"),
    [(0, "1h"), (0.5, "1h"), (30.2, "31h"), (49, "3d"), (24 * 60, "60d"), (24 * 400, "T00:00:00Z")],
)
def test_the_next_command_reaches_back_far_enough(age_hours: float, since: str) -> None:
    report = Report(events=1, services={"a", "b"}, oldest_ns=NOW - int(age_hours * 3600 * 10**9))
    assert next_command(report, NOW).startswith("monitoring logs '*' --since ")
    assert next_command(report, NOW).endswith(since)


@pytest.mark.parametrize(
    ("text", "offset"),
    [("UTC", 0), ("z", 0), ("+02:00", 120), ("-0330", -210), ("+5", 300), ("Asia/Tokyo", 540)],
)
def test_a_time_zone_is_a_name_or_an_offset(text: str, offset: int) -> None:
    zone = parse_zone(text)
    assert zone is not None and datetime.now(zone).utcoffset() == timedelta(minutes=offset)
    assert parse_zone("local") is None
    for wrong in ("+25:00", "nowhere", "", "+1:2:3:4", "../etc/passwd"):
        with pytest.raises(ValueError, match="there is no time zone"):
            parse_zone(wrong)

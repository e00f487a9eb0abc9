"""`monitoring demo`: what it says it sent is in the store, once, and every question of a platform has an answer."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from monitoring.cli import main
from monitoring.pipeline.query.named import NAMED
from monitoring.pipeline.settings import TABLE
from tests.deltas import totals
from tests.instance import Instance

SENT = re.compile(r"sent ([\d,]+) log events")
HOUR = ("--history", "60m", "--rate", "1", "--minutes", "0")


def command(made: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    """The command in a process of its own, for `monitoring.llm` is one of a process."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MONITORING_", "REDIS_URL"))}
    return subprocess.Popen(
        [sys.executable, "-m", "monitoring", "demo", *arguments],
        env={**clean, **made},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def played(made: dict[str, str], *arguments: str) -> int:
    """How many log events it says that it sent."""
    process = command(made, *arguments)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    return number(output)


def number(output: str) -> int:
    match = SENT.search(output)
    assert match, output
    return int(match[1].replace(",", ""))


def local(instance: Instance) -> dict[str, str]:
    return {"MONITORING_DATA_DIR": str(instance.data), "MONITORING_BUS_URL": instance.url}


def stored(instance: Instance, query: str = "environment:demo", count: int = 0) -> int:
    """How many events match, once there are so many."""
    ends = time.monotonic() + 30
    while True:
        rows = instance.get("/api/v1/logs/stats", query_string={"query": query, "start": "-1d"})["rows"]
        found = sum(int(row["values"]["count"]) for row in rows)
        if found >= count or time.monotonic() > ends:
            return found
        time.sleep(0.05)


def answers(instance: Instance, expr: str) -> list[Any]:
    """Series that have a value within the last hour."""
    now = time.time()
    arguments = {"query": expr, "start": str(now - 3700), "end": str(now), "step": "60"}
    found = instance.get("/prometheus/api/v1/query_range", query_string=arguments)["data"]["result"]
    return [each for each in found if any(value not in ("NaN", "+Inf", "-Inf") for _, value in each["values"])]


def test_an_hour_of_the_past_is_stored_once_and_answers_every_named_query(instance: Instance) -> None:
    with instance.draining():
        sent = played(local(instance), *HOUR)
        assert stored(instance, count=sent) == sent > 5000
        requests = stored(instance, "logger:monitoring.request")
        ends = time.monotonic() + 30
        while totals(instance.data).get("http_server_request_duration_seconds_count", 0) < requests:
            assert time.monotonic() < ends
            time.sleep(0.05)
    measured = totals(instance.data)
    assert measured["http_server_request_duration_seconds_count"] == requests
    assert measured["llm_requests"] == stored(instance, "event.name:llm.call")
    assert {"succeeded", "failed"} == {
        outcome
        for outcome in ("succeeded", "failed", "cancelled")
        if stored(instance, f"event.name:llm.fine_tuning.ended outcome:{outcome}")
    }
    assert stored(instance, "event.name:llm.fine_tuning.nonfinite") == 1
    assert stored(instance, "release:1.4.2 exception:*KeyError*") > 100
    missing = [name for name, named in NAMED.items() if not answers(instance, named.expr)]
    assert missing == []
    worst = answers(instance, f"max({NAMED['error_rate'].expr}) > 0.1 and max({NAMED['disk'].expr}) > 0")
    assert worst, "the rule High API error rate has nothing to fire at"
    assert answers(instance, f"max({NAMED['latency_p95'].expr}) > 5"), "nor has Slow responses"
    assert answers(instance, f"max({NAMED['disk'].expr}) > 0.85"), "nor has Low disk space"


def test_the_same_seed_plays_the_same_over_the_bus_and_over_http(instance: Instance, remote: dict[str, str]) -> None:
    short = ("--history", "10m", "--speed", "6", "--rate", "0.3", "--minutes", "0")
    with instance.draining():
        sent = played(local(instance), *short)
        assert played(remote, *short) == sent
        assert stored(instance, count=2 * sent) == 2 * sent


def test_an_interrupt_ends_it_and_what_was_under_way_is_told_to_be_cancelled(instance: Instance) -> None:
    with instance.draining():
        process = command(local(instance), "--history", "10m", "--rate", "0.2", "--forever")
        assert process.stdout is not None
        for line in process.stdout:
            if "100%" in line:
                break
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=30)
        assert process.returncode == 0, output
        sent = number(output)
        assert stored(instance, count=sent) == sent


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--history", "soon"), "a time like 90m"),
        (("--history", "8d"), "at most 7d"),
        (("--minutes", "1", "--forever"), "contradict"),
        (("--history", "5m", "--at", "9"), "--history of 9m"),
        ((), "No bus is known"),
    ],
)
def test_what_cannot_be_played_is_told(arguments: tuple[str, ...], says: str, tmp_path: Path) -> None:
    clean = dict.fromkeys(["REDIS_URL", *(row.name for row in TABLE)])
    environment = {**clean, "MONITORING_DATA_DIR": str(tmp_path)}
    result = CliRunner().invoke(main, ["demo", *arguments], env=environment)
    assert (result.exit_code, says in result.output) == (2, True), result.output

"""The example scripts run as they stand, and what they tell is on the bus."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from monitoring.pipeline.bus.streams import Streams, connect
from monitoring.pipeline.events import levels
from tests.producers.test_sdk import deltas_on, events_on

ROOT = Path(__file__).parents[1]


@pytest.fixture
def bus(valkey: str) -> str:
    """A server that announced itself as ours."""
    Streams(connect(valkey)).announce({"logs": 1, "metrics": 1}, "test")
    return valkey


def _run(name: str, *arguments: str | Path, status: int = 0, **environ: str) -> str:
    """What the example prints, in an environment that has no other setting of ours."""
    foreign = ("MONITORING_", "LOG_", "REDIS_")
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(foreign)}
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / name), *map(str, arguments)],
        env={**inherited, "PYTHONPATH": str(ROOT), "MONITORING_COLLECTORS": "none", **environ},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == status, done.stderr
    return done.stdout


def _events(url: str) -> list[dict[str, Any]]:
    """Every event on the bus: its columns, and its attributes beside them."""
    return [{**orjson.loads(event.attributes or "{}"), **event._asdict()} for event in events_on(url)]


def _of(events: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return [event for event in events if event.get("event.name") == f"llm.{name}"]


def test_the_fine_tuning_script_tells_its_runs_from_start_to_end(bus: str, tmp_path: Path) -> None:
    printed = _run("fine_tuning.py", MONITORING_BUS_URL=bus, MONITORING_DATA_DIR=str(tmp_path))
    assert printed == "good enough\n"
    events = _events(bus)
    assert {event["service"] for event in events} == {"fine-tuning"}
    (started,), (ended,) = _of(events, "fine_tuning.started"), _of(events, "fine_tuning.ended")
    steps = _of(events, "fine_tuning.step")
    run = started["run_id"]
    assert {event["run_id"] for event in [ended, *steps]} == {run}
    assert [event["run_id"] for event in events if event["message"].startswith("training on")] == [run]
    assert (ended["outcome"], ended["step"], ended["total_steps"]) == ("succeeded", 300, 300)
    assert (steps[0]["step"], steps[-1]["step"]) == (1, 300)
    assert ended["metrics"]["loss"] < steps[0]["metrics"]["loss"]
    assert len(_of(events, "fine_tuning.checkpoint")) == 3
    (evaluated,) = _of(events, "evaluation.ended")
    assert evaluated["outcome"] == "passed"
    assert evaluated["cases"] == 320
    calls = _of(events, "call")
    assert 1 < len(calls) <= 300
    assert {call["run_id"] for call in calls} == {evaluated["run_id"]} != {run}
    assert all(call["cost_usd"] > 0 for call in calls)


def test_the_metrics_of_the_fine_tuning_script_arrive_though_it_is_short(bus: str, tmp_path: Path) -> None:
    _run("fine_tuning.py", MONITORING_BUS_URL=bus, MONITORING_DATA_DIR=str(tmp_path))
    sums: dict[str, float] = {}
    for name, _, labels, value in deltas_on(bus):
        if not isinstance(value, dict):
            key = "".join(f" {label}" for label in orjson.loads(labels).values() if len(label) < 12)
            sums[name + key] = sums.get(name + key, 0) + value
    assert sums["llm_fine_tuning_jobs succeeded"] == 1
    assert sums["llm_fine_tuning_tokens"] == 300 * 32 * 12
    assert sums["llm_fine_tuning_checkpoints"] == 3
    assert sums["llm_cache_requests predictions hit"] + sums["llm_cache_requests predictions miss"] == 320
    assert sums["llm_cost_usd"] > 0
    last = {name: value for name, _, labels, value in deltas_on(bus) if "run_id" in labels}
    assert (last["llm_fine_tuning_step"], last["llm_fine_tuning_progress_ratio"]) == (300, 1)
    assert 0 < last["llm_fine_tuning_loss"] < 1


def test_the_plain_script_tells_what_it_does(bus: str, tmp_path: Path) -> None:
    printed = _run("plain_script.py", MONITORING_BUS_URL=bus, MONITORING_DATA_DIR=str(tmp_path))
    assert printed == "{'EUR': 148.9}\n"
    called, result = _events(bus)
    assert (called["function"], called["result_size"]) == ("__main__.revenue", 1)
    assert (result["message"], result["EUR"]) == ("revenue of shop.log", 148.9)
    assert called["batch"] == result["batch"]
    assert ("example_orders", "plain-script", '{"currency":"EUR"}', 2) in deltas_on(bus)


def test_the_plain_script_tells_of_a_line_that_it_cannot_read(bus: str, tmp_path: Path) -> None:
    odd = tmp_path / "odd.log"
    odd.write_text("order 1, total 2.50 EUR\norder 2, total unknown EUR\n")
    assert _run("plain_script.py", odd, MONITORING_BUS_URL=bus, MONITORING_DATA_DIR=str(tmp_path)) == "{'EUR': 2.5}\n"
    (left_out,) = [event for event in _events(bus) if levels.name(event["level"]) == "ERROR"]
    assert (left_out["message"], left_out["file"], left_out["line"]) == ("the line is left out", "odd.log", 2)
    assert orjson.loads(left_out["exception"])["type"] == "ValueError"


def test_the_plain_script_tells_of_a_file_that_is_not_there(bus: str, tmp_path: Path) -> None:
    absent = tmp_path / "absent.log"
    _run("plain_script.py", absent, status=1, MONITORING_BUS_URL=bus, MONITORING_DATA_DIR=str(tmp_path))
    (failed,) = _events(bus)
    assert levels.name(failed["level"]) == "ERROR"
    assert orjson.loads(failed["exception"])["type"] == "FileNotFoundError"


@pytest.mark.parametrize("name", ["fine_tuning.py", "plain_script.py"])
def test_without_a_bus_they_run_all_the_same(name: str, tmp_path: Path) -> None:
    assert _run(name, MONITORING_DATA_DIR=str(tmp_path))

"""`monitoring report`: what it says of a period is what a count over its events says."""

from __future__ import annotations

import json
from pathlib import Path

import orjson
from click.testing import CliRunner, Result

from monitoring.cli import main
from monitoring.pipeline.events.event import Event
from monitoring.pipeline.settings import TABLE
from tests.frames import T0, event
from tests.instance import Instance
from tests.logstore import LogStore

SECOND = 1_000_000_000
DAY = 86_400
RANGE = ("--since", str(T0 // SECOND), "--until", str(T0 // SECOND + DAY))


def run(*arguments: str, env: dict[str, str]) -> Result:
    clean = dict.fromkeys(["REDIS_URL", *(row.name for row in TABLE)])
    return CliRunner().invoke(main, ["report", *arguments], env={**clean, **env})


def failure(number: int, fingerprint: str | None, at: int) -> Event:
    exception = {"type": "KeyError", "message": f"'k{number}'", "fingerprint": fingerprint}
    return event(0, timestamp=T0 + at * SECOND, level=17, message=f"order {number} failed",
                 exception=orjson.dumps(exception).decode() if fingerprint else "")  # fmt: skip


def request(route: str, took: int, at: int) -> Event:
    attributes = orjson.dumps({"http.route": route, "duration_ms": took}).decode()
    return event(0, timestamp=T0 + at * SECOND, service="web", message="request done", attributes=attributes)


def test_a_report_counts_what_is_there_and_compares_it_with_the_period_before(tmp_path: Path) -> None:
    with LogStore(tmp_path) as store:
        store.add([event(0, timestamp=T0 - number * SECOND, message="request done") for number in range(1, 5)])
        store.add([failure(number, "f1", 10 + number) for number in range(5)])
        store.add([failure(number, None, 20 + number) for number in range(3)])
        store.add([request(f"/r{number % 2}", number, 30 + number) for number in range(12)])
        result = run(*RANGE, "--format", "json", env={"MONITORING_DATA_DIR": str(tmp_path)})
        text = run(*RANGE, env={"MONITORING_DATA_DIR": str(tmp_path)})
    assert result.exit_code == text.exit_code == 0
    found = json.loads(result.stdout)
    assert found["events"] == {"total": 20, "previous_total": 4, "levels": {"ERROR": 8, "INFO": 12}, "errors": 8,
                               "error_rate": 0.4, "previous_error_rate": 0.0}  # fmt: skip
    assert [(each["service"], each["total"], each["errors"]) for each in found["services"]] == [
        ("web", 12, 0), ("api", 8, 8)
    ]  # fmt: skip
    first, second = found["errors"]
    assert (first["fingerprint"], first["count"], first["title"]) == ("f1", 5, "KeyError: 'k4'")
    assert (second["fingerprint"], second["count"], second["title"]) == (None, 3, "order 2 failed")
    assert first["first_seen"] < first["last_seen"]
    assert [(each["route"], each["requests"], each["max_ms"]) for each in found["slowest_routes"]] == [
        ("/r1", 6, 11.0), ("/r0", 6, 10.0)
    ]  # fmt: skip
    assert [(each["template"], each["count"]) for each in found["new_patterns"]] == [("order <*> failed", 8)]
    assert found["partial"] == {}
    for wanted in ("20 events (+400% against 4 before)", "8 errors, 40.00% (before: 0.00%)", "KeyError: 'k4'",
                   "order <*> failed"):  # fmt: skip
        assert wanted in text.stdout


def test_a_report_on_nothing_says_so(tmp_path: Path) -> None:
    with LogStore(tmp_path):
        result = run(*RANGE, env={"MONITORING_DATA_DIR": str(tmp_path)})
    assert "0 events (none before)" in result.stdout
    assert result.stdout.count("none\n") == 4
    assert run("--since", "1h", "--until", "2h", env={"MONITORING_DATA_DIR": str(tmp_path)}).exit_code == 2


def test_over_http_the_report_is_the_same(instance: Instance, remote: dict[str, str]) -> None:
    instance.post(b"\n".join(b'{"message":"m %d","level":"error","time":%d}' % (number, T0 // SECOND + number)
                             for number in range(7)))  # fmt: skip
    with instance.draining():
        instance.messages(7)
    local = {"MONITORING_DATA_DIR": str(instance.data), "MONITORING_BUS_URL": instance.url}
    for form in ("text", "json"):
        here, there = (run(*RANGE, "--format", form, env=env) for env in (local, remote))
        assert (here.exit_code, here.stdout) == (there.exit_code, there.stdout) == (0, here.stdout)

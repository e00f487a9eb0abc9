"""`monitoring collect`: what it prints, what it sends, and how it makes way for another."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pytest

from monitoring.cli.collect import _value
from monitoring.pipeline.bus.frame import Frame, decode_payload
from monitoring.pipeline.bus.streams import Streams, connect
from monitoring.pipeline.events.defaults import host_name
from monitoring.pipeline.events.delta import Delta

INSTANCE = "0123456789abcdef0123456789abcdef"
STREAM = "monitoring:{metrics:0}"
QUICK = {"MONITORING_COLLECT_INTERVAL": "0.1", "MONITORING_METRICS_INTERVAL": "0.1"}


def clean(tmp_path: Path, **environ: str) -> dict[str, str]:
    """An environment without settings, and a directory of this test's own for the host's lock."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("MONITORING_", "REDIS_URL"))}
    return {**kept, "TMPDIR": str(tmp_path), "MONITORING_DATA_DIR": str(tmp_path / "data"), **environ}


def run(tmp_path: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "monitoring", "collect", *arguments],
        env=clean(tmp_path, **environ),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def wait_for(condition: Callable[[], object], seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


class Running:
    """`monitoring collect` in the background."""

    def __init__(self, tmp_path: Path, number: int, environ: dict[str, str]) -> None:
        self.output, self.errors = tmp_path / f"{number}.out", tmp_path / f"{number}.err"
        with self.output.open("wb") as output, self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "monitoring", "collect"],
                env=clean(tmp_path, **environ),
                stdout=output,
                stderr=errors,
                stdin=subprocess.DEVNULL,
            )

    def ready(self) -> Running:
        wait_for(lambda: self.output.read_text() or self.process.poll() is not None)
        assert self.process.poll() is None, self.errors.read_text()
        return self

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    started: list[Running] = []

    def start(**environ: str) -> Running:
        started.append(Running(tmp_path, len(started), environ))
        return started[-1].ready()

    yield start
    for each in started:
        each.process.kill()
        each.process.wait()


@pytest.fixture
def bus(valkey: str) -> Iterator[Streams]:
    """The bus of an instance that takes metrics."""
    streams = Streams(connect(valkey))
    streams.announce({"logs": 1, "metrics": 1}, INSTANCE)
    yield streams
    streams.client.close()


def deltas(streams: Streams) -> list[Delta]:
    """Everything on the bus."""
    found: list[Delta] = []
    for entry in streams.read({STREAM: "0"}, count=1000, block_ms=None).get(STREAM, []):
        count, columns, _ = decode_payload(Frame.from_fields(entry.fields))
        spelt = [column if type(column) is list else [column] * count for column in columns]
        found += [Delta(*row) for row in zip(*spelt, strict=True)]
    return found


def names(rows: list[Delta]) -> set[str]:
    return {orjson.loads(row.family)["name"] for row in rows}


# once


def test_one_sample_for_people_is_a_table(tmp_path: Path) -> None:
    done = run(tmp_path, "--once", COLUMNS="200")
    assert (done.returncode, done.stderr) == (0, "")
    lines = {line.split()[0]: line for line in done.stdout.splitlines() if line.strip()}
    assert lines["system_memory_usage_ratio"].rstrip().endswith("%")
    assert lines["system_memory_total_bytes"].rstrip().endswith("iB")
    assert lines["system_cpu_seconds_total"].rstrip().endswith(" s/s")
    assert "process_count" not in lines, "it measures the host, not itself"


def test_one_sample_for_programs_is_a_list_of_metrics(tmp_path: Path) -> None:
    done = run(tmp_path, "--once", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    rows = json.loads(done.stdout)
    assert all({"name", "kind", "value", "labels", "timestamp", "unit"} <= set(row) for row in rows)
    assert all(("seconds" in row) == (row["kind"] == "counter") == row["name"].endswith("_total") for row in rows)
    (cpu,) = (row for row in rows if row["name"] == "system_cpu_usage_ratio")
    assert 0 <= cpu["value"] <= 1
    modes = [row for row in rows if row["name"] == "system_cpu_seconds_total"]
    cpus = next(row["value"] for row in rows if row["name"] == "system_cpu_count")
    assert sum(row["value"] for row in modes) == pytest.approx(modes[0]["seconds"] * cpus, rel=0.5)


def test_a_sample_can_be_taken_while_another_process_measures_the_host(
    start: Callable[..., Running], bus: Streams, valkey: str, tmp_path: Path
) -> None:
    start(MONITORING_BUS_URL=valkey)
    assert run(tmp_path, "--once", "--json").returncode == 0


def test_json_goes_with_a_single_sample_only(tmp_path: Path) -> None:
    done = run(tmp_path, "--json")
    assert done.returncode == 2
    assert "--once" in done.stderr


def test_values_are_shown_as_people_read_them() -> None:
    def shown(kind: str, unit: str, value: float, seconds: float = 2.0) -> str:
        return _value({"kind": kind, "unit": unit, "value": value, "seconds": seconds})

    assert shown("gauge", "bytes", 0) == "0 B"
    assert shown("gauge", "bytes", 1023) == "1,023 B"
    assert shown("gauge", "bytes", 1536) == "1.5 KiB"
    assert shown("gauge", "bytes", 16 * 1024**3) == "16.0 GiB"
    assert shown("gauge", "ratio", 0.875) == "87.5%"
    assert shown("gauge", "", 2.0) == "2"
    assert shown("gauge", "", 1234.5) == "1,234.5"
    assert shown("gauge", "celsius", 61) == "61 °C"
    assert shown("counter", "bytes", 4096) == "2.0 KiB/s"
    assert shown("counter", "seconds", 1.0) == "0.500 s/s"
    assert shown("counter", "", 5) == "2.5/s"


# until it is stopped


def test_it_sends_what_it_measures_as_the_hosts_and_no_services(
    start: Callable[..., Running], bus: Streams, valkey: str
) -> None:
    started = start(MONITORING_BUS_URL=valkey, **QUICK)
    wait_for(lambda: "system_cpu_usage_ratio" in names(deltas(bus)))
    assert started.end(signal.SIGTERM) == 0
    rows = deltas(bus)
    assert {"system_memory_usage_ratio", "system_load1", "system_cpu_seconds"} <= names(rows)
    assert {(row.service, row.host) for row in rows} == {("", host_name())}
    assert not names(rows) & {"process_count", "python_info"}
    assert started.errors.read_text() == ""


def test_ctrl_c_ends_it_and_what_it_had_is_sent_before(
    start: Callable[..., Running], bus: Streams, valkey: str
) -> None:
    started = start(MONITORING_BUS_URL=valkey, MONITORING_COLLECT_INTERVAL="0.1", MONITORING_METRICS_INTERVAL="1h")
    wait_for(lambda: deltas(bus))  # the first round is soon, whatever the interval
    before = len(deltas(bus))
    time.sleep(0.2)  # a sample or two more, which only the end sends
    assert started.end(signal.SIGINT) == 0
    assert len(deltas(bus)) > before


def test_when_the_process_that_measures_the_host_is_killed_the_other_takes_over(
    start: Callable[..., Running], bus: Streams, valkey: str
) -> None:
    first = start(MONITORING_BUS_URL=valkey, **QUICK)
    second = start(MONITORING_BUS_URL=valkey, **QUICK)
    wait_for(lambda: f"system: pid {first.process.pid} measures" in second.output.read_text())
    wait_for(lambda: deltas(bus))
    first.process.kill()
    first.process.wait()
    seen = len(deltas(bus))
    wait_for(lambda: "system_load1" in names(deltas(bus)[seen:]))
    assert second.end(signal.SIGTERM) == 0


def test_an_instance_that_takes_no_metrics_is_told_and_waited_for(start: Callable[..., Running], valkey: str) -> None:
    streams = Streams(connect(valkey))
    streams.announce({"logs": 1}, INSTANCE)
    started = start(MONITORING_BUS_URL=valkey, **QUICK)
    wait_for(lambda: "takes none" in started.errors.read_text())
    assert started.end(signal.SIGTERM) == 0
    streams.client.close()


def test_without_a_bus_it_says_how_to_name_one(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("monitoring: No bus is known")
    assert "MONITORING_BUS_URL" in done.stderr

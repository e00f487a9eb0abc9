"""Start and stop: the environment decides, the bus may be absent, and nothing raises into the application."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from monitoring import counter, get_logger
from monitoring.pipeline.bus.frame import Frame, decode_payload
from monitoring.pipeline.bus.streams import Streams, connect, stream_key
from monitoring.pipeline.errors import SettingsError
from monitoring.pipeline.events.delta import Delta
from monitoring.pipeline.events.event import COLUMNS, Event
from monitoring.producers import sdk
from monitoring.producers.logger import threshold
from monitoring.startup import flush_monitoring, start_monitoring_with_config, stop_monitoring


def events_on(url: str) -> list[Event]:
    """Every event on the bus, in order."""
    entries = Streams(connect(url)).read({stream_key("logs", 0): "0-0"}, count=10_000, block_ms=None)
    found: list[Event] = []
    for entry in entries.get(stream_key("logs", 0), []):
        payload = decode_payload(Frame.from_fields(entry.fields))
        columns = [column if isinstance(column, list) else [column] * payload.events for column in payload.columns] or [
            [] for _ in COLUMNS
        ]
        found += [Event(*row) for row in zip(*columns, strict=True)]
    return found


def deltas_on(url: str) -> list[tuple[str, str, str, Any]]:
    """Name, service, labels and value of every delta on the bus, in order."""
    entries = Streams(connect(url)).read({stream_key("metrics", 0): "0-0"}, count=10_000, block_ms=None)
    found = []
    for entry in entries.get(stream_key("metrics", 0), []):
        payload = decode_payload(Frame.from_fields(entry.fields))
        columns = [c if isinstance(c, list) else [c] * payload.events for c in payload.columns]
        for delta in map(Delta._make, zip(*columns, strict=True)):
            name = orjson.loads(delta.family)["name"]
            found.append((name, delta.service, delta.labels, orjson.loads(delta.value)))
    return found


@pytest.fixture
def bus(valkey: str) -> str:
    """A server that announced itself as ours."""
    Streams(connect(valkey)).announce({"logs": 1}, "test")
    return valkey


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """An environment without any setting of ours but the data directory."""
    for name in [*os.environ]:
        if name.startswith(("MONITORING_", "LOG_", "REDIS_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("MONITORING_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("MONITORING_COLLECTORS", "none")
    monkeypatch.setenv("MONITORING_CONSOLE", "off")
    yield monkeypatch


def test_what_is_logged_is_on_the_bus_after_the_stop(environment, bus):
    environment.setenv("MONITORING_BUS_URL", bus)
    environment.setenv("MONITORING_SERVICE", "shop")
    environment.setenv("MONITORING_ENVIRONMENT", "prod")
    environment.setenv("MONITORING_RELEASE", "1.2")
    start_monitoring_with_config()
    get_logger("a").info("one", order=7)
    logging.getLogger("b").warning("two", extra={"order": 8})
    assert stop_monitoring()
    events = sorted(events_on(bus), key=lambda event: event.message)
    assert [(e.logger, e.message, e.service, e.environment, e.release) for e in events] == [
        ("a", "one", "shop", "prod", "1.2"), ("b", "two", "shop", "prod", "1.2"),
    ]  # fmt: skip
    assert [orjson.loads(event.attributes) for event in events] == [{"order": 7}, {"order": 8}]


def test_secrets_do_not_leave_the_process(environment, bus):
    start_monitoring_with_config(bus_url=bus)
    get_logger("a").info("login with password=hunter2", headers={"Authorization": "Bearer abcdef123456"}, user="ann")
    stop_monitoring()
    (event,) = events_on(bus)
    assert "hunter2" not in event.message and "[REDACTED:" in event.message
    assert "abcdef123456" not in event.attributes and "ann" in event.attributes


def test_own_patterns_and_names_are_hidden_and_allowed_ones_are_not(environment, bus):
    environment.setenv("MONITORING_REDACT_KEYS", "badge, locker")
    environment.setenv("MONITORING_REDACT_PATTERNS", "employee=EMP-[0-9]{6}\nroom=(?i)room (?P<secret>[0-9]+)")
    environment.setenv("MONITORING_REDACT_ALLOW", "password")
    start_monitoring_with_config(bus_url=bus)
    get_logger("a").info("EMP-123456 in room 77", badge="b1", locker=2, password="kept")
    stop_monitoring()
    (event,) = events_on(bus)
    assert event.message == "[REDACTED:employee] in room [REDACTED:room]"
    assert "kept" in event.attributes and "b1" not in event.attributes


def test_starting_twice_and_again_after_a_stop(environment, bus):
    start_monitoring_with_config(bus_url=bus)
    first = sdk.running()
    start_monitoring_with_config(bus_url="redis://nowhere")
    assert sdk.running() is first
    get_logger("a").info("one")
    assert stop_monitoring() and stop_monitoring()
    start_monitoring_with_config(bus_url=bus)
    get_logger("a").info("two")
    assert flush_monitoring()
    assert [event.message for event in events_on(bus)] == ["one", "two"]


def test_the_level_holds_for_both_kinds_of_loggers(environment, bus):
    start_monitoring_with_config(bus_url=bus, log_level="WARNING")
    for logger in (get_logger("a"), logging.getLogger("b")):
        logger.info("not this")
        logger.warning("this")
    stop_monitoring()
    assert [event.message for event in events_on(bus)] == ["this", "this"]
    assert threshold() == 0


def test_a_root_level_of_the_programs_own_stays(environment, bus):
    logging.getLogger().setLevel(logging.ERROR)
    start_monitoring_with_config(bus_url=bus)
    assert logging.getLogger().level == logging.ERROR
    stop_monitoring()
    environment.setenv("LOG_LEVEL", "DEBUG")
    start_monitoring_with_config(bus_url=bus)
    assert logging.getLogger().level == logging.DEBUG


def test_the_standard_library_can_be_left_alone(environment, bus):
    start_monitoring_with_config(bus_url=bus, capture_logging=False)
    logging.getLogger("b").warning("not this")
    get_logger("a").warning("this")
    stop_monitoring()
    assert [event.message for event in events_on(bus)] == ["this"]


def test_metrics_of_the_process_the_collectors_and_the_sdk_itself_arrive(environment, valkey):
    Streams(connect(valkey)).announce({"logs": 1, "metrics": 1}, "test")
    start_monitoring_with_config(bus_url=valkey, service="shop", collectors="process", metrics_interval=0.1)
    jobs = counter("tests_sdk_jobs_total", "Jobs.", labels=("queue",))
    jobs.inc(3, queue="password=hunter2")
    get_logger("a").info("one")
    ends = time.monotonic() + 30
    while "process_threads" not in {name for name, *_ in deltas_on(valkey)} and time.monotonic() < ends:
        time.sleep(0.05)
    jobs.inc(4, queue="password=hunter2")
    assert stop_monitoring()
    found = deltas_on(valkey)
    of_jobs = [(service, labels, value) for name, service, labels, value in found if name == "tests_sdk_jobs"]
    assert sum(value for _, _, value in of_jobs) == 7
    assert {(service, labels) for service, labels, _ in of_jobs} == {
        ("shop", '{"queue":"password=[REDACTED:password]"}')
    }
    assert sum(value for name, _, _, value in found if name == "monitoring_sdk_events") == 1
    assert "process_threads" in {name for name, *_ in found}


def test_an_instance_without_metrics_is_no_trouble(environment, bus, capsys):
    start_monitoring_with_config(bus_url=bus, metrics_interval=0.1)
    counter("tests_sdk_unwanted_total").inc()
    get_logger("a").info("one")
    assert flush_monitoring()
    assert stop_monitoring()
    assert capsys.readouterr().err == ""


def test_without_a_bus_it_starts_says_so_once_and_recovers(environment, bus, capsys, tmp_path):
    start_monitoring_with_config(service="shop")
    for number in range(50):
        get_logger("a").info("early", number=number)
        logging.getLogger("b").info("early", extra={"number": number})
    assert not flush_monitoring(0.5)
    said = capsys.readouterr().err
    assert said.count("monitoring:") == 1 and "No bus is known: set MONITORING_BUS_URL" in said
    (tmp_path / "bus.url").write_text(bus)  # what `monitoring up` does when it comes
    assert flush_monitoring(30)
    assert len(events_on(bus)) == 100


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("LOG_LEVEL", "loud", "LOG_LEVEL=loud: expected one of TRACE"),
        ("MONITORING_SERVCE", "shop", "MONITORING_SERVCE is not a setting; did you mean MONITORING_SERVICE?"),
        ("MONITORING_DURABILITY", "required", "MONITORING_DURABILITY=required needs MONITORING_SPOOL_DIR"),
        ("MONITORING_REDACT_PATTERNS", "no pattern", "'no pattern' is not `kind=pattern`"),
        ("MONITORING_REDACT_PATTERNS", "x=(", "MONITORING_REDACT_PATTERNS"),
    ],
)
def test_what_is_wrong_with_the_environment_is_told_and_left_out(environment, bus, capsys, name, value, said):
    environment.setenv(name, value)
    start_monitoring_with_config(bus_url=bus)
    get_logger("a").info("it works")
    assert stop_monitoring()
    assert said in capsys.readouterr().err
    assert [event.message for event in events_on(bus)] == ["it works"]


def test_an_override_that_is_no_setting_is_the_programs_own_mistake(environment):
    with pytest.raises(SettingsError, match="no setting servce"):
        start_monitoring_with_config(servce="shop")


def test_the_console_shows_both_kinds_of_loggers_in_the_chosen_form(environment, bus, capsys):
    logging.getLogger().handlers.clear()
    environment.setenv("LOG_FORMAT", "json")
    start_monitoring_with_config(bus_url=bus, console="auto", service="shop")
    get_logger("a").info("one", password="hunter2")
    logging.getLogger("b").info("two", extra={"order": 8})
    stop_monitoring()
    lines = [orjson.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["logger"], line["message"], line["service"]) for line in lines] == [
        ("a", "one", "shop"), ("b", "two", "shop"),
    ]  # fmt: skip
    assert lines[0]["password"] == "[REDACTED:password]"
    assert len(events_on(bus)) == 2


def test_a_program_that_shows_its_records_itself_gets_no_second_handler(environment, bus):
    mine = logging.StreamHandler()
    logging.getLogger().handlers[:] = [mine]
    start_monitoring_with_config(bus_url=bus, console="on")
    assert logging.getLogger().handlers == [mine]


@pytest.mark.parametrize(
    ("argv", "name"),
    [
        (["/srv/shop.py"], "shop"),
        (["/usr/lib/python3/shop/__main__.py"], "shop"),
        (["/usr/bin/gunicorn"], "gunicorn"),
        ([""], "python"),
        ([], "python"),
    ],
)
def test_a_service_that_names_none_is_named_after_its_program(monkeypatch, argv, name):
    monkeypatch.setattr(sys, "argv", argv)
    assert sdk.program_name() == name


def test_a_spool_makes_it_safe_before_the_bus_is_there(environment, tmp_path, bus):
    start_monitoring_with_config(spool_dir=str(tmp_path / "spool"), durability="spool")
    get_logger("a").info("kept")
    assert flush_monitoring()
    assert stop_monitoring()
    start_monitoring_with_config(spool_dir=str(tmp_path / "spool"), durability="spool", bus_url=bus)
    get_logger("a").info("later")
    ends = time.monotonic() + 30
    while len(events_on(bus)) < 2 and time.monotonic() < ends:
        time.sleep(0.05)
    assert sorted(event.message for event in events_on(bus)) == ["kept", "later"]


def test_the_import_of_the_face_brings_nothing_heavy():
    """`import monitoring` is for the command line too: what is not asked for is not imported."""
    script = "import sys, monitoring; print([n for n in sys.modules if n.split('.')[0] in ('redis', 'orjson', 're2')])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_exists_and_they_are_sorted():
    import monitoring

    assert monitoring.__all__ == sorted(monitoring.__all__)
    assert [name for name in monitoring.__all__ if getattr(monitoring, name, None) is None] == []
    assert set(monitoring.__all__) <= set(dir(monitoring))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        monitoring.nothing  # noqa: B018


def test_a_forked_child_that_only_counts_ships_while_it_lives(environment, valkey):
    Streams(connect(valkey)).announce({"logs": 1, "metrics": 1}, "test")
    start_monitoring_with_config(bus_url=valkey, metrics_interval=0.1)
    kept = counter("tests_sdk_children_total", labels=("kind",)).labels(kind="kept")
    child = os.fork()
    if child == 0:
        kept.inc(5)
        signal.pause()  # it says nothing, and will be killed
    ends = time.monotonic() + 30
    while sum(value for name, *_, value in deltas_on(valkey) if name == "tests_sdk_children") < 5:
        assert time.monotonic() < ends
        time.sleep(0.05)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)

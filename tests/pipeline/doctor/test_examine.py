"""The doctor finds misconfigurations that are really there."""

from __future__ import annotations

import contextlib
import fcntl
import os
import resource
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest
import redis
from aiosmtpd.controller import Controller

from monitoring.pipeline.doctor import bus, instance, machine, notices
from monitoring.pipeline.doctor.examine import CHECKS, examine
from monitoring.pipeline.doctor.finding import Examined, Finding
from monitoring.pipeline.settings import load
from monitoring.pipeline.store import rule_files
from monitoring.pipeline.store.catalog import CATALOG_FILE, Catalog
from monitoring.pipeline.store.control import FILE_NAME, Control
from monitoring.pipeline.store.keys import ensure_admin_key
from tests.frames import event
from tests.logstore import LogStore


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory as `up` makes it."""
    path = tmp_path / "data"
    path.mkdir(mode=0o700)
    Catalog.create_or_open(path / CATALOG_FILE, partitions=2).close()
    Control(path / FILE_NAME).close()
    ensure_admin_key(path)
    return path


@pytest.fixture
def free_port() -> Iterator[int]:
    """A port that nothing listens on, most likely."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    yield port


@pytest.fixture
def look(data: Path, valkey: str, free_port: int) -> Callable[..., dict[str, Finding]]:
    """The findings by check, with an environment that is sound but for what is given."""
    sound = {
        "MONITORING_DATA_DIR": str(data),
        "MONITORING_BUS_URL": valkey,
        "MONITORING_PORT": str(free_port),
        "MONITORING_RETENTION_BYTES": "1mb",
        "MONITORING_METRICS_RETENTION_BYTES": "1mb",
        "MONITORING_DISK_RESERVE": "1mb",
    }

    def look(*, running: bool = False, **changes: str) -> dict[str, Finding]:
        return dict(examine({**sound, **changes}, running=lambda chosen: running))

    return look


def levels(found: dict[str, Finding], level: str) -> set[str]:
    return {name for name, finding in found.items() if finding.level == level}


def test_a_sound_directory_has_no_problem_and_every_check_says_something(look: Any) -> None:
    found = look()
    assert levels(found, "problem") == set()
    assert levels(found, "warning") == {
        "drains",
        "ticker",
        "bus-memory",
    }  # nothing runs, no bound
    assert set(found) == set(CHECKS)
    assert len(found) >= 20
    for name, finding in found.items():
        assert finding.said, name
        assert bool(finding.advice) == (finding.level != "ok"), name


def test_no_finding_shows_a_secret(look: Any) -> None:
    found = look(
        MONITORING_BUS_URL="redis://user:hunter2@127.0.0.1:1/0?mistyped=hunter2",
        ENABLE_EMAIL_ALERTS="1", SMTP_SERVER="127.0.0.1", SMTP_PORT="1", SMTP_USERNAME="u", SMTP_PASSWORD="hunter2",
        ALERT_TO_EMAILS="a@example.com", ALERT_FROM_EMAIL="b@example.com",
        ENABLE_SLACK_ALERTS="1", SLACK_WEBHOOK_URL="http://hooks.slack.com/services/hunter2",
        MONITORING_PORT="99999", MONITORING_API_KEY="hunter2", MONITORING_WORKERS="hunter",
    )  # fmt: skip
    assert {"bus", "mail", "slack", "port", "settings"} <= levels(found, "problem")
    assert "hunter2" not in str(found)


@pytest.mark.parametrize(
    ("changes", "check", "level", "said"),
    [
        ({"MONITORING_PROT": "1"}, "settings", "problem", "did you mean MONITORING_PORT"),
        ({"MONITORING_WORKERS": "5"}, "partitions", "warning", "5 drains share 2 partitions"),
        ({"MONITORING_RETENTION_BYTES": "900tb"}, "retention", "warning", "there is room for"),
        ({"MONITORING_RETENTION_BYTES": "0"}, "retention", "warning", "off"),
        ({"MONITORING_DISK_RESERVE": "900tb"}, "disk", "problem", "drains have stopped"),
        ({"MONITORING_HOST": "192.0.2.1"}, "port", "problem", "192.0.2.1"),
        ({"MONITORING_BUS_URL": "redis://127.0.0.1:1/0"}, "bus", "problem", "does not answer"),
        ({"MONITORING_BUS_URL": "not a url"}, "bus", "problem", "does not answer"),
        ({"ENABLE_EMAIL_ALERTS": "1"}, "mail", "problem", "SMTP_SERVER"),
        ({"ENABLE_SLACK_ALERTS": "1"}, "slack", "problem", "SLACK_WEBHOOK_URL"),
        (
            {"ENABLE_SLACK_ALERTS": "1", "SLACK_WEBHOOK_URL": "https://hooks.slack.com/services/T0"},
            "slack", "problem", "is cut",
        ),
        (
            {"ENABLE_SLACK_ALERTS": "1", "SLACK_WEBHOOK_URL": "https://hooks.slack.com/services/T0/B0/x"},
            "public-url", "warning", "only this machine can open",
        ),
        (
            {"ENABLE_SLACK_ALERTS": "1", "SLACK_WEBHOOK_URL": "https://example.com/x"}, "slack", "warning", "not Slack",
        ),
    ],
)  # fmt: skip
def test_settings_that_are_wrong_are_found(look: Any, changes: Any, check: str, level: str, said: str) -> None:
    finding = look(**changes)[check]
    assert (finding.level, said in finding.said) == (level, True), finding


def test_a_bus_that_wants_a_password_is_found(look: Any, valkey_servers: Any) -> None:
    server = valkey_servers()
    with redis.Redis.from_url(server.url) as client:
        client.config_set("requirepass", "secret")
    for url in (server.url, f"{server.url}?password=wrong"):
        finding = look(MONITORING_BUS_URL=url)["bus"]
        assert (finding.level, "refuses the password" in finding.said) == ("problem", True), finding
        assert "wrong" not in finding.said
    assert look(MONITORING_BUS_URL=f"{server.url}?password=secret")["bus"].level == "ok"


def test_a_bus_that_evicts_or_is_full_is_found(look: Any, valkey: str) -> None:
    with redis.Redis.from_url(valkey) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        client.config_set("maxmemory", str(int(client.info("memory")["used_memory"] * 1.5)))
        found = look()
        assert found["bus-eviction"].level == "problem"
        assert "noeviction" in found["bus-eviction"].advice
        assert found["bus-memory"].level == "problem"


def test_an_old_bus_a_wrong_clock_and_an_open_one_are_found(data: Path) -> None:
    seen = Examined(load({"MONITORING_DATA_DIR": str(data)}), {}, False, bus_url="redis://bus.example:6379/0")
    seen.client = redis.Redis()  # never connected: the facts are what an old server tells
    seen.bus_facts, seen.servers = {"clock": -90.0}, {"": {"redis_version": "6.0.16"}}
    assert bus.new_enough(seen) == Finding("problem", "Redis 6.0.16", bus.new_enough(seen).advice)
    assert "90.0 s behind ours" in bus.shares_our_clock(seen).said
    assert bus.password_set(seen).level == "warning"
    seen.bus_facts, seen.servers = {"clock": 0.001}, {"": {"redis_version": "7.2.4", "valkey_version": "9.0.1"}}
    assert bus.new_enough(seen).said == "Valkey 9.0.1"
    assert bus.shares_our_clock(seen).level == "ok"


def test_of_a_cluster_the_server_that_is_unfit_is_named(data: Path) -> None:
    url = "redis+cluster://a.example:1,127.0.0.1:2"
    seen = Examined(load({"MONITORING_DATA_DIR": str(data), "MONITORING_BUS_URL": url}), {}, False, bus_url=url)
    seen.client = redis.Redis()  # never connected: the facts are what the servers tell
    fit = {"redis_version": "7.2.4", "maxmemory_policy": "noeviction", "used_memory": 1, "maxmemory": 100}
    seen.servers = {"a:1": fit, "b:2": {**fit, "used_memory": 60}, "c:3": {**fit, "maxmemory_policy": "allkeys-lru"}}
    assert bus.new_enough(seen) == Finding("ok", "Redis 7.2.4")
    assert (bus.evicts_nothing(seen).level, "c:3" in bus.evicts_nothing(seen).said) == ("problem", True)
    assert (bus.has_memory(seen).level, bus.has_memory(seen).said.startswith("b:2 ")) == ("problem", True)
    assert bus.password_set(seen).said.startswith("a.example takes connections without a password")
    assert "MONITORING_QUEUE_URL" in bus.queue_answers(seen).said


@contextlib.contextmanager
def closing_its_clients(listener: socket.socket) -> Iterator[None]:
    """Who connects is let go at once."""

    def serve() -> None:
        with contextlib.suppress(OSError):
            listener.accept()[0].close()

    thread = threading.Thread(target=serve)
    thread.start()
    yield
    thread.join()


def test_a_port_that_something_else_has_is_found(look: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, closing_its_clients(other):
        port = other.getsockname()[1]
        finding = look(MONITORING_PORT=str(port))["port"]
    assert finding.level == "problem"
    assert str(port) in finding.advice


def test_open_modes_and_a_newer_file_are_found(look: Any, data: Path) -> None:
    (data / "admin.key").chmod(0o644)
    with contextlib.closing(apsw.Connection(str(data / FILE_NAME))) as connection:
        connection.pragma("user_version", 99)
    found = look()
    assert "admin.key" in found["file-modes"].said
    assert "control.db is of version 99" in found["release"].said
    (data / FILE_NAME).write_bytes(b"no SQLite file, but long enough to be looked at as one" * 100)
    assert "is damaged" in look()["release"].said


def test_a_directory_that_cannot_be_written_or_is_on_a_network_is_found(look: Any, tmp_path: Path) -> None:
    assert look(MONITORING_DATA_DIR="/proc/monitoring")["data-directory"].level == "problem"
    mounts = tmp_path / "mounts"
    mounts.write_text(
        f"/dev/a / ext4 rw 0 0\nhost:/x {tmp_path.as_posix().replace(' ', chr(92) + '040')} nfs4 rw 0 0\n"
    )
    assert machine._file_system(tmp_path / "data", mounts) == "nfs4"
    assert machine._file_system(Path("/usr"), mounts) == "ext4"
    assert machine._file_system(Path("/usr"), tmp_path / "none") == ""


def test_few_open_files_are_found(look: Any) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
    try:
        assert look()["open-files"].level == "warning"
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_what_waits_while_nothing_drains_is_a_problem_and_a_ticker_is_known_by_its_lock(look: Any, data: Path) -> None:
    assert levels(look(running=True), "problem") == {"drains", "ticker"}
    handle = os.open(data / "ticker.lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(handle, fcntl.LOCK_EX)
    assert look(running=True)["ticker"].level == "ok"
    os.close(handle)


def test_lag_and_dead_letters_are_told_with_where_they_are(data: Path) -> None:
    seen = Examined(load({"MONITORING_DATA_DIR": str(data)}), {}, False)
    seen.status = {
        "drains": 0,
        "totals": {"dead_lettered": 3}, "metrics": {"dead_lettered": 0},
        "partitions": [{"signal": "logs", "partition": 1, "lag": {"frames": 7, "seconds": 300.0}}],
    }  # fmt: skip
    assert "logs 1: 7 frames wait" in instance.lag_small(seen).said
    assert instance.dead_letters_looked_at(seen).level == "warning"
    assert instance.drains_run(seen).level == "problem"


def test_a_mail_server_that_answers_is_fine_and_one_elsewhere_without_tls_gets_no_password(
    look: Any, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Nobody:
        """Takes no mail: none must come."""

    controller = Controller(Nobody(), hostname="127.0.0.1", port=free_port)
    controller.start()
    mail = {
        "ENABLE_EMAIL_ALERTS": "1", "SMTP_SERVER": "127.0.0.1", "SMTP_PORT": str(free_port),
        "ALERT_FROM_EMAIL": "a@example.com", "ALERT_TO_EMAILS": "b@example.com",
    }  # fmt: skip
    try:
        assert look(**mail)["mail"].level == "ok"
        login = {**mail, "SMTP_USERNAME": "u", "SMTP_PASSWORD": "p"}
        assert look(**login)["mail"].level == "ok"
        monkeypatch.setattr(notices, "LOOPBACK", ())  # a test has no other machine to connect to
        assert "STARTTLS" in look(**login)["mail"].said
    finally:
        controller.stop()


def test_a_check_that_fails_itself_is_a_problem_and_the_others_go_on(
    look: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CHECKS, "disk", lambda seen: 1 / 0)
    found = look()
    assert "ZeroDivisionError" in found["disk"].said
    assert found["port"].level == "ok"


def test_a_store_with_events_is_read_without_changing_it(look: Any, tmp_path: Path) -> None:
    with LogStore(tmp_path / "other") as store:
        store.add([event(0)])
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("other/logs/p*/*.db")}
    assert look(MONITORING_DATA_DIR=str(tmp_path / "other"))["release"].level == "ok"
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_files_of_rules_with_errors_and_names_of_nobody_are_told_with_their_lines(look: Any, data: Path) -> None:
    where = data / "rules"
    where.mkdir()
    (where / "a.yaml").write_text("rules:\n  - {name: A, kind: logs, threshold: 1, channels: [pager]}\n")
    with contextlib.closing(Control(data / FILE_NAME)) as control:
        rule_files.sync(control, where, 1)
        lost = look()["rules"]
        assert lost.level == "warning" and "a.yaml:2: channels: there is no channel 'pager'" in lost.said
        (where / "b.yaml").write_text("rules:\n  - {name: B, kind: logs, threshold: x}\n")
        rule_files.sync(control, where, 1)
    broken = look()["rules"]
    assert broken.level == "problem" and "b.yaml:2: threshold" in broken.said

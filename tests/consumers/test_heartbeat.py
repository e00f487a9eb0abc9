"""The dead-man's switch: it pings while all is well, and is silent, saying why, when something is not."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitoring.consumers.heartbeat import assess
from monitoring.consumers.notify import run
from monitoring.consumers.ticker import Ticker
from monitoring.pipeline import jobs, settings
from monitoring.pipeline.alerts.alert import Alert, Entry
from monitoring.pipeline.alerts.rule import Rule
from monitoring.pipeline.alerts.telling import Telling, Told
from monitoring.pipeline.bus.streams import connect
from monitoring.pipeline.clock import wall_ns
from monitoring.pipeline.settings import Settings
from monitoring.pipeline.store.alerts import write
from monitoring.pipeline.store.catalog import CATALOG_FILE, Catalog
from monitoring.pipeline.store.channels import Channels
from monitoring.pipeline.store.control import Control
from monitoring.pipeline.store.outbox import Outbox
from tests.notices import notice, put_all
from tests.sink import Sink, sinking


@pytest.fixture
def sink() -> Iterator[Sink]:
    with sinking() as sink:
        yield sink


@pytest.fixture
def chosen(tmp_path: Path, valkey: str, sink: Sink) -> Settings:
    Catalog.create_or_open(tmp_path / CATALOG_FILE, partitions=1).close()
    names = {"MONITORING_DATA_DIR": str(tmp_path), "MONITORING_BUS_URL": valkey, "MONITORING_DISK_RESERVE": "0"}
    return settings.load({**names, "MONITORING_HEARTBEAT_URL": f"{sink.url}/beat"})


@pytest.fixture
def control(tmp_path: Path) -> Iterator[Control]:
    with contextlib.closing(Control(tmp_path / "control.db")) as control:
        yield control


def test_it_pings_once_a_minute_however_often_the_job_runs(chosen: Settings, sink: Sink, control: Control) -> None:
    for _ in range(3):
        run(chosen)
    assert [each.path for each in sink.received] == ["/beat"]
    assert control.rows("SELECT problem FROM heartbeat") == [("",)]


def test_the_ticker_asks_for_it_each_minute_where_a_url_is_set(chosen: Settings, valkey: str) -> None:
    client = connect(valkey)
    for setting, expected in ((chosen, [True, False, True]), (chosen.replace(heartbeat_url=None), [False] * 3)):
        with contextlib.closing(Ticker(setting, client)) as ticker:
            found = []
            for now in (0.0, 59.0, 60.0):
                found.append(jobs.NOTIFY in ticker.tick(now))
                client.delete("rq:queue:monitoring-notify")
        assert found == expected


def test_a_notice_that_is_due_is_enough_for_the_ticker(chosen: Settings, valkey: str, control: Control) -> None:
    client = connect(valkey)
    with contextlib.closing(Ticker(chosen.replace(heartbeat_url=None), client)) as ticker:
        assert jobs.NOTIFY not in ticker.tick(0)
        put_all(control, notice("hook"))
        assert jobs.NOTIFY in ticker.tick(1)
        assert jobs.NOTIFY not in ticker.tick(2)  # it waits already


def test_a_control_file_that_is_broken_keeps_the_ticker_from_nothing_else(
    chosen: Settings, valkey: str, caplog: pytest.LogCaptureFixture
) -> None:
    (chosen.data / "control.db").write_bytes(b"no database " * 1000)
    with contextlib.closing(Ticker(chosen.replace(heartbeat_url=None), connect(valkey))) as ticker:
        assert sorted(ticker.tick(0)) == sorted([jobs.DRAIN, jobs.MAINTENANCE])
        ticker.tick(1)
    assert caplog.text.count("notices wait") == 1


def undeliverable(channels: tuple[str, ...]) -> Alert:
    """The built-in alert about notifications that failed."""
    return Alert(
        id="a1", rule="undeliverable", kind="delivery", fingerprint="f", labels={"channel": "hook"}, state="active",
        severity="critical", value=1.0, threshold=1.0, operator=">=", started=1, updated=1, told="firing",
        channels=channels,
    )  # fmt: skip


@pytest.mark.parametrize("trouble", ["untold", "disk", "rule", "bus", "nobody", "nobody else"])
def test_it_is_silent_and_says_why_when_something_is_not_well(
    chosen: Settings, sink: Sink, control: Control, caplog: pytest.LogCaptureFixture, trouble: str
) -> None:
    now = wall_ns()
    if trouble == "untold":
        put_all(control, notice("hook"))
        now += 601 * 10**9
    elif trouble == "disk":
        chosen = chosen.replace(disk_reserve=1 << 60)
    elif trouble == "rule":
        with control.transaction() as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS rule(name, enabled, due)")
            known = {"enabled": 1, "due": now - 61 * 10**9}
            row = [known.get(column[1], "0") for column in connection.execute("PRAGMA table_info(rule)")]
            connection.execute(f"INSERT INTO rule VALUES({', '.join('?' * len(row))})", row)
    elif trouble.startswith("nobody"):
        channels = ("mail",) if trouble == "nobody else" else ()
        alert, rule = undeliverable(channels), Rule("undeliverable", "delivery")
        told = Told(alert, [Telling("firing", channels)], [Entry("notification", "active", "active")])
        with control.transaction() as connection:
            write(connection, None, told, (), rule, now, "")
        assert not channels or not assess(chosen, control, now)  # somebody is being told
        outbox = Outbox(control, now_ns=lambda: now + 10**10)
        for message in outbox.claim(10, lambda name: 60.0):
            outbox.fail(message.id, "no such server")
    else:
        chosen = chosen.replace(bus_url="unix:///nonexistent/socket")
    assert assess(chosen, control, now)
    if trouble != "untold":
        with caplog.at_level(logging.WARNING):
            run(chosen)
        assert "no heartbeat" in caplog.text
        assert sink.received == []


def test_a_url_that_hangs_holds_up_no_notice(chosen: Settings, sink: Sink, control: Control) -> None:
    sink.behave = lambda number, path: "hang" if path == "/beat" else "ok"
    chosen = chosen.replace(allow_private_webhooks=True)
    Channels(control, chosen).save("hook", "webhook", {"url": sink.url})
    put_all(control, notice("hook"))
    job = threading.Thread(target=run, args=(chosen,))
    job.start()
    ends = time.monotonic() + 20
    while "/" not in [each.path for each in sink.received]:
        assert time.monotonic() < ends
        time.sleep(0.01)
    sink.released.set()
    job.join(30)
    assert not job.is_alive()

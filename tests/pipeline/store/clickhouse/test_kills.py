"""Whoever dies on the way to the server, and wherever: each event is there once, by lane, seq and ordinal."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from monitoring.pipeline import failpoint, settings
from monitoring.pipeline.errors import StoreFull
from monitoring.pipeline.store.catalog import CATALOG_FILE, Catalog, segment_path
from monitoring.pipeline.store.clickhouse.client import Address, Client
from monitoring.pipeline.store.interface import LogStore
from monitoring.pipeline.store.lease import Holder
from monitoring.pipeline.store.logs import open_logs
from tests.faults.proxy import Proxy
from tests.frames import Sender, entry, event

DAY = 86_400 * 10**9
POINTS = ["drain.mid_transaction", "clickhouse.intent", "clickhouse.inserted", "clickhouse.sent"]
"""Before the commit; before the first insert; between two days; with all sent and nothing of that noted."""


def chosen(data: Path, url: str) -> settings.Settings:
    return settings.load(
        {"MONITORING_DATA_DIR": str(data), "MONITORING_STORE": url, "MONITORING_DISK_RESERVE": "0",
         "MONITORING_RETENTION_AGE": "0"}
    )  # fmt: skip


def entries(data: Path):
    """Two frames of two lanes, each with events of two days; the same for all processes of a test."""
    now = int((data / "now").read_text())
    frames = [
        Sender(lane, created=now).frame([event(n, timestamp=now - n % 2 * DAY + n + lane * 100) for n in range(20)])
        for lane in (1, 2)
    ]
    return [entry(frame, f"{number}-0") for number, frame in enumerate(frames)]


def child(data: Path, url: str) -> None:
    """What the process does that dies: take the partition and write."""
    failpoint.arm(data / "failpoints")
    writer = open_logs(chosen(data, url)).acquire(0, Holder.this_process())
    assert writer is not None
    print("held", flush=True)
    writer.write(writer.admit(entries(data)))
    print("written", flush=True)
    sys.stdin.read()


class Bench:
    """A data directory and a database, and the process that dies."""

    def __init__(self, data: Path, url: str) -> None:
        self.data, self.url = data, url
        Catalog.create_or_open(data / CATALOG_FILE, partitions=1).close()
        (data / "failpoints").mkdir()
        (data / "now").write_text(str(time.time_ns()))

    def begin(self) -> subprocess.Popen[str]:
        program = (
            f"from pathlib import Path; from {__name__} import child; child(Path({str(self.data)!r}), {self.url!r})"
        )
        return subprocess.Popen(
            [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    @contextlib.contextmanager
    def store(self) -> Iterator[LogStore]:
        with contextlib.closing(open_logs(chosen(self.data, self.url))) as found:
            yield found

    def there(self) -> list[tuple[int, ...]]:
        """Events, and different ones by lane, seq and ordinal, for each lane: as the server counts them."""
        with contextlib.closing(Client(Address(self.url))) as client:
            query = "SELECT count(), uniqExact(lane, seq, ordinal) FROM log GROUP BY lane ORDER BY lane"
            return [tuple(row) for row in client.rows(query)]

    def take_over(self) -> None:
        """As the next drain does: what is on the bus comes again."""
        with self.store() as store:
            writer = store.acquire(0, Holder.this_process())
            assert writer is not None and not writer.clean
            writer.write(writer.admit(entries(self.data)))
            assert writer.admit(entries(self.data)).replayed == 2
            writer.release()
            assert self.there() == [(20, 20), (20, 20)]
            assert store.verify().findings == []


@pytest.fixture
def bench(tmp_path, clickhouse):
    return Bench(tmp_path, clickhouse.fresh())


@pytest.mark.parametrize("point", POINTS)
def test_a_holder_that_is_killed_anywhere_leaves_each_event_once(bench, point) -> None:
    (bench.data / "failpoints" / point).touch()
    died = bench.begin()
    assert died.wait(60) == -signal.SIGKILL
    assert died.communicate()[0] == "held\n"
    bench.take_over()


def test_an_insert_that_the_server_does_after_its_sender_died_is_not_done_twice(bench, clickhouse) -> None:
    with clickhouse.holding_back(2):
        sending = bench.begin()
        _wait_for(lambda: clickhouse.held_back() > 0)
        sending.kill()
        sending.communicate()
    bench.take_over()
    _wait_for(lambda: clickhouse.held_back() == 0)
    assert bench.there() == [(20, 20), (20, 20)]


def test_a_holder_that_stopped_before_it_sent_is_killed_by_who_takes_over(bench) -> None:
    (bench.data / "failpoints" / "clickhouse.intent").write_text("stop")
    stopped = bench.begin()
    os.waitid(os.P_PID, stopped.pid, os.WSTOPPED | os.WNOWAIT)
    with contextlib.closing(apsw.Connection(str(segment_path(bench.data, "logs", 0, 1)))) as ledger:
        ledger.execute("UPDATE head SET renewed = renewed - 100")  # its lease is over
    bench.take_over()
    assert stopped.wait(10) == -signal.SIGKILL
    stopped.communicate()


def test_a_server_that_cannot_be_reached_is_waited_for_as_a_full_disk_is(bench) -> None:
    address = Address(bench.url)
    proxy = Proxy(address.port)
    with contextlib.closing(proxy):
        through = bench.url.replace(f":{address.port}/", f":{proxy.port}/")
        with contextlib.closing(open_logs(chosen(bench.data, through))) as store:
            writer = store.acquire(0, Holder.this_process())
            assert writer is not None
            batch = writer.admit(entries(bench.data))
            proxy.cut(6)  # what it did, nobody hears
            with pytest.raises(StoreFull):
                writer.write(batch)
            with pytest.raises(StoreFull):
                writer.admit(entries(bench.data))
            _wait_for(lambda: _admits(writer))
            assert proxy.cut_replies == 6
            assert writer.admit(entries(bench.data)).replayed == 2
            writer.release()
            assert store.verify().findings == []
    assert bench.there() == [(20, 20), (20, 20)]


def _admits(writer) -> bool:
    with contextlib.suppress(StoreFull):
        writer.admit([])
        return True
    return False


def _wait_for(condition) -> None:
    ends = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.02)

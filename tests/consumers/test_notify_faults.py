"""Notices under faults: none is missed, and what comes twice comes under the same key.

A real RQ worker delivers to a real HTTP and a real SMTP server, while it is killed between send and mark, the servers
go away, refuse, ask for a pause or die between accept and reply, the bus loses everything and control.db is locked.
The short form has each fault at least once; `make test-faults-notify` runs NOTIFY_FAULTS=200 of them.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pytest

from monitoring.consumers.ticker import Ticker
from monitoring.pipeline import settings
from monitoring.pipeline.bus.streams import connect
from monitoring.pipeline.errors import BusFull, BusRefused, BusUnavailable
from monitoring.pipeline.store.catalog import CATALOG_FILE, Catalog
from monitoring.pipeline.store.channels import Channels
from monitoring.pipeline.store.control import Control
from tests.conftest import ValkeyServer
from tests.mailbox import receiving
from tests.notices import notice, put_all, states
from tests.sink import sinking

SHORT = 20
PROGRAM = """
import logging
from monitoring.consumers import notify, retry
from monitoring.consumers.worker import make_worker, preload
from monitoring.pipeline.settings import load
from monitoring.pipeline.store import outbox
# As they are, but shorter: a fault is over when its lease and its backoff are.
retry.FIRST_SECONDS, retry.LONGEST_SECONDS = 0.1, 1.0
outbox.LEASE_NS, notify._RENEW_SECONDS = 2 * 10**9, 0.4
chosen = load()
logging.basicConfig(level="CRITICAL")
preload(["monitoring-notify"])
make_worker(["notify"], chosen.text("bus_url"), chosen, hung_seconds=3.0).work()
"""


class World:
    """Everything that takes part, and the faults."""

    def __init__(self, root: Path, valkey: ValkeyServer, stack: contextlib.ExitStack, seed: int) -> None:
        self.random = random.Random(seed)
        self.sink, self.box = stack.enter_context(sinking()), stack.enter_context(receiving())
        self.valkey, self.points = valkey, root / "points"
        self.points.mkdir()
        data = root / "data"
        Catalog.create_or_open(data / CATALOG_FILE, partitions=1).close()
        self.environment = {
            "MONITORING_DATA_DIR": str(data),
            "MONITORING_BUS_URL": valkey.url,
            "MONITORING_FAILPOINT_DIR": str(self.points),
            "MONITORING_ALLOW_PRIVATE_WEBHOOKS": "true",
        }
        self.settings = settings.load(self.environment)
        self.control = stack.enter_context(contextlib.closing(Control(data / "control.db")))
        channels = Channels(self.control, self.settings)
        fast = {"rate_per_minute": 6000}
        mail = {"server": "127.0.0.1", "port": self.box.port, "from": "m@example.com", "to": ["a@example.com"]}
        channels.save("hook", "webhook", {"url": self.sink.url, **fast})
        channels.save("chat", "slack", {"url": self.sink.url + "/chat", **fast})
        channels.save("mail", "email", {**mail, **fast})
        self.put = 0
        self.trouble: list[str] = []
        self.sink.behave = lambda number, path: self.trouble.pop() if self.trouble else "ok"
        self.start_worker()
        stack.callback(self.kill_worker)
        self._stopping = threading.Event()
        ticker = threading.Thread(target=self._tick)
        ticker.start()
        stack.callback(ticker.join)
        stack.callback(self._stopping.set)

    def _tick(self) -> None:
        client = connect(self.valkey.url)
        with contextlib.closing(Ticker(self.settings, client)) as ticker:
            while not self._stopping.wait(0.05):
                with contextlib.suppress(BusUnavailable, BusFull, BusRefused):
                    ticker.tick(time.monotonic())
        client.close()

    def notices(self) -> None:
        """What an evaluation finds: some alone, some in groups, in every channel."""
        self.put += 1
        group = f"g{self.random.randrange(3)}"
        for channel in ("hook", "chat", "mail"):
            put_all(
                self.control,
                notice(channel, f"a{self.put}", grouping=group),
                notice(channel, f"b{self.put}", grouping=group),
                notice(channel, f"c{self.put}"),
            )

    def wait(self, condition: Callable[[], object], what: str, seconds: float = 90) -> None:
        ends = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < ends, f"{what}: {Counter(states(self.control).values())}"
            time.sleep(0.02)

    # ------------------------------------------------------------------ faults

    def start_worker(self) -> None:
        clean = {name: text for name, text in os.environ.items() if not name.startswith(("MONITORING_", "REDIS_URL"))}
        self.worker = subprocess.Popen([sys.executable, "-c", PROGRAM], env={**clean, **self.environment})

    def kill_worker(self) -> None:
        self.worker.send_signal(signal.SIGKILL)
        self.worker.wait()

    def restart_worker(self) -> None:
        self.notices()
        time.sleep(self.random.random() / 2)  # any moment of a delivery
        self.kill_worker()
        self.start_worker()

    def at(self, point: str, action: str = "") -> None:
        """Kill, or stop, the work-horse at this point of a delivery."""
        file = self.points / point
        file.write_text(action)
        self.notices()
        self.wait(lambda: not file.exists(), f"nobody passed {point}")

    def answers(self, *behaviours: str) -> None:
        """The next requests are answered so."""
        self.trouble = list(behaviours)
        self.notices()
        self.wait(lambda: not self.trouble, "the webhooks were not tried")

    def http_down(self) -> None:
        self.sink.stop()
        self.notices()
        time.sleep(self.random.random())
        self.sink.start()

    def smtp_down(self) -> None:
        self.box.stop()
        self.notices()
        time.sleep(self.random.random())
        self.box.start()

    def smtp_dies(self) -> None:
        self.box.die = 2
        self.notices()
        self.wait(lambda: self.box.die == 0, "no mail came")

    def smtp_later(self) -> None:
        self.box.answer = "451 try again"
        self.notices()
        time.sleep(0.5)
        self.box.answer = ""

    def bus_lost(self) -> None:
        self.notices()
        self.valkey.restart()

    def locked(self) -> None:
        """Another process holds the write lock for a second."""
        self.notices()
        with contextlib.closing(apsw.Connection(str(self.control.path))) as connection:
            connection.set_busy_timeout(5000)
            connection.execute("BEGIN IMMEDIATE")
            time.sleep(1.0)
            connection.execute("ROLLBACK")

    def faults(self) -> list[Callable[[], None]]:
        return [
            lambda: self.at("notify.claimed"),
            lambda: self.at("notify.landed"),
            lambda: self.at("notify.landed", "stop"),
            self.restart_worker,
            lambda: self.answers("503", "500", "502"),
            lambda: self.answers("429 1", "429"),
            lambda: self.answers("die", "die"),
            lambda: self.answers("408", "die", "503"),
            self.http_down,
            self.smtp_down,
            self.smtp_dies,
            self.smtp_later,
            self.bus_lost,
            self.locked,
        ]

    # ------------------------------------------------------------------ what must hold

    def check(self) -> dict[str, int]:
        """Every notice arrived, each under one key, and what came twice is the same."""
        found = states(self.control)
        assert Counter(found.values()) == {"sent": 9 * self.put}
        parts: dict[str, set[str]] = {}
        for key, message in self.control.rows("SELECT key, message FROM part"):
            parts.setdefault(message, set()).add(key)
        arrived: Counter[str] = Counter()
        bodies: dict[str, set[bytes]] = {}
        for request in self.sink.taken():
            arrived[request.key] += 1
            bodies.setdefault(request.key, set()).add(request.body)
            if request.path == "/":
                assert {each["key"] for each in request.json["notices"]} == parts[request.key]
        ids: dict[str, set[str]] = {}
        for mail in self.box.mails:
            arrived[mail["X-Monitoring-Key"]] += 1
            ids.setdefault(mail["X-Monitoring-Key"], set()).add(mail["Message-ID"])
        assert {key for message in arrived for key in parts[message]} == set(found), "a notice never arrived"
        assert all(len(each) == 1 for each in bodies.values()), "one key, two bodies"
        assert all(len(each) == 1 for each in ids.values()), "one key, two Message-IDs"
        return {"notices": len(found), "messages": len(arrived), "twice": sum(n - 1 for n in arrived.values())}


@pytest.fixture
def world(tmp_path: Path, valkey_servers: Callable[..., ValkeyServer]) -> Iterator[World]:
    with contextlib.ExitStack() as stack:
        yield World(tmp_path, valkey_servers(), stack, seed=int(os.environ.get("FAULT_SEED", "1")))


@pytest.mark.faults
@pytest.mark.timeout(3600)
def test_no_notice_is_missed_and_none_comes_twice_under_two_keys(world: World) -> None:
    count = int(os.environ.get("NOTIFY_FAULTS", SHORT))
    faults = world.faults()
    chosen = [*faults, *world.random.choices(faults, k=max(0, count - len(faults)))][:count]
    world.random.shuffle(chosen)
    for fault in chosen:
        fault()
    world.trouble.clear()
    world.wait(lambda: set(states(world.control).values()) == {"sent"}, "not everything was delivered")
    print(f"{count} faults:", world.check())

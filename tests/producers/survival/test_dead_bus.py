"""A bus that is away, for however long, or hangs: memory has bounds, what matters is kept, and the books balance."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from monitoring.pipeline.bus.streams import Transport
from monitoring.pipeline.errors import BusUnavailable
from monitoring.pipeline.events.event import Event
from monitoring.pipeline.events.signals import SIGNALS
from monitoring.pipeline.publish.barrier import Barrier
from monitoring.pipeline.publish.buffer import Buffer
from monitoring.pipeline.publish.flusher import Flusher
from monitoring.pipeline.publish.outbox import by_lane
from monitoring.pipeline.publish.plan import Plan
from tests.pipeline.publish.support import transport
from tests.producers.survival.support import DEADLINE_SECONDS, Bus, environment

INFO, WARNING = 9, 13

SPOKEN = """
import orjson, sys, time
from monitoring import get_logger
from monitoring.producers import sdk
from monitoring.startup import flush_monitoring, start_monitoring_with_config

def peak():
    (line,) = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
    return int(line.split()[1]) << 10

def say(**facts):
    logs = sdk.running().logs
    print(orjson.dumps({**logs.counters()._asdict(), "peak": peak(), **facts}).decode(), flush=True)

start_monitoring_with_config(log_level="DEBUG")
log = get_logger("app")
say()
"""
"""A program that tells on standard output how it is doing."""

FLOOD = (
    SPOKEN
    + """
write = [log.debug] * 10 + [log.info] * 9 + [log.warning]
size = int(sys.argv[2])
for number in range(int(sys.argv[1])):
    write[number % 20]("x" * size + str(number), number=number, path="/api/items", status=200)
say()
sys.stdin.readline()
flush_monitoring(60)
say()
"""
)


class Talk:
    """A program that is running: `hear` waits for what it says next, `go` lets it go on."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def hear(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        heard: dict[str, Any] = orjson.loads(self.process.stdout.readline())
        return heard

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()


@contextmanager
def talking(script: str, url: str, directory: Path, *arguments: str) -> Iterator[Talk]:
    """The program; it must end well, having said one thing on standard error at most."""
    with (directory / "errors").open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-c", script, *arguments],
            env=environment(url, directory),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    with process:
        try:
            yield Talk(process)
            assert process.wait(DEADLINE_SECONDS) == 0
        finally:
            process.kill()
    lines = (directory / "errors").read_text().splitlines()
    assert len(lines) <= 1 and all(line.startswith("monitoring: the bus did not answer") for line in lines), lines


@pytest.mark.parametrize(
    ("events", "size", "most_bytes"),
    [
        (1_000_000, 40, 80 << 20),  # 100,000 of them are kept, by their number: 42 MB when this was written
        (40_000, 8000, 96 << 20),  # 64 MiB of them are kept, by their text: 68 MB
    ],
    ids=["a million", "large ones"],
)
def test_a_flood_into_nothing_keeps_its_bounds_and_what_matters_until_the_bus_comes_up(
    valkey_servers, tmp_path, events, size, most_bytes
):
    server = valkey_servers()
    server.kill()
    with talking(FLOOD, server.url, tmp_path, str(events), str(size)) as program:
        before, full = program.hear(), program.hear()
        server.start()
        bus = Bus(server.url)
        bus.announce()
        program.go()
        with bus.committing():
            after = program.hear()
    assert full["emitted"] == events == sum(full["dropped"].values()) + full["buffered"]
    assert full["buffered"] <= 100_000 and set(full["dropped"]) == {"shed", "buffer_full"}
    assert full["peak"] - before["peak"] < most_bytes
    arrived = bus.events()
    assert len(arrived) == full["buffered"] == len({event.attributes for event in arrived}), "what was kept, once"
    warnings = min(events // 20, full["buffered"])
    assert Counter(event.level for event in arrived)[WARNING] == warnings, "all of them, for they fit"
    assert after["dropped"] == full["dropped"]
    assert bus.told() == {"emitted": events, **full["dropped"]}


HANGING = (
    SPOKEN
    + """
for number in range(1000):
    log.info("before", number=number)
flush_monitoring(30)
say()
sys.stdin.readline()
for number in range(20_000):
    log.info("meanwhile", number=number)

reached = flush_monitoring(0.3)
say(reached=reached)
sys.stdin.readline()
for number in range(1000):
    log.info("behind", number=number)
say(reached=flush_monitoring(60))
"""
)


def test_a_bus_that_hangs_holds_up_nobody_and_what_was_said_meanwhile_arrives_once(valkey_servers, tmp_path):
    server = valkey_servers()
    bus = Bus(server.url)
    bus.announce()
    with talking(HANGING, server.url, tmp_path) as program:
        program.hear()
        assert program.hear()["sealed"] == 1000
        os.kill(server.pid, signal.SIGSTOP)
        program.go()
        # It goes on only now: the server is still stopped when the program has said that it has come so far.
        meanwhile = program.hear()
        os.kill(server.pid, signal.SIGCONT)
        program.go()
        assert program.hear()["reached"]
    assert meanwhile["emitted"] == 21_000 and not meanwhile["reached"]
    said = Counter((event.message, event.attributes) for event in bus.events())
    assert Counter(message for message, _ in said) == {"before": 1000, "meanwhile": 20_000, "behind": 1000}
    assert set(said.values()) == {1}


def test_an_hour_without_a_bus_asks_for_it_every_few_seconds_and_then_sends_what_was_kept(valkey):
    bus = Bus(valkey)
    bus.announce()
    now, asked, said = [0.0], [0], list[str]()

    def connect() -> Transport:
        asked[0] += 1
        if now[0] < 3600:
            raise BusUnavailable("there is no bus")
        return transport(valkey)

    buffer = Buffer(1000, 1 << 20, lambda: None)
    flusher = Flusher(buffer, Plan(
        transport_factory=connect, choose_partition=by_lane, refine=None, clock=lambda: now[0],
        now_ns=lambda: int(now[0] * 1e9), mint=lambda: uuid.uuid4().hex, on_trouble=said.append, signal=SIGNALS["logs"],
        service="app", frame_events=100, interval_seconds=0.2, retain_bytes=1 << 18, spool=None,
        required=False,
    ))  # fmt: skip
    for number in range(36_000):  # ten a second
        buffer.add(Event(number, WARNING if number % 100 == 0 else INFO, "app"))
        flusher.step()
        now[0] += 0.1
    assert 3600 / 5 < asked[0] < 3600 / 2.5 + 10, "each pause is between half and all of five seconds"
    assert said == ["there is no bus"]
    assert buffer.count <= 1000
    end = Barrier(buffer.mark(), "bus")
    while not flusher.has_reached(end):
        now[0] += min(flusher.step(), 0.1)
    kept = bus.events()
    assert Counter(event.level for event in kept)[WARNING] == 360, "all of them, for they fit"
    assert bus.told() == {"emitted": 36_000, **buffer.tally().dropped}
    assert len(kept) == 36_000 - sum(buffer.tally().dropped.values())

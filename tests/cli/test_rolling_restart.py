"""Every process of a running `monitoring up`, one after the other, is replaced while events flow; the bus stays.

ROLLING_RESTARTS=20 is the long form: so many rounds.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.cli.test_up import Command, Run, living, run, wait_for
from tests.logstore import LogStore

__all__ = ["run"]

PARTS = ("api", "drain-1", "jobs", "ticker")
SERVICE = """
import select, sys, time
from monitoring import get_logger
from monitoring.startup import start_monitoring_with_config, stop_monitoring
start_monitoring_with_config(service="roll")
log, n = get_logger("roll"), 0
while not select.select([sys.stdin], [], [], 0.05)[0]:
    log.info(f"sdk {n}")
    n += 1
stop_monitoring(timeout_seconds=30)
print(n)
"""


class Posting:
    """A thread that posts an event at a time over one connection after the other; what was answered."""

    def __init__(self, command: Command, name: str) -> None:
        self.port, self.name = command.port, name
        self.key = (command.data / "admin.key").read_text().strip()
        self.acknowledged: list[str] = []
        self.failed: list[str] = []
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self._post)

    def _post(self) -> None:
        connection: http.client.HTTPConnection | None = None
        for number in range(1 << 20):
            if self.ending.wait(0.05):
                return
            if connection is None:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
            message = f"{self.name} {number}"
            body = json.dumps({"message": message, "service": "roll"})
            try:
                connection.request("POST", "/api/v1/logs", body, {"Authorization": f"Bearer {self.key}"})
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException) as error:
                self.failed.append(f"{message}: {error!r}")
                connection = None
                continue
            (self.acknowledged if answer.status == 202 else self.failed).append(message)
            if answer.will_close or number % 7 == 0:
                connection.close()
                connection = None


@contextmanager
def posting(command: Command) -> Iterator[list[Posting]]:
    found = [Posting(command, f"http-{number}") for number in range(3)]
    for each in found:
        each.thread.start()
    try:
        yield found
    finally:
        for each in found:
            each.ending.set()
        for each in found:
            each.thread.join()


def part(command: Command, name: str) -> psutil.Process | None:
    """The process of this part; None while there is none."""
    for child in command.children():
        try:
            called = Path(f"/proc/{child.pid}/comm").read_text().strip()
        except OSError:
            continue
        if called == f"mon:{name}":
            return child
    return None


def replace(command: Command, name: str) -> None:
    """Restart one part as an operator does, and wait until another process does its work."""
    old = part(command, name)
    assert old is not None
    if name == "api":
        before = set(old.children())
        old.send_signal(signal.SIGHUP)
        wait_for(lambda: old.children() and not any(living(each) for each in before))
    else:
        old.send_signal(signal.SIGTERM)
        wait_for(lambda: not living(old) and part(command, name) is not None)


def stored(command: Command) -> int:
    """How many events of the service a query finds."""
    connection = http.client.HTTPConnection("127.0.0.1", command.port, timeout=30)
    key = (command.data / "admin.key").read_text().strip()
    connection.request("GET", "/api/v1/logs/stats?query=service:roll&start=-1h&group_by=service&aggregate=count",
                       headers={"Authorization": f"Bearer {key}"})  # fmt: skip
    answer = json.loads(connection.getresponse().read())
    connection.close()
    return sum(int(row["values"]["count"]) for row in answer["rows"])


def flows(threads: list[Posting]) -> None:
    """Wait until each thread has had some more answers."""
    before = [len(each.acknowledged) + len(each.failed) for each in threads]
    wait_for(lambda: all(len(each.acknowledged) + len(each.failed) > was + 5
                         for each, was in zip(threads, before, strict=True)))  # fmt: skip


def test_a_rolling_restart_under_load_fails_no_request_and_loses_and_doubles_nothing(run: Run) -> None:
    command = run("up", MONITORING_RATE_KEY="0", MONITORING_RATE_ADDRESS="0").ready()
    url = (command.data / "bus.url").read_text().strip()
    service = subprocess.Popen(
        [sys.executable, "-c", SERVICE], env={**os.environ, "MONITORING_BUS_URL": url}, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    with posting(command) as threads:
        flows(threads)
        for name in PARTS * int(os.environ.get("ROLLING_RESTARTS", "1")):
            replace(command, name)
            flows(threads)
    said, _ = service.communicate(timeout=60)
    assert [each.failed for each in threads] == [[], [], []]
    expected = [message for each in threads for message in each.acknowledged]
    expected += [f"sdk {number}" for number in range(int(said))]
    assert command.get("/readyz") == 200
    wait_for(lambda: stored(command) >= len(expected))
    assert command.end() == 0
    assert command.left() == []
    assert "SIGKILL" not in command.complained()
    with LogStore(command.data, partitions=2) as store:
        found = Counter(store.messages("service:roll"))
    assert found == Counter(expected)

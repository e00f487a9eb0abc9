"""Serving: a reload drops no request, and clients that send byte by byte keep nobody else out."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack

import psutil
import pytest
import requests

from tests.instance import Instance


class Api:
    """A running `monitoring api` of an instance."""

    def __init__(self, instance: Instance, program: Sequence[str] = ("-m", "monitoring")) -> None:
        clean = {name: text for name, text in os.environ.items() if not name.startswith(("MONITORING_", "REDIS_URL"))}
        own = {"MONITORING_DATA_DIR": str(instance.data), "MONITORING_BUS_URL": instance.url, "MONITORING_PORT": "0",
               "MONITORING_DISK_RESERVE": "0"}  # fmt: skip
        self.process = subprocess.Popen(
            [sys.executable, *program, "api"], env=clean | own, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        match = re.search(r"http://([\d.]+):(\d+)", self.process.stdout.readline())
        assert match
        self.address = (match[1], int(match[2]))
        self.url = match[0]
        self.key = instance.keys["admin"]

    def workers(self) -> set[int]:
        return {child.pid for child in psutil.Process(self.process.pid).children()}

    def stop(self) -> int:
        self.process.terminate()
        assert self.process.stdout is not None
        self.process.stdout.close()
        return self.process.wait(20)


@pytest.fixture
def api(instance: Instance) -> Iterator[Api]:
    made = Api(instance)
    yield made
    assert made.stop() == 0


def test_a_reload_under_load_drops_no_request(api: Api) -> None:
    stop = threading.Event()
    answered: list[int] = []
    failed: list[str] = []

    def ask(keep: bool) -> None:
        with requests.Session() as session:
            session.headers.update({"Authorization": f"Bearer {api.key}"})
            while not stop.is_set():
                try:
                    if keep:
                        answer = session.post(f"{api.url}/api/v1/logs", data=b'{"message":"x"}', timeout=20)
                    else:
                        answer = requests.get(f"{api.url}/api/v1/logs?limit=1", headers=session.headers, timeout=20)
                except requests.RequestException as error:
                    failed.append(repr(error))
                else:
                    answered.append(answer.status_code)

    threads = [threading.Thread(target=ask, args=(number % 2 == 0,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for _ in range(2):
        before, count = api.workers(), len(answered)
        ends = time.monotonic() + 20
        while len(answered) < count + 20 and time.monotonic() < ends:
            time.sleep(0.01)
        api.process.send_signal(signal.SIGHUP)
        while api.workers() & before or not api.workers():
            assert time.monotonic() < ends
            time.sleep(0.02)
    stop.set()
    for thread in threads:
        thread.join()
    assert failed == []
    assert set(answered) == {200, 202}


def test_clients_that_send_a_header_byte_by_byte_keep_nobody_out(api: Api) -> None:
    with ExitStack() as opened:
        slow = [opened.enter_context(socket.create_connection(api.address, timeout=20)) for _ in range(60)]
        for connection in slow:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        stop = threading.Event()

        def trickle() -> None:
            while not stop.wait(0.2):
                for connection in slow:
                    try:
                        connection.sendall(b"x")
                    except OSError:
                        continue

        thread = threading.Thread(target=trickle)
        thread.start()
        try:
            assert requests.get(f"{api.url}/healthz", timeout=30).status_code == 200
        finally:
            stop.set()
            thread.join()


_IMPATIENT = """
from monitoring.cli import main, webworker
webworker.BODY_SECONDS = 1.0
main()
"""


def test_clients_that_send_a_body_byte_by_byte_are_cut_off_and_keep_nobody_out(instance: Instance) -> None:
    api = Api(instance, ("-c", _IMPATIENT))
    stop = threading.Event()
    with ExitStack() as opened:
        slow = [opened.enter_context(socket.create_connection(api.address, timeout=20)) for _ in range(60)]
        for connection in slow:
            connection.sendall(
                b"POST /api/v1/logs HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n"
                b"Authorization: Bearer " + api.key.encode() + b"\r\n\r\n"
            )

        def trickle() -> None:
            while not stop.wait(0.2):
                for connection in slow:
                    try:
                        connection.sendall(b"x")
                    except OSError:
                        continue

        thread = threading.Thread(target=trickle)
        thread.start()
        try:
            assert slow[0].recv(4096).startswith(b"HTTP/1.1 400")
            assert requests.get(f"{api.url}/healthz", timeout=30).status_code == 200
        finally:
            stop.set()
            thread.join()
    assert api.stop() == 0

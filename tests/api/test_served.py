"""The whole product served for real: gunicorn, workers, embedded bus; curl and plain sockets as clients."""

from __future__ import annotations

import contextlib
import gzip
import os
import re
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
import psutil
import pytest
import requests

from monitoring.pipeline.store.catalog import CATALOG_FILE, Catalog
from monitoring.pipeline.store.control import Control
from monitoring.pipeline.store.keys import Keys
from monitoring.pipeline.store.verify import verify
from tests.alarm import an_alert
from tests.api.test_docs import sections
from tests.frames import Sender, event

QUEUE_RULE = """
rules:
  - name: Queue long
    kind: metric
    expr: shop_queue_length
    operator: ">"
    threshold: 100
    interval: 5s
    channels: [nobody]
    annotations: {summary: "{{ labels.queue }}: {{ value }} wait"}
"""
LANE = "0123456789abcdef" * 2
KILLS = int(os.environ.get("MONITORING_TEST_KILLS", "4"))
"""Of the API's processes while clients send; each costs a second of CPU. Forty are the long form."""


class Served:
    """A running `monitoring up` on a free port."""

    def __init__(self, data: Path) -> None:
        self.data = data
        clean = {name: text for name, text in os.environ.items() if not name.startswith(("MONITORING_", "REDIS_URL"))}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "monitoring", "up"],
            env={**clean, "MONITORING_DATA_DIR": str(data), "MONITORING_PORT": "0", "MONITORING_MAX_BODY": "2mb",
                 "MONITORING_DISK_RESERVE": "0"},
            stdout=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        first = self.process.stdout.readline()
        match = re.search(r"http://\S+", first)
        assert match, first
        self.url = match[0].rstrip("/")
        self.key = (data / "admin.key").read_text().strip()
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {self.key}"

    def post(self, body: Any, **headers: str) -> requests.Response:
        return self.session.post(f"{self.url}/api/v1/logs", data=body, headers=headers, timeout=30)

    def search(self, query: str, count: int) -> list[dict[str, Any]]:
        """Events that match, once there are so many."""
        ends = time.monotonic() + 30
        while True:
            answer = self.session.get(f"{self.url}/api/v1/logs", params={"query": query, "limit": "10000"}, timeout=30)
            assert answer.status_code == 200, answer.text
            events: list[dict[str, Any]] = answer.json()["events"]
            if len(events) >= count or time.monotonic() > ends:
                return events
            time.sleep(0.05)

    def stop(self) -> int:
        self.session.close()
        self.process.terminate()
        status = self.process.wait(20)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return status


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    made = Served(tmp_path_factory.mktemp("served") / "data")
    yield made
    assert made.stop() == 0


def test_the_examples_of_the_documentation_work_as_they_stand(served: Served, tmp_path: Path) -> None:
    served.post(b'{"message":"for the examples"}\nbroken')
    event_id = served.search('"for the examples"', 1)[0]["id"]
    letters: list[dict[str, Any]] = []
    while not letters:
        letters = served.session.get(f"{served.url}/api/v1/dead-letters", timeout=30).json()["dead_letters"]
    throwaway = Keys(Control(served.data / "control.db")).create("throwaway", "viewer")[0]
    alert, silence = an_alert(served.data / "control.db")
    frame = Sender(LANE, created=time.time_ns()).frame([event(1)])
    (tmp_path / "frames.bin").write_bytes(frame.to_record())
    environment = {
        "PATH": os.environ["PATH"],
        "MONITORING_URL": served.url,
        "KEY": served.key,
        "EVENT_ID": event_id,
        "LANE": LANE,
        "KEY_PREFIX": throwaway.prefix,
        "LETTER_ID": letters[0]["id"],
        "ALERT_ID": alert,
        "SILENCE_ID": silence,
    }
    for section in sections():
        for example in section.examples:
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", example],
                env=environment,
                cwd=tmp_path,
                capture_output=True,
                text=True,
            )
            if section.path.endswith("/replay"):  # "broken" stays broken
                assert '"status":422' in done.stdout
            else:
                assert done.returncode == 0, (section.path, done.stdout, done.stderr)
    assert [found["service"] for found in served.search('"order placed"', 1)] == ["shop"]


def test_a_gauge_of_a_service_above_its_threshold_becomes_an_alert_and_a_notice(served: Served, tmp_path: Path) -> None:
    (served.data / "rules").mkdir()
    (served.data / "rules" / "queue.yaml").write_text(QUEUE_RULE)
    program = """
        import time
        from monitoring.startup import start_monitoring_with_config
        start_monitoring_with_config()
        from monitoring import gauge
        gauge("shop_queue_length", labels=("queue",)).set(120, queue="mail")
        time.sleep(60)
    """
    clean = {name: text for name, text in os.environ.items() if not name.startswith("MONITORING_")}
    service = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)],
        env={**clean, "MONITORING_BUS_URL": (served.data / "bus.url").read_text().strip(), "MONITORING_SERVICE": "shop",
             "MONITORING_METRICS_INTERVAL": "0.5", "MONITORING_COLLECTORS": "none"},
    )  # fmt: skip
    try:
        ends = time.monotonic() + 60
        found: list[dict[str, Any]] = []
        while not found and time.monotonic() < ends:
            answer = served.session.get(f"{served.url}/api/v1/alerts", params={"rule": "Queue long"}, timeout=30)
            found = answer.json()["alerts"]
            time.sleep(0.2)
    finally:
        service.kill()
        service.wait()
    assert [(alert["state"], alert["value"], alert["labels"]["queue"]) for alert in found] == [("active", 120, "mail")]
    assert found[0]["summary"] == "mail: 120 wait"
    with contextlib.closing(Control(served.data / "control.db")) as control:
        rows = control.rows("SELECT channel, event FROM outbox WHERE key LIKE ?", f"{found[0]['id']}:%")
    assert ("nobody", "firing") in rows


def test_a_chunked_body_is_read_like_any_other(served: Served) -> None:
    pieces = (b'{"message":"chunk %d"}\n' % number for number in range(50))
    answer = served.post(pieces)
    assert (answer.status_code, answer.json()["accepted"]) == (202, 50)
    assert len(served.search("chunk", 50)) == 50


@pytest.mark.parametrize("head", [b"Content-Length: 1000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n18\r\n"])
def test_a_body_that_was_cut_off_is_not_accepted(served: Served, head: bytes) -> None:
    address = urlsplit(served.url)
    assert address.hostname is not None
    with socket.create_connection((address.hostname, address.port or 0), timeout=20) as connection:
        connection.sendall(
            b"POST /api/v1/logs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "
            + served.key.encode()
            + b"\r\n"
            + head
            + b'{"message":"torn away"}\n'
        )
        connection.shutdown(socket.SHUT_WR)
        answer = connection.recv(65536)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400")
    served.post(b'{"message":"marker after the torn one"}')
    served.search('"marker after the torn one"', 1)
    assert served.search('"torn away"', 0) == []


def test_bombs_and_oversized_bodies_are_told_so_with_bounded_memory(served: Served, tmp_path: Path) -> None:
    api = [child for child in psutil.Process(served.process.pid).children(recursive=True) if _is_server(child)]
    assert api
    served.post(b'{"message":"warm"}')
    before = sum(child.memory_info().rss for child in api)
    bomb = tmp_path / "bomb"
    bomb.write_bytes(gzip.compress(gzip.compress(bytes(200 << 20))))
    plain = tmp_path / "plain"
    plain.write_bytes(b"x" * (8 << 20))
    for file, encoding in ((bomb, "gzip, gzip"), (plain, "identity")) * 10:
        command = ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}",
                   "-H", f"Authorization: Bearer {served.key}",
                   "-H", f"Content-Encoding: {encoding}", "--data-binary", f"@{file}",
                   f"{served.url}/api/v1/logs"]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.stdout == "413", (encoding, done.stdout, done.stderr)
    assert sum(child.memory_info().rss for child in api) - before < 64 << 20


def _is_server(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):  # work-horses come and go
        return any(connection.status == psutil.CONN_LISTEN for connection in process.net_connections("tcp"))
    return False


def test_an_oversized_body_of_a_client_that_does_not_wait_is_answered_all_the_same(served: Served) -> None:
    """Python's client sends all of it before it reads: the answer must not be lost to a reset connection."""
    answer = served.post(b"x" * (8 << 20))
    assert answer.status_code == 413


def test_many_clients_at_once_lose_and_double_nothing(served: Served) -> None:
    def send(client: int) -> None:
        with requests.Session() as session:
            for batch in range(10):
                body = b"\n".join(
                    orjson.dumps({"message": "crowd", "n": client * 1000 + batch * 100 + number})
                    for number in range(20)
                )
                headers = {"Authorization": f"Bearer {served.key}"}
                answer = session.post(f"{served.url}/api/v1/logs", data=body, headers=headers, timeout=30)
                assert answer.json() == {"accepted": 20, "rejected": []}

    threads = [threading.Thread(target=send, args=(client,)) for client in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = [item["attributes"]["n"] for item in served.search("crowd", 2400)]
    assert len(found) == 2400
    assert len(set(found)) == 2400


def test_header_and_path_tricks_are_refused_without_a_server_error(served: Served) -> None:
    address = urlsplit(served.url)
    assert address.hostname is not None
    for raw in (
        b"GET /api/v1/logs?query=%0d%0aSet-Cookie:%20x HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /api/v1/logs/..%2f..%2fcontrol.db HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX-Request-Id: a\r\n b\r\n\r\n",
        b"GET /%ff%fe HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /api/v1/logs HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST /api/v1/logs HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"\x00\x01\x02\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
        b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 300 + b"\r\n",
    ):
        authorized = raw.replace(b"Host: x\r\n", b"Host: x\r\nAuthorization: Bearer " + served.key.encode() + b"\r\n")
        with socket.create_connection((address.hostname, address.port or 0), timeout=20) as connection:
            connection.sendall(authorized)
            connection.shutdown(socket.SHUT_WR)
            answer = connection.recv(65536)
        head = answer.partition(b"\r\n\r\n")[0]
        assert not answer.startswith(b"HTTP/1.1 5"), (raw, answer)
        assert b"Set-Cookie" not in head
        assert b"root:" not in answer
        if not answer.startswith(b"HTTP/1.1 2"):
            assert b"Content-Type: application/problem+json" in head, (raw, answer)
            assert b"X-Content-Type-Options: nosniff" in head
            assert re.search(rb"X-Request-Id: [0-9a-f]{32}", head)
    assert served.session.get(f"{served.url}/healthz", timeout=30).status_code == 200


def test_every_batch_is_stored_once_although_the_api_is_killed_again_and_again(tmp_path: Path) -> None:
    """Each client repeats a batch, under one Idempotency-Key, until it is answered 202.

    Killed is whatever has the port open, which drains do too: they are forked from the same parent.
    """
    served = Served(tmp_path / "data")
    clients, batches, size = 4, 40, 10
    stop = threading.Event()

    def send(client: int) -> None:
        for batch in range(batches):
            first = (client * batches + batch) * size
            body = b"\n".join(orjson.dumps({"message": "kept", "n": first + number}) for number in range(size))
            headers = {"Authorization": f"Bearer {served.key}", "Idempotency-Key": f"{client}/{batch}"}
            while not stop.is_set():
                try:
                    answer = requests.post(f"{served.url}/api/v1/logs", data=body, headers=headers, timeout=30)
                except requests.RequestException:
                    time.sleep(0.02)
                    continue
                if answer.status_code == 202:
                    assert answer.json() == {"accepted": size, "rejected": []}
                    break
                assert answer.status_code == 503, answer.text
                time.sleep(0.1)

    threads = [threading.Thread(target=send, args=(client,)) for client in range(clients)]
    for thread in threads:
        thread.start()
    kills = 0
    while any(thread.is_alive() for thread in threads) and kills < KILLS:
        time.sleep(0.3)
        for child in psutil.Process(served.process.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if _is_server(child) and child.ppid() != served.process.pid:
                    child.kill()
                    kills += 1
    for thread in threads:
        thread.join(60)
    stop.set()
    assert kills
    found = sorted(item["attributes"]["n"] for item in served.search("kept", clients * batches * size))
    assert found == list(range(clients * batches * size))
    assert served.stop() == 0
    with contextlib.closing(Catalog(tmp_path / "data" / CATALOG_FILE)) as catalog:
        assert verify(catalog).findings == []


def test_an_export_is_streamed_whole(served: Served) -> None:
    served.post(b"\n".join(b'{"message":"exported %d"}' % number for number in range(5000)))
    assert len(served.search("exported", 5000)) == 5000
    address = f"{served.url}/api/v1/logs/export"
    with served.session.get(address, params={"query": "exported"}, stream=True, timeout=30) as answer:
        assert answer.headers["Transfer-Encoding"] == "chunked"
        numbers = [int(orjson.loads(line)["message"].split()[1]) for line in answer.iter_lines()]
    assert sorted(numbers) == list(range(5000))


def test_an_open_stream_does_not_keep_the_server_from_stopping(tmp_path: Path) -> None:
    made = Served(tmp_path / "data")
    with made.session.get(f"{made.url}/api/v1/logs/tail", stream=True, timeout=30) as answer:
        lines = answer.iter_lines()
        assert next(lines) == b"retry: 2000"
        made.post(b'{"message":"before the end"}')
        assert any(b"before the end" in line for line in lines)
        assert made.stop() == 0
        with contextlib.suppress(requests.RequestException):  # the connection may be cut
            assert list(lines) is not None

"""Under gunicorn: files go out by sendfile as ever, a client that leaves is noted, records arrive on the bus."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import requests

from monitoring.pipeline.bus.streams import Streams, connect
from tests.producers.support import wait_for
from tests.producers.test_sdk import events_on

ROOT = Path(__file__).parents[2]
APPLICATION = """
from pathlib import Path
from monitoring.producers.wsgi import MonitoringWSGI
from monitoring.startup import start_monitoring_with_config

start_monitoring_with_config(service="files")

def serve(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/fail":
        raise ValueError("no such file")
    if path == "/file":
        start_response("200 OK", [("Content-Length", "3000000")])
        return environ["wsgi.file_wrapper"](Path("big").open("rb"))
    start_response("200 OK", [("Content-Length", "1000000000")])  # more than any socket takes in
    return (b"x" * 100_000 for _ in range(10_000))

application = MonitoringWSGI(serve)
"""


@pytest.fixture
def address(tmp_path: Path, valkey: str) -> Iterator[tuple[str, int]]:
    """Host and port where one worker serves."""
    Streams(connect(valkey)).announce({"logs": 1}, "test")
    (tmp_path / "served.py").write_text(APPLICATION)
    (tmp_path / "big").write_bytes(b"x" * 3_000_000)
    process = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "-b", "127.0.0.1:0", "--no-control-socket", "served"],
        cwd=tmp_path,
        env={
            "PATH": "",
            "HOME": str(tmp_path),
            "PYTHONPATH": str(ROOT),
            "MONITORING_BUS_URL": valkey,
            "MONITORING_DATA_DIR": str(tmp_path),
            "MONITORING_COLLECTORS": "none",
        },
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if found := re.search(r"Listening at: http://([\d.]+):(\d+)", line):
                yield found[1], int(found[2])
                break
        else:
            pytest.fail("gunicorn did not start")
        process.send_signal(signal.SIGTERM)
        process.stderr.read()
        process.wait(30)
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def records(url: str, count: int) -> list[dict[str, Any]]:
    """The requests' attributes and exceptions, once there are so many."""

    def found() -> list[dict[str, Any]]:
        events = [event for event in events_on(url) if event.logger == "monitoring.request"]
        return [{**orjson.loads(event.attributes), "exception": event.exception} for event in events]

    wait_for(lambda: len(found()) >= count)
    return found()


def test_files_failures_and_clients_that_leave(address, valkey):
    host, port = address
    assert len(requests.get(f"http://{host}:{port}/file", timeout=20).content) == 3_000_000
    assert requests.get(f"http://{host}:{port}/fail", timeout=20).status_code == 500
    with socket.create_connection(address, timeout=20) as leaving:
        leaving.sendall(b"GET /parts HTTP/1.1\r\nHost: x\r\n\r\n")
        assert leaving.recv(1000)
    sent, failed, left = records(valkey, 3)
    assert (sent["route"], sent["response_bytes"], sent["status"]) == ("/file", 3_000_000, 200)
    assert "aborted" not in sent
    assert "no such file" in failed["exception"]
    assert left["aborted"] is True
    assert 0 < left["response_bytes"] < 1_000_000_000
    others = [event for event in events_on(valkey) if event.exception and event.logger != "monitoring.request"]
    assert others == []  # gunicorn's own line about the exception is on its log, and not told twice

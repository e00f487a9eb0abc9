"""`monitoring listen` as people run it, with the senders that they have: util-linux' logger and rsyslog."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from monitoring.pipeline.bus.frame import Frame, decode_payload
from monitoring.pipeline.bus.streams import Streams, connect
from monitoring.pipeline.events.event import Event

STREAM = "monitoring:{logs:0}"
RSYSLOGD = shutil.which("rsyslogd") or shutil.which("/usr/sbin/rsyslogd")
LOGGER = shutil.which("logger")


def wait_for(condition: Callable[[], object], seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


class Listening:
    """`monitoring listen` in the background, on free ports."""

    def __init__(self, tmp_path: Path, url: str) -> None:
        self.streams = Streams(connect(url))
        self.streams.announce({"logs": 1}, "0" * 32)
        self.output, self.errors = tmp_path / "listen.out", tmp_path / "listen.err"
        kept = {name: text for name, text in os.environ.items() if not name.startswith(("MONITORING_", "REDIS_URL"))}
        environment = {**kept, "MONITORING_DATA_DIR": str(tmp_path / "data"), "MONITORING_BUS_URL": url}
        with self.output.open("wb") as output, self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "monitoring", "listen", "--udp", "127.0.0.1:0", "--tcp", "127.0.0.1:0"],
                env=environment,
                stdout=output,
                stderr=errors,
                stdin=subprocess.DEVNULL,
            )
        wait_for(lambda: "Ctrl-C" in self.output.read_text() or self.process.poll() is not None)
        assert self.process.poll() is None, self.errors.read_text()
        self.ports = dict(re.findall(r"(udp|tcp) 127\.0\.0\.1:(\d+)", self.output.read_text()))

    def events(self, count: int) -> list[Event]:
        """The events on the bus, once there are so many."""
        wait_for(lambda: len(self._read()) >= count)
        return self._read()

    def _read(self) -> list[Event]:
        found: list[Event] = []
        for entry in self.streams.read({STREAM: "0"}, count=1000, block_ms=None).get(STREAM, []):
            number, columns, _ = decode_payload(Frame.from_fields(entry.fields))
            spelt = [column if type(column) is list else [column] * number for column in columns]
            found += [Event(*row) for row in zip(*spelt, strict=True)]
        return found

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@pytest.fixture
def listening(tmp_path: Path, valkey: str) -> Iterator[Listening]:
    made = Listening(tmp_path, valkey)
    yield made
    made.process.kill()
    made.process.wait()
    made.streams.client.close()


@pytest.mark.skipif(LOGGER is None, reason="util-linux' logger is not installed")
def test_what_logger_sends_over_udp_and_tcp_arrives(listening: Listening) -> None:
    for way, form, text in (("udp", "--rfc3164", "old and short"), ("tcp", "--rfc5424", "new and sure")):
        address = ["--server", "127.0.0.1", "--port", listening.ports[way], f"--{way}"]
        subprocess.run([str(LOGGER), *address, form, "-t", "shop", "-p", "local3.err", text], check=True, timeout=30)
    events = listening.events(2)
    assert sorted((event.message, event.service, event.level) for event in events) == [
        ("new and sure", "shop", 17),
        ("old and short", "shop", 17),
    ]
    assert all('"facility":"local3"' in event.attributes for event in events)
    assert listening.end() == 0
    assert "2 events, 0 rejected, 0 dropped" in listening.output.read_text()


@pytest.mark.skipif(RSYSLOGD is None or LOGGER is None, reason="rsyslogd (Debian: rsyslog) is not installed")
def test_what_rsyslog_forwards_arrives_once_in_both_framings(listening: Listening, tmp_path: Path) -> None:
    devlog, config = tmp_path / "devlog", tmp_path / "rsyslog.conf"
    target = f'type="omfwd" target="127.0.0.1" port="{listening.ports["tcp"]}" protocol="tcp"'
    config.write_text(
        f"""global(workDirectory="{tmp_path}")
module(load="imuxsock" SysSock.Use="off")
input(type="imuxsock" Socket="{devlog}")
if $programname == "counted" then action({target} TCP_Framing="octet-counted" template="RSYSLOG_SyslogProtocol23Format")
if $programname == "lines" then action({target} template="RSYSLOG_ForwardFormat")
"""
    )
    daemon = subprocess.Popen(
        [str(RSYSLOGD), "-n", "-f", str(config), "-i", str(tmp_path / "rsyslog.pid")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        wait_for(lambda: devlog.exists() or daemon.poll() is not None)
        assert daemon.poll() is None, daemon.stderr and daemon.stderr.read()
        for tag in ("counted", "lines"):
            for number in range(20):
                subprocess.run(
                    [str(LOGGER), "-u", str(devlog), "-t", tag, "-p", "user.warning", f"{tag} {number}"],
                    check=True,
                    timeout=30,
                )
        events = listening.events(40)
    finally:
        daemon.terminate()
        daemon.communicate(timeout=30)
    expected = [f"{tag} {number}" for tag in ("counted", "lines") for number in range(20)]
    assert sorted(event.message for event in events) == sorted(expected)
    assert {(event.service, event.level) for event in events} == {("counted", 13), ("lines", 13)}
    assert all(event.host for event in events)


def test_what_was_sent_right_before_a_stop_is_kept(listening: Listening) -> None:
    with socket.create_connection(("127.0.0.1", int(listening.ports["tcp"]))) as client:
        client.sendall(b"<34>last words")
        assert listening.end() == 0
    assert [event.message for event in listening.events(1)] == ["last words"]


def test_a_port_that_is_taken_and_tls_without_a_key_are_said(listening: Listening, tmp_path: Path) -> None:
    environment = {**os.environ, "MONITORING_DATA_DIR": str(tmp_path), "MONITORING_BUS_URL": "redis://127.0.0.1:1"}
    for arguments, status, said in (
        (["--tcp", listening.ports["tcp"]], 1, "already"),
        (["--tcp", "x"], 2, "port"),
        (["--tls", "0"], 2, "--cert"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "monitoring", "listen", *arguments],
            env=environment, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert (done.returncode, said in done.stderr) == (status, True), done.stderr

"""Debian's `prometheus`, started for a test: samples go in by remote write, answers come out of its HTTP API."""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from monitoring.pipeline.query.promql.source import Samples

BINARY = Path("/usr/bin/prometheus")


def _varint(number: int) -> bytes:
    number &= (1 << 64) - 1
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)


def _field(number: int, payload: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(payload)) + payload


def _sample(time_ms: int, value: float) -> bytes:
    return b"\x09" + struct.pack("<d", value) + b"\x10" + _varint(time_ms)


def _timeseries(series: Samples) -> bytes:
    labels = b"".join(
        _field(1, _field(1, name.encode()) + _field(2, value.encode())) for name, value in sorted(series.labels.items())
    )
    pairs = zip(series.times.tolist(), series.values.tolist(), strict=True)
    return labels + b"".join(_field(2, _sample(at, value)) for at, value in pairs)


def write_request(series: Sequence[Samples]) -> bytes:
    """The body of a remote write: protobuf in snappy's block format, all of it literals."""
    message = b"".join(_field(1, _timeseries(one)) for one in series)
    block = _varint(len(message))
    for start in range(0, len(message), 1 << 16):
        piece = message[start : start + (1 << 16)]
        block += b"\xf4" + struct.pack("<H", len(piece) - 1) + piece
    return block


class Reply(NamedTuple):
    """What Prometheus says: data, or the text of an error."""

    data: Any
    error: str


class Prometheus(NamedTuple):
    """A running server."""

    url: str

    def write(self, series: Sequence[Samples]) -> None:
        """Add samples."""
        headers = {"Content-Encoding": "snappy", "X-Prometheus-Remote-Write-Version": "0.1.0"}
        request = urllib.request.Request(f"{self.url}/api/v1/write", write_request(series), headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            assert answer.status in (200, 204)

    def ask(self, path: str, **parameters: object) -> Reply:
        """A query."""
        body = urllib.parse.urlencode(parameters).encode()
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/{path}", body, timeout=60) as answer:
                return Reply(json.load(answer)["data"], "")
        except urllib.error.HTTPError as refused:
            return Reply(None, json.load(refused)["error"])


def _ready(url: str, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, "prometheus ended"
    try:
        with urllib.request.urlopen(f"{url}/-/ready", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@contextmanager
def running(directory: Path) -> Iterator[Prometheus]:
    """A server with its data in the directory, for as long as the block runs."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    config = directory / "prometheus.yml"
    config.write_text("scrape_configs: []\n")
    command = [
        str(BINARY),
        f"--config.file={config}",
        f"--storage.tsdb.path={directory / 'data'}",
        "--storage.tsdb.retention.time=100y",
        f"--web.listen-address=127.0.0.1:{port}",
        "--web.enable-remote-write-receiver",
    ]
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}"
        end = time.monotonic() + 60
        while not _ready(url, process):
            assert time.monotonic() < end, (directory / "log").read_text()
            time.sleep(0.05)
        yield Prometheus(url)
    finally:
        process.terminate()
        process.wait(30)

"""Alert rules over what the producers of metrics count, and the webhook that is told of them."""

from __future__ import annotations

import http.client
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.faults.alarm_checker import LEVELS, SHARDS, TOLD, rule_name
from tests.faults.metric_checker import FAMILY

__all__ = ["CHANNEL", "Webhook", "make_channel", "rules_text"]

CHANNEL = "faults"


def rules_text() -> str:
    """The file of rules; JSON is YAML. They look a day back, for the clock jumps by hours."""
    series = f'{FAMILY}_total{{shard=~"{"|".join(SHARDS)}"}}'
    rules = [
        {
            "name": rule_name(level), "kind": "metric", "interval": "5s", "no_data": "keep", "channels": [CHANNEL],
            "expr": f"max by (service, shard) (max_over_time({series}[1d])) > {level}",
        }
        for level in LEVELS
    ]  # fmt: skip
    return json.dumps({"rules": rules})


class Webhook:
    """Takes what is sent to it and writes it down before it answers."""

    def __init__(self, journals: Path) -> None:
        self._file = (journals / TOLD).open("ab")
        lock = threading.Lock()
        file = self._file

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with lock:
                    file.write(json.dumps(json.loads(body)).encode() + b"\n")
                    file.flush()
                    os.fsync(file.fileno())
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/told"

    def close(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._file.close()


def make_channel(port: int, key_file: Path, url: str) -> bool:
    """Have the product tell this URL; False where its API does not answer yet."""
    config = {"url": url, "rate_per_minute": 6000}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10.0)
    try:
        headers = {"Authorization": f"Bearer {key_file.read_text().strip()}"}
        body = json.dumps({"kind": "webhook", "config": config})
        connection.request("PUT", f"/api/v1/channels/{CHANNEL}", body, headers)
        answer = connection.getresponse()
        text = answer.read()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    if answer.status not in (200, 201):
        raise RuntimeError(f"PUT of the channel: {answer.status} {text!r}")
    return True

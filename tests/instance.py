"""An instance for tests: data directory, real bus, keys of every role, the application, a drain on demand."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from monitoring.api.app import create_app
from monitoring.api.runtime import Runtime
from monitoring.consumers.drain import Drain
from monitoring.pipeline import settings
from monitoring.pipeline.bus.streams import Streams, connect
from monitoring.pipeline.settings import Settings
from monitoring.pipeline.store.catalog import CATALOG_FILE, Catalog
from monitoring.pipeline.store.control import FILE_NAME, Control
from monitoring.pipeline.store.keys import ROLES, Keys, ensure_admin_key

PARTITIONS = 2


class Instance:
    """What `monitoring up` would have prepared, with the application in this process."""

    def __init__(self, data: Path, url: str, **environment: str) -> None:
        self.url = url
        self.settings: Settings = settings.load(
            {
                "MONITORING_DATA_DIR": str(data),
                "MONITORING_BUS_URL": url,
                "MONITORING_DISK_RESERVE": "0",
                "MONITORING_RATE_KEY": "0",  # a test asks more often in a second than people in a minute
                "MONITORING_RATE_FAILED": "0",
                **environment,
            }
        )
        self.data = data
        self.catalog = Catalog.create_or_open(data / CATALOG_FILE, partitions=PARTITIONS)
        self.streams = Streams(connect(url))
        self.streams.announce({"logs": PARTITIONS, "metrics": 1}, self.catalog.instance)
        self.keys = {"admin": ensure_admin_key(data)}
        with contextlib.closing(Control(data / FILE_NAME)) as control:
            table = Keys(control)
            self.keys |= {role: table.create(f"{role}-key", role)[1] for role in ROLES if role != "admin"}
        self.app = create_app(self.settings)
        self.client: FlaskClient = self.app.test_client()

    @property
    def runtime(self) -> Runtime:
        """What the application keeps open."""
        found: Runtime = self.app.extensions["monitoring"]
        return found

    def call(self, method: str, path: str, role: str | None = "admin", **arguments: Any) -> TestResponse:
        """A request with the key of this role."""
        headers = dict(arguments.pop("headers", {}))
        if role is not None:
            headers["Authorization"] = f"Bearer {self.keys[role]}"
        return self.client.open(path, method=method, headers=headers, **arguments)

    def get(self, path: str, role: str | None = "admin", **arguments: Any) -> Any:
        """The JSON of a GET that must succeed."""
        answer = self.call("GET", path, role, **arguments)
        assert answer.status_code == 200, answer.text
        return answer.json

    def post(self, body: bytes, role: str = "ingest", **arguments: Any) -> TestResponse:
        """POST /api/v1/logs."""
        return self.call("POST", "/api/v1/logs", role, data=body, **arguments)

    @contextlib.contextmanager
    def draining(self) -> Iterator[None]:
        """A drain in a thread of its own, for as long as the block runs."""
        stopping = threading.Event()

        def drain() -> None:
            drain = Drain(self.settings)
            while not stopping.is_set():
                drain.step()
            drain.close()

        thread = threading.Thread(target=drain)
        thread.start()
        try:
            yield
        finally:
            stopping.set()
            thread.join()

    def messages(self, count: int, query: str = "") -> list[str]:
        """Messages of the events that match, oldest first, once there are so many."""
        ends = time.monotonic() + 30
        while True:
            found = self.get("/api/v1/logs", query_string={"query": query, "order": "oldest", "limit": "10000"})
            if len(found["events"]) >= count or time.monotonic() > ends:
                return [event["message"] for event in found["events"]]
            time.sleep(0.02)

    def close(self) -> None:
        """Let go of everything."""
        self.runtime.close()
        self.catalog.close()
        self.streams.client.close()

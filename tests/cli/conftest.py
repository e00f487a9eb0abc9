"""Fixtures of the command line's tests."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from werkzeug.serving import make_server

from tests.instance import Instance


@pytest.fixture
def instance(tmp_path: Path, valkey: str) -> Iterator[Instance]:
    """An instance of this test's own."""
    made = Instance(tmp_path / "data", valkey)
    yield made
    made.close()


@pytest.fixture
def remote(instance: Instance, tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of somebody who knows the instance by its address only."""
    server = make_server("127.0.0.1", 0, instance.app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield {
        "MONITORING_DATA_DIR": str(tmp_path / "elsewhere"),
        "MONITORING_URL": f"http://127.0.0.1:{server.server_port}/",
        "MONITORING_API_KEY": instance.keys["admin"],
    }
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(params=["here", "over HTTP"])
def there(request: pytest.FixtureRequest, instance: Instance, remote: dict[str, str]) -> dict[str, str]:
    """The environment of a command that talks to the instance: its owner's, and that of somebody elsewhere."""
    local = {"MONITORING_DATA_DIR": str(instance.data), "MONITORING_BUS_URL": instance.url}
    return local if request.param == "here" else remote

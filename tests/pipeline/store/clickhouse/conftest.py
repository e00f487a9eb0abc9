"""The engine, in a process of its own, for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from tests.clickhouse_server import Served, served


@pytest.fixture(scope="session")
def clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with the real engine; each test takes a database of its own from it."""
    if find_spec("chdb") is None or find_spec("clickhouse_connect") is None:
        pytest.skip("the engine is not there: pip install clickhouse-connect chdb")
    with served(tmp_path_factory.mktemp("clickhouse")) as server:
        yield server

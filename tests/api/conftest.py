"""Fixtures of the API's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.instance import Instance


@pytest.fixture
def instance(tmp_path: Path, valkey: str) -> Iterator[Instance]:
    """An instance of this test's own."""
    made = Instance(tmp_path / "data", valkey)
    yield made
    made.close()

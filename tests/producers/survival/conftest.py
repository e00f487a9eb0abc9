"""A bus that has announced itself."""

from __future__ import annotations

import pytest

from tests.producers.survival.support import Bus


@pytest.fixture
def bus(valkey: str) -> Bus:
    """An empty real server that is ours."""
    found = Bus(valkey)
    found.announce()
    return found

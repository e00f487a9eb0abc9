"""Each test of the SDK begins with none started and leaves none behind."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from monitoring.producers import client, context, handler, request_policy, sdk
from monitoring.producers.logger import filter_below
from monitoring.producers.testing import Capture, capture


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    context.clear()
    yield
    sdk.stop(1.0)
    client.install(None)
    handler.release()
    filter_below(0)
    context.clear()
    root.setLevel(level)
    root.handlers[:] = handlers


@pytest.fixture
def captured() -> Iterator[Capture]:
    """What is published within the test, by a process that was not started."""
    with capture() as found:
        yield found
    request_policy.install(None)

"""loguru's messages arrive with their extra fields and exceptions."""

from __future__ import annotations

import pytest
from loguru import logger

from monitoring.producers.loguru import monitoring_sink
from monitoring.producers.testing import capture


@pytest.fixture
def captured():
    logger.remove()
    number = logger.add(monitoring_sink, format="{message}", level=0)
    with capture() as found:
        yield found
    logger.remove(number)


@pytest.mark.parametrize(
    ("level", "name"),
    [("TRACE", "TRACE"), ("DEBUG", "DEBUG"), ("INFO", "INFO"), ("SUCCESS", "INFO"), ("WARNING", "WARNING"),
     ("ERROR", "ERROR"), ("CRITICAL", "FATAL")],
)  # fmt: skip
def test_each_level(captured, level, name):
    logger.log(level, "x")
    assert captured.one("x").level == name


def test_fields_and_exceptions(captured):
    with logger.contextualize(user="ann"):
        try:
            raise ValueError("bad")
        except ValueError:
            logger.bind(order=7).exception("order {} failed", "A-1")
    event = captured.one("order A-1 failed", level="ERROR", user="ann", order=7)
    assert event.exception is not None and event.exception["type"] == "ValueError"
    assert event.logger == __name__


def test_without_a_client_nothing_happens():
    number = logger.add(monitoring_sink, format="{message}", level=0)
    logger.info("x")
    logger.remove(number)

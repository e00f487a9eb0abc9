"""structlog's events arrive once, whichever way structlog is set up."""

from __future__ import annotations

import logging

import pytest
import structlog

from monitoring.producers.structlog import MonitoringProcessor
from monitoring.producers.testing import capture


@pytest.fixture
def captured():
    with capture() as found:
        yield found
    structlog.reset_defaults()


def configure(*processors, **options):
    structlog.reset_defaults()
    structlog.configure(processors=[*processors], cache_logger_on_first_use=False, **options)


def test_an_event_arrives_with_its_fields_and_goes_on_unchanged(captured, capsys):
    configure(structlog.processors.add_log_level, MonitoringProcessor(), structlog.processors.JSONRenderer())
    structlog.get_logger("shop").bind(user="ann").warning("order placed", order=7, request_id="r1")
    event = captured.one("order placed", level="WARNING", user="ann", order=7)
    assert event.request_id == "r1"
    assert '"event": "order placed"' in capsys.readouterr().out


def test_without_a_level_processor_the_method_tells(captured):
    configure(MonitoringProcessor(), structlog.processors.JSONRenderer())
    structlog.get_logger().error("x")
    assert captured.one("x").level == "ERROR"


def test_exceptions_arrive_before_and_after_they_are_rendered(captured):
    configure(MonitoringProcessor(), structlog.processors.format_exc_info, structlog.processors.JSONRenderer())
    try:
        raise ValueError("bad")
    except ValueError:
        structlog.get_logger().exception("first")
        configure(structlog.processors.format_exc_info, MonitoringProcessor(), structlog.processors.JSONRenderer())
        structlog.get_logger().error("second", exc_info=True)
    first = captured.one("first").exception
    assert first is not None and first["type"] == "ValueError"
    assert "ValueError: bad" in captured.one("second").attributes["stack"]


def test_through_the_standard_library_it_arrives_once(captured):
    logging.getLogger("tests.structlog").setLevel(logging.INFO)
    configure(
        structlog.stdlib.filter_by_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        MonitoringProcessor(),
        structlog.stdlib.render_to_log_kwargs,
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    logger = structlog.get_logger("tests.structlog")
    logger.info("once", order=7)
    logger.debug("filtered")
    logging.getLogger("tests.structlog").info("an ordinary one")
    assert captured.messages == ["once", "an ordinary one"]
    assert captured.one("once", order=7).logger == "tests.structlog"


def test_without_the_processor_events_that_go_through_the_standard_library_keep_their_fields(captured):
    logging.getLogger("tests.structlog").setLevel(logging.INFO)
    configure(
        structlog.stdlib.add_log_level,
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    structlog.get_logger("tests.structlog").info("plain", order=7)
    captured.one("plain", level="INFO", order=7)


def test_without_a_client_nothing_happens():
    assert MonitoringProcessor()(None, "info", {"event": "x"}) == {"event": "x"}

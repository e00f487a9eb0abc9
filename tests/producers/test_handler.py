"""The standard library's logging arrives as it is, once, and cannot be wiped away."""

from __future__ import annotations

import logging
import logging.config
import threading

import pytest

from monitoring.pipeline.publish import own_threads
from monitoring.producers import handler
from monitoring.producers.handler import MonitoringHandler


@pytest.fixture
def logger():
    found = logging.getLogger("tests.shop")
    found.setLevel(logging.DEBUG)
    yield found
    found.handlers.clear()
    found.propagate, found.disabled = True, False
    found.setLevel(logging.NOTSET)


def test_a_record_arrives_with_its_extra_fields_and_exception(captured, logger):
    try:
        raise ValueError("bad")
    except ValueError:
        logger.exception("order %d failed", 7, extra={"user": "ann", "request_id": "r1"})
    event = captured.one("order 7 failed", level="ERROR", user="ann")
    assert (event.logger, event.request_id) == ("tests.shop", "r1")
    assert event.exception is not None and event.exception["type"] == "ValueError"


@pytest.mark.parametrize(
    ("number", "level"), [(5, "TRACE"), (10, "DEBUG"), (20, "INFO"), (30, "WARNING"), (50, "FATAL")]
)
def test_levels(captured, logger, number, level):
    logger.setLevel(1)
    logger.log(number, "x")
    assert captured.one("x").level == level


def test_a_logger_that_does_not_propagate_arrives_too(captured, logger):
    logger.propagate = False
    logger.info("x")
    assert captured.messages == ["x"]


def test_dictconfig_does_not_take_it_away(captured, logger):
    logging.config.dictConfig(
        {"version": 1, "disable_existing_loggers": False, "root": {"handlers": [], "level": "DEBUG"}}
    )
    logger.info("still here")
    assert captured.messages == ["still here"]


def test_a_handler_and_the_capture_together_publish_once(captured, logger):
    logger.addHandler(MonitoringHandler())
    logging.getLogger().addHandler(MonitoringHandler())
    logger.info("x")
    assert captured.messages == ["x"]


def test_a_handler_alone_publishes_what_its_filters_and_level_let_through(captured, logger):
    handler.release()
    published = MonitoringHandler(level=logging.WARNING)
    published.addFilter(lambda record: "secret" not in record.getMessage())
    logger.addHandler(published)
    logger.info("too low")
    logger.warning("secret")
    logger.warning("x")
    published.flush()
    published.close()
    logger.warning("after close")
    assert captured.messages == ["x", "after close"]


def test_a_handler_can_be_configured_by_name(captured):
    handler.release()
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {"ours": {"class": "monitoring.MonitoringHandler", "level": "INFO"}},
            "loggers": {"tests.configured": {"handlers": ["ours"], "level": "INFO"}},
        }
    )
    logging.getLogger("tests.configured").info("x")
    assert captured.messages == ["x"]


def test_arguments_that_do_not_fit_are_shown(captured, logger):
    logger.propagate = False  # the test runner's own handler raises for them
    logger.info("%d", "a")
    assert captured.messages == ["'%d' ('a',)"]


def test_the_frameworks_own_output_stays(captured, logger, capsys):
    stream = logging.StreamHandler()
    logger.addHandler(stream)
    logger.info("on the console")
    assert captured.messages == ["on the console"]


def test_what_our_own_threads_log_is_left_out(captured, logger):
    def work() -> None:
        with own_threads.within():
            logger.info("sending")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    logger.info("x")
    assert captured.messages == ["x"]


def test_release_gives_back_what_was_there(logger):
    original = logging.Logger.callHandlers
    handler.capture()
    handler.capture()
    assert handler.is_captured()
    handler.release()
    assert logging.Logger.callHandlers is original
    logger.info("x")  # and nothing is published, for there is no client


def test_release_leaves_somebody_elses_hook_alone(monkeypatch):
    original = logging.Logger.callHandlers
    handler.capture()
    ours = logging.Logger.callHandlers

    def theirs(self: logging.Logger, record: logging.LogRecord) -> None:
        ours(self, record)

    theirs.__module__ = "somebody.else"
    logging.Logger.callHandlers = theirs  # type: ignore[method-assign]
    handler.release()
    assert logging.Logger.callHandlers is theirs
    logging.Logger.callHandlers = ours  # type: ignore[method-assign]
    handler.release()
    assert logging.Logger.callHandlers is original

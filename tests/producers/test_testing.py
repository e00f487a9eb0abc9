"""The capture that applications use in their own tests."""

from __future__ import annotations

import logging

import pytest

from monitoring import bind, get_logger
from monitoring.producers import client, handler
from monitoring.producers.logger import filter_below, threshold
from monitoring.testing import capture


def test_everything_is_kept_in_order_and_can_be_asked_for():
    with capture() as captured:
        bind(request_id="r1")
        get_logger("shop").debug("one", order=1)
        get_logger("shop").info("two", order=2)
        logging.getLogger("old").warning("three", extra={"order": 2})
    assert captured.messages == ["one", "two", "three"]
    assert [event.message for event in captured.find(order=2)] == ["two", "three"]
    assert captured.find("t", level="warn") == [captured.one("three")]
    assert captured.one("one").request_id == "r1"


def test_an_event_that_is_not_alone_is_refused_with_what_there_is():
    with capture() as captured:
        get_logger("shop").info("one")
    with pytest.raises(AssertionError, match=r"0 events match .*'other'.* among \['one'\]"):
        captured.one("other")


def test_afterwards_all_is_as_before():
    filter_below(13)
    with capture() as captured:
        get_logger("shop").info("kept")
    get_logger("shop").info("not kept")
    assert (captured.messages, threshold(), client.active(), handler.is_captured()) == (["kept"], 13, None, False)


def test_captures_nest_each_with_its_own():
    with capture() as outer:
        get_logger("shop").info("a")
        with capture() as inner:
            logging.getLogger("old").warning("b")
        get_logger("shop").info("c")
    assert (outer.messages, inner.messages) == (["a", "c"], ["b"])

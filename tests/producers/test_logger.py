"""The structured logger: what is said becomes an event, whatever it is, and nothing comes back to the caller."""

from __future__ import annotations

import logging

import orjson
import pytest

from monitoring.pipeline.errors import BusFull
from monitoring.pipeline.events.event import Event
from monitoring.producers import client as clients
from monitoring.producers.client import Client, Resource
from monitoring.producers.context import bind, contextual
from monitoring.producers.logger import StructuredLogger, filter_below, from_standard, get_logger
from monitoring.producers.trouble import Trouble


class Kept:
    """An emitter that keeps what it is given."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.error: Exception | None = None

    def emit(self, event: Event) -> bool:
        if self.error is not None:
            raise self.error
        self.events.append(event)
        return True

    def flush(self, timeout_seconds: float = 5.0, ack: str = "store") -> bool:
        return True

    def close(self, timeout_seconds: float = 5.0) -> bool:
        return True


@pytest.fixture
def kept() -> Kept:
    emitter = Kept()
    resource = Resource("shop", "prod", "1.2", "h1")
    clients.install(Client(emitter, resource, trouble=Trouble(write=lambda line: None), now_ns=lambda: 42))
    return emitter


log = get_logger("app.orders")


def test_an_event_has_all_that_is_known(kept):
    bind(request_id="r1", trace_id="t1", user="ann")
    log.info("order placed", order=7)
    (event,) = kept.events
    assert event == Event(
        42, 9, "shop", "prod", "1.2", "app.orders", "h1", "order placed", "t1", "", "r1", "", '{"user":"ann","order":7}'
    )
    assert type(event) is Event


@pytest.mark.parametrize(
    ("method", "level"),
    [("trace", 1), ("debug", 5), ("info", 9), ("warning", 13), ("warn", 13), ("error", 17), ("critical", 21),
     ("fatal", 21), ("exception", 17)],
)  # fmt: skip
def test_each_method_has_its_level(kept, method, level):
    getattr(log, method)("x")
    assert [event.level for event in kept.events] == [level]


@pytest.mark.parametrize(("level", "severity"), [("notice", 10), ("ERROR2", 18), (30, 13), (35, 13), (1, 1), (99, 21)])
def test_a_level_may_be_a_name_or_a_standard_number(kept, level, severity):
    log.log(level, "x")
    assert kept.events[0].level == severity


def test_a_level_that_is_none_is_kept_as_a_field(kept):
    log.log("loud", "x")
    assert (kept.events[0].level, kept.events[0].attributes) == (9, '{"level":"loud"}')


def test_fields_may_bear_any_name(kept):
    log.info("x", self=1, message=2, level=3, args=4, name=5)
    assert orjson.loads(kept.events[0].attributes) == {"self": 1, "message": 2, "level": 3, "args": 4, "name": 5}


def test_messages_may_have_places_for_arguments_and_be_anything(kept):
    log.info("%s of %d", "one", 2)
    log.info("100%")
    log.info("%d", "not a number")
    log.info({"a": 1})
    assert [event.message for event in kept.events] == ["one of 2", "100%", "'%d' ('not a number',)", "{'a': 1}"]


def test_ids_given_as_fields_win_over_the_bound_ones(kept):
    with contextual(request_id="bound", span_id="s"):
        log.info("x", request_id="given", trace_id="t", a=1)
    assert (kept.events[0].request_id, kept.events[0].trace_id, kept.events[0].span_id) == ("given", "t", "s")
    assert kept.events[0].attributes == '{"a":1}'


def test_a_logger_with_fields_of_its_own(kept):
    child = log.bind(shard=3, user="child").bind(more=1)
    with contextual(user="bound"):
        child.info("x")
        child.unbind("user", "more").info("y", shard=4)
    get_logger("app.orders", shard=5).info("z")
    attributes = [orjson.loads(event.attributes) for event in kept.events]
    assert attributes == [{"user": "child", "shard": 3, "more": 1}, {"user": "bound", "shard": 4}, {"shard": 5}]


def test_one_name_one_logger():
    assert get_logger("a") is get_logger("a")
    assert get_logger().name == "root"
    assert repr(get_logger("a")) == "<StructuredLogger a>"


def test_an_exception_comes_with_its_fields_and_stack(kept):
    try:
        raise ValueError("bad")
    except ValueError:
        log.exception("it failed", order=7)
        log.warning("again", exc_info=True)
        log.exception("not this time", exc_info=False)
    log.error("stack", stack_info=True)
    first, second, third, fourth = kept.events
    assert orjson.loads(first.exception)["type"] == "ValueError" and first.attributes == '{"order":7}'
    assert orjson.loads(second.exception)["message"] == "bad"
    assert third.exception == "" == fourth.exception
    assert "test_an_exception_comes" in orjson.loads(fourth.attributes)["stack"].splitlines()[-2]


def test_a_filtered_level_makes_nothing_and_comes_back(kept):
    filter_below(13)
    for method in ("trace", "debug", "info", "warning", "error"):
        getattr(log, method)("x")
    log.log("info", "x")
    assert [event.level for event in kept.events] == [13, 17]
    assert not log.is_enabled_for("info") and log.is_enabled_for("error")
    filter_below(0)
    log.debug("x")
    assert len(kept.events) == 3
    assert StructuredLogger.info.__doc__ == "An event of level INFO."


def test_nothing_raises_but_what_durability_asks_for(kept):
    kept.error = BusFull("the buffer is full")
    with pytest.raises(BusFull):
        log.info("x")
    client = clients.active()
    assert client is not None
    assert client.log(9, "x", "y", {}) is False
    kept.error = RuntimeError("a bug")
    log.info("x")
    assert client.trouble.counts == {"refused": 1, "internal": 1}


def test_without_a_client_the_standard_library_is_used(caplog):
    clients.install(None)
    with caplog.at_level(logging.INFO, "app.orders"):
        log.info("order %d placed", 7, user="ann")
        log.debug("not this")
        try:
            raise ValueError("bad")
        except ValueError:
            log.exception("failed")
    assert [record.getMessage() for record in caplog.records] == ["order 7 placed user='ann'", "failed"]
    assert caplog.records[0].filename == "test_logger.py"
    assert caplog.records[1].exc_info is not None


def test_levels_of_the_standard_library():
    assert [from_standard(number) for number in (0, 5, 10, 20, 25, 30, 40, 50, 60)] == [1, 1, 5, 9, 10, 13, 17, 21, 21]

"""`log_function` tells what functions of every kind do without changing it; `error_context` adds what was going on."""

from __future__ import annotations

import asyncio
import functools
import inspect
from contextlib import contextmanager

import pytest

from monitoring import error_context, get_logger, log_function


class Shop:
    @log_function
    def method(self, a, b=2):
        return [a, b]

    @log_function
    @staticmethod
    def static(a):
        return a

    @log_function
    @classmethod
    def of_class(cls, a):
        return cls.__name__ + a


def test_a_call_is_told_with_arguments_duration_and_size(captured):
    assert Shop().method(1, b={"k": "v"}) == [1, {"k": "v"}]
    event = captured.one("method returned", level="INFO", result_type="list", result_size=2)
    assert event.attributes["arguments"] == {"a": 1, "b": {"k": "v"}}
    assert event.attributes["function"] == f"{__name__}.Shop.method"
    assert event.attributes["duration_ms"] >= 0
    assert event.logger == __name__


def test_static_and_class_methods_stay_what_they_are(captured):
    assert (Shop.static(1), Shop().static(2), Shop.of_class("!")) == (1, 2, "Shop!")
    assert [event.attributes["arguments"] for event in captured.events] == [{"a": 1}, {"a": 2}, {"a": "!"}]


def test_an_exception_is_told_and_goes_on(captured):
    @log_function
    def fail(order):
        raise KeyError(order)

    with pytest.raises(KeyError):
        fail("A-1")
    event = captured.one("fail raised", level="ERROR")
    assert event.exception is not None and event.exception["type"] == "KeyError"


def test_coroutines(captured):
    @log_function(level="debug", name="job")
    async def work(n):
        await asyncio.sleep(0)
        return "x" * n

    assert inspect.iscoroutinefunction(work)
    assert asyncio.run(work(3)) == "xxx"
    captured.one("job returned", level="DEBUG", result_size=3)


def test_generators_count_their_items_and_pass_on_what_is_sent_and_thrown(captured):
    @log_function
    def echo():
        got = "first"
        while got != "stop":
            try:
                got = yield got
            except ValueError:
                got = "caught"
        return "end"

    generator = echo()
    assert [next(generator), generator.send("a"), generator.throw(ValueError), generator.send("b")] == [
        "first", "a", "caught", "b",
    ]  # fmt: skip
    with pytest.raises(StopIteration) as end:
        generator.send("stop")
    assert end.value.value == "end"
    captured.one("echo returned", items=4)


def test_a_generator_that_is_left_early_is_closed(captured):
    closed = []

    @contextmanager
    def resource():
        try:
            yield
        finally:
            closed.append(1)

    @log_function
    def items():
        with resource():
            yield from range(10)

    for item in items():
        if item == 2:
            break
    assert closed == [1]
    captured.one("items was closed", items=3)


def test_asynchronous_generators(captured):
    @log_function
    async def items(n):
        for item in range(n):
            yield item

    async def main():
        return [item async for item in items(3)]

    assert asyncio.run(main()) == [0, 1, 2]
    captured.one("items returned", items=3)


def test_arguments_are_bounded_and_can_be_left_out(captured):
    class Tensor:
        shape = (2, 3)

        def __repr__(self):
            raise AssertionError("this would copy from a device")

    class Frame:
        def __len__(self):
            return 5

    @log_function(skip=("card",))
    def f(text, tensor, frame, card, deep, *rest, **more):
        pass

    f("x" * 1000, Tensor(), Frame(), "4111", [[[[1]]]], 1, k="v")
    assert captured.one("f returned").attributes["arguments"] == {
        "text": "x" * 200 + "…", "tensor": "<Tensor of shape (2, 3)>", "frame": "<Frame of 5>",
        "deep": [[["[1]"]]], "rest": [1], "more": {"k": "v"},
    }  # fmt: skip

    @log_function(arguments=False)
    def g(secret):
        pass

    g("s")
    assert "arguments" not in captured.one("g returned").attributes


def test_a_wrong_call_fails_as_it_would(captured):
    @log_function
    def f(a):
        pass

    with pytest.raises(TypeError, match="missing 1 required"):
        f()  # type: ignore[call-arg]  # that is what is tested


def test_a_level_that_is_none_is_refused_where_it_is_written():
    with pytest.raises(ValueError, match="'loud' is not a level: one of TRACE"):
        log_function(level="loud")(len)


def test_signature_and_name_are_kept():
    def f(a: int, b: str = "x") -> None:
        """Doc."""

    wrapped = log_function(f)
    assert (wrapped.__name__, wrapped.__doc__, inspect.signature(wrapped)) == ("f", "Doc.", inspect.signature(f))


def test_an_error_carries_what_was_going_on_to_whoever_reports_it(captured):
    @error_context(step="charge", order="outer")
    def charge():
        with error_context(order="A-1"):
            raise ValueError("declined")

    try:
        charge()
    except ValueError:
        get_logger("x").exception("payment failed", attempt=2)
    captured.one("payment failed", order="A-1", step="charge", attempt=2)


def test_without_an_error_nothing_happens(captured):
    with error_context(order="A-1"):
        get_logger("x").info("fine")
    assert captured.one("fine").attributes == {}


def test_a_coroutine_and_a_generator_can_be_decorated_with_it(captured):
    @error_context(order="A-2")
    async def charge():
        await asyncio.sleep(0)
        raise ValueError("declined")

    @error_context(batch=7)
    def items():
        yield 1
        raise ValueError("empty")

    for work in (lambda: asyncio.run(charge()), lambda: list(items())):
        try:
            work()
        except ValueError:
            get_logger("x").exception("failed")
    assert [event.attributes for event in captured.find("failed")] == [{"order": "A-2"}, {"batch": 7}]


def test_what_is_sent_and_thrown_into_an_asynchronous_generator_reaches_it(captured):
    @log_function
    async def echo():
        got: list[str] = []
        while len(got) < 3:
            try:
                got.append((yield got))
            except KeyError:
                got.append("thrown")

    async def talk():
        items = echo()
        await anext(items)
        await items.asend("sent")
        await items.athrow(KeyError("x"))
        with pytest.raises(StopAsyncIteration):
            await items.asend("last")

    asyncio.run(talk())
    assert captured.one("echo returned").attributes["items"] == 3


def test_a_call_that_is_cancelled_is_no_error(captured):
    @log_function
    async def slow():
        await asyncio.sleep(60)

    async def give_up():
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(slow(), 0.01)

    asyncio.run(give_up())
    assert captured.one("slow was cancelled").level == "INFO"


def test_properties_partials_and_arguments_that_cannot_be_looked_at_do_no_harm(captured):
    class Odd:
        @property
        def shape(self):
            raise RuntimeError("not loaded")

    class Order:
        @log_function  # type: ignore[prop-decorator]  # mypy knows of none that take properties
        @property
        def total(self):
            return 12

    def f(a, b):
        return a

    assert Order().total == 12
    captured.one("Order.total returned")
    log_function(functools.partial(f, 1))(b=Odd())
    assert captured.one("f returned").attributes["arguments"] == {"b": "<Odd>"}

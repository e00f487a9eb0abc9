"""A timer observes every block, call and coroutine once, whatever runs beside it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextvars import copy_context

import pytest

from monitoring.producers.registry import Registry


def test_blocks_within_blocks_and_threads_are_each_observed_once() -> None:
    registry = Registry()
    some, other = registry.timer("t_seconds"), registry.timer("u_seconds")

    def work() -> None:
        for _ in range(100):
            with some, other, some:
                pass

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert some.histogram.labels().count == 800 and other.histogram.labels().count == 400


def test_tasks_that_take_turns_measure_their_own_time() -> None:
    registry = Registry()
    some = registry.timer("t_seconds", labels=("n",), buckets=(0.05, 10))
    first, second = some.labels(n=1), some.labels(n=2)

    async def short(leave: asyncio.Event) -> None:
        with first, some.labels(n=3):
            leave.set()

    async def long(leave: asyncio.Event) -> None:
        with second:
            await leave.wait()
            await asyncio.sleep(0.06)

    async def both() -> None:
        leave = asyncio.Event()
        await asyncio.gather(long(leave), short(leave))

    asyncio.run(both())
    assert some.histogram.labels(n=1).count == some.histogram.labels(n=3).count == 1
    assert some.histogram.labels(n=2).sum >= 0.06, "though the other was left in between"


def test_what_is_left_by_an_exception_is_observed_and_goes_on() -> None:
    registry = Registry()
    some = registry.timer("t_seconds")

    @some
    def fail() -> None:
        raise ZeroDivisionError

    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            fail()
    with pytest.raises(ZeroDivisionError), some:
        raise ZeroDivisionError
    assert some.histogram.labels().count == 3


def test_functions_and_coroutines_keep_their_names_arguments_and_results() -> None:
    registry = Registry()
    some = registry.timer("t_seconds", labels=("n",))

    @some.labels(n="f")
    def double(number: int, *, plus: int = 0) -> int:
        """Twice as much."""
        return double(number - 1, plus=plus) + 2 if number else plus

    @some.labels(n="c")
    async def later(number: int) -> int:
        await asyncio.sleep(0.01)
        return number

    assert (double(3, plus=1), double.__name__, double.__doc__) == (7, "double", "Twice as much.")
    assert asyncio.run(later(5)) == 5 and asyncio.iscoroutinefunction(later)
    assert some.histogram.labels(n="f").count == 4
    assert some.histogram.labels(n="c").sum >= 0.01, "until it was done"


def test_generators_are_refused_where_they_are_decorated() -> None:
    some = Registry().timer("t_seconds")

    def plain() -> Iterator[int]:
        yield 1

    async def asynchronous() -> AsyncIterator[int]:
        yield 1

    for function in (plain, asynchronous):
        with pytest.raises(TypeError, match="with"):
            some(function)


def test_a_block_that_is_left_in_another_context_raises_nothing() -> None:
    some = Registry().timer("t_seconds")
    copy_context().run(some.__enter__)
    some.__exit__(None, None, None)
    assert some.histogram.labels().count == 0

"""What is bound to the context: every event of a piece of work carries it, and no other."""

from __future__ import annotations

import asyncio
import threading

import pytest

from monitoring.producers import context
from monitoring.producers.context import bind, bound, clear, contextual, unbind


@pytest.fixture(autouse=True)
def _clean():
    clear()
    yield
    clear()


def test_what_is_bound_stays_until_it_is_unbound():
    bind(user="ann", request_id="r1")
    bind(order=7, trace_id="t1")
    assert bound() == {"user": "ann", "order": 7, "request_id": "r1", "trace_id": "t1"}
    unbind("user", "request_id", "never bound")
    assert bound() == {"order": 7, "trace_id": "t1"}
    clear()
    assert bound() == {}


def test_a_block_binds_for_its_own_length_also_where_it_fails():
    bind(user="ann")
    with pytest.raises(KeyError), contextual(user="bob", step=1):
        assert bound() == {"user": "bob", "step": 1}
        raise KeyError
    assert bound() == {"user": "ann"}


def test_a_block_serves_as_decorator():
    @contextual(job="nightly")
    def work():
        return bound()

    assert (work(), bound()) == ({"job": "nightly"}, {})


def test_an_id_that_is_none_counts_as_absent():
    bind(request_id=None, trace_id=123)
    assert bound() == {"trace_id": "123"}


def test_binding_does_not_change_what_others_hold():
    bind(a=1)
    held = context.current.get()
    bind(b=2)
    assert held.fields == {"a": 1}


def test_a_thread_begins_with_nothing():
    bind(user="ann")
    seen = []
    thread = threading.Thread(target=lambda: seen.append(bound()))
    thread.start()
    thread.join()
    assert seen == [{}]


def test_interleaved_tasks_keep_their_own_and_inherit_the_parents():
    async def work(number: int) -> dict[str, object]:
        bind(number=number)
        for _ in range(3):
            await asyncio.sleep(0)
        return bound()

    async def main() -> list[dict[str, object]]:
        bind(parent="p")
        return await asyncio.gather(*(work(number) for number in range(50)))

    assert asyncio.run(main()) == [{"parent": "p", "number": number} for number in range(50)]


def test_a_generator_closed_elsewhere_does_no_harm():
    def items():
        with contextual(step=1):
            yield 1

    async def take(generator):
        return next(generator)

    async def main():
        generator = items()
        await asyncio.create_task(take(generator))
        generator.close()  # in another context than the one it was started in

    asyncio.run(main())


def test_a_coroutine_can_be_decorated_with_a_block():
    @contextual(order="A-1")
    async def work():
        await asyncio.sleep(0)
        return bound()

    assert asyncio.run(work()) == {"order": "A-1"}
    assert bound() == {}

"""A piece of work has ids of its own, in every thread and task that is started within it, and leaves none behind."""

from __future__ import annotations

import gc
import os
import random
import weakref
from contextvars import copy_context

import pytest

from monitoring import bind, set_user
from monitoring.producers.context import bound, clear, contextual, current
from monitoring.producers.trace import new_ids
from monitoring.producers.work import Work


def test_what_is_bound_within_stays_for_the_next_part_and_is_gone_outside():
    work = Work("order-7", "", "")
    with contextual(outer=1):
        token = work.enter()
        bind(inner=2)
        work.leave(token)
        assert bound() == {"outer": 1}
        assert current.get().work is None
        token = work.enter()
        assert bound()["inner"] == 2
        work.leave(token)


def test_work_begun_within_bound_fields_has_them():
    with contextual(worker=3, request_id="theirs"):
        work = Work("order-7", "", "", {"job": "x"})
    token = work.enter()
    found = bound()
    work.leave(token)
    assert (found["worker"], found["job"], found["request_id"]) == (3, "x", "order-7")


def test_leaving_in_another_context_does_no_harm():
    work = Work("", "", "")
    token = work.enter()
    copy_context().run(work.leave, token)
    work.leave(token)
    assert bound() == {}


def test_clearing_drops_what_is_bound_and_keeps_the_ids_of_the_work_at_hand():
    work = Work("order-7", "", "")
    token = work.enter()
    bind(request_id="mine", tenant="acme")
    clear()
    assert bound() == dict(zip(("request_id", "trace_id", "span_id"), work.ids, strict=True))
    set_user("u-7")
    assert work.user == "u-7"
    work.leave(token)


def test_a_work_that_is_over_leaves_nothing_to_the_garbage_collector():
    gc.collect()
    gc.disable()
    try:
        work = Work("", "", "")
        work.leave(work.enter())
        work.forget()
        gone = weakref.ref(work)
        del work
        assert gone() is None
    finally:
        gc.enable()


@pytest.mark.parametrize(("user", "text"), [("u-7", "u-7"), (7, "7"), ("x" * 500, "x" * 128)])
def test_a_user_is_on_the_work_and_bound(user, text):
    work = Work("", "", "")
    token = work.enter()
    set_user(user)
    assert (work.user, bound()["user"]) == (text, text)
    set_user(None)
    assert (work.user, "user" in bound()) == ("", False)
    work.leave(token)


def test_a_user_whose_text_raises_does_not_fail_the_request():
    class Broken:
        def __str__(self):
            raise RuntimeError

    set_user(Broken())
    assert "Broken" in str(bound()["user"])


def test_children_of_a_fork_and_seeded_programs_do_not_repeat_ids():
    random.seed(7)
    first = new_ids()
    random.seed(7)
    assert new_ids() != first
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, "".join("".join(new_ids()) for _ in range(10)).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        theirs = pipe.read()
    os.waitpid(child, 0)
    assert len(theirs) == 800
    assert not any(trace_id in theirs for trace_id, _, _ in (new_ids() for _ in range(200)))

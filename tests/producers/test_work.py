"""A piece of work has ids of its own, in every thread and task that is started within it, and leaves none behind."""

from __future__ import annotations

import os
import random
from contextvars import copy_context

import pytest

from monitoring import bind, set_user
from monitoring.producers.context import bound, clear, contextual
from monitoring.producers.trace import new_ids
from monitoring.producers.work import Work, here


def test_what_is_bound_within_stays_for_the_next_part_and_is_gone_outside():
    work = Work("order-7", "", "")
    with contextual(outer=1):
        tokens = work.enter()
        bind(inner=2)
        work.leave(tokens)
        assert bound() == {"outer": 1}
        assert here.get() is None
        tokens = work.enter()
        assert bound()["inner"] == 2
        work.leave(tokens)


def test_work_begun_within_bound_fields_has_them():
    with contextual(worker=3, request_id="theirs"):
        work = Work("order-7", "", "", {"job": "x"})
    tokens = work.enter()
    found = bound()
    work.leave(tokens)
    assert (found["worker"], found["job"], found["request_id"]) == (3, "x", "order-7")


def test_leaving_in_another_context_does_no_harm():
    work = Work("", "", "")
    tokens = work.enter()
    copy_context().run(work.leave, tokens)
    work.leave(tokens)
    assert bound() == {}


def test_ids_that_were_cleared_come_back_for_the_record():
    work = Work("order-7", "", "")
    tokens = work.enter()
    clear()
    bind(trace_id="mine")
    work.keep_ids()
    assert (bound()["request_id"], bound()["trace_id"], bound()["span_id"]) == ("order-7", "mine", work.ids[2])
    work.leave(tokens)


@pytest.mark.parametrize(("user", "text"), [("u-7", "u-7"), (7, "7"), ("x" * 500, "x" * 128)])
def test_a_user_is_on_the_work_and_bound(user, text):
    work = Work("", "", "")
    tokens = work.enter()
    set_user(user)
    assert (work.user, bound()["user"]) == (text, text)
    set_user(None)
    assert (work.user, "user" in bound()) == ("", False)
    work.leave(tokens)


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

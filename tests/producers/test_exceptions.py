"""An exception tells its type, causes and stack, and its fingerprint is that of the bug."""

from __future__ import annotations

import linecache
import sys
from typing import Any

import orjson
import pytest

from monitoring import log_function
from monitoring.producers import exceptions
from monitoring.producers.exceptions import (
    MAX_STACK,
    annotate,
    context_of,
    describe,
    encode,
    fingerprint,
    from_exc_info,
)
from monitoring.producers.testing import capture

SHOP = """
def price(order):
    return 100 / order["amount"]

def total(order):
    return price(order)
"""


def run(source: str, call: str, *, filename: str = "/srv/shop/prices.py", **names: Any) -> BaseException:
    """The exception that the call raises in a module of this source."""
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    space: dict[str, Any] = {"__name__": "shop.prices", **names}
    exec(compile(source, filename, "exec"), space)
    try:
        eval(call, space)
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def caught(action) -> BaseException:
    try:
        action()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def test_the_same_bug_has_one_fingerprint_though_lines_move_and_values_and_paths_differ():
    first = fingerprint(run(SHOP, "total({'amount': 0})"))
    moved = "\n# a comment\n\n\n" + SHOP.replace("    return price(order)", "    # why\n    return   price(order)")
    assert fingerprint(run(moved, "total({'amount': 0})")) == first
    assert fingerprint(run(SHOP, "total({'amount': 0.0})", filename="/home/ann/shop/prices.py")) == first


def test_the_message_does_not_count():
    source = "def fail(n):\n    raise KeyError(f'order {n}')\n"
    assert fingerprint(run(source, "fail(1)")) == fingerprint(run(source, "fail(2)"))


@pytest.mark.parametrize(
    ("source", "call"),
    [
        (SHOP, "total({})"),  # another type
        (SHOP, "price({'amount': 0})"),  # another way there
        (SHOP.replace("100 /", "200 /"), "total({'amount': 0})"),  # another line
        (SHOP.replace("price", "cost"), "total({'amount': 0})"),  # another function
    ],
)
def test_another_bug_has_another_fingerprint(source, call):
    assert fingerprint(run(source, call)) != fingerprint(run(SHOP, "total({'amount': 0})"))


def test_a_stack_overflow_has_one_fingerprint_at_any_depth():
    source = "def f(n):\n    return g(n)\ndef g(n):\n    if n == 0:\n        raise ValueError\n    return f(n - 1)\n"
    assert fingerprint(run(source, "f(3)")) == fingerprint(run(source, "f(50)"))


def test_libraries_count_only_where_nothing_else_is():
    def decode(text):
        return orjson.loads(text)

    import json

    def parse():
        return json.loads("{")

    marks = exceptions._marks(caught(parse).__traceback__)
    assert len(marks) == 2 and all(mark.startswith(__name__) for mark in marks)


def test_the_whole_chain_is_told_nearest_first():
    def fail():
        try:
            try:
                raise KeyError("inner")
            except KeyError as error:
                raise ValueError("middle") from error
        except ValueError:
            raise RuntimeError("outer")  # noqa: B904 - that is what is tested

    described = describe(caught(fail))
    assert (described["type"], described["message"]) == ("RuntimeError", "outer")
    assert described["causes"] == [
        {"type": "ValueError", "message": "middle", "relation": "context"},
        {"type": "KeyError", "message": "'inner'", "relation": "cause"},
    ]
    for text in ("KeyError: 'inner'", "direct cause", "During handling", "RuntimeError: outer", "in fail"):
        assert text in described["stacktrace"]


def test_from_none_hides_the_context():
    def fail():
        try:
            raise KeyError("inner")
        except KeyError:
            raise ValueError("outer") from None

    assert "causes" not in describe(caught(fail))


def test_members_of_a_group_are_named():
    def fail():
        raise ExceptionGroup("two", [ValueError("a"), KeyError("b")])

    assert [cause["relation"] for cause in describe(caught(fail))["causes"]] == ["member", "member"]


def test_a_chain_in_a_circle_ends():
    first, second = ValueError("a"), ValueError("b")
    first.__cause__, second.__cause__ = second, first
    assert len(describe(first)["causes"]) == 1


def test_a_long_stack_keeps_its_ends():
    error = run("def f():\n    raise ValueError('x' * 300_000)\n", "f()")
    trace = describe(error)["stacktrace"]
    assert len(trace) < MAX_STACK + 100
    assert trace.startswith("Traceback") and trace.endswith("xxx") and "characters …" in trace


class Unprintable(Exception):
    def __str__(self):
        raise RuntimeError("no")


@pytest.mark.parametrize("error", [Unprintable(), ValueError("\ud800"), SystemExit(3), KeyboardInterrupt()])
def test_any_exception_can_be_encoded(error):
    described = orjson.loads(encode(caught(lambda: (_ for _ in ()).throw(error))))
    assert described["type"].endswith(type(error).__name__)


def test_exc_info_in_each_of_its_forms():
    assert from_exc_info(None) is None and from_exc_info(False) is None
    assert from_exc_info((None, None, None)) is None
    assert from_exc_info(True) is None
    try:
        raise ValueError
    except ValueError as error:
        assert from_exc_info(True) is error
        assert from_exc_info(sys.exc_info()) is error
        assert from_exc_info(error) is error


def test_annotations_of_causes_come_with_the_nearest_winning():
    inner, outer = KeyError(), ValueError()
    annotate(inner, {"a": 1, "b": 1})
    annotate(inner, {"a": 2, "c": 2})  # what is attached first is nearest to where it broke
    annotate(outer, {"b": 3})
    outer.__cause__ = inner
    assert context_of(outer) == {"a": 1, "b": 3, "c": 2}


def test_our_own_frames_are_neither_shown_first_nor_counted():
    def fail():
        raise ValueError("bad")

    plain, wrapped = caught(fail), caught(log_function(arguments=False)(fail))
    assert fingerprint(plain) == fingerprint(wrapped)
    with capture() as captured:
        caught(log_function(fail))
    told = captured.one("fail raised").exception
    assert told is not None and "decorators.py" not in told["stacktrace"]

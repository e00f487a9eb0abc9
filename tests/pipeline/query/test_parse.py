"""The parser: what it makes of a query, and what it says of one it cannot understand."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring.pipeline.errors import QuerySyntaxError
from monitoring.pipeline.query.ast import (
    And,
    Between,
    Compare,
    Everything,
    Exists,
    Field,
    Is,
    Level,
    Matches,
    Node,
    Not,
    Or,
    Pattern,
    Words,
)
from monitoring.pipeline.query.limits import MAX_DEPTH, MAX_QUERY_LENGTH, MAX_TERMS
from monitoring.pipeline.query.parse import number, parse


def words(text: str) -> Words:
    return Words(Pattern((text,)))


def is_(name: str, text: str) -> Field:
    return Field(name, Is(Pattern((text,))))


A, B, C = words("a"), words("b"), words("c")


@pytest.mark.parametrize(
    ("query", "tree"),
    [
        ("", Everything()),
        ("  \n ", Everything()),
        ("*", Everything()),
        ("**", Everything()),
        ('""', Everything()),
        ("timeout", words("timeout")),
        ('"connection refused"', words("connection refused")),
        (r'"say \"hi\" \\ \n"', words('say "hi" \\ \\n')),
        ("a b", And((A, B))),
        ("a AND b", And((A, B))),
        ("a b OR c", Or((And((A, B)), C))),
        ("a OR b c", Or((A, And((B, C))))),
        ("a (b OR c)", And((A, Or((B, C))))),
        ("a OR (b OR c)", Or((A, B, C))),
        ("NOT a b", And((Not(A), B))),
        ("-a b", And((Not(A), B))),
        ("-(a b)", Not(And((A, B)))),
        ("--a", A),
        ("NOT -a", A),
        ("and or not", And((words("and"), words("or"), words("not")))),
        ("ANDROID ORDER NOTE", And((words("ANDROID"), words("ORDER"), words("NOTE")))),
        ("a-b", words("a-b")),
        ("ti*e", Words(Pattern(("ti", "e")))),
        ("a**b*", Words(Pattern(("a", "b", "")))),
        (r"a\*b", words("a*b")),
        (r"\-a", words("-a")),
        (r"a\ b", words("a b")),
        (r"\(a\)", words("(a)")),
        (r"C\d", words(r"C\d")),
        ("http://host/x", words("http://host/x")),
        ("std::vector", words("std::vector")),
        ("12:30:45", words("12:30:45")),
        ("é:x", is_("é", "x")),
        ("service:api", is_("service", "api")),
        ("service:a:b", is_("service", "a:b")),
        ("service:OR", is_("service", "OR")),
        ("service:-x", is_("service", "-x")),
        ("service:(api OR worker)", Or((is_("service", "api"), is_("service", "worker")))),
        ("x:(a b -c)", And((is_("x", "a"), is_("x", "b"), Not(is_("x", "c"))))),
        ("x:(a AND (b OR >5))", And((is_("x", "a"), Or((is_("x", "b"), Field("x", Compare(">", "5"))))))),
        ('"weird key":"a b"', is_("weird key", "a b")),
        ("app.kubernetes.io/name:x", is_("app.kubernetes.io/name", "x")),
        ("path:/api/*", Field("path", Is(Pattern(("/api/", ""))))),
        ("path:/api/users/", is_("path", "/api/users/")),
        ("message:/re.+gex/", Field("message", Matches("re.+gex"))),
        (r"message:/a\/b (c|d)/", Field("message", Matches("a/b (c|d)"))),
        ("x:>5", Field("x", Compare(">", "5"))),
        ("x:<=-1.5e3", Field("x", Compare("<=", "-1.5e3"))),
        ('x:>"b c"', Field("x", Compare(">", "b c"))),
        ("x:100..500", Field("x", Between("100", "500"))),
        ("x:1.5..2.5", Field("x", Between("1.5", "2.5"))),
        ("x:100..", Field("x", Compare(">=", "100"))),
        ("x:..500", Field("x", Compare("<=", "500"))),
        ("x:a..b", Field("x", Between("a", "b"))),
        ('x:"a..b"', is_("x", "a..b")),
        ("x:../etc", is_("x", "../etc")),
        ("x:a/../b", is_("x", "a/../b")),
        ("x:*", Field("x", Exists())),
        ("has:x", Field("x", Exists())),
        ("has:(a OR b)", Or((Field("a", Exists()), Field("b", Exists())))),
        ("level:error", Level(17, 20)),
        ("level:>=warning", Level(13, 24)),
        ("level:>warning", Level(17, 24)),
        ("level:<info", Level(1, 8)),
        ("level:notice", Level(10, 10)),
        ("level:info..error", Level(9, 20)),
        ("level:(debug OR error)", Or((Level(5, 8), Level(17, 20)))),
        ("level:>fatal", Not(Everything())),
        ("has:level", Everything()),
    ],
)
def test_a_query_means(query: str, tree: Node) -> None:
    assert parse(query) == tree


@pytest.mark.parametrize(
    ("query", "column", "message", "hint"),
    [
        ('a "b c', 3, "unclosed quote", 'add a "'),
        ("a (b", 3, "unclosed parenthesis", "close it"),
        ("a) b", 2, "never opened", "quotes"),
        ("()", 2, "nothing between", ""),
        ("level:", 7, "missing value after level:", "level:VALUE"),
        ("error: connection refused", 7, "missing value after error:", "double quotes"),
        ("x:>", 4, "missing value after >", ""),
        ("x:>= 5", 5, "missing value after >=", ""),
        ("x:>(5)", 4, "unexpected", ""),
        ("a OR", 3, "nothing behind OR", ""),
        ("a AND", 3, "nothing behind AND", ""),
        ("a NOT", 3, "nothing behind NOT", ""),
        ("OR a", 1, "nothing for OR", ""),
        ("a OR OR b", 6, "nothing for OR", ""),
        ("(a OR)", 6, "nothing behind OR", ""),
        ("a - b", 3, "nothing for -", "double quotes"),
        ("level:eror", 7, "no level eror", "did you mean ERROR?"),
        ("level:xyz", 7, "no level xyz", "one of TRACE, DEBUG, INFO, WARNING, ERROR, FATAL"),
        ("level:25", 7, "no level 25", ""),
        ("level:err*", 7, "level takes a name", ""),
        ("level:error..info", 7, "the range is empty", "info..error"),
        ("service:>a", 9, "service has no order", ""),
        ("message:a..b", 9, "message has no order", ""),
        ("x:5..1", 3, "the range is empty", "1..5"),
        ("x:1..b", 3, "two numbers or two texts", ""),
        ("message:/(/", 9, "not a regular expression", "RE2"),
        (r"message:/(a)\1/", 9, "not a regular expression", "RE2"),
        ("has:>5", 5, "has: takes the name", ""),
        ("timestamp:>5", 1, "time is not part", "start and end"),
        ("service:(a b:c)", 12, "unexpected 'b:c)'", ""),
        ("a.b.c.d.e.f:1", 1, "too many parts", ""),
        ("a \ud800", 3, "half a character", ""),
        ("a " * MAX_TERMS + "a", 1, f"{MAX_TERMS + 1} terms", f"at most {MAX_TERMS}"),
        ("(a OR -" * MAX_DEPTH + "a" + ")" * MAX_DEPTH, 1, "nested too deeply", f"at most {MAX_DEPTH}"),
        ("a" * (MAX_QUERY_LENGTH + 1), MAX_QUERY_LENGTH + 1, "characters", f"at most {MAX_QUERY_LENGTH}"),
    ],
)  # fmt: skip
def test_an_error_points_at_the_column_and_says_what_to_do(query: str, column: int, message: str, hint: str) -> None:
    with pytest.raises(QuerySyntaxError) as raised:
        parse(query)
    assert (raised.value.column, message in str(raised.value), hint in raised.value.hint) == (column, True, True)


_fragments = st.sampled_from(
    ["a", "b*", "*", '"', '"x y"', "(", ")", " ", "\n", "-", "NOT ", " OR ", " AND ", ":", "x:", "level:", "error",
     "has:", ">=", "<", "..", "1", "2.5", "1e999", "9" * 400, "/", "/a+/", "/(/", "\\", "\ud800", "\ue000", "\x00",
     "service:(", "message:", "a.b.c", "'", ";", "%", "?", "接続", "🔥"]
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.one_of(st.text(max_size=60), st.lists(_fragments, max_size=14).map("".join)))
def test_no_text_raises_anything_but_a_syntax_error(text: str) -> None:
    try:
        parse(text)
    except QuerySyntaxError as error:
        assert 1 <= error.column <= len(text) + 1


@pytest.mark.parametrize("text", ["(" * 8000, "-" * 8000, "NOT " * 2000 + "a", '"' * 8001, "a:(" * 2000, "x:" * 4000,
                                  "(" * 2000 + "a" + ")" * 2000, "\\" * 8000, "/" * 8000])  # fmt: skip
def test_long_and_deep_text_is_answered_too(text: str) -> None:
    with contextlib.suppress(QuerySyntaxError):
        parse(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [("42", 42), ("-5", -5), ("+5", 5), ("1.5", 1.5), (".5", 0.5), ("5.", 5.0), ("1e3", 1000.0), ("", None),
     ("1a", None), ("nan", None), ("inf", None), ("٤٢", None), ("1_000", None)],
)  # fmt: skip
def test_a_number_is_what_people_write_as_one(text: str, value: float | None) -> None:
    assert number(text) == value

"""Hints are never wrong: what they rule out, the costly test rules out as well."""

from __future__ import annotations

import re

import apsw
import pytest
import re2
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring.pipeline.query.ast import Pattern
from monitoring.pipeline.query.functions import register
from monitoring.pipeline.query.hints import guarded_words, required_literal
from monitoring.pipeline.query.tokens import Matcher


@pytest.mark.parametrize(
    ("regex", "literal"),
    [
        ("timeout", "timeout"),
        (r"timeout after \d+ms", "timeout after "),
        (r"^user 777\d* in 7 ms$", "user 777"),
        ("ab+c", "ab"),
        ("abc?d", "ab"),
        ("abc{2}de", "ab"),
        ("ab{0,3}cde", "cde"),
        ("a{x", "x"),
        (r"a\.b\/c", "a.b/c"),
        ("[abc]def[^]x]gh", "def"),
        ("[[:alpha:]]xyz", "xyz"),
        ("(abc)?de", "de"),
        ("ab(cdef)g", "ab"),
        ("a|b", ""),
        ("(?i)abc", ""),
        (r"\x41bc", ""),
        (r"\pNabc", ""),
        (r"\Qa.b\E", ""),
        (r"\d+", ""),
        ("接続.*拒否", "接続"),
    ],
)
def test_the_literal_of_a_regex_is_the_longest_run_that_every_match_contains(regex: str, literal: str) -> None:
    assert required_literal(regex) == literal


_pieces = st.sampled_from(
    ["a", "b", "ab", "ba", ".", "*", "+", "?", "{2}", "{0,1}", "{", "}", "(", ")", "[ab]", "[^a]", "[]a]", "|", "^",
     "$", "\\",
     "\\.", "\\d", "\\b", "\\x61", "\\n", "(?i)", "(?:", "[", "]", "-", "\\pL", "\\Q", "\\E"]
)  # fmt: skip


@settings(max_examples=600, deadline=None)
@given(
    st.lists(_pieces, max_size=8).map("".join), st.lists(st.text("abAB.{}\n-[]", max_size=8), min_size=1, max_size=20)
)
def test_no_text_that_matches_lacks_the_literal(regex: str, texts: list[str]) -> None:
    options = re2.Options()
    options.log_errors = False
    try:
        compiled = re2.compile(regex, options)
    except re2.error:
        return
    literal = required_literal(regex)
    assert all(literal in text for text in texts if compiled.search(text))


_words = st.text("abAB_é\u0301İK接続サ🔥=%\\\"\ue000\x00 '", max_size=8)


@settings(max_examples=300, deadline=None)
@given(_words, st.booleans(), st.lists(_words, max_size=8), st.booleans())
def test_a_guarded_test_for_words_says_what_the_test_alone_says(
    word: str, star: bool, texts: list[str], json: bool
) -> None:
    connection = apsw.Connection(":memory:")
    split = register(connection)
    connection.execute("CREATE TABLE log(message TEXT)")
    wanted = Matcher.of(Pattern((word, "") if star else (word,)), split)
    guarded = guarded_words(wanted, "log.message", json=json)
    alone = re.sub(r".*(text_has|json_has)", r"\1", guarded.text.rstrip(")") + ")")
    connection.executemany("INSERT INTO log VALUES(?)", [(text,) for text in texts])
    found = connection.execute(f"SELECT count(*) FROM log WHERE {guarded.text}", guarded.values).get
    assert found == connection.execute(f"SELECT count(*) FROM log WHERE {alone}", (wanted.key(),)).get
    connection.close()

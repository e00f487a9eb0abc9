"""Who writes an operator or a field as other tools have it is told, and nobody else is."""

from __future__ import annotations

import pytest

from monitoring.pipeline.query.advice import advice


@pytest.mark.parametrize(
    ("query", "word", "instead"),
    [
        ("timeout or refused", '"or"', "OR"),
        ("timeout and refused", '"and"', "AND"),
        ("a Or b", '"Or"', "OR"),
        ("service:(api or worker)", '"or"', "OR"),
        ("(a) or (b)", '"or"', "OR"),
        ("not healthcheck", '"not"', "NOT"),
        ("a not b", '"not"', "NOT"),
        ("level=error", '"level="', "level:VALUE"),
        ("timeout service==api", '"service=="', "service:VALUE"),
    ],
)
def test_what_looks_like_an_operator_or_a_field_and_is_a_word_is_told(query: str, word: str, instead: str) -> None:
    (said,) = advice(query)
    assert word in said
    assert instead in said


@pytest.mark.parametrize(
    "query",
    ["a OR b", "a AND NOT b", '"a or b"', 'a "or" b', "or", "a\\ or\\ b", "message:/a or b/", "order and_more",
     "x-or-y", "nor a", "user_id=42", "a or", '"level=error"', "url:http://x/?level=1", "", "not", "level:error"],
)  # fmt: skip
def test_what_is_meant_as_it_stands_is_left_alone(query: str) -> None:
    assert advice(query) == []

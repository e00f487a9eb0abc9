"""Numbers that carry their own check."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.pipeline.redact.checksums import is_card, is_iban, luhn


def test_known_numbers_pass():
    for number in ("4242424242424242", "5555555555554444", "378282246310005", "6011111111111117", "3530111333300000",
                   "36227206271667", "2223003122003222"):  # fmt: skip
        assert is_card(number), number
    for number in ("DE89370400440532013000", "GB82 WEST 1234 5698 7654 32", "FR1420041010050500013M02606"):
        assert is_iban(number), number


@pytest.mark.parametrize(
    "number",
    [
        "4242424242424241",
        "1234567812345670",
        "9999999999999995",
        "4222222222222",
        "0000000000000000",
        "1760104536123456",
    ],
)
def test_other_numbers_are_no_cards(number):
    assert not is_card(number)


@given(st.text("0123456789", min_size=1, max_size=30))
def test_one_digit_in_ten_completes_a_number_and_any_other_breaks_it(digits):
    assert sum(luhn(digits + last) for last in "0123456789") == 1


@given(st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ", max_size=40))
def test_any_text_can_be_asked(text):
    assert is_iban(text) in (True, False)

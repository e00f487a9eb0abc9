"""Numbers that carry a check of their own: payment cards (Luhn) and bank accounts (ISO 7064 mod 97)."""

from __future__ import annotations

__all__ = ["IBAN_LENGTHS", "is_card", "is_iban", "luhn"]

_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)
"""A digit doubled, its own digits added."""

IBAN_LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BR": 29, "BY": 28,
    "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18,
    "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HR": 21, "HU": 28, "IE": 22,
    "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LI": 21, "LT": 20, "LU": 20,
    "LV": 21, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MR": 27, "MT": 31, "MU": 30, "NL": 18, "NO": 15, "PK": 24,
    "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "SA": 24, "SE": 24, "SI": 19, "SK": 24, "SM": 27,
    "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20,
}  # fmt: skip
"""Length by country: the IBAN registry of SWIFT."""


def luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of the others (ISO/IEC 7812-1, annex B)."""
    total = sum(map(int, digits[-1::-2])) + sum(_DOUBLED[int(digit)] for digit in digits[-2::-2])
    return total % 10 == 0


def is_card(digits: str) -> bool:
    """Whether these digits are a payment card's number: an issuer's prefix with its length, and the check digit.

    Lengths that are rare in use and common among ids are left out: 13 digits (milliseconds since 1970, bar codes) and
    17 to 19 (64-bit ids, one in ten of which passes Luhn).
    """
    return _issued(digits) and len(set(digits)) > 1 and luhn(digits)


def _issued(digits: str) -> bool:
    length, first, two, four = len(digits), digits[0], int(digits[:2]), int(digits[:4])
    if length == 16:
        return (
            first == "4"  # Visa
            or 51 <= two <= 55  # Mastercard
            or 2221 <= four <= 2720  # Mastercard
            or 2200 <= four <= 2204  # Mir
            or four == 6011  # Discover
            or 644 <= int(digits[:3]) <= 659  # Discover
            or 3528 <= four <= 3589  # JCB
            or two in (60, 62, 81, 82)  # RuPay, UnionPay
        )
    if length == 15:
        return two in (34, 37)  # American Express
    return length == 14 and (two in (36, 38) or 300 <= int(digits[:3]) <= 305)  # Diners Club


def is_iban(text: str) -> bool:
    """Whether this is an IBAN, with or without spaces: its country's length, and 1 modulo 97 (ISO 13616)."""
    compact = text.replace(" ", "")
    if IBAN_LENGTHS.get(compact[:2]) != len(compact):
        return False
    return int("".join(str(int(sign, 36)) for sign in compact[4:] + compact[:4])) % 97 == 1

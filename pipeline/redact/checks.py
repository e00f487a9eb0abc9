"""What a pattern cannot say: whether a find is a secret after all.

Each takes the text and where the secret stands in it, and looks at a bounded part of it.
"""

from __future__ import annotations

import re

from monitoring.pipeline.redact.checksums import is_card, is_iban
from monitoring.pipeline.redact.opacity import is_encoded, is_mixed, is_opaque, spells_pair
from monitoring.pipeline.redact.values import is_placeholder

__all__ = [
    "card",
    "encoded",
    "generic",
    "iban",
    "no_ids",
    "no_placeholder",
    "password_of_url",
    "token_as_user",
    "token_of_bearer",
    "user_and_password",
]

_READABLE = re.compile(rb"[A-Za-z_.~/-]+=?")
_LETTERS = re.compile(rb"[A-Za-z]+")
_WORD = frozenset(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_")
_FETCHERS = (b"curl", b"wget", b"http")


def token_of_bearer(data: bytes, start: int, end: int) -> bool:
    """A token follows `Bearer`, not the next word of a sentence or a parameter (`Bearer realm="…"`)."""
    token = data[start : min(end, start + 256)]
    if token.endswith(b"=") and data[end : end + 1] == b'"':
        return False
    return len(token) >= 32 or not _READABLE.fullmatch(token)


def user_and_password(data: bytes, start: int, end: int) -> bool:
    """What follows `Basic` decodes to user:password."""
    return spells_pair(data[start : min(end, start + 1024)])


def card(data: bytes, start: int, end: int) -> bool:
    """The digits are a card's, and no part of a longer number, a word, a UUID or a decimal fraction."""
    after, before = data[end : end + 2], data[max(0, start - 2) : start]
    if after[:1] and (after[0] in _WORD or (after[:1] in (b".", b"-", b",") and after[1:].isdigit())):
        return False
    text = data[start:end].decode("ascii")
    if ("-" in text and before.endswith(b"-")) or (before[-1:] in (b".", b",") and before[:1].isdigit()):
        return False
    return is_card(text.replace(" ", "").replace("-", ""))


def iban(data: bytes, start: int, end: int) -> bool:
    """The account number passes its check."""
    return is_iban(data[start:end].decode("ascii"))


def password_of_url(data: bytes, start: int, end: int) -> bool:
    """Not `docker://image:tag@sha256:…`, which has the form of user:password@host, nor user:***@host."""
    return not data.startswith((b"@sha256:", b"@sha512:"), end) and no_placeholder(data, start, end)


def no_ids(data: bytes, start: int, end: int) -> bool:
    """Not `-u 1000:1000` or `-u user:group`: a password has more than letters in it, or `curl` stands before it."""
    word = data[start : min(end, start + 256)]
    if word.isdigit() or is_placeholder(word):
        return False
    near = data[max(0, start - 512) : start]
    return not _LETTERS.fullmatch(word) or any(name in near for name in _FETCHERS)


def no_placeholder(data: bytes, start: int, end: int) -> bool:
    """Not `$PASSWORD`, `<password>`, `***`."""
    return not is_placeholder(data[start : min(end, start + 256)])


def token_as_user(data: bytes, start: int, end: int) -> bool:
    """What stands in the user's place of an address is no name: `https://0123…@sentry.example/1`."""
    user = data[start : min(end, start + 256)].partition(b":")[0]
    return len(user) >= 20 and is_opaque(user) and b"-" not in user[:20] and b"." not in user[:20]


def encoded(data: bytes, start: int, end: int) -> bool:
    """An unreadable word with capitals, small letters and digits."""
    return is_encoded(data[start : min(end, start + 256)])


def generic(data: bytes, start: int, end: int) -> bool:
    """The last part is random and has capitals: `key_01H…` (base 32) and `live_NamesOfThings` are ids and names."""
    tail = re.split(rb"[_-]", data[start : min(end, start + 256)])[-1]
    return len(tail) - len(tail.translate(None, b"0123456789")) >= 3 and is_mixed(tail, 0, len(tail))

"""What sensitive names contain, as patterns: how names are found in a text before they are judged.

Names of several words come before those of one that begin them: what matches first counts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import re2

from monitoring.pipeline.redact.keys import words_of

__all__ = ["ANY_KEY", "NUMERIC_STEMS", "STRONG_STEMS", "WEAK_STEMS", "name_end", "name_start", "own_stems"]

STRONG_STEMS = (
    "pass[ _-]?phrase|pass word|passw(?:or[dt]|d)|passcode|pwd|kennwort|senha|contrase(?:n|ñ|Ñ)a|wachtwoord|parola"
    "|has(?:l|ł|Ł)o|mot.?de.?passe|пароль|Пароль|ПАРОЛЬ|密码|密碼|비밀번호|パスワード|unseal key [0-9]{1,2}"
    "|(?:access|account|api|app|auth|encryption|master|priv|private|secret|shared|signing)[ _.-]?keys?"
    "|(?:recovery|seed)[ _-]?(?:phrase|words)|sess(?:ion)?[ _.-]?(?:hash|id|key)|phpsess|jsess"
    "|social[ _-]?(?:insurance|security)(?:[ _-]?number)?|secret|credential|fernet|mnemonic|requirepass"
    "|authori[sz]ation|c?xsrf|csrf|cookie|authenticity|samlre|assertion"
)
"""What nearly every strong name contains and few other texts do: the sieve looks for these alone."""

NUMERIC_STEMS = (
    "(?:access|activation|auth|backup|factor|login|mfa|one time|pin|recovery|security|sms|verification)[ _-]?codes?"
    "|(?:card|cc)[ _-]?(?:number|num|no)|(?:credit|debit)[ _-]?card(?:[ _-]?number)?|pin|[th]?otp|cv[vcn]2?|pan|ssn"
)
"""What names contain whose values are digits."""

WEAK_STEMS = (
    f"{NUMERIC_STEMS}|(?:authorization|device)[ _-]?code|(?:client|deploy|license|server|service|session|ssh) key"
    "|storage key|x-amz-|x-goog-|tokens?|jwt|bearer|auth(?:entication|orisation)?|pass|psw|psk|pw|pepper|creds?|pat|sid"
    "|sess(?:ion)?|verifier"
)
"""What the other sensitive names contain; the sieve wants a value behind them."""

ANY_KEY = "[a-z0-9][_.-]?keys?"
"""The key of something: of a service, or of a cache; the sieve wants seven signs without a colon behind it."""

_SIGNS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-."
_SEEN = 64
"""How far to either side of its stem a name is read."""
_COLOUR = re.compile(rb"[0-9]*m")


def own_stems(names: Sequence[str]) -> str:
    """A pattern for the user's own names, any sign between their words; "" where there are none."""
    patterns = []
    for words in filter(None, map(words_of, names)):
        for case in (str.lower, str.upper, str.title):  # RE2 over bytes folds the case of ASCII only
            patterns.append("[ _.-]?".join(re2.escape(case(word)) for word in words))
    return "|".join(dict.fromkeys(patterns))


def name_start(data: bytes, stem: int) -> int:
    """Where the name begins that has a stem here. The sign of an escape (`\\n`) or of a colour is not its own."""
    window = data[max(0, stem - _SEEN) : stem]
    start = stem - len(window) + len(window.rstrip(_SIGNS))
    before = data[start - 1 : start]
    if before == b"\\" and start < stem:
        start += 5 if data[start : start + 3] == b"u00" else 3 if data[start : start + 1] == b"x" else 1
    elif before == b"%":
        start += 2
    elif before in (b"[", b";"):
        colour = _COLOUR.match(data, start, stem)
        start = colour.end() if colour else start
    return min(start, stem)


def name_end(data: bytes, at: int) -> int:
    """Where the signs end that a name is made of, seen from here."""
    window = data[at : at + _SEEN]
    return at + len(window) - len(window.lstrip(_SIGNS))

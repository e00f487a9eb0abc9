"""Whether a word looks made by a machine to be unguessable, rather than to be read.

All look at a bounded part of what they are given, so that a check costs the same for any length.
"""

from __future__ import annotations

import base64
import binascii
import re

__all__ = ["has_random_run", "is_encoded", "is_mixed", "is_opaque", "spells_pair"]

_LOOKED_AT = 256
_DIGITS, _UPPER, _LOWER = b"0123456789", b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", b"abcdefghijklmnopqrstuvwxyz"
_RUNS = re.compile(rb"[A-Za-z0-9]{16,}")
_OPAQUE = re.compile(rb"[A-Za-z0-9_+/=.~%:-]{16,}")
_HEX = re.compile(rb"[0-9a-fA-F]+")


def _kinds(run: bytes) -> tuple[int, int, int]:
    """How many digits, capitals and small letters."""
    length = len(run)
    return (
        length - len(run.translate(None, _DIGITS)),
        length - len(run.translate(None, _UPPER)),
        length - len(run.translate(None, _LOWER)),
    )


def has_random_run(data: bytes, start: int, end: int) -> bool:
    """Whether 16 letters and digits stand in a row, digits strewn among the letters, or all of it is as mixed: it
    is not made of words, as `sk-learn-contrib` is."""
    for run in _RUNS.findall(data[start : min(end, start + _LOOKED_AT)]):
        digits, upper, lower = _kinds(run)
        if digits and (upper or lower) and (digits > 2 or (upper > 1 and lower > 1)):
            return True
        if not digits and upper > 3 and lower > 3 and len(run) >= 24:
            return True
    return is_mixed(data, start, end) and _kinds(data[start : min(end, start + _LOOKED_AT)])[0] > 2


def is_mixed(data: bytes, start: int, end: int) -> bool:
    """Whether capitals, small letters and digits all occur (not so in hex digits, ids of base 32, names)."""
    return all(_kinds(data[start : min(end, start + _LOOKED_AT)]))


def is_opaque(text: bytes) -> bool:
    """Whether a whole value is one unreadable word of 16 signs or more: no path, no sentence, no plain number."""
    if not _OPAQUE.fullmatch(text[:_LOOKED_AT]):
        return False
    digits, upper, lower = _kinds(text[:_LOOKED_AT])
    if digits < 2 or upper + lower < 2:
        return bool(upper and lower) and spells_pair(text)
    return bool(upper and lower) or bool(_HEX.fullmatch(text[:_LOOKED_AT])) or has_random_run(text, 0, len(text))


def spells_pair(text: bytes) -> bool:
    """Whether this is user:password in base 64, of which as little as one sign in thirty may be a digit."""
    token = text[:1024].replace(b"%3D", b"").replace(b"%3d", b"").rstrip(b"=")
    try:
        decoded = base64.b64decode(token + b"=" * (-len(token) % 4), altchars=b"-_" if b"-" in token else None)
        return ":" in decoded.decode()
    except (binascii.Error, UnicodeDecodeError):
        return False


def is_encoded(text: bytes) -> bool:
    """Whether a value of 20 signs or more is unreadable and neither hex digits nor readable parts: base 64 mostly."""
    return len(text) >= 20 and is_opaque(text) and is_mixed(text, 0, len(text)) and not _HEX.fullmatch(text)

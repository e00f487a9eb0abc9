"""ASCII written as escapes within text, where a name or a token could hide: `\\u0070assword`, `%70assword`, `\\/`."""

from __future__ import annotations

import re

__all__ = ["unescaped"]

_ESCAPE = re.compile(
    rb"\\+u00([2-7][0-9a-fA-F])|\\x([2-7][0-9a-fA-F])|%([2-7][0-9a-fA-F])|&#x([2-7][0-9a-fA-F]);|&#([0-9]{2,3});|\\(/)"
)


def unescaped(data: bytes) -> bytes:
    """The text with every printable sign of ASCII that is written as an escape written as itself."""
    return _ESCAPE.sub(_sign, data)


def _sign(found: re.Match[bytes]) -> bytes:
    unicode, byte, percent, hexadecimal, decimal, slash = found.groups()
    if slash:
        return slash
    code = int(decimal) if decimal else int(unicode or byte or percent or hexadecimal, 16)
    return bytes((code,)) if 32 <= code < 127 else found[0]

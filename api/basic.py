"""The key of a client that knows only HTTP's basic authentication: its password, whatever the user's name."""

from __future__ import annotations

import base64
import binascii

__all__ = ["password_of"]


def password_of(authorization: str) -> str:
    """The password in `Basic …`, "" where there is none. Source: RFC 7617."""
    scheme, _, text = authorization.partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        pair = base64.b64decode(text.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""
    return pair.partition(":")[2]

"""The route of a request where no framework names it: its path, with what looks like an id left out."""

from __future__ import annotations

from functools import lru_cache

__all__ = ["MAX_PATH", "NO_ROUTE", "folded"]

NO_ROUTE = "(no route)"
"""What all requests share that no route of the application matched: else every scanner's guess were a route."""
MAX_PATH = 200
"""Characters of a path that is looked at; routes that people write are shorter."""
_LONG_HEX = 16
"""Digits from which hexadecimal text is an id: half an MD5. Shorter ones may be words, like `decade` or `facade`."""
_HEX = "0123456789abcdefABCDEF"


@lru_cache(maxsize=1024)
def folded(path: str) -> str:
    """`/users/42/orders/9b2c4a1e-5d5f-4a8e-9a55-2f0f3e9a1c11` as `/users/{id}/orders/{id}`.

    Numbers, UUIDs and long hexadecimal text become `{id}`; the rest stays, cut at MAX_PATH characters.
    """
    if len(path) > MAX_PATH:
        path = f"{path[:MAX_PATH].rpartition('/')[0]}/…"
    return "/".join("{id}" if _is_id(segment) else segment for segment in path.split("/"))


def _is_id(segment: str) -> bool:
    if segment.isdecimal():
        return True
    if len(segment) == 36:
        return segment[8] == segment[13] == segment[18] == segment[23] == "-" and not segment.strip(f"{_HEX}-")
    return len(segment) >= _LONG_HEX and not segment.strip(_HEX)

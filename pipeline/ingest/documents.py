"""JSON documents of other people's protocols, and the types of what is in them.

A document that cannot be read is refused as a whole; `members`, `items` and `text` read what may be absent, and
raise where it is there and of another type.
"""

from __future__ import annotations

import json
from typing import Any, cast

import orjson

from monitoring.pipeline.errors import IngestRefused

__all__ = ["Unreadable", "items", "load", "members", "objects", "text", "whole"]

_LOOSE = json.JSONDecoder(parse_constant=str, strict=False)


class Unreadable(IngestRefused):
    """The body is not a document of its protocol."""


def load(body: bytes) -> dict[str, Any]:
    """The JSON object of a body; lone surrogates are replaced, NaN and Infinity become text. Raises Unreadable."""
    try:
        found = orjson.loads(body)
    except ValueError as error:
        found = _loosely(body, str(error))
    if type(found) is not dict:
        raise Unreadable("the body is not a JSON object")
    return cast(dict[str, Any], found)


def _loosely(body: bytes, problem: str) -> Any:
    """What Python's own encoder writes and RFC 8259 has not: then through the strict reader again."""
    try:
        loose = json.dumps(_LOOSE.decode(body.decode("utf-8", "replace")), ensure_ascii=False)
        return orjson.loads(loose.encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        raise Unreadable(f"the body is not JSON: {problem}") from None


def items(record: dict[str, Any], *names: str) -> list[Any]:
    """The list under the first of these names that is there; [] where none is. Raises Unreadable."""
    found = _first(record, names)
    if found is None:
        return []
    if type(found) is not list:
        raise Unreadable(f"{names[0]} is not a list")
    return found


def objects(record: dict[str, Any], *names: str) -> list[dict[str, Any]]:
    """The list of objects under the first of these names that is there; [] where none is. Raises Unreadable."""
    found = items(record, *names)
    for item in found:
        if type(item) is not dict:
            raise Unreadable(f"{names[0]} holds what is not an object")
    return found


def members(record: dict[str, Any], *names: str) -> dict[str, Any]:
    """The object under the first of these names that is there; {} where none is. Raises Unreadable."""
    found = _first(record, names)
    if found is None:
        return {}
    if type(found) is not dict:
        raise Unreadable(f"{names[0]} is not an object")
    return found


def text(record: dict[str, Any], *names: str) -> str:
    """The text under the first of these names that is there; "" where none is. Raises Unreadable."""
    found = _first(record, names)
    if found is None:
        return ""
    if type(found) is not str:
        raise Unreadable(f"{names[0]} is not text")
    return found


def whole(record: dict[str, Any], *names: str) -> int:
    """The whole number, perhaps written as text, under the first of these names; 0 where none is. Raises Unreadable."""
    found = _first(record, names)
    if found is None or found == "":
        return 0
    if type(found) is str and len(found) <= 20 and found.isascii() and found.removeprefix("-").isdecimal():
        return int(found)
    if type(found) is not int:
        raise Unreadable(f"{names[0]} is not a whole number")
    return found


def _first(record: dict[str, Any], names: tuple[str, ...]) -> Any:
    for name in names:
        if name in record:
            return record[name]
    return None

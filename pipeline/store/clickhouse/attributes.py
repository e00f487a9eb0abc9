"""Attributes as ClickHouse can search them: one item for each value that a name leads to.

    path     the nested keys, e.g. "http" RS "status"
    kind     one of the constants below
    text     the value as text: a string itself, what is none as JSON writes it
    number   the value as a double, where it is a number or a text that is one

A value is found under its path; of an array each element that is a scalar, beside the array itself, which is there
for `has:` alone, as an object is. Null is no item.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import orjson

from monitoring.pipeline.query.limits import MAX_FIELD_PARTS
from monitoring.pipeline.query.values import json_number

__all__ = [
    "BIG",
    "CONTAINER",
    "FLAG",
    "GREATEST",
    "INTEGER",
    "REAL",
    "TEXT",
    "TEXT_INTEGER",
    "TEXT_REAL",
    "Item",
    "items",
    "path_of",
]

TEXT, TEXT_INTEGER, TEXT_REAL, INTEGER, BIG, REAL, FLAG, CONTAINER = range(8)
"""Text; text that is a JSON number, whole within 64 bits or not; whole numbers within 64 bits and beyond; others; true
and false; arrays and objects."""
GREATEST = sys.float_info.max
"""Stands for a number beyond the doubles."""
_INT64 = 1 << 63
_BIG = re.compile(r"\d{20}")
_SEPARATOR, _ESCAPE = "\x1e", "\x1d"


class Item(NamedTuple):
    """A value of an attribute."""

    path: str
    kind: int
    text: str
    number: float


def path_of(keys: tuple[str, ...]) -> str:
    """Nested keys as one text, each different."""
    text = _SEPARATOR.join(keys)
    if text.count(_SEPARATOR) == len(keys) - 1 and _ESCAPE not in text:
        return text
    return _SEPARATOR.join(key.replace(_ESCAPE, _ESCAPE + "1").replace(_SEPARATOR, _ESCAPE + "2") for key in keys)


def items(text: str) -> list[Item]:
    """The items of an attributes column; none of what is no JSON object."""
    if not text:
        return []
    try:
        decoded = orjson.loads(text)
        if _BIG.search(text):
            decoded = _exactly(text, decoded)
    except orjson.JSONDecodeError:
        return []
    return list(_of_object(decoded, ())) if isinstance(decoded, dict) else []


def _exactly(text: str, otherwise: Any) -> Any:
    """With whole numbers of any length, which orjson reads as doubles."""
    import json

    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return otherwise


def _of_object(members: dict[str, Any], above: tuple[str, ...]) -> Iterator[Item]:
    for key, value in members.items():
        keys = (*above, key)
        path = path_of(keys)
        if isinstance(value, dict):
            yield Item(path, CONTAINER, "", 0.0)
            if len(keys) < MAX_FIELD_PARTS:
                yield from _of_object(value, keys)
        elif isinstance(value, list):
            yield Item(path, CONTAINER, "", 0.0)
            yield from (_scalar(path, each) for each in value if each is not None and not isinstance(each, dict | list))
        elif value is not None:
            yield _scalar(path, value)


def _scalar(path: str, value: Any) -> Item:
    if isinstance(value, str):
        number = json_number(value)
        if isinstance(number, bool) or not isinstance(number, int | float):
            return Item(path, TEXT, value, 0.0)
        return Item(path, TEXT_INTEGER if _is_int64(number) else TEXT_REAL, value, _double(number))
    if isinstance(value, bool):
        return Item(path, FLAG, "true" if value else "false", 0.0)
    if isinstance(value, int):
        return Item(path, INTEGER if _is_int64(value) else BIG, str(value), _double(value))
    return Item(path, REAL, orjson.dumps(value).decode(), _double(value))


def _is_int64(value: int | float) -> bool:
    return isinstance(value, int) and -_INT64 <= value < _INT64


def _double(value: int | float) -> float:
    try:
        found = float(value)
    except OverflowError:
        found = math.copysign(math.inf, value)
    return min(max(found, -GREATEST), GREATEST)

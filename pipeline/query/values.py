"""The values of a field in an event as searches show it: what `field:value` would be compared with."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import orjson

from monitoring.pipeline.query.fields import is_attribute, splits

__all__ = ["LONGEST_VALUE", "json_number", "numbers_of", "spelled", "texts_of"]

LONGEST_VALUE = 1000
"""Characters by which values are told apart when they are counted: thousands of them are held at a time."""
_NUMBERS_BEGIN = frozenset("-0123456789 \t\r\n")
"""How a JSON number may begin, blanks before it included."""


def texts_of(event: dict[str, Any], name: str) -> set[str]:
    """The values as text, each once: of an attribute, strings and numbers and truths as JSON writes them, and those
    of an array's elements; of a field, what it holds unless that is empty. Of an exception, its type."""
    if not is_attribute(name):
        value = event.get(name)
        if name == "exception" and isinstance(value, dict):
            value = value.get("type")
        return {value[:LONGEST_VALUE]} if isinstance(value, str) and value else set()
    return {text[:LONGEST_VALUE] for item in _items(event, name) if (text := spelled(item)) is not None}


def numbers_of(event: dict[str, Any], name: str) -> list[float]:
    """The numbers of an attribute: those that are, and texts that are one. As doubles; infinite ones are left out."""
    found = []
    for item in _items(event, name):
        value = json_number(item) if isinstance(item, str) else item
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            found.append(float(value))
    return found


def spelled(value: Any) -> str | None:
    """A scalar as text; None for what is none."""
    if value is None or isinstance(value, dict | list):
        return None
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def json_number(text: str) -> Any:
    """What a text is as JSON if that may be a number; None where it is none."""
    if not text or text[0] not in _NUMBERS_BEGIN:
        return None
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def _items(event: dict[str, Any], name: str) -> Iterator[Any]:
    for keys in splits(name):
        value: Any = event["attributes"]
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        if isinstance(value, list):
            yield from value
        elif value is not None:
            yield value

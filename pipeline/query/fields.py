"""The fields that every event has, and how each is searched. Any other name is an attribute."""

from __future__ import annotations

from functools import lru_cache
from itertools import product

from monitoring.pipeline.query.limits import MAX_FIELD_PARTS

__all__ = ["DIMENSIONS", "EXPLICIT", "IDS", "KNOWN", "RESOURCES", "TEXTS", "is_attribute", "splits"]

DIMENSIONS = ("service", "host", "logger")
"""Exact and case-sensitive, each a column that names a row of the segment's dimension table."""
RESOURCES = ("environment", "release")
"""Exact and case-sensitive, members of the resource dimension."""
IDS = ("trace_id", "span_id", "request_id")
"""Exact and case-sensitive, each a column of text."""
TEXTS = ("message", "exception")
"""Searched by words, as the index splits them."""
KNOWN = frozenset({"level", *DIMENSIONS, *RESOURCES, *IDS, *TEXTS})

EXPLICIT = "attributes."
"""Prefix that makes a name an attribute even where it is also a field: `attributes.service:x`."""


def is_attribute(name: str) -> bool:
    """Whether the name is that of an attribute."""
    return name not in KNOWN


@lru_cache(maxsize=1024)
def splits(name: str) -> tuple[tuple[str, ...], ...]:
    """The ways to read a dotted name as nested keys, the undivided key first.

    `a.b.c` is the key "a.b.c", or "c" within "a.b", or "b.c" within "a", or "c" within "b" within "a".
    """
    name = name.removeprefix(EXPLICIT)
    parts = name.split(".")
    if len(parts) > MAX_FIELD_PARTS or not all(parts):
        return ((name,),)
    found = []
    for cuts in product((False, True), repeat=len(parts) - 1):
        keys = [parts[0]]
        for cut, part in zip(cuts, parts[1:], strict=True):
            if cut:
                keys.append(part)
            else:
                keys[-1] += "." + part
        found.append(tuple(keys))
    return tuple(found)

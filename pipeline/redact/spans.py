"""Places in a text that are to be hidden, and hiding them."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import NamedTuple

__all__ = ["MARKER", "MARK_START", "Span", "clear_of_markers", "marker", "merged", "replaced"]

MARK_START = b"[REDACTED:"
MARKER = re.compile(rb"\[REDACTED:[^\s\]\[]{1,64}\]")
"""What stands in a secret's place."""


class Span(NamedTuple):
    """Bytes `start` to `end` of a text are a secret of this kind.

    `name` is the name it was found by, "" if by its shape. `quote` is put around what stands in its place: JSON's
    numbers become text.
    """

    start: int
    end: int
    kind: str
    name: str = ""
    quote: bytes = b""


def marker(kind: str) -> str:
    """What stands in place of a secret of this kind."""
    return f"[REDACTED:{kind}]"


def merged(spans: Iterable[Span]) -> list[Span]:
    """The spans in order, those that overlap as one. Of two that begin together the longer names the kind, then the
    one that was given first."""
    found: list[Span] = []
    for span in sorted(spans, key=lambda span: (span.start, -span.end)):
        if found and span.start < found[-1].end:
            if span.end > found[-1].end:
                found[-1] = found[-1]._replace(end=span.end)
        else:
            found.append(span)
    return found


def clear_of_markers(data: bytes, spans: Sequence[Span]) -> list[Span]:
    """These spans, which are in order, without those that are a marker or begin within one; one that ends within a
    marker goes to its end."""
    if MARK_START not in data:
        return list(spans)
    markers = [(found.start(), found.end()) for found in MARKER.finditer(data)]
    starts = [start for start, _ in markers]
    clear = []
    for span in spans:
        first, last = bisect_right(starts, span.start) - 1, bisect_left(starts, span.end) - 1
        begins_in_one = first >= 0 and span.start < markers[first][1]
        if begins_in_one and (span.start > markers[first][0] or span.end <= markers[first][1]):
            continue
        clear.append(span._replace(end=max(span.end, markers[last][1])) if last >= 0 else span)
    return clear


def replaced(data: bytes, spans: Sequence[Span]) -> bytes:
    """The text with a marker in place of each of these spans, which are in order and do not overlap."""
    pieces, at = [], 0
    for span in spans:
        pieces += [data[at : span.start], span.quote, marker(span.kind).encode(), span.quote]
        at = span.end
    return b"".join([*pieces, data[at:]])

"""What a row of the table of secret shapes is."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from typing import NamedTuple

__all__ = ["Check", "Shape", "Where", "sought"]

Check = Callable[[bytes, int, int], bool]
"""Whether `data[start:end]`, which has the shape, is a secret. Looks at a bounded part of it and around it."""

_EDGE = r"(?:^|[^A-Za-z0-9]|\\[nrtbf]|\\u00[01][0-9a-f]|\[[0-9;]*m|%[0-9A-Fa-f]{2})"
"""Where a word may begin: behind a sign that is no letter or digit, an escape, or the end of a colour in a log."""
_TAIL = "[A-Za-z0-9_.+/=:~%-]{12}"
"""What follows the prefix of a token at least."""


class Where(enum.Enum):
    """Where the trigger of a shape stands in a text."""

    TOKEN = enum.auto()
    """A prefix at an edge, with a tail behind it."""
    EDGE = enum.auto()
    """At an edge."""
    ANY = enum.auto()
    """Anywhere."""
    WORD = enum.auto()
    """Anywhere, in capitals or not."""
    LINE = enum.auto()
    """Anywhere, and it may be as long as a line."""


class Shape(NamedTuple):
    """One kind of secret that is told by its shape alone, in RE2's syntax over bytes.

    `trigger` is what every such secret contains; texts without any trigger are looked at no further. It is sought in
    text as it is, JSON with its escapes too, along with all other triggers: so that their common automaton stays small
    on random ids and digests, long repetitions stand behind rare signs only.

    `pattern` is the whole secret; a group, if there is one, is what is hidden. It consumes what it looks at, or looks
    a bounded way ahead: that keeps a search with many finds linear. With `word` it does not begin within a word.
    """

    kind: str
    what: str
    trigger: str
    pattern: str
    where: Where = Where.ANY
    word: bool = True
    check: Check | None = None


def sought(shapes: Iterable[Shape]) -> str:
    """A pattern for the triggers of these shapes with what must stand around them, which they share."""
    triggers: dict[Where, dict[str, None]] = {where: {} for where in Where}
    for shape in shapes:
        triggers[shape.where][shape.trigger] = None
    tokens, edges, words, others = (
        "|".join(pattern for where in group for pattern in triggers[where])
        for group in ((Where.TOKEN,), (Where.EDGE,), (Where.WORD,), (Where.ANY, Where.LINE))
    )
    edged = "|".join(filter(None, (tokens and f"(?:{tokens}){_TAIL}", edges)))
    return "|".join(filter(None, (edged and f"{_EDGE}(?:{edged})", words and f"(?i:{words})", others)))

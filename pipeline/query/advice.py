"""What somebody may have meant otherwise: a query that is understood, and perhaps not as it was intended.

Operators are capitals only, and a field's value follows a colon. `a or b` and `level=error` are searches for these
words, which find little or nothing; whoever wrote them is told, next to the answer.
"""

from __future__ import annotations

import re

from monitoring.pipeline.query.fields import DIMENSIONS, IDS, RESOURCES

__all__ = ["advice"]

_FIELDS = ("level", *DIMENSIONS, *RESOURCES, *IDS)
_LITERAL = re.compile(r'"(?:\\.|[^"\\])*"|(?<=:)/(?:\\.|[^/\\\n])+/(?=[\s)]|$)|\\.', re.DOTALL)
"""What stands for itself: quoted texts, regular expressions, escaped characters."""
_OPERATOR = re.compile(r"(?<![^\s(])(?:or|and|not)(?![^\s()])", re.IGNORECASE)
_EQUALS = re.compile(rf"(?<![^\s(\-])({'|'.join(_FIELDS)})(==?)(?=[^\s)=])", re.IGNORECASE)
_MEANINGS = {"OR": "either", "AND": "both", "NOT": "what does not match"}


def advice(query: str) -> list[str]:
    """Sentences about words of the query that look like operators or fields and are none; mostly there are none."""
    plain = _LITERAL.sub(lambda found: "x" * len(found[0]), query)
    said = []
    for found in _OPERATOR.finditer(plain):
        word = found[0]
        before, behind = plain[: found.start()].strip(" ("), plain[found.end() :].strip(" )")
        if word.isupper() or not behind or not (before or word.upper() == "NOT"):
            continue
        said.append(
            f'"{word}" is searched for as a word: write {word.upper()} to find {_MEANINGS[word.upper()]},'
            " or put it in double quotes if it is meant"
        )
    for found in _EQUALS.finditer(plain):
        name = found[1].lower()
        said.append(f'"{found[0]}" is searched for as a word: write {name}:VALUE for events with this {name}')
    return list(dict.fromkeys(said))

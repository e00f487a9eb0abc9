"""The text of an expression before the parser sees it: what the parser would not understand, or not survive.

`promql-parser` speaks the grammar of Prometheus with few gaps. Those of them that can be said in another way are said
so here: digit separators, octal numbers, the old name of a function, times before 1970 after `@`.
"""

from __future__ import annotations

import re

from monitoring.pipeline.query.promql.errors import PromqlError

__all__ = ["BEFORE_1970", "MAX_LENGTH", "MAX_NESTING", "prepare"]

MAX_LENGTH = 1 << 16
"""Characters: dashboards list hundreds of values in one regular expression."""
MAX_NESTING = 200
"""Operators and parentheses of an expression. The parser recurses over them on the stack of the process and ends it
near 5,000; ours in Python takes up to four calls for each, and Python allows 1,000."""
BEFORE_1970 = 200_000_000_000
"""Added to the seconds of a negative `@`, which the parser takes for 0: year 8307, where nobody asks."""

_TOKEN = re.compile(
    r"""
    (?P<comment>\#[^\n]*)
  | (?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`[^`]*`)
  | (?P<at>@\s*-\s*(?P<seconds>[0-9][0-9_.]*(?:[eE][+-]?[0-9]+)?)(?![0-9a-zA-Z_]))
  | (?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)
  | (?P<number>(?:0[xX][0-9a-fA-F_]+|[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][+-]?[0-9_]+)?[a-zA-Z0-9]*)
  | (?P<nests>[(\-+*/%^]|[=!<>]=?)
    """,
    re.VERBOSE,
)
_RENAMED = {"holt_winters": "double_exponential_smoothing"}
_OPERATORS = frozenset({"and", "or", "unless", "atan2"})
_OCTAL = re.compile(r"0[0-7]+")
_DIGITS = re.compile(
    r"0[xX]_?[0-9a-fA-F](?:_?[0-9a-fA-F])*"
    r"|(?:[0-9](?:_?[0-9])*)?\.?(?:[0-9](?:_?[0-9])*)?(?:[eE][+-]?[0-9](?:_?[0-9])*)?"
)
"""Numbers in which each underscore stands between two digits."""


def _number(text: str) -> str:
    plain = text.replace("_", "") if _DIGITS.fullmatch(text) else text
    return str(int(plain, 8)) if _OCTAL.fullmatch(plain) else plain


def prepare(text: str) -> str:
    """The same expression in words that the parser knows.

    Raises PromqlError where it is longer, or nested deeper, than the parser can be trusted with.
    """
    if len(text) > MAX_LENGTH:
        raise PromqlError(f"expression of {len(text)} characters: at most {MAX_LENGTH} are understood", "bad_data")
    parts, done, nested = [], 0, 0
    for found in _TOKEN.finditer(text):
        group, token = found.lastgroup, found.group()
        nested += group == "nests" or token.lower() in _OPERATORS
        parts.append(text[done : found.start()])
        done = found.end()
        if group == "at":
            token = f"@ {BEFORE_1970 + float(found['seconds'].replace('_', '')):.3f}"
        elif group == "number":
            token = _number(token)
        elif group == "name" and text[done:].lstrip()[:1] == "(":
            token = _RENAMED.get(token, token)
        parts.append(token)
    if nested > MAX_NESTING:
        raise PromqlError(f"expression of {nested} operators and parentheses: at most {MAX_NESTING}", "bad_data")
    parts.append(text[done:])
    return "".join(parts)

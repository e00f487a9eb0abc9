"""The text of an expression before the parser sees it: what the parser would not understand, or not survive.

`promql-parser` speaks the grammar of Prometheus with few gaps. Those of them that can be said in another way are said
so here: digit separators, octal numbers, the old name of a function, times before 1970 after `@`, computed durations.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from monitoring.pipeline.query.promql import durations
from monitoring.pipeline.query.promql.errors import PromqlError

__all__ = ["BEFORE_1970", "MAX_LENGTH", "MAX_NESTING", "prepare"]

MAX_LENGTH = 1 << 16
"""Characters: dashboards list hundreds of values in one regular expression."""
MAX_NESTING = 200
"""Operators and parentheses of an expression. The parser recurses over them on the stack of the process and ends it
near 5,000; ours in Python takes up to four calls for each, and Python allows 1,000."""
BEFORE_1970 = 200_000_000_000
"""Added to the seconds of a negative `@`, which the parser takes for 0: year 8307, where nobody asks."""

_LONGEST = 1e12
"""Seconds: 31,000 years."""
_SHORTEST = 0.0005
"""Seconds: what is less rounds to no millisecond."""
_INSTANT: Mapping[str, float] = MappingProxyType({"step": 0.0, "range": 0.0})
"""What `step()` and `range()` are in an instant query."""
_TOKEN = re.compile(
    r"""
    (?P<comment>\#[^\n]*)
  | (?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`[^`]*`)
  | (?P<at>@\s*-\s*(?P<seconds>[0-9][0-9_.]*(?:[eE][+-]?[0-9]+)?)(?![0-9a-zA-Z_]))
  | (?P<bracket>\[[^\[\]"'`]*\])
  | (?P<offset>\boffset\b\s*(?=[-+]*\s*(?:\(|[a-z_]+\s*\()))
  | (?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)
  | (?P<number>(?:0[xX][0-9a-fA-F_]+|[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][+-]?[0-9_]+)?[a-zA-Z0-9]*)
  | (?P<nests>[(\-+*/%^]|[=!<>]=?)
    """,
    re.VERBOSE,
)
_PLAIN = re.compile(r"\[\s*[0-9][0-9a-z.]*\s*(?::\s*(?:[0-9][0-9a-z.]*)?\s*)?\]")
"""Brackets that the parser understands as they are."""
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


def _written(seconds: float) -> str:
    """A computed duration in milliseconds, which the parser knows."""
    if not abs(seconds) < _LONGEST:
        raise PromqlError("parse error: duration out of range", "bad_data")
    return f"{round(seconds * 1000)}ms"


def _bracket(text: str, known: Mapping[str, float]) -> str:
    """A range, or a subquery's range and step."""
    if _PLAIN.fullmatch(text):
        return text
    lengths = durations.parts(text[1:-1], known)
    if any(length is not None and length < _SHORTEST for length in lengths):
        raise PromqlError("parse error: duration must be greater than 0", "bad_data")
    return "[" + ":".join("" if length is None else _written(length) for length in lengths) + "]"


def _nesting(tokens: Sequence[re.Match[str]]) -> int:
    """Operators and parentheses."""
    count = 0
    for token in tokens:
        if token.lastgroup == "bracket":
            count += sum(map(token.group().count, "(-+*/%^"))
        else:
            count += token.lastgroup == "nests" or token.group().lower() in _OPERATORS
    return count


def prepare(text: str, known: Mapping[str, float] = _INSTANT) -> str:
    """The same expression in words that the parser knows.

    `known`: the seconds that `step` and `range` stand for in computed durations. Raises PromqlError ("bad_data") where
    the text is longer, or nested deeper, than the parser can be trusted with, or a duration has no value.
    """
    if len(text) > MAX_LENGTH:
        raise PromqlError(f"expression of {len(text)} characters: at most {MAX_LENGTH} are understood", "bad_data")
    tokens = list(_TOKEN.finditer(text))
    if (nested := _nesting(tokens)) > MAX_NESTING:
        raise PromqlError(f"expression of {nested} operators and parentheses: at most {MAX_NESTING}", "bad_data")
    parts, done = [], 0
    for found in tokens:
        if found.start() < done:
            continue
        parts.append(text[done : found.start()])
        token, done = found.group(), found.end()
        match found.lastgroup:
            case "at":
                token = f"@ {BEFORE_1970 + float(found['seconds'].replace('_', '')):.3f}"
            case "number":
                token = _number(token)
            case "bracket":
                token = _bracket(token, known)
            case "offset":
                seconds, done = durations.operand(text, done, known)
                token = f"offset {_written(seconds)} "
            case "name" if text[done:].lstrip()[:1] == "(":
                token = _RENAMED.get(token, token)
        parts.append(token)
    parts.append(text[done:])
    return "".join(parts)

"""The text of an expression before the parser sees it: what the parser would not understand, or not survive.

`promql-parser` speaks the grammar of Prometheus with few gaps. Those of them that can be said in another way are said
so here: digit separators, octal numbers, the old name of a function, times before 1970 after `@`, computed durations,
ranges that are anchored or smoothed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from monitoring.pipeline.query.promql import durations
from monitoring.pipeline.query.promql.errors import PromqlError

__all__ = ["BEFORE_1970", "EXTENDED_MS", "MAX_LENGTH", "MAX_NESTING", "SMOOTHED_OFFSET_MS", "prepare"]

MAX_LENGTH = 1 << 16
"""Characters: dashboards list hundreds of values in one regular expression."""
MAX_NESTING = 200
"""Operators and parentheses of an expression. The parser recurses over them on the stack of the process and ends it
near 5,000; ours in Python takes up to four calls for each, and Python allows 1,000."""
BEFORE_1970 = 200_000_000_000
"""Added to the seconds of a negative `@`, which the parser takes for 0: year 8307, where nobody asks."""

_LONGEST = 1e10
"""Seconds: 317 years."""
_DAY_MS = 86_400_000
EXTENDED_MS = {"anchored": 3000 * 365 * _DAY_MS, "smoothed": 6000 * 365 * _DAY_MS}
"""Added to a range that one of these words follows, which the parser does not know: 3,000 and 6,000 years, of which
computed ranges are never long."""
SMOOTHED_OFFSET_MS = 12_000 * 365 * _DAY_MS
"""Added to the offset of a selector of single values that is smoothed: 12,000 years, as above."""
_SHORTEST = 0.0005
"""Seconds: what is less rounds to no millisecond."""
_INSTANT: Mapping[str, float] = MappingProxyType({"step": 0.0, "range": 0.0})
"""What `step()` and `range()` are in an instant query."""
_TOKEN = re.compile(
    r"""
    (?P<comment>\#[^\n]*)
  | (?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`[^`]*`)
  | (?P<at>@\s*-\s*(?P<seconds>[0-9][0-9_]*(?:\.[0-9_]*)?(?:[eE][+-]?[0-9]+)?)(?![0-9a-zA-Z_]))
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
_OFFSET = re.compile(r"\s*offset\s*(?:[-+]\s*)?[0-9][0-9a-z._]*|\s*offset\b\s*(?=[-+]*\s*(?:\(|[a-z_]+\s*\())")
_NO_SELECTOR = re.compile(
    r"(?:^|[^\s\w:.\"'`}\])]|\b(?:and|or|unless|atan2|bool|by|without|on|ignoring|group_left|group_right|offset))\s*$",
    re.I,
)
"""An expression up to a place before which there is no selector."""
_NOTHING = re.compile(r"\s*[-+]?\s*0+(?:ms|[smhdwy])?(?![\w.])")
"""An offset of nothing, which the parser takes for a mistake."""
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
    """A computed duration as the parser reads it, which takes no more than 2**32 of a unit."""
    if not abs(seconds) < _LONGEST:
        raise PromqlError("parse error: duration out of range", "bad_data")
    return _units(round(seconds * 1000))


def _units(length_ms: int) -> str:
    days, rest = divmod(abs(length_ms), _DAY_MS)
    return ("-" if length_ms < 0 else "") + (f"{days}d" if days else "") + f"{rest}ms"


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


def _extended(bracket: str, word: str) -> str:
    """A range that is anchored or smoothed, as one that is too long to be meant."""
    if ":" in bracket:
        raise PromqlError(f"parse error: {word} modifier needs a range selector, not a subquery", "bad_data")
    (length,) = durations.parts(bracket[1:-1], _INSTANT)
    return f"[{_units(round((length or 0) * 1000) + EXTENDED_MS[word])}]"


def _smoothed(text: str, start: int, known: Mapping[str, float]) -> tuple[str, int] | None:
    """The offset that says that the selector before this `smoothed` is, and where what it stands for ends.

    None where it is about no selector: it is a name then.
    """
    end = start + len("smoothed")
    if _NO_SELECTOR.search(text, 0, start) or text[end:].lstrip()[:1] in ("{", "[", "("):
        return None
    seconds, found = 0.0, _OFFSET.match(text, end)
    if found is not None:
        place = text.index("offset", end) + len("offset")
        computed = found.group().rstrip().endswith("offset")
        seconds, end = durations.operand(text if computed else text[: found.end()], place, known)
    return f" offset {_units(round(seconds * 1000) + SMOOTHED_OFFSET_MS)} ", end


def _name(text: str, found: re.Match[str], known: Mapping[str, float]) -> tuple[str, int]:
    """What stands for a name, and where what it stands for ends."""
    name, end = found.group(), found.end()
    if name == "offset" and (nothing := _NOTHING.match(text, end)):
        return "", nothing.end()
    if name == "smoothed":
        return _smoothed(text, found.start(), known) or (name, end)
    return (_RENAMED.get(name, name) if text[end:].lstrip()[:1] == "(" else name), end


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
    bracket: int | None = None  # which of the parts is the range that a word like anchored would be about
    for found in tokens:
        if found.start() < done:
            continue
        between = text[done : found.start()]
        if found.lastgroup == "nests" or set(between) & {",", ")"}:
            bracket = None
        parts.append(between)
        token, done = found.group(), found.end()
        match found.lastgroup:
            case "at":
                token = f"@ {BEFORE_1970 + float(found['seconds'].replace('_', '')):.3f}"
            case "number":
                token = _number(token)
            case "bracket":
                token, bracket = _bracket(token, known), len(parts)
            case "offset":
                seconds, done = durations.operand(text, done, known)
                token = f"offset {_written(seconds)} " if round(seconds * 1000) else ""
            case "name" if bracket is not None and token in EXTENDED_MS:
                parts[bracket], token, bracket = _extended(parts[bracket], token), "", None
            case "name":
                token, done = _name(text, found, known)
        parts.append(token)
    parts.append(text[done:])
    return "".join(parts)

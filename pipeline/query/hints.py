"""Cheap conditions that come before costly ones: what a text must hold as it is written.

A call from SQLite to Python costs a microsecond and more; most rows of a scan never need one.
"""

from __future__ import annotations

import re

from monitoring.pipeline.query.clause import TRUE, Clause, all_of, any_of
from monitoring.pipeline.query.tokens import Matcher
from monitoring.pipeline.store.rows import TOKEN_MARK

__all__ = ["guarded_regex", "guarded_words", "required_literal"]


def guarded_words(wanted: Matcher, column: str, *, json: bool) -> Clause:
    """Whether the column (plain text or JSON; one of our own names) contains the words."""
    test = Clause(f"{'json_has' if json else 'text_has'}(?, {column})", (wanted.key(),))
    return all_of((_before_words(wanted, column), test))


def guarded_regex(regex: str, text: str) -> Clause:
    """Whether a text (an SQL expression of our own) matches."""
    literal = required_literal(regex)
    hint = Clause(f"instr({text}, ?) > 0", (literal,)) if literal else TRUE
    return all_of((hint, Clause(f"regex_matches(?, {text})", (regex,))))


def _before_words(wanted: Matcher, column: str) -> Clause:
    """True for every row whose column (plain text or JSON; one of our own names) may contain the words."""
    needle = wanted.needle()
    if not needle:
        return TRUE
    escapes = Clause(f"instr({column}, '\\') > 0")  # JSON may spell any character by an escape
    if not wanted.tokens or not needle.isascii():
        marked = Clause(f"instr({column}, '{TOKEN_MARK}') > 0")  # which is taken out before anything is compared
        return any_of((Clause(f"instr({column}, ?) > 0", (needle,)), escapes, marked))
    # LIKE folds the case of ASCII and knows no diacritics; the _ of a token may match more, % is none. Where the
    # column holds anything but ASCII (or a NUL, where LIKE ends) nothing is said.
    like = Clause(f"{column} LIKE ?", (f"%{needle}%",))
    return any_of((like, escapes, Clause(f"octet_length({column}) <> length({column})")))


_CLASS = re.compile(r"\[\^?\]?(?:\[:\^?\w+:\]|\\.|[^\]\\])*\]", re.DOTALL)
_REPEAT = re.compile(r"\{\d+(?:,\d*)?\}")
_CLASS_ESCAPES = frozenset("dDwWsSbBAz")


def required_literal(regex: str) -> str:
    """The longest run of characters that every match contains; "" where none is certain.

    Looks outside groups only, and gives up at alternatives, flags and escapes that spell characters.
    """
    if "|" in regex or "(?" in regex:
        return ""
    runs, run, depth, index = [], "", 0, 0
    while index < len(regex):
        char, step, literal = regex[index], 1, ""
        if char == "\\":
            escaped, step = regex[index + 1 : index + 2], 2
            if escaped.isalnum() and escaped not in _CLASS_ESCAPES:
                return ""
            literal = "" if escaped.isalnum() else escaped
        elif char == "[":
            found = _CLASS.match(regex, index)
            if found is None:
                return ""
            step = found.end() - index
        elif char in "*?{":
            run = run[:-1]
            repeat = _REPEAT.match(regex, index)
            step = repeat.end() - index if repeat else 1
        elif char in "()":
            depth += 1 if char == "(" else -1
        elif char not in ".^$+":
            literal = char
        if literal and depth == 0:
            run += literal
        else:
            runs.append(run)
            run = ""
        index += step
    return max((*runs, run), key=len)

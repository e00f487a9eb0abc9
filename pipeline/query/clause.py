"""Pieces of SQL with their parameters, joined without ever writing a value into the text."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass

import apsw

__all__ = ["FALSE", "TRUE", "Clause", "all_of", "any_of", "negated", "one_of"]

_MANY = 16
"""More values than this travel as one array parameter: SQLite allows 32,766 parameters, and parses each."""


@dataclass(frozen=True, slots=True)
class Clause:
    """A condition and what is bound to its question marks, in order. It is 1 or 0, never NULL."""

    text: str
    values: tuple[object, ...] = ()


TRUE = Clause("1")
FALSE = Clause("0")


def all_of(parts: Iterable[Clause]) -> Clause:
    """Every one of these holds."""
    return _join(" AND ", TRUE, FALSE, parts)


def any_of(parts: Iterable[Clause]) -> Clause:
    """At least one of these holds."""
    return _join(" OR ", FALSE, TRUE, parts)


def _join(operator: str, neutral: Clause, absorbing: Clause, parts: Iterable[Clause]) -> Clause:
    kept = [part for part in dict.fromkeys(parts) if part != neutral]
    if absorbing in kept:
        return absorbing
    if len(kept) < 2:
        return kept[0] if kept else neutral
    text = operator.join(part.text for part in kept)
    return Clause(f"({text})", tuple(value for part in kept for value in part.values))


def negated(part: Clause) -> Clause:
    """This does not hold."""
    if part in (TRUE, FALSE):
        return FALSE if part == TRUE else TRUE
    return Clause(f"NOT {part.text}", part.values)


def one_of(column: str, numbers: Iterable[int]) -> Clause:
    """The column holds one of these numbers. `column` is one of our own names."""
    wanted = sorted(numbers)
    if not wanted:
        return FALSE
    if len(wanted) > _MANY:
        return Clause(f"({column} IN (SELECT value FROM carray(?)))", (apsw.carray(array("q", wanted)),))  # noqa: S608 - own names
    return Clause(f"({column} IN ({', '.join('?' * len(wanted))}))", tuple(wanted))

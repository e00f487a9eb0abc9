"""Expressions over the text index: which tokens an event must hold, or must not.

The index keeps no positions and no columns, so an expression is AND, OR and NOT of tokens and prefixes, and it
has no way to say "all": `EVERYTHING` renders as None, and a lone NOT starts from the level tokens, of which
every event has one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from monitoring.pipeline.events.levels import LEVELS
from monitoring.pipeline.store.rows import TOKEN_MARK

__all__ = [
    "EVERYTHING",
    "NOTHING",
    "Expression",
    "all_of",
    "any_of",
    "dimension",
    "levels",
    "narrows",
    "render",
    "term",
    "without",
]


@dataclass(frozen=True, slots=True)
class Expression:
    """A node: `kind` is "everything", "nothing", "term", "all", "any" or "not"."""

    kind: str
    children: tuple[Expression, ...] = ()
    text: str = ""


EVERYTHING = Expression("everything")
NOTHING = Expression("nothing")


def term(source: str, *, prefix: bool = False) -> Expression:
    """Events with this token, given as the text that it is made of, or with one that it begins."""
    return Expression("term", (), '"' + source.replace('"', '""') + '"' + (" *" if prefix else ""))


_SHORTEST_PREFIX = 3
"""A prefix is looked up by merging every token that it begins, at once: of three hex digits, a four-thousandth
of all ids; of one, a sixteenth."""


def narrows(prefix: str) -> bool:
    """Whether a prefix is worth a look-up in the index."""
    return len(prefix) >= _SHORTEST_PREFIX


def dimension(kind: str, numbers: Iterable[int]) -> Expression:
    """Events whose service ("s") or host ("h") is one of these dimension numbers."""
    return any_of(term(f"{TOKEN_MARK}{kind}{number}") for number in numbers)


def levels(groups: Iterable[int]) -> Expression:
    """Events of these level groups, 0-5."""
    wanted = list(groups)
    return EVERYTHING if len(wanted) == len(LEVELS) else any_of(term(f"{TOKEN_MARK}l{group}") for group in wanted)


def all_of(parts: Iterable[Expression]) -> Expression:
    """Events that all of these hold."""
    return _join("all", "everything", "nothing", parts)


def any_of(parts: Iterable[Expression]) -> Expression:
    """Events that any of these holds."""
    return _join("any", "nothing", "everything", parts)


def _join(kind: str, neutral: str, absorbing: str, parts: Iterable[Expression]) -> Expression:
    children: list[Expression] = []
    for part in parts:
        if part.kind == absorbing:
            return part
        if part.kind == kind:
            children.extend(part.children)
        elif part.kind != neutral:
            children.append(part)
    children = list(dict.fromkeys(children))
    if len(children) == 1:
        return children[0]
    return Expression(kind, tuple(children)) if children else Expression(neutral)


def without(part: Expression) -> Expression:
    """Events that this does not hold. Only for expressions that are exact: a candidate is not yet a match."""
    if part.kind == "not":
        return part.children[0]
    return {"everything": NOTHING, "nothing": EVERYTHING}.get(part.kind) or Expression("not", (part,))


_UNIVERSE = "(" + " OR ".join(f'"{TOKEN_MARK}l{group}"' for group in range(len(LEVELS))) + ")"


def render(part: Expression) -> str | None:
    """The expression for FTS5's MATCH, to be bound as a parameter; None where the index does not narrow.

    Not for NOTHING, which needs no query.
    """
    return None if part.kind == "everything" else _render(part)


def _render(part: Expression) -> str:
    if part.kind == "term":
        return part.text
    if part.kind == "any":
        return "(" + " OR ".join(map(_render, part.children)) + ")"
    wanted = [child for child in (part.children if part.kind == "all" else ()) if child.kind != "not"]
    unwanted = [
        child.children[0] for child in (part.children if part.kind == "all" else (part,)) if child.kind == "not"
    ]
    text = " AND ".join(map(_render, wanted)) or _UNIVERSE
    return f"(({text}) NOT {_render(any_of(unwanted))})" if unwanted else f"({text})"

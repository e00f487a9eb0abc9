"""Queries that ask for level, service and host only, perhaps beside one word: counts that a segment keeps answer them.

The per-minute counts know level and service; the census of a sealed segment knows hosts and common words too.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from monitoring.pipeline.events.levels import LEVELS, group
from monitoring.pipeline.query.ast import And, Everything, Field, Level, Node, Not, Or, Words
from monitoring.pipeline.query.clause import FALSE, TRUE, Clause, all_of, any_of, one_of
from monitoring.pipeline.query.sql import fitting
from monitoring.pipeline.query.tokens import Matcher, Tokenizer
from monitoring.pipeline.store.census import EVERY

__all__ = ["Decision", "Worded", "beside_a_word", "condition", "decision", "possible_groups"]

Decision = Callable[[str, int, str], bool]
"""Whether an event of this service, severity (1-24) and host matches."""

_SEVERITIES = range(1, 25)


def decision(node: Node, *, of: Collection[str] = ("service",)) -> Decision | None:
    """The query as a function; None where it asks for more than the level and these dimensions."""
    if isinstance(node, Everything):
        return lambda service, severity, host: True
    if isinstance(node, Level):
        return lambda service, severity, host: node.low <= severity <= node.high
    if isinstance(node, Field):
        return _dimension(node) if node.name in of else None
    if isinstance(node, Not):
        inner = decision(node.node, of=of)
        return None if inner is None else lambda service, severity, host: not inner(service, severity, host)
    if isinstance(node, And | Or):
        parts = [decision(part, of=of) for part in node.nodes]
        known = [part for part in parts if part is not None]
        if len(known) < len(parts):
            return None
        combine = all if isinstance(node, And) else any
        return lambda service, severity, host: combine(part(service, severity, host) for part in known)
    return None


def _dimension(node: Field) -> Decision:
    fits = fitting(node.test)
    if node.name == "service":
        return lambda service, severity, host: fits(service)
    return lambda service, severity, host: fits(host)


class Worded(NamedTuple):
    """A query for one word ("" for none), as the index has it, or for its absence; and the rest, a decision."""

    word: str
    absent: bool
    decides: Decision


def beside_a_word(node: Node, split: Tokenizer) -> Worded | None:
    """The query, where it asks for no more than a word and the level, service and host."""
    parts = tuple(_conjuncts(node))
    words = [part for part in parts if isinstance(part.node if isinstance(part, Not) else part, Words)]
    decides = decision(And(tuple(part for part in parts if part not in words)), of=("service", "host"))
    if decides is None or len(set(words)) > 1:
        return None
    if not words:
        return Worded(EVERY, False, decides)
    wanted = words[0].node if isinstance(words[0], Not) else words[0]
    tokens = Matcher.of(wanted.pattern, split).tokens if isinstance(wanted, Words) else ()
    if len(tokens) != 1 or not tokens[0].exact:
        return None
    return Worded(tokens[0].parts[0], isinstance(words[0], Not), decides)


def _conjuncts(node: Node) -> Iterator[Node]:
    if isinstance(node, And):
        for part in node.nodes:
            yield from _conjuncts(part)
    else:
        yield node


def condition(decides: Decision, services: Mapping[str, int]) -> Clause:
    """The decision as a condition on a row of `minute`; `services` are the segment's numbers by name."""
    by_levels: dict[tuple[int, ...], list[int]] = {}
    for name, number in services.items():
        wanted = tuple(severity for severity in _SEVERITIES if decides(name, severity, ""))
        by_levels.setdefault(wanted, []).append(number)
    return any_of(
        all_of((_among("service", numbers, len(services)), _among("level", levels, len(_SEVERITIES))))
        for levels, numbers in by_levels.items()
    )


def _among(column: str, numbers: Iterable[int], everyone: int) -> Clause:
    wanted = list(numbers)
    if not wanted:
        return FALSE
    return TRUE if len(wanted) == everyone else one_of(column, wanted)


def possible_groups(node: Node) -> set[int]:
    """Level groups (0-5) that a match may be of; those left out it cannot."""
    everyone = set(range(len(LEVELS)))
    if isinstance(node, Level):
        return set(range(group(node.low), group(node.high) + 1)) if node.low <= node.high else set()
    if isinstance(node, And):
        return everyone.intersection(*map(possible_groups, node.nodes))
    if isinstance(node, Or):
        return set[int]().union(*map(possible_groups, node.nodes))
    if isinstance(node, Not) and isinstance(node.node, Level):
        low, high = node.node.low, node.node.high
        return {found for found in everyone if not (low <= 4 * found + 1 and 4 * found + 4 <= high)}
    return everyone

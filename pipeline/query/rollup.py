"""Queries that ask for level and service only: the per-minute counts of a segment answer them without its rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from monitoring.pipeline.events.levels import LEVELS, group
from monitoring.pipeline.query.ast import And, Everything, Field, Level, Node, Not, Or
from monitoring.pipeline.query.clause import FALSE, TRUE, Clause, all_of, any_of, one_of
from monitoring.pipeline.query.sql import fitting

__all__ = ["Decision", "condition", "decision", "possible_groups"]

Decision = Callable[[str, int], bool]
"""Whether an event of this service and severity (1-24) matches."""

_SEVERITIES = range(1, 25)


def decision(node: Node) -> Decision | None:
    """The query as a function of service and severity; None where it asks for more than these."""
    if isinstance(node, Everything):
        return lambda service, severity: True
    if isinstance(node, Level):
        return lambda service, severity: node.low <= severity <= node.high
    if isinstance(node, Field):
        return _service(node)
    if isinstance(node, Not):
        inner = decision(node.node)
        return None if inner is None else lambda service, severity: not inner(service, severity)
    if isinstance(node, And | Or):
        parts = [decision(part) for part in node.nodes]
        known = [part for part in parts if part is not None]
        if len(known) < len(parts):
            return None
        combine = all if isinstance(node, And) else any
        return lambda service, severity: combine(part(service, severity) for part in known)
    return None


def _service(node: Field) -> Decision | None:
    if node.name != "service":
        return None
    fits = fitting(node.test)
    return lambda service, severity: fits(service)


def condition(decides: Decision, services: Mapping[str, int]) -> Clause:
    """The decision as a condition on a row of `minute`; `services` are the segment's numbers by name."""
    by_levels: dict[tuple[int, ...], list[int]] = {}
    for name, number in services.items():
        wanted = tuple(severity for severity in _SEVERITIES if decides(name, severity))
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

"""A query as a tree: what the parser makes, what a store compiles. Small, frozen, comparable.

Names and values are already understood here: levels are severity ranges, regexes are known to compile,
escapes are gone. A store needs no error path of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "And",
    "Between",
    "Compare",
    "Everything",
    "Exists",
    "Field",
    "Is",
    "Level",
    "Matches",
    "Node",
    "Not",
    "Or",
    "Pattern",
    "Test",
    "Words",
]


@dataclass(frozen=True, slots=True)
class Pattern:
    """Text with wildcards: the literal parts between the stars, so one part where there is no star."""

    parts: tuple[str, ...]

    @property
    def literal(self) -> str | None:
        """The text, or None where it has a wildcard."""
        return self.parts[0] if len(self.parts) == 1 else None


@dataclass(frozen=True, slots=True)
class Everything:
    """Every event."""


@dataclass(frozen=True, slots=True)
class Words:
    """A word or phrase anywhere in an event's text."""

    pattern: Pattern


@dataclass(frozen=True, slots=True)
class Level:
    """Severity numbers from `low` to `high`, both included, within 1-24."""

    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Is:
    """The field is this text or, for a number, this number; in `message` and `exception`: contains these words."""

    pattern: Pattern


@dataclass(frozen=True, slots=True)
class Compare:
    """The field is greater or less than a value; `operator` is one of > >= < <=."""

    operator: str
    value: str


@dataclass(frozen=True, slots=True)
class Between:
    """The field lies from `low` to `high`, both included."""

    low: str
    high: str


@dataclass(frozen=True, slots=True)
class Matches:
    """A part of the field matches the regular expression (RE2 syntax)."""

    regex: str


@dataclass(frozen=True, slots=True)
class Exists:
    """The field is there and neither null nor empty text."""


Test = Is | Compare | Between | Matches | Exists


@dataclass(frozen=True, slots=True)
class Field:
    """A test on one field. `name` is one of `fields.KNOWN`, else that of an attribute, its parts joined by dots."""

    name: str
    test: Test


@dataclass(frozen=True, slots=True)
class Not:
    """Events that do not match."""

    node: Node


@dataclass(frozen=True, slots=True)
class And:
    """Events that match all of these, two or more."""

    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Events that match any of these, two or more."""

    nodes: tuple[Node, ...]


Node = Everything | Words | Level | Field | Not | And | Or

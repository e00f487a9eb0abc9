"""From a query's tree to SQL for one segment.

Every part of a tree becomes three things:

    expression  what the text index must say: true for every match, perhaps for more events
    residual    what is left to verify on those events' rows; TRUE where the index decides alone
    full        the whole test on a row, for places where the index is not asked

so that  match <=> expression and residual <=> full.  AND joins expressions and residuals. OR keeps the
expressions, but must verify in full if one of its parts has a residual. NOT turns the expression round where the
index decides alone; elsewhere it says nothing about the index.

Dimension values are looked up here: a service that the segment does not know becomes FALSE, and nothing is read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import orjson

from monitoring.pipeline.events.levels import LEVELS, group
from monitoring.pipeline.query import attributes, fields, index
from monitoring.pipeline.query.ast import (
    And,
    Everything,
    Exists,
    Field,
    Is,
    Level,
    Matches,
    Node,
    Not,
    Or,
    Pattern,
    Test,
    Words,
)
from monitoring.pipeline.query.clause import FALSE, TRUE, Clause, all_of, any_of, negated, one_of
from monitoring.pipeline.query.functions import regex_matches
from monitoring.pipeline.query.hints import guarded_regex, guarded_words
from monitoring.pipeline.query.index import EVERYTHING, NOTHING, Expression
from monitoring.pipeline.query.tokens import Matcher, Token, Tokenizer
from monitoring.pipeline.store.rows import EPOCH_US, ID_SHIFT

__all__ = [
    "COLUMNS",
    "TRUE_TIME",
    "Compiled",
    "Segment",
    "Span",
    "Statement",
    "compile_query",
    "count_buckets",
    "count_ids",
    "count_minutes",
    "count_up_to",
    "fitting",
    "on_rows",
    "rows_between",
    "select_boundary",
    "select_rows",
    "select_spilled",
]


class Segment(Protocol):
    """What is asked of a segment; `View` is one."""

    @property
    def dimensions(self) -> Mapping[str, Mapping[str, int]]:
        """The numbers of its repeated strings, by kind and value."""
        ...

    @property
    def split(self) -> Tokenizer:
        """The tokenizer of its index."""
        ...

    @property
    def common(self) -> Callable[[str], bool]:
        """Whether most of its events hold this token."""
        ...


_INDEXED_DIMENSIONS = {"service": "s", "host": "h"}
_MOST_TERMS = 64
"""More dimension numbers than this are compared on the row: each costs the index a look-up."""


class _Part(NamedTuple):
    expression: Expression
    residual: Clause
    full: Clause


_ALL = _Part(EVERYTHING, TRUE, TRUE)
_NONE = _Part(NOTHING, TRUE, FALSE)


@dataclass(frozen=True, slots=True)
class Compiled:
    """A query for one segment: FTS5's MATCH (None: every row is a candidate) and the condition on candidates.

    Without a condition the index alone decides; `empty` says that nothing in the segment can match.
    """

    match: str | None
    condition: Clause
    empty: bool

    @property
    def verified(self) -> bool:
        """Whether candidates must be looked at one by one."""
        return self.condition != TRUE


class Statement(NamedTuple):
    """SQL and what is bound to it."""

    text: str
    values: tuple[object, ...]


def compile_query(node: Node, segment: Segment) -> Compiled:
    """The query for this segment."""
    part = _Compiler(segment).part(node)
    empty = part.expression == NOTHING or FALSE in (part.residual, part.full)
    return Compiled(None if empty else index.render(part.expression), part.residual, empty)


def on_rows(node: Node, segment: Segment) -> Clause:
    """The whole query as a condition on rows of `log`, where the index is not asked."""
    return _Compiler(segment).part(node).full


class _Compiler:
    def __init__(self, segment: Segment) -> None:
        self._dimensions = segment.dimensions
        self._split = segment.split
        self._common = segment.common

    def part(self, node: Node) -> _Part:
        if isinstance(node, And):
            parts = [self.part(inner) for inner in node.nodes]
            return _Part(
                index.all_of(part.expression for part in parts),
                all_of(part.residual for part in parts),
                all_of(part.full for part in parts),
            )
        if isinstance(node, Or):
            return _either([self.part(inner) for inner in node.nodes])
        if isinstance(node, Not):
            return _opposite(self.part(node.node))
        if isinstance(node, Words):
            return self._words(node.pattern)
        if isinstance(node, Level):
            return _level(node)
        return _ALL if isinstance(node, Everything) else self._field(node)

    def _words(self, pattern: Pattern) -> _Part:
        """Anywhere in the texts that were indexed."""
        wanted = Matcher.of(pattern, self._split)
        loggers = self._numbers("logger", lambda value: wanted.within(value, self._split))
        full = any_of((
            one_of("log.logger", loggers),
            *(guarded_words(wanted, f"log.{name}", json=False) for name in ("message", *fields.IDS)),
            *(guarded_words(wanted, f"log.{name}", json=True) for name in ("attributes", "exception")),
        ))  # fmt: skip
        expression, exact = _tokens(wanted.tokens)
        return _Part(expression, TRUE if exact else full, full)

    def _field(self, node: Field) -> _Part:
        name, test = node.name, node.test
        if name in fields.DIMENSIONS:
            return self._dimension(name, test)
        if name in fields.RESOURCES:
            return self._resource(name, test)
        if name in fields.IDS:
            return self._id(name, test)
        if name in fields.TEXTS:
            return self._text(name, test)
        full = attributes.condition(name, test)
        return (
            _Part(attributes.candidates(name, test, self._split, self._common), full, full) if full != FALSE else _NONE
        )

    def _numbers(self, kind: str, fits: Callable[[str], bool]) -> list[int]:
        return [number for value, number in self._dimensions.get(kind, {}).items() if fits(value)]

    def _dimension(self, name: str, test: Test) -> _Part:
        numbers = self._numbers(name, fitting(test))
        full = self._one_of(name, numbers)
        if full in (TRUE, FALSE):
            return _ALL if full == TRUE else _NONE
        if name in _INDEXED_DIMENSIONS and len(numbers) <= _MOST_TERMS:
            return _Part(index.dimension(_INDEXED_DIMENSIONS[name], numbers), TRUE, full)
        return _Part(self._logger_tokens(test) if name == "logger" else EVERYTHING, full, full)

    def _logger_tokens(self, test: Test) -> Expression:
        """A logger's name is indexed as text."""
        return attributes.whole_value(test.pattern, self._split) if isinstance(test, Is) else EVERYTHING

    def _resource(self, name: str, test: Test) -> _Part:
        fits = fitting(test)
        full = self._one_of("resource", self._numbers("resource", lambda text: fits(orjson.loads(text).get(name, ""))))
        return _Part(EVERYTHING, full, full)

    def _one_of(self, kind: str, numbers: list[int]) -> Clause:
        everyone = len(numbers) == len(self._dimensions.get(kind, {}))
        return TRUE if everyone and numbers else one_of(f"log.{kind}", numbers)

    def _id(self, name: str, test: Test) -> _Part:
        column = f"log.{name}"
        if isinstance(test, Is):
            literal = test.pattern.literal
            condition = (
                Clause(f"({column} = ?)", (literal,))
                if literal is not None
                else Clause(f"({column} GLOB ?)", (attributes.glob(test.pattern),))
            )
            return _Part(attributes.whole_value(test.pattern, self._split), condition, condition)
        condition = _matches(column, test)
        return _Part(EVERYTHING, condition, condition)

    def _text(self, name: str, test: Test) -> _Part:
        column = f"log.{name}"
        if not isinstance(test, Is):
            condition = _matches(column, test, json=name == "exception")
            return _Part(EVERYTHING, condition, condition)
        wanted = Matcher.of(test.pattern, self._split)
        if test.pattern.literal == "":
            condition = Clause(f"({column} = '')")
        else:
            condition = guarded_words(wanted, column, json=name == "exception")
        return _Part(_tokens(wanted.tokens)[0], condition, condition)


def _either(parts: list[_Part]) -> _Part:
    full = any_of(part.full for part in parts)
    residual = TRUE if all(part.residual == TRUE for part in parts) else full
    return _Part(index.any_of(part.expression for part in parts), residual, full)


def _opposite(part: _Part) -> _Part:
    full = negated(part.full)
    if part.residual == TRUE:
        return _Part(index.without(part.expression), TRUE, full)
    return _Part(EVERYTHING, full, full)


def _tokens(tokens: tuple[Token, ...]) -> tuple[Expression, bool]:
    """What the index knows of these tokens in sequence, and whether that is all there is to know."""
    known, exact = [], len(tokens) == 1
    for token in tokens:
        if token.exact:
            known.append(index.term(token.source))
        elif index.narrows(token.source):
            known.append(index.term(token.source, prefix=True))
            exact = exact and token.prefix
        else:
            exact = False
    return index.all_of(known), exact


def _level(node: Level) -> _Part:
    first, last = group(node.low), group(node.high)
    expression = index.levels(range(first, last + 1))
    full = Clause("(log.level BETWEEN ? AND ?)", (node.low, node.high))
    whole = node.low == 4 * first + 1 and node.high == 4 * last + 4
    if whole and last - first + 1 == len(LEVELS):
        return _ALL
    return _Part(expression, TRUE if whole else full, full)


def fitting(test: Test) -> Callable[[str], bool]:
    """The test as a function of a dimension's value, such as a service."""
    if isinstance(test, Exists):
        return bool
    if isinstance(test, Matches):
        return lambda value: regex_matches(test.regex, value)
    if not isinstance(test, Is):
        raise TypeError(f"a dimension has no order: {test}")  # the parser refuses it
    literal = test.pattern.literal
    if literal is not None:
        return lambda value: value == literal
    whole = Token(test.pattern.parts, "")
    return whole.fits


def _matches(column: str, test: Test, *, json: bool = False) -> Clause:
    if isinstance(test, Exists):
        return Clause(f"({column} <> '')")
    if not isinstance(test, Matches):
        raise TypeError(f"{column} has no order: {test}")  # the parser refuses it
    return Clause(f"json_regex_matches(?, {column})", (test.regex,)) if json else guarded_regex(test.regex, column)


COLUMNS = (
    "log.id, log.offset_ns, log.level, log.service, log.resource, log.logger, log.host, log.message, log.trace_id,"
    " log.span_id, log.request_id, log.exception, log.attributes"
)
TRUE_TIME = f"((log.id >> {ID_SHIFT}) + {EPOCH_US}) * 1000 + log.offset_ns"
"""An event's time on its row, nanoseconds since 1970."""


@dataclass(frozen=True, slots=True)
class Span:
    """Where to look: ids from `low` to `high`, both included, of events from `start` up to `end` (nanoseconds).

    Ids may lie behind their events' time, so the range of ids is wider and the time is checked on the row.
    """

    low: int
    high: int
    start: int
    end: int


def select_rows(
    compiled: Compiled, span: Span, *, newest: bool, limit: int = -1, columns: str = COLUMNS
) -> Statement:  # fmt: skip
    """At most `limit` matching rows of the span (-1: all) in order of id; `columns` is SQL of our own over `log`."""
    source, values = _source(compiled, span)
    key, direction = _order(compiled, newest)
    return Statement(
        f"SELECT {columns} {source} AND {TRUE_TIME} >= ? AND {TRUE_TIME} < ? AND {compiled.condition.text}"
        f" ORDER BY {key} {direction} LIMIT ?",
        (*values, span.start, span.end, *compiled.condition.values, limit),
    )


def count_up_to(match: str, low: int, high: int, limit: int) -> Statement:
    """How many ids from `low` to `high` the index finds, but no more than `limit`."""
    found = "SELECT 1 FROM text WHERE text MATCH ? AND rowid BETWEEN ? AND ? LIMIT ?"
    return Statement(f"SELECT count(*) FROM ({found})", (match, low, high, limit))  # noqa: S608 - own words


def count_ids(match: str, low: int, high: int) -> Statement:
    """How many ids from `low` to `high` the index finds; no row is looked at."""
    return Statement("SELECT count(*) FROM text WHERE text MATCH ? AND rowid BETWEEN ? AND ?", (match, low, high))


def count_buckets(match: str, base: int, width: int, low: int, high: int) -> Statement:
    """Bucket and number of the ids from `low` to `high` that the index finds; each of `width`, the first at `base`."""
    return Statement(
        "SELECT (rowid - ?) / ?, count(*) FROM text WHERE text MATCH ? AND rowid BETWEEN ? AND ? GROUP BY 1",
        (base, width, match, low, high),
    )


def rows_between(match: str | None, low: int, high: int, columns: str, condition: Clause = TRUE) -> Statement:
    """Columns of the matching rows whose ids go from `low` to `high`, whatever their time."""
    where, values = _narrowed(match, low, high)
    table = "log" if match is None else "text CROSS JOIN log ON log.id = text.rowid"
    text = f"SELECT {columns} FROM {table} WHERE {where} AND {condition.text}"  # noqa: S608 - own names
    return Statement(text, (*values, *condition.values))


def count_minutes(where: Clause, base: int, width: int, low: int, high: int, column: str = "level") -> Statement:
    """Bucket, level (or service) and number of events out of the roll-up, for minutes in [low, high).

    A bucket is `width` minutes, the first begins at the minute `base`, which is not greater than `low`.
    """
    bucket = f"SELECT (minute - ?) / ?, {column}, sum(count) FROM minute WHERE minute >= ? AND minute < ?"  # noqa: S608 - own names
    return Statement(f"{bucket} AND {where.text} GROUP BY 1, 2", (base, width, low, high, *where.values))


def select_spilled(match: str | None, low: int, high: int, column: str = "level") -> Statement:
    """Time, level, service and a column of the rows with ids from `low` to `high` that the index finds (None: all)."""
    return rows_between(match, low, high, f"{TRUE_TIME}, log.level, log.service, log.{column}")


def select_boundary(compiled: Compiled, span: Span, *, newest: bool, count: int) -> Statement:
    """Id of the candidate that `count` others come before; no row where there are not so many."""
    key, direction = _order(compiled, newest)
    table = "log" if compiled.match is None else "text"
    where, values = _narrowed(compiled.match, span.low, span.high)
    text = f"SELECT {key} FROM {table} WHERE {where} ORDER BY {key} {direction} LIMIT 1 OFFSET ?"  # noqa: S608 - own names
    return Statement(text, (*values, count))


def _source(compiled: Compiled, span: Span) -> tuple[str, tuple[object, ...]]:
    where, values = _narrowed(compiled.match, span.low, span.high)
    # CROSS JOIN keeps the index first: it yields rowids in order, and stops when enough rows are found.
    table = "log" if compiled.match is None else "text CROSS JOIN log ON log.id = text.rowid"
    return f"FROM {table} WHERE {where}", values


def _narrowed(match: str | None, low: int, high: int) -> tuple[str, tuple[object, ...]]:
    if match is None:
        return "log.id BETWEEN ? AND ?", (low, high)
    return "text MATCH ? AND text.rowid BETWEEN ? AND ?", (match, low, high)


def _order(compiled: Compiled, newest: bool) -> tuple[str, str]:
    return "log.id" if compiled.match is None else "text.rowid", "DESC" if newest else "ASC"

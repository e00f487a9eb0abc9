"""From the text of an expression to its tree, by way of `promql-parser`."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from monitoring.pipeline.errors import PermanentError
from monitoring.pipeline.query.promql import lexing
from monitoring.pipeline.query.promql.errors import PromqlError
from monitoring.pipeline.query.promql.source import NAME, Matcher
from monitoring.pipeline.query.promql.tree import (
    Aggregation,
    At,
    Binary,
    Call,
    Cardinality,
    Extension,
    Matching,
    Negation,
    Node,
    Number,
    Selector,
    Subquery,
    Text,
)

__all__ = ["formatted", "parse", "selector"]

T = TypeVar("T")

_MILLISECOND = timedelta(milliseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_OPERATORS: dict[str, Any] = {"Equal": "=", "NotEqual": "!=", "Re": "=~", "NotRe": "!~"}
_CARDINALITY: dict[str, Cardinality] = {
    "OneToOne": "one-to-one",
    "ManyToOne": "many-to-one",
    "OneToMany": "one-to-many",
    "ManyToMany": "many-to-many",
}
_SETS = frozenset({"and", "or", "unless"})


def parse(text: str, step_ms: int = 0, range_ms: int = 0) -> Node:
    """The tree of an expression. Raises PromqlError ("bad_data"), and nothing else, for what is not PromQL.

    `step_ms`, `range_ms`: of the range query, for durations that are computed from them; 0 in an instant query.
    """
    prepared = lexing.prepare(text, {"step": step_ms / 1000, "range": range_ms / 1000})
    return _parsed(prepared, _tree)


def formatted(text: str) -> str:
    """The expression set in lines, as Prometheus' `format_query` does; as it came where only we understand it.

    Raises PromqlError ("bad_data").
    """
    parse(text)
    try:
        return _parsed(text, lambda parsed: str(parsed.prettify()))
    except PromqlError:  # it holds what `lexing` says in another way
        return text


def _parsed(text: str, read: Callable[[Any], T]) -> T:
    import promql_parser

    try:
        return read(promql_parser.parse(text))
    except (ValueError, OverflowError) as error:  # from the parser, or a time or duration beyond those of Python
        raise PromqlError(f"parse error: {_worded(str(error))}", "bad_data") from None
    except BaseException as error:
        # A panic of the parser, for a duration that does not fit, comes as an exception that is no Exception.
        if type(error).__name__ != "PanicException":
            raise
        raise PromqlError(f"parse error: {error}", "bad_data") from None


_WORDS = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"(expected type|, got:?) matrix\b(?! instead)", r"\1 range vector"),
        (r"(expected type|, got:?) vector\b(?! instead)", r"\1 instant vector"),
        (r"only allowed on vector,", "only allowed on instant vector,"),
        (r"of type scalar or vector, got: (.*)", r'of type scalar or instant vector, got "\1"'),
        (r"only allowed between vectors", "only allowed between instant vectors"),
        (r"'([^'\"]*)'", r'"\1"'),
    )
)
"""Where Prometheus has other words for what our parser says."""


def _worded(error: str) -> str:
    for pattern, replacement in _WORDS:
        error = pattern.sub(replacement, error)
    return error


def selector(text: str) -> tuple[Matcher, ...]:
    """The matchers of `x{a="b"}`, as the `match[]` of the API has them. Raises PromqlError ("bad_data")."""
    node = parse(text)
    if not isinstance(node, Selector) or node != Selector(node.matchers):
        raise PromqlError(f"parse error: {text!r} is not a vector selector", "bad_data")
    return node.matchers


def _tree(parsed: Any) -> Node:
    return _TREES[type(parsed).__name__](parsed)


def _duration(value: timedelta | None) -> int:
    return 0 if value is None else value // _MILLISECOND


def _at(modifier: Any) -> At:
    if modifier is None:
        return None
    kind = str(modifier.type).rsplit(".", 1)[-1]
    if kind == "Start":
        return "start"
    if kind == "End":
        return "end"
    at: int = (modifier.at - _EPOCH) // _MILLISECOND
    before = lexing.BEFORE_1970 * 1000
    return before - at if at >= before else at


def _matcher(found: Any) -> Matcher:
    return Matcher(found.name, _OPERATORS[str(found.op).rsplit(".", 1)[-1]], found.value)


def _vector_selector(parsed: Any) -> Selector:
    if parsed.matchers.or_matchers:
        raise PromqlError('parse error: unexpected "or" in label matching', "bad_data")
    matchers = [_matcher(found) for found in parsed.matchers.matchers]
    names = [matcher.value for matcher in matchers if matcher.label == NAME and matcher.operator == "="]
    if parsed.name is not None:
        matchers.insert(0, Matcher(NAME, "=", parsed.name))
    elif len(names) > 1:
        raise PromqlError(f'parse error: metric name must not be set twice: "{names[0]}" or "{names[1]}"', "bad_data")
    for matcher in matchers:
        try:
            matcher.test()
        except PermanentError as error:
            raise PromqlError(f"parse error: {error}", "bad_data") from None
    offset_ms = _duration(parsed.offset)
    if offset_ms >= lexing.SMOOTHED_OFFSET_MS // 2:
        return Selector(tuple(matchers), offset_ms - lexing.SMOOTHED_OFFSET_MS, _at(parsed.at), extension="smoothed")
    return Selector(tuple(matchers), offset_ms, _at(parsed.at))


def _matrix_selector(parsed: Any) -> Selector:
    inner, range_ms = _vector_selector(parsed.vector_selector), _duration(parsed.range)
    extension: Extension = ""
    if range_ms >= lexing.EXTENDED_MS["smoothed"]:
        extension, range_ms = "smoothed", range_ms - lexing.EXTENDED_MS["smoothed"]
    elif range_ms >= lexing.EXTENDED_MS["anchored"]:
        extension, range_ms = "anchored", range_ms - lexing.EXTENDED_MS["anchored"]
    return Selector(inner.matchers, inner.offset_ms, inner.at, range_ms, extension)


def _subquery(parsed: Any) -> Subquery:
    return Subquery(
        _tree(parsed.expr),
        _duration(parsed.range),
        _duration(parsed.step),
        _duration(parsed.offset),
        _at(parsed.at),
    )


def _aggregation(parsed: Any) -> Aggregation:
    modifier = parsed.modifier
    by = modifier is None or str(modifier.type).endswith("By")
    labels = () if modifier is None else tuple(modifier.labels)
    parameter = None if parsed.param is None else _tree(parsed.param)
    return Aggregation(str(parsed.op), _tree(parsed.expr), parameter, by, labels)


def _matching(modifier: Any, operator: str) -> Matching:
    if modifier is None:
        return Matching(cardinality="many-to-many" if operator in _SETS else "one-to-one")
    matching, fill = modifier.matching, modifier.fill_values
    return Matching(
        on=matching is not None and str(matching.type).endswith("Include"),
        labels=() if matching is None else tuple(matching.labels),
        cardinality="many-to-many" if operator in _SETS else _CARDINALITY[str(modifier.card).rsplit(".", 1)[-1]],
        include=tuple(modifier.group_labels or ()),
        fill=(fill.lhs, fill.rhs),
    )


def _binary(parsed: Any) -> Binary:
    operator = str(parsed.op)
    return Binary(
        operator,
        _tree(parsed.lhs),
        _tree(parsed.rhs),
        _matching(parsed.modifier, operator),
        parsed.modifier is not None and parsed.modifier.return_bool,
    )


_TREES: dict[str, Callable[[Any], Node]] = {
    "AggregateExpr": _aggregation,
    "BinaryExpr": _binary,
    "Call": lambda parsed: Call(parsed.func.name, tuple(map(_tree, parsed.args))),
    "MatrixSelector": _matrix_selector,
    "NumberLiteral": lambda parsed: Number(parsed.val),
    "ParenExpr": lambda parsed: _tree(parsed.expr),
    "StringLiteral": lambda parsed: Text(parsed.val),
    "SubqueryExpr": _subquery,
    "UnaryExpr": lambda parsed: Negation(_tree(parsed.expr)),
    "VectorSelector": _vector_selector,
}

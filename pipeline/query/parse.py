"""From the text of a query to its tree.

The grammar is `grammar.lark`; what it cannot say (levels have names, a service has no order, regexes must
compile) is checked here, where the column is still known.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from monitoring.pipeline.errors import QuerySyntaxError
from monitoring.pipeline.events import levels
from monitoring.pipeline.query import fields
from monitoring.pipeline.query.ast import (
    And,
    Between,
    Compare,
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
from monitoring.pipeline.query.limits import MAX_DEPTH, MAX_FIELD_PARTS, MAX_QUERY_LENGTH, MAX_TERMS

if TYPE_CHECKING:
    from lark import Lark, Token, UnexpectedInput

__all__ = ["number", "parse"]

_OPERATORS = frozenset({"AND", "OR", "NOT"})
_DANGLING = _OPERATORS | {"-"}
_ALWAYS = frozenset({"level", "timestamp"})
"""What every event has."""
_ESCAPABLE = frozenset('*()":\\/-<>. ')
_QUOTE_HINT = "put text in double quotes to search for it as it is"
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_RANGE = re.compile(r"(?P<low>[^./*\\](?:[^./*\\]|\.(?!\.))*)?\.\.(?P<high>[^./*\\](?:[^./*\\]|\.(?!\.))*)?")
_NAME = re.compile(r"(?:[^\W\d]|[@$])[\w.@$/-]*")


def parse(text: str) -> Node:
    """The tree of a query; a blank one is everything.

    Raises QuerySyntaxError, and nothing else, for whatever it cannot understand or finds too large.
    """
    if len(text) > MAX_QUERY_LENGTH:
        raise QuerySyntaxError(
            f"the query has {len(text)} characters", MAX_QUERY_LENGTH + 1, f"at most {MAX_QUERY_LENGTH} are allowed"
        )
    for index, char in enumerate(text):
        if "\ud800" <= char <= "\udfff":
            raise QuerySyntaxError("this is half a character", index + 1, "the query must be valid Unicode")
    if not text.strip():
        return Everything()
    from lark import UnexpectedInput

    try:
        built: _Built = _parser().parse(text)  # type: ignore[assignment]  # lark says Tree; our callbacks make this
    except UnexpectedInput as error:
        _explain(text, error)
    if built.terms > MAX_TERMS:
        raise QuerySyntaxError(f"the query has {built.terms} terms", 1, f"at most {MAX_TERMS} are allowed")
    return built.node  # type: ignore[no-any-return]  # lark has no types for it


def number(text: str) -> int | float | None:
    """The number that a query's text means; None where it is none."""
    if _NUMBER.fullmatch(text) is None:
        return None
    try:
        return int(text)
    except ValueError:
        return float(text)


class _Value(NamedTuple):
    """A test that waits for its field."""

    test: Test
    column: int


class _Built(NamedTuple):
    """A part of the tree, how deep it is and how many terms it has. Inside a value list its leaves are `_Value`."""

    node: Any
    depth: int = 1
    terms: int = 1


class _Builder:
    """The grammar's callbacks: each makes the part of the tree for its rule while the parser runs."""

    def start(self, children: list[_Built]) -> _Built:
        return children[0]

    def any(self, children: list[_Built]) -> _Built:
        return _combine(Or, children)

    def all(self, children: list[_Built]) -> _Built:
        return _combine(And, children)

    def negated(self, children: list[_Built]) -> _Built:
        (inner,) = children
        if isinstance(inner.node, Not):
            return inner._replace(node=inner.node.node)
        return _bounded(_Built(Not(inner.node), inner.depth + 1, inner.terms))

    def word(self, children: list[Token]) -> _Built:
        (token,) = children
        column = _column(token)
        if token in _DANGLING:
            raise QuerySyntaxError(f"nothing for {token} to work on", column, _QUOTE_HINT)
        if token.endswith(":") and _NAME.fullmatch(token[:-1]):
            hint = f"write {token}VALUE without a blank, or {_QUOTE_HINT}"
            raise QuerySyntaxError(f"missing value after {token}", column + len(token), hint)
        pattern = _pattern(token)
        return _Built(Everything() if _only_stars(pattern) else Words(pattern))

    def phrase(self, children: list[Token]) -> _Built:
        text = _unquote(children[0])
        return _Built(Words(Pattern((text,))) if text.strip() else Everything())

    def is_word(self, children: list[Token]) -> _Built:
        (token,) = children
        if token in ("<", ">", "<=", ">="):
            raise QuerySyntaxError(f"missing value after {token}", _column(token) + len(token), _QUOTE_HINT)
        bounds = _RANGE.fullmatch(token)
        if bounds is not None:
            test = _range(bounds["low"], bounds["high"])
            if test is not None:
                return _Built(_Value(test, _column(token)))
        pattern = _pattern(token)
        return _Built(_Value(Exists() if _only_stars(pattern) else Is(pattern), _column(token)))

    def is_phrase(self, children: list[Token]) -> _Built:
        return _Built(_Value(Is(Pattern((_unquote(children[0]),))), _column(children[0])))

    def matches(self, children: list[Token]) -> _Built:
        (token,) = children
        regex = token[1:-1].replace("\\/", "/")
        problem = _regex_problem(regex)
        if problem:
            raise QuerySyntaxError(f"not a regular expression: {problem}", _column(token), "the syntax is RE2's")
        return _Built(_Value(Matches(regex), _column(token)))

    def compare_word(self, children: list[Token]) -> _Built:
        operator, token = children
        return _Built(_Value(Compare(str(operator), "*".join(_pattern(token).parts)), _column(operator)))

    def compare_phrase(self, children: list[Token]) -> _Built:
        operator, token = children
        return _Built(_Value(Compare(str(operator), _unquote(token)), _column(operator)))

    def field(self, children: list[Any]) -> _Built:
        token, inner = children
        name = _unquote(token[:-1]) if token.startswith('"') else str(token[:-1])
        if name.removeprefix(fields.EXPLICIT).count(".") >= MAX_FIELD_PARTS and not token.startswith('"'):
            raise QuerySyntaxError("the field's name has too many parts", _column(token),
                                   f"at most {MAX_FIELD_PARTS} names joined by dots")  # fmt: skip
        return _Built(_distribute(name, _column(token), inner.node), inner.depth, inner.terms)


def _combine(kind: type[And] | type[Or], children: Sequence[_Built]) -> _Built:
    if len(children) == 1:
        return children[0]
    nodes: list[Any] = []
    for child in children:
        nodes.extend(child.node.nodes if isinstance(child.node, kind) else (child.node,))
    depth = max(child.depth for child in children) + 1
    return _bounded(_Built(kind(tuple(nodes)), depth, sum(child.terms for child in children)))


def _bounded(built: _Built) -> _Built:
    if built.depth > MAX_DEPTH:
        raise QuerySyntaxError("the query is nested too deeply", 1, f"at most {MAX_DEPTH} levels are allowed")
    return built


def _distribute(name: str, column: int, node: Any) -> Node:
    """Give the field to every test of a value list."""
    if isinstance(node, _Value):
        return _field(name, column, node)
    if isinstance(node, Not):
        return Not(_distribute(name, column, node.node))
    return type(node)(tuple(_distribute(name, column, inner) for inner in node.nodes))  # type: ignore[no-any-return]  # And or Or


def _field(name: str, column: int, value: _Value) -> Node:
    """The node for a test on a field. Raises where the field cannot be tested so."""
    test = value.test
    if name == "has":
        target = _has(value)
        return Everything() if target in _ALWAYS else Field(target, Exists())
    if name == "level":
        return _level(value)
    if name == "timestamp":
        raise QuerySyntaxError("time is not part of the query", column, "give the range by start and end")
    ordered = isinstance(test, Compare | Between)
    if ordered and not fields.is_attribute(name):
        raise QuerySyntaxError(f"{name} has no order", value.column, "only level and attributes can be compared")
    if isinstance(test, Between):
        _check_bounds(test, value.column)
    return Field(name, test)


def _has(value: _Value) -> str:
    name = value.test.pattern.literal if isinstance(value.test, Is) else None
    if not name:
        raise QuerySyntaxError("has: takes the name of a field", value.column, "like has:exception")
    return name


def _check_bounds(test: Between, column: int) -> None:
    low, high = number(test.low), number(test.high)
    if (low is None) != (high is None):
        raise QuerySyntaxError("a range needs two numbers or two texts", column, "like 100..500")
    if (low > high) if low is not None and high is not None else (test.low > test.high):
        raise QuerySyntaxError("the range is empty", column, f"write {test.high}..{test.low}")


def _range(low: str | None, high: str | None) -> Test | None:
    """The test for `low..high`, where one may be missing before or behind a number; None where this is no range."""
    if low is not None and high is not None:
        return Between(low, high)
    if low is not None and number(low) is not None:
        return Compare(">=", low)
    if high is not None and number(high) is not None:
        return Compare("<=", high)
    return None


def _level(value: _Value) -> Node:
    test = value.test
    if isinstance(test, Exists):
        return Everything()
    if isinstance(test, Is) and test.pattern.literal is not None:
        named = _severities(test.pattern.literal, value.column)
        return Level(named[0], named[-1])
    if isinstance(test, Between):
        low, high = _severities(test.low, value.column), _severities(test.high, value.column)
        if low[0] > high[-1]:
            raise QuerySyntaxError("the range is empty", value.column, f"write {test.high}..{test.low}")
        return Level(low[0], high[-1])
    if isinstance(test, Compare):
        return _compared_level(test.operator, _severities(test.value, value.column))
    raise QuerySyntaxError("level takes a name", value.column, f"one of {', '.join(levels.LEVELS)}")


def _compared_level(operator: str, named: range) -> Node:
    low, high = {
        ">": (named[-1] + 1, 24),
        ">=": (named[0], 24),
        "<": (1, named[0] - 1),
        "<=": (1, named[-1]),
    }[operator]
    return Level(low, high) if low <= high else Not(Everything())


def _severities(text: str, column: int) -> range:
    """What a level's name covers: the four severities of ERROR, one of NOTICE or ERROR2, one of a number."""
    if text.isascii() and text.isdigit() and 1 <= int(text[:3]) <= 24 and len(text) <= 2:
        return range(int(text), int(text) + 1)
    severity = levels.parse(text)
    if severity is None:
        near = difflib.get_close_matches(text.upper(), (*levels.LEVELS, "NOTICE", "CRITICAL"), 1, 0.5)
        hint = f"did you mean {near[0]}?" if near else f"one of {', '.join(levels.LEVELS)}"
        raise QuerySyntaxError(f"no level {text[:40]}", column, hint)
    group = levels.severities(severity)
    return group if severity == group[0] else range(severity, severity + 1)


def _pattern(token: str) -> Pattern:
    """A word's text: a star is a wildcard; a backslash makes a special character an ordinary one, else it stays."""
    parts, text, escaped = [], "", False
    for char in token:
        if escaped:
            text += char if char in _ESCAPABLE else "\\" + char
            escaped = False
        elif char == "\\":
            escaped = True
        elif char == "*":
            parts.append(text)
            text = ""
        else:
            text += char
    parts.append(text + "\\" if escaped else text)
    if len(parts) > 2:  # a run of stars is one
        parts = [parts[0], *(part for part in parts[1:-1] if part), parts[-1]]
    return Pattern(tuple(parts))


def _only_stars(pattern: Pattern) -> bool:
    return len(pattern.parts) > 1 and not any(pattern.parts)


def _unquote(token: str) -> str:
    """The text of a quoted token: a backslash before a quote or a backslash goes, any other stays."""
    return re.sub(r'\\(["\\])', r"\1", token[1:-1])


def _regex_problem(regex: str) -> str:
    """What RE2 has against it, or ""."""
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        re2.compile(regex, options)
    except re2.error as error:
        reason = error.args[0] if error.args else "unknown"
        return reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
    return ""


def _column(token: Token) -> int:
    return (token.start_pos or 0) + 1


@cache
def _parser() -> Lark:
    """The parser, built at the first query: 30 ms that an import does not pay."""
    from lark import Lark, Transformer

    builder = _Builder()
    names = [name for name in vars(_Builder) if not name.startswith("_")]
    callbacks: dict[str, Callable[..., Any]] = {name: staticmethod(getattr(builder, name)) for name in names}
    grammar = resources.files(__package__ or "").joinpath("grammar.lark").read_text(encoding="utf-8")
    transformer = type("Callbacks", (Transformer,), callbacks)()
    return Lark(grammar, parser="lalr", lexer="contextual", transformer=transformer)


def _explain(text: str, error: UnexpectedInput) -> NoReturn:
    """Raise what went wrong in the user's terms."""
    from lark import UnexpectedToken

    at_end = isinstance(error, UnexpectedToken) and error.token.type == "$END"
    position = len(text.rstrip()) if at_end else (error.pos_in_stream or 0)
    column = position + 1
    if at_end:
        last = text.split()[-1]
        if last in _OPERATORS:
            start = len(text.rstrip()) - len(last) + 1
            raise QuerySyntaxError(f"nothing behind {last}", start, _QUOTE_HINT) from None
        hint = "close it, or put it in double quotes to search for the character"
        raise QuerySyntaxError("unclosed parenthesis", _unclosed(text) + 1, hint) from None
    char = text[position : position + 1]
    if char == '"':
        raise QuerySyntaxError("unclosed quote", column, 'add a " at its end, or write \\" for the character') from None
    before = text[:position].split()[-1:] or [""]
    if char == ")" and before[0] in _OPERATORS:
        raise QuerySyntaxError(f"nothing behind {before[0]}", column, _QUOTE_HINT) from None
    if char == ")" and text[:position].rstrip().endswith("("):
        raise QuerySyntaxError("nothing between the parentheses", column, _QUOTE_HINT) from None
    if char == ")":
        raise QuerySyntaxError("parenthesis that was never opened", column, _QUOTE_HINT) from None
    raise QuerySyntaxError(f"unexpected {text[position : position + 20]!r}", column, _QUOTE_HINT) from None


def _unclosed(text: str) -> int:
    """Position of the last parenthesis that is not closed; quotes and escapes are passed over."""
    opened = [0]
    for match in re.finditer(r'\\.|"(?:\\.|[^"\\])*"|[()]', text, re.DOTALL):
        if match[0] == "(":
            opened.append(match.start())
        elif match[0] == ")" and len(opened) > 1:
            opened.pop()
    return opened[-1]

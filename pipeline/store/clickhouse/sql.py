"""From a query's tree to a condition on rows of `log`, every value of it bound by the server.

The condition says what docs/search.md says, and nothing of it is left to be verified here. Words are looked for in the
column `words` (see words.py): whole ones by its index, phrases as a piece of it, patterns by a regular expression on
it, each behind an index look-up for the whole words that they have. Attributes are looked for among their items (see
attributes.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

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
)
from monitoring.pipeline.query.parse import number
from monitoring.pipeline.query.tokens import Matcher, Token, Tokenizer
from monitoring.pipeline.store.clickhouse.attributes import (
    BIG,
    FLAG,
    GREATEST,
    INTEGER,
    REAL,
    TEXT_INTEGER,
    TEXT_REAL,
    path_of,
)
from monitoring.pipeline.store.clickhouse.words import PART, SEPARATORS, TEXT

__all__ = ["Condition", "Values"]

TRUE, FALSE = "1", "0"
_ANY = f"[^{''.join(SEPARATORS)}]*".replace(TEXT, "\\n").replace(PART, "\\x02")
"""Any run of characters within a word, as a regular expression."""
_INT64 = 1 << 63
_PLAIN = ("message", "logger", *fields.IDS)
_BLANKS = "' \\t\\r\\n'"
_TEXTS = f"({', '.join(map(str, range(TEXT_REAL + 1)))})"
"""Kinds of items that are text."""


class Values:
    """What is bound to a statement, by names that are made here."""

    def __init__(self) -> None:
        self.bound: dict[str, Any] = {}

    def bind(self, value: Any, kind: str = "String") -> str:
        """The place of a value in a statement."""
        name = f"v{len(self.bound)}"
        self.bound[name] = value
        return f"{{{name}:{kind}}}"

    def number(self, value: int | float) -> str:
        """The place of a number: a whole one that is none of 64 bits is the nearest double."""
        if isinstance(value, int) and -_INT64 <= value < _INT64:
            return self.bind(value, "Int64")
        try:
            return self.bind(min(max(float(value), -GREATEST), GREATEST), "Float64")
        except OverflowError:
            return self.bind(GREATEST if value > 0 else -GREATEST, "Float64")


class Condition:
    """A query as a condition; `text` is SQL that is 1 or 0, `values` takes what is bound to it."""

    def __init__(self, node: Node, values: Values, split: Tokenizer) -> None:
        self._values, self._split = values, split
        self.text = self._of(node)

    def _of(self, node: Node) -> str:
        if isinstance(node, And):
            return _all(map(self._of, node.nodes))
        if isinstance(node, Or):
            return _any(map(self._of, node.nodes))
        if isinstance(node, Not):
            return f"NOT {self._of(node.node)}"
        if isinstance(node, Everything):
            return TRUE
        if isinstance(node, Level):
            return f"(level BETWEEN {node.low:d} AND {node.high:d})"
        if isinstance(node, Field):
            return self._field(node.name, node.test)
        return self._words(node.pattern, "words", (*_PLAIN, "attribute_texts", "exception_texts"))

    # ------------------------------------------------------------------ words

    def _words(self, pattern: Pattern, within: str, columns: tuple[str, ...]) -> str:
        """Text that holds a pattern: `within` is its words, `columns` where it stands as it was written."""
        wanted = Matcher.of(pattern, self._split)
        if not wanted.tokens:
            return self._literal(wanted.literal, columns)
        whole = sorted({token.parts[0] for token in wanted.tokens if token.exact})
        known = f"hasAllTokens(words, {self._values.bind(whole, 'Array(String)')})" if whole else TRUE
        if len(wanted.tokens) == 1 and whole and within == "words":
            return known
        return _all((known, self._in_sequence(wanted.tokens, within)))

    def _in_sequence(self, tokens: tuple[Token, ...], within: str) -> str:
        if all(token.exact for token in tokens):
            phrase = " ".join(token.parts[0] for token in tokens)
            return f"(position({within}, {self._values.bind(f' {phrase} ')}) > 0)"
        if len(tokens) == 1 and tokens[0].prefix:
            return f"(position({within}, {self._values.bind(f' {tokens[0].parts[0]}')}) > 0)"
        regex = " ".join(_ANY.join(map(re.escape, token.parts)) for token in tokens)
        return f"match({within}, {self._values.bind(f' {regex} ')})"

    def _literal(self, text: str, columns: tuple[str, ...]) -> str:
        """Characters that are no word."""
        if not text:
            return TRUE
        place = self._values.bind(text)

        def found(column: str) -> str:
            if column in _PLAIN:
                shown = f"if(mapContains(plain, '{column}'), plain['{column}'], {column})"
                return f"(position({shown}, {place}) > 0)"
            return f"arrayExists(x -> position(x, {place}) > 0, {column})"

        return _any(map(found, columns))

    # ------------------------------------------------------------------ fields

    def _field(self, name: str, test: Test) -> str:
        if name in fields.TEXTS:
            return self._text(name, test)
        if name in fields.KNOWN:
            return self._exact(name, test)
        paths = self._values.bind(sorted({path_of(keys) for keys in fields.splits(name)}), "Array(String)")
        there = f"hasAny(paths, {paths})"
        if isinstance(test, Exists):
            return there
        fits = self._item(test)
        if fits == FALSE:
            return FALSE
        return f"({there} AND arrayExists((p, k, t, n) -> has({paths}, p) AND {fits}, paths, kinds, texts, numbers))"

    def _exact(self, column: str, test: Test) -> str:
        if isinstance(test, Exists):
            return f"({column} <> '')"
        if isinstance(test, Matches):
            return self._regex(column, test.regex)
        if not isinstance(test, Is):
            raise TypeError(f"{column} has no order: {test}")  # the parser refuses it
        if test.pattern.literal is not None:
            return f"({column} = {self._values.bind(test.pattern.literal)})"
        return self._glob(column, test.pattern)

    def _text(self, name: str, test: Test) -> str:
        if isinstance(test, Exists):
            return f"({name} <> '')"
        texts = "exception_texts" if name == "exception" else name
        if isinstance(test, Matches):
            if name == "message":
                return self._regex(name, test.regex)
            return f"arrayExists(x -> {self._regex('x', test.regex)}, {texts})"
        if not isinstance(test, Is):
            raise TypeError(f"{name} has no order: {test}")  # the parser refuses it
        if test.pattern.literal == "":
            return f"({name} = '')"
        part = 1 if name == "message" else 2
        return self._words(test.pattern, f"splitByChar('\\x02', words)[{part}]", (texts,))

    def _regex(self, text: str, regex: str) -> str:
        """A part of the text matches. ClickHouse's dot means line feeds too, unless it is told."""
        return f"match({text}, {self._values.bind('(?-s)' + regex)})"

    def _glob(self, text: str, pattern: Pattern) -> str:
        """All of the text matches; a star is any run of characters."""
        regex = ".*".join(map(re.escape, pattern.parts))
        return f"match({text}, {self._values.bind(f'(?s)^{regex}$')})"

    # ------------------------------------------------------------------ items of attributes

    def _item(self, test: Test) -> str:
        """The test on an item: path p, kind k, text t, number n."""
        if isinstance(test, Is) and test.pattern.literal is not None:
            return self._equals(test.pattern.literal)
        if isinstance(test, Is):
            return f"(k <= {FLAG} AND {self._glob('t', test.pattern)})"
        if isinstance(test, Matches):
            return f"(k <= {FLAG} AND {self._regex('t', test.regex)})"
        if isinstance(test, Compare):
            return self._compares(((test.operator, test.value),))
        if isinstance(test, Between):
            return self._compares(((">=", test.low), ("<=", test.high)))
        return FALSE

    def _equals(self, text: str) -> str:
        """The same text; of numbers within 64 bits and doubles, the same number."""
        place, wanted = self._values.bind(text), number(text)
        same = [f"(k IN {_TEXTS} AND t = {place})"]
        if wanted is None:
            if text in ("true", "false"):
                same.append(f"(k = {FLAG} AND t = {place})")
        elif isinstance(wanted, int) and not -_INT64 <= wanted < _INT64:
            same.append(f"(k IN ({INTEGER}, {BIG}, {REAL}) AND t = {place})")
        else:
            value = self._values.number(wanted)
            same += (f"(k = {INTEGER} AND toInt64OrZero(t) = {value})", f"(k = {BIG} AND t = {place})",
                     f"(k = {REAL} AND n = {value})")  # fmt: skip
        return _any(same)

    def _compares(self, bounds: tuple[tuple[str, str], ...]) -> str:
        """Numbers, and texts that are one, compare as numbers; any other operand compares with texts."""
        wanted = [(operator, number(text)) for operator, text in bounds]
        if any(value is None for _, value in wanted):
            tests = " AND ".join(f"t {operator} {self._values.bind(text)}" for operator, text in bounds)
            return f"(k IN {_TEXTS} AND {tests})"
        places = [(operator, self._values.number(value)) for operator, value in wanted if value is not None]

        def holds(value: str) -> str:
            return " AND ".join(f"{value} {operator} {place}" for operator, place in places)

        whole = f"toInt64OrZero(trim(BOTH {_BLANKS} FROM t))"
        return (
            f"multiIf(k IN ({INTEGER}, {TEXT_INTEGER}), {holds(whole)},"
            f" k IN ({BIG}, {REAL}, {TEXT_REAL}), {holds('n')}, 0)"
        )


def _all(parts: Iterable[str]) -> str:
    kept = list(dict.fromkeys(part for part in parts if part != TRUE))
    return f"({' AND '.join(kept)})" if kept else TRUE


def _any(parts: Iterable[str]) -> str:
    return f"({' OR '.join(dict.fromkeys(parts))})"

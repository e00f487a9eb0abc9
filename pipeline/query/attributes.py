"""Tests on attributes: SQL over the JSON of a row, and what the index knows beforehand.

An attribute is looked up as it is written and as nested keys. Where an array stands, any element will do.
A value is text, a number, true or false; null, objects and missing keys match nothing but a NOT.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import orjson

from monitoring.pipeline.query import index
from monitoring.pipeline.query.ast import Between, Compare, Exists, Is, Matches, Pattern, Test
from monitoring.pipeline.query.clause import FALSE, Clause, any_of
from monitoring.pipeline.query.fields import splits
from monitoring.pipeline.query.hints import guarded_regex
from monitoring.pipeline.query.index import Expression
from monitoring.pipeline.query.parse import number
from monitoring.pipeline.query.tokens import Matcher, Tokenizer

__all__ = ["candidates", "condition", "glob"]

_INT64 = 1 << 63


def condition(name: str, test: Test) -> Clause:
    """The test as a condition on a row of `log`."""
    found = any_of(_at(path, test) for path in map(_path, splits(name)))
    return Clause(f"CASE WHEN json_valid(log.attributes) THEN {found.text} ELSE 0 END", found.values)


def _path(keys: tuple[str, ...]) -> str:
    """The JSON path of nested keys; each is quoted, so that no character of it means anything."""
    return "$" + "".join("." + orjson.dumps(key).decode() for key in keys)


def _at(path: str, test: Test) -> Clause:
    if isinstance(test, Exists):
        return Clause("ifnull(json_type(log.attributes, ?) <> 'null', 0)", (path,))
    fits = _fits(test)
    if fits == FALSE:
        return FALSE
    # json_each walks the elements of an array, or the one value that is none; the members of an object have
    # text keys and are not asked for.
    items = "EXISTS(SELECT 1 FROM json_each(log.attributes, ?) AS item WHERE "
    text = f"{items}{fits.text} AND json_type(log.attributes, ?) <> 'object')"
    return Clause(text, (path, *fits.values, path))


def _fits(test: Test) -> Clause:
    """The test as a condition on an item of json_each."""
    if isinstance(test, Is) and test.pattern.literal is not None:
        return _equals(test.pattern.literal)
    if isinstance(test, Is):
        return _on_text(lambda text: Clause(f"{text} GLOB ?", (glob(test.pattern),)))
    if isinstance(test, Matches):
        return _on_text(lambda text: guarded_regex(test.regex, text))
    if isinstance(test, Compare):
        return _compares(((test.operator, test.value),))
    if isinstance(test, Between):
        return _compares(((">=", test.low), ("<=", test.high)))
    return FALSE


_SPELLED = "log.attributes -> item.fullkey"
"""A number as the JSON writes it."""


def _on_text(test: Callable[[str], Clause]) -> Clause:
    """A test on the value's text: a string itself, a number as written, `true` or `false`."""
    kinds = {
        "text": "item.value",
        "integer": f"({_SPELLED})",
        "real": f"({_SPELLED})",
        "true": "'true'",
        "false": "'false'",
    }
    cases = {kind: test(text) for kind, text in kinds.items()}
    text = " ".join(f"WHEN '{kind}' THEN {case.text}" for kind, case in cases.items())
    return Clause(f"CASE item.type {text} ELSE 0 END", tuple(value for case in cases.values() for value in case.values))


def _equals(text: str) -> Clause:
    cases = "CASE item.type WHEN 'text' THEN item.value = ?"
    values: list[object] = [text]
    wanted = _storable(number(text))
    if wanted is not None:
        # a whole number that SQLite reads as real is beyond 64 bits: only its spelling is exact
        cases += (
            f" WHEN 'integer' THEN CASE typeof(item.value) WHEN 'integer' THEN item.value = ? ELSE {_SPELLED} = ? END"
            " WHEN 'real' THEN item.value = ?"
        )
        values += [wanted, text, wanted]
    elif number(text) is not None:
        cases += f" WHEN 'integer' THEN {_SPELLED} = ? WHEN 'real' THEN {_SPELLED} = ?"
        values += [text, text]
    elif text in ("true", "false"):
        cases += f" WHEN '{text}' THEN 1"
    return Clause(cases + " ELSE 0 END", tuple(values))


def _storable(value: int | float | None) -> int | float | None:
    """The number if SQLite can hold it."""
    if isinstance(value, int):
        return value if -_INT64 <= value < _INT64 else None
    return value if value is not None and math.isfinite(value) else None


def _compares(bounds: tuple[tuple[str, str], ...]) -> Clause:
    """Numbers, and texts that are one, compare as numbers; any other operand compares with texts."""
    wanted = [(operator, number(text)) for operator, text in bounds]
    if any(value is None for _, value in wanted):
        tests = " AND ".join(f"item.value {operator} ?" for operator, _ in bounds)
        return Clause(f"CASE item.type WHEN 'text' THEN {tests} ELSE 0 END", tuple(text for _, text in bounds))
    values = tuple(_bounded(value) for _, value in wanted if value is not None)
    own = " AND ".join(f"item.value {operator} ?" for operator, _ in wanted)
    inner = " AND ".join(f"(item.value ->> '$') {operator} ?" for operator, _ in wanted)
    return Clause(
        f"CASE item.type WHEN 'integer' THEN {own} WHEN 'real' THEN {own} WHEN 'text' THEN"
        " CASE WHEN json_valid(item.value) THEN"
        f" CASE WHEN json_type(item.value) IN ('integer', 'real') THEN {inner} ELSE 0 END ELSE 0 END ELSE 0 END",
        values * 3,
    )


def _bounded(value: int | float) -> int | float:
    """The number, or the nearest double where SQLite has no such integer."""
    if _storable(value) is not None:
        return value
    try:
        return float(value)
    except OverflowError:
        return math.copysign(math.inf, value)


def glob(pattern: Pattern) -> str:
    """The pattern for SQLite's GLOB: a star is a star, all else means itself."""
    return "*".join("".join(f"[{char}]" if char in "*?[" else char for char in part) for part in pattern.parts)


def candidates(name: str, test: Test, split: Tokenizer, common: Callable[[str], bool]) -> Expression:
    """What the index must hold for an event that passes: the tokens of the key, and those of the value.

    A token of the key that most events have anyway (`common`) would only cost: the index would name every row,
    and each would be fetched on its own.
    """
    keys = (index.term(source) for _, source in split.spans(splits(name)[0][0]) if not common(source))
    return index.all_of((*keys, _value_candidates(test, split)))


def _value_candidates(test: Test, split: Tokenizer) -> Expression:
    if not isinstance(test, Is):
        return index.EVERYTHING
    literal = test.pattern.literal
    if literal is None:
        return whole_value(test.pattern, split)
    value = number(literal)
    spellings = dict.fromkeys((literal, *(_spellings(value) if value is not None else ())))
    return index.any_of(index.all_of(index.term(source) for _, source in split.spans(text)) for text in spellings)


def _spellings(value: int | float) -> list[str]:
    """How JSON may write this number: as an integer, as a float."""
    found = []
    if isinstance(value, int) and -_INT64 <= value < 2 * _INT64:
        found.append(str(value))
    as_float = _bounded(value) if isinstance(value, float) else _as_float(value)
    if math.isfinite(as_float):
        found += (orjson.dumps(float(as_float)).decode(), repr(float(as_float)))
        if float(as_float).is_integer():
            found.append(str(int(as_float)))
    return found


def _as_float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def whole_value(pattern: Pattern, split: Tokenizer) -> Expression:
    """Tokens that a value must hold which matches a pattern from its beginning to its end."""
    tokens = Matcher.pieces(pattern, split)
    return index.all_of(
        index.term(token.source, prefix=not token.exact)
        for token in tokens
        if token.exact or index.narrows(token.source)
    )

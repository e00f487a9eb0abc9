"""SQL functions that queries use, for the connection that they run on.

regex_matches(regex, text)      a part of the text matches (RE2: linear in the text, whatever the regex)
json_regex_matches(regex, json) a part of a string within the JSON matches
text_has(matcher, text)         the text contains the words
json_has(matcher, json)         a key or value of the JSON does
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import apsw

from monitoring.pipeline.query.tokens import Tokenizer, json_texts, matcher
from monitoring.pipeline.store.rows import plain

__all__ = ["regex_matches", "register"]


def register(connection: apsw.Connection) -> Tokenizer:
    """Make the functions known to this connection; its tokenizer."""
    split = Tokenizer(connection)

    def text_has(key: str, text: str) -> bool:
        return matcher(key).within(plain(text), split)

    def json_has(key: str, text: str) -> bool:
        wanted = matcher(key)
        return any(wanted.within(leaf, split) for leaf in json_texts(text))

    functions: dict[str, Callable[..., Any]] = {
        "regex_matches": regex_matches,
        "json_regex_matches": _json_regex_matches,
        "text_has": text_has,
        "json_has": json_has,
    }
    for name, function in functions.items():
        connection.create_scalar_function(name, function, deterministic=True)
    return split


def regex_matches(regex: str, text: str) -> bool:
    """Whether a part of the text matches a regex that the parser has accepted."""
    # Bytes: for text, the wrapper counts characters to say where the match is, which costs more than the match.
    return _compiled(regex).search(text.encode("utf-8", "replace")) is not None


def _json_regex_matches(regex: str, text: str) -> bool:
    search = _compiled(regex).search
    return any(search(leaf.encode("utf-8", "replace")) is not None for leaf in json_texts(text))


@lru_cache(maxsize=256)
def _compiled(regex: str) -> Any:
    import re2

    return re2.compile(regex)

"""Which names are sensitive: decided on the words a name is made of.

`dbPassword`, `DB_PASSWORD`, `db.password`, `X-Db-Password` and `db[password]` are the same words. Words that name a
secret count unless a word behind them says that the value is something about it (`password_policy`, `token_count`), or
a word before them makes it another thing (`eos_token`, `primary_key`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from monitoring.pipeline.redact.vocabulary import ABOUT, CONCEPTS, GLUED, PART, Concept

__all__ = ["Finding", "KeyBook", "words_of"]

_MAX_NAME = 256
"""A longer name is judged by its end, where the head noun of a name stands."""
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?(?:[a-z]|[^\W\d_\x00-\x7f])+|[0-9]+")
_CACHED = 4096
"""Names whose judgement is kept: a service has some hundred; names made of ids must not fill the memory."""


class Finding(NamedTuple):
    """What a name says of its value: the kind of secret, and whether the value need not look like one.

    `strong` is False for names that mean a secret in one program and something else in another (`session`, `sid`).
    """

    kind: str
    strong: bool = True


def words_of(name: str) -> list[str]:
    """The words of a name in lower case: split at signs, at digits and at capitals."""
    return [word.lower() for word in _WORDS.findall(name[-_MAX_NAME:])]


class KeyBook:
    """Judges names. Thread-safe: what is kept of earlier judgements is only added to.

    `own` are further sensitive names; a name that contains the words of one in a row is sensitive, and its kind is
    that name.
    """

    def __init__(self, own: Sequence[str] = ()) -> None:
        self._phrases: dict[str, list[Concept]] = {}
        for concept in CONCEPTS:
            for phrase in concept.phrases:
                self._phrases.setdefault(phrase, []).append(concept)
        self._own = [(words, "_".join(words)[:40]) for words in map(words_of, own) if words]
        self._longest = max(phrase.count(" ") + 1 for phrase in self._phrases)
        self._known: dict[str, Finding | None] = {}

    def find(self, name: str) -> Finding | None:
        """What the name says of its value; None where it says nothing."""
        try:
            return self._known[name]
        except KeyError:
            found = self._judge(name)
            if len(self._known) < _CACHED and len(name) <= _MAX_NAME:
                self._known[name] = found
            return found

    def _judge(self, name: str) -> Finding | None:
        words = words_of(name)
        for own, kind in self._own:
            if any(words[at : at + len(own)] == own for at in range(len(words) - len(own) + 1)):
                return Finding(kind)
        weak: Finding | None = None
        for last in range(len(words), 0, -1):  # the head noun stands last
            for first in range(max(0, last - self._longest), last):
                found = self._concept(words, first, last)
                if found and found.strong:
                    return found
                weak = weak or found
        return weak

    def _concept(self, words: list[str], first: int, last: int) -> Finding | None:
        before, behind = words[:first], words[last:]
        for concept in self._phrases.get(" ".join(words[first:last]), ()):
            if concept.owned and not before:
                continue
            if concept.not_after.isdisjoint(before[-2:]) and self._may_follow(behind, loose=concept.loose):
                return Finding(concept.kind, concept.strong)
        if last - first == 1 and words[first] not in self._phrases:
            for kind, ends in GLUED:
                if words[first].endswith(ends) and self._may_follow(behind, loose=True):
                    return Finding(kind)
        return None

    @staticmethod
    def _may_follow(behind: list[str], *, loose: bool) -> bool:
        if loose:
            return ABOUT.isdisjoint(behind)
        return all(word in PART or word.isdigit() for word in behind)

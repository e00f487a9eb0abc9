"""The words of events, as a column of text that ClickHouse can search exactly as SQLite's index is searched.

Texts are split here, by the same tokenizer as everywhere, and put down as words alone. Of one event:

    " connection refused LF 10 0 0 1 LF STX valueerror LF STX user_id LF 42 LF … STX "
      message                               exception         everything else

Each word has a blank on both sides, each text ends with a line feed, STX ends the message, the exception and the rest.
So a phrase is a piece of this text, a pattern of words a regular expression on it, and no text runs into the next. All
three separators are characters that no word holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import apsw

from monitoring.pipeline.query.tokens import Tokenizer
from monitoring.pipeline.store.rows import TOKEN_MARK

__all__ = ["PART", "SEPARATORS", "TEXT", "Parts", "tokenizer", "words_of"]

PART = "\x02"
TEXT = "\n"
SEPARATORS = (" ", TEXT, PART)
_END_TEXT, _END_PART, _END_EVENT = (f"{TOKEN_MARK}{letter}" for letter in "tpe")
"""Stand between the texts while all of a batch are split at once; users' texts hold no TOKEN_MARK."""

Parts = tuple[Iterable[str], Iterable[str], Iterable[str]]
"""The texts of an event: message, exception, everything else."""


def tokenizer() -> Tokenizer:
    """The tokenizer of the product's texts, which lives in SQLite."""
    return Tokenizer(apsw.Connection(":memory:"))


def words_of(events: Sequence[Parts], split: Tokenizer) -> list[str]:
    """The words of each event. All of them are split in one call: one a text costs more than the splitting."""
    pieces: list[str] = []
    for parts in events:
        for texts in parts:
            for text in texts:
                pieces += (text, _END_TEXT)
            pieces.append(_END_PART)
        pieces.append(_END_EVENT)
    together = f" {' '.join(split(' '.join(pieces)))} "
    return together.replace(_END_TEXT, TEXT).replace(_END_PART, PART).split(_END_EVENT)[:-1]

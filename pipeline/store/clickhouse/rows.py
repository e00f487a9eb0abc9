"""Rows of logs on their way to ClickHouse: from the columns of frames to the body of an insert."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from operator import le
from typing import Any

import orjson

from monitoring.pipeline.bus.frame import Columns, Frame
from monitoring.pipeline.events.event import COLUMNS as EVENT
from monitoring.pipeline.query.tokens import Tokenizer, json_texts
from monitoring.pipeline.store.clickhouse.attributes import items
from monitoring.pipeline.store.clickhouse.words import Parts, words_of
from monitoring.pipeline.store.rows import TOKEN_MARK, plain

__all__ = ["DAY_NS", "INSERTED", "SentRows", "block", "days", "rows_of"]

DAY_NS = 86_400 * 1_000_000_000
_ORIGIN = ("lane", "seq", "ordinal")
_SENT = (*EVENT, *_ORIGIN)
_DERIVED = ("words", "exception_texts", "attribute_texts", "plain", "paths", "kinds", "texts", "numbers")
_PLACED = ("partition", "batch", "place", "received")
INSERTED = ("time", *_SENT[1:], *_DERIVED, *_PLACED)
"""The columns of an insert, in the order of `block`."""
_PLAIN = ("message", "logger", "trace_id", "span_id", "request_id")
_AT = {name: place for place, name in enumerate(_SENT)}


class SentRows:
    """Events with the place that they have in their lane, as columns (`_SENT`)."""

    def __init__(self, columns: list[list[Any]] | None = None) -> None:
        self.columns: list[list[Any]] = columns or [[] for _ in _SENT]

    def __len__(self) -> int:
        return len(self.columns[0])

    def __getitem__(self, part: slice) -> SentRows:
        return SentRows([column[part] for column in self.columns])

    def extend(self, other: SentRows) -> None:
        """Put the rows of another behind these."""
        for mine, more in zip(self.columns, other.columns, strict=True):
            mine += more

    def by_time(self) -> SentRows:
        """The same rows, the oldest first; those of one moment stay in their order."""
        times = self.columns[0]
        if all(map(le, times, islice(times, 1, None))):
            return self
        order = sorted(range(len(times)), key=times.__getitem__)
        return SentRows([[column[place] for place in order] for column in self.columns])

    def column(self, name: str) -> list[Any]:
        """A column of the event, or `lane`, `seq`, `ordinal`."""
        return self.columns[_AT[name]]


def rows_of(frame: Frame, columns: Columns, count: int) -> SentRows:
    """The rows of a frame's events, in the frame's order; times and levels moved into what they may be."""
    if not count:
        return SentRows()
    spread = [list(column) if type(column) is list else [column] * count for column in columns]
    newest = frame.created + DAY_NS
    spread[0] = [min(max(time, 0), newest) for time in spread[0]]
    spread[1] = [min(max(level, 1), 24) for level in spread[1]]
    return SentRows([*spread, [frame.lane] * count, [frame.seq] * count, list(range(count))])


def days(rows: SentRows) -> Iterator[tuple[int, slice]]:
    """The days (since 1970) that rows in order of time lie in, each with its part of them."""
    times = rows.columns[0]
    first = 0
    while first < len(times):
        day = times[first] // DAY_NS
        end = first + 1
        while end < len(times) and times[end] < (day + 1) * DAY_NS:
            end += 1
        yield day, slice(first, end)
        first = end


def block(rows: SentRows, split: Tokenizer, *, partition: int, batch: int, first: int, received: int) -> bytes:
    """Rows as the body of an insert, in ClickHouse's format JSONCompactColumns.

    `first` is the place of the first within its batch, `received` is in seconds since 1970.
    """
    count = len(rows)
    exceptions = [list(json_texts(text)) for text in rows.column("exception")]
    attributes = [list(json_texts(text)) for text in rows.column("attributes")]
    texts = list(zip(*(rows.column(name) for name in _PLAIN), strict=True))
    altered = [_altered(values) for values in texts]
    parts = [_parts(*event) for event in zip(texts, altered, exceptions, attributes, strict=True)]
    found = [items(text) for text in rows.column("attributes")]
    columns = [
        *rows.columns,
        words_of(parts, split),
        exceptions,
        attributes,
        altered,
        *([[item[member] for item in each] for each in found] for member in range(4)),
        [partition] * count,
        [batch] * count,
        list(range(first, first + count)),
        [received] * count,
    ]
    return orjson.dumps(columns)


def _altered(values: Sequence[str]) -> dict[str, str]:
    """Of the texts (`_PLAIN`) those that are searched otherwise than they are shown."""
    return {
        name: changed
        for name, value in zip(_PLAIN, values, strict=True)
        if ("\\" in value or TOKEN_MARK in value) and (changed := plain(value)) != value
    }


def _parts(values: Sequence[str], altered: dict[str, str], exception: list[str], attributes: list[str]) -> Parts:
    message, *others = (altered.get(name, value) for name, value in zip(_PLAIN, values, strict=True))
    return [message], exception, [*filter(None, others), *attributes]

"""The census of a sealed segment: how many events of which kind it has, in all and of each common word.

A kind is a service, a severity and a host that occur together; a slice is a stretch of the segment's rows. For every
slice, the census counts the events by kind, and again those that hold one of the words that most messages are made of.
So counting by level, service or host adds up a few numbers where the index would walk the list of every value, which
takes a second for a word that a tenth of ten million events have. Words that are rarer have short lists.

It is made once, when the segment is compacted, and holds for as long as the segment is as it is.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice, pairwise

import apsw

from monitoring.pipeline.query.tokens import Tokenizer
from monitoring.pipeline.store.rows import MINUTE_SHIFT, plain

__all__ = ["EVERY", "Census", "build"]

SLICE_ROWS = 8192
"""What lies between two slices is counted by the index, which takes a millisecond of so many rows; half of them would
take twice the space."""
FEWEST_ROWS = 8 * SLICE_ROWS
"""In a smaller segment the index walks its lists in a few milliseconds."""
_STEPS_MINUTES = (1, 5, 30, 60, 360, 1440)
"""Slices end with these, counted from midnight: each divides the next, and most widths that a chart's bars have."""
MOST_STEPS = 128
"""Of a segment: a chart of sixty bars over several segments has wider ones, and slices become no more than twice as
many."""
MAX_KINDS = 4096
"""Services times levels times hosts that occur together. Where there are more, adding them up is no faster than the
index, and the segment has no census."""
MAX_WORDS = 256
"""Common words of a segment; each costs a look-up in the index for every slice."""
COMMON = 1 / 128
"""A word that so many messages have is common: what is rarer is counted by its rows in 10 ms a million events."""
MOST_HITS = 12.0
"""Common words of a message, on average, that are counted: each is 0.3 us of CPU an event, the commonest first."""
_SAMPLE = 16
"""Messages at the beginning of each slice that are looked at for words: 2,000 of a million."""
_LONGEST_WORD = 64
_WHOLE = -1
"""Stands for the slice that is the segment."""
EVERY = ""
"""Stands for the word that every event has."""

_SCHEMA = """
CREATE TABLE census_kind(
  id INTEGER PRIMARY KEY, service INTEGER NOT NULL, level INTEGER NOT NULL, host INTEGER NOT NULL);
CREATE TABLE census_slice(id INTEGER PRIMARY KEY, first INTEGER NOT NULL);
CREATE TABLE census(
  word TEXT NOT NULL, slice INTEGER NOT NULL, cells BLOB NOT NULL, PRIMARY KEY(word, slice)) WITHOUT ROWID;
"""


class Census:
    """What a segment's census says; for the connection of the one who asks."""

    def __init__(self, kinds: Sequence[tuple[int, int, int]], firsts: Sequence[int], end: int) -> None:
        self.kinds = kinds
        """Numbers of the service, severity and number of the host, by the number of the kind."""
        self._firsts = firsts
        self._ends = [*firsts[1:], end + 1]

    @classmethod
    def read(cls, connection: apsw.Connection) -> Census | None:
        """The census of a segment; None where it has none."""
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'census'").get:
            return None
        kinds = [
            (int(service), int(level), int(host))
            for service, level, host in connection.execute("SELECT service, level, host FROM census_kind ORDER BY id")
        ]
        firsts = [first for (first,) in connection.execute("SELECT first FROM census_slice ORDER BY id")]
        end = connection.execute("SELECT max_id FROM head").get
        return cls(kinds, firsts, end) if firsts else None

    def knows(self, connection: apsw.Connection, word: str) -> bool:
        """Whether this word, as the tokenizer has it, was counted."""
        return bool(connection.execute("SELECT 1 FROM census WHERE word = ? AND slice = ?", (word, _WHOLE)).get)

    def slices(self, low: int, high: int) -> range:
        """Those that have ids from `low` to `high` only, both included."""
        return range(bisect_left(self._firsts, low), bisect_right(self._ends, high + 1))

    def bounds(self, slices: range) -> tuple[int, int]:
        """The first id that may be in one of these, and the last."""
        return self._firsts[slices[0]], self._ends[slices[-1]] - 1

    def count(self, connection: apsw.Connection, word: str, slices: range) -> Counter[int]:
        """How many events of these slices hold the word, by the number of their kind."""
        if len(slices) == len(self._firsts):
            slices = range(_WHOLE, _WHOLE + 1)
        found = connection.execute(
            "SELECT cells FROM census WHERE word = ? AND slice >= ? AND slice < ?", (word, slices.start, slices.stop)
        )
        counts: Counter[int] = Counter()
        for (blob,) in found:
            for kind, number in _unpack(blob):
                counts[kind] += number
        return counts


def build(
    connection: apsw.Connection, stopped: Callable[[], bool], *, slice_rows: int | None = None,
    fewest_rows: int | None = None,
) -> bool:  # fmt: skip
    """Make the census of a sealed segment of logs unless it has one or needs none; False where `stopped` said so first.

    All of it or nothing is there afterwards. Slices are of SLICE_ROWS, and the fewest rows that need one FEWEST_ROWS,
    unless told otherwise.
    """
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'census'").get:
        return True
    rows = connection.execute("SELECT rows FROM head").get
    if rows == 0 or rows < (FEWEST_ROWS if fewest_rows is None else fewest_rows):
        return True
    firsts = list(_firsts(connection, slice_rows or SLICE_ROWS))
    words = _common_words(connection, firsts)
    with _Given(connection, words) as given:
        for number, (first, behind) in enumerate(pairwise([*firsts, 1 << 62])):
            if stopped():
                return False
            if not given.count(number, first, behind - 1):
                return True
        given.keep(firsts)
    return True


class _Given:
    """A census in the making, within a savepoint: what is not kept is undone."""

    def __init__(self, connection: apsw.Connection, words: Sequence[tuple[str, str]]) -> None:
        self._connection, self._words = connection, words
        self._kinds: dict[tuple[int, int, int], int] = {}
        self._totals: dict[str, Counter[int]] = {}
        self._kept = False

    def __enter__(self) -> _Given:
        self._connection.execute("SAVEPOINT census")
        self._connection.execute(_SCHEMA)
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.execute("RELEASE census" if self._kept else "ROLLBACK TO census; RELEASE census")

    def count(self, number: int, first: int, last: int) -> bool:
        """Count the slice of this number; False where there are more kinds than a census is good for."""
        rows = self._connection.execute(
            "SELECT id, service, level, host FROM log WHERE id BETWEEN ? AND ?", (first, last)
        )
        known = self._kinds
        kind_of = {
            row_id: known.setdefault((service, level, host), len(known)) for row_id, service, level, host in rows
        }
        if len(known) > MAX_KINDS:
            return False
        self._put(EVERY, number, Counter(kind_of.values()))
        for word, term in self._words:
            hits = self._connection.execute(
                "SELECT rowid FROM text WHERE text MATCH ? AND rowid BETWEEN ? AND ?", (term, first, last)
            )
            self._put(word, number, Counter(map(kind_of.__getitem__, chain.from_iterable(hits))))
        return True

    def _put(self, word: str, number: int, counts: Counter[int]) -> None:
        if counts:
            self._totals.setdefault(word, Counter()).update(counts)
            self._connection.execute("INSERT INTO census VALUES(?, ?, ?)", (word, number, _pack(counts)))

    def keep(self, firsts: Iterable[int]) -> None:
        """Write what is left to write, and let it stand."""
        connection = self._connection
        connection.executemany("INSERT INTO census_slice VALUES(?, ?)", enumerate(firsts))
        connection.executemany(
            "INSERT INTO census_kind VALUES(?, ?, ?, ?)", ((number, *kind) for kind, number in self._kinds.items())
        )
        connection.executemany(
            "INSERT INTO census VALUES(?, ?, ?)",
            ((word, _WHOLE, _pack(counts)) for word, counts in self._totals.items()),
        )
        self._kept = True


def _firsts(connection: apsw.Connection, slice_rows: int) -> Iterator[int]:
    """The id that each slice begins at; the first that may be in it, where it begins with a step of time."""
    step = _step(*connection.execute("SELECT min_id, max_id FROM head").get)
    first = connection.execute("SELECT min(id) FROM log").get
    while first is not None:
        yield first
        full = connection.execute(
            "SELECT id FROM log WHERE id >= ? ORDER BY id LIMIT 1 OFFSET ?", (first, slice_rows)
        ).get
        if step:
            edge = (first // step + 1) * step
            if full is None or full > edge:
                row = connection.execute("SELECT min(id) FROM log WHERE id >= ?", (edge,)).get
                full = None if row is None else row // step * step
        first = full


def _step(low: int, high: int) -> int:
    """How far apart, in ids, slices are cut besides, so that the bars of a chart are whole slices; 0 for nowhere."""
    steps = (minutes * MINUTE_SHIFT for minutes in _STEPS_MINUTES)
    return next((step for step in steps if (high - low) // step < MOST_STEPS), 0)


def _common_words(connection: apsw.Connection, firsts: Iterable[int]) -> list[tuple[str, str]]:
    """Words that many messages have, each with the term that finds it in the index."""
    split = Tokenizer(connection)
    hits: Counter[str] = Counter()
    terms: dict[str, str] = {}
    looked_at = 0
    for first in firsts:
        for (message,) in connection.execute("SELECT message FROM log WHERE id >= ? LIMIT ?", (first, _SAMPLE)):
            words = {word: source for word, source in split.spans(plain(message)) if len(word) <= _LONGEST_WORD}
            hits.update(words.keys())
            terms |= words
            looked_at += 1
    found, left = [], MOST_HITS * looked_at
    for word, number in islice(hits.most_common(), MAX_WORDS):
        if number < max(2, COMMON * looked_at) or number > left:
            break
        found.append((word, f'"{terms[word]}"'))  # a word's own text holds no quote: the tokenizer parts there
        left -= number
    return found


def _pack(counts: Counter[int]) -> bytes:
    """Numbers of the kinds, then the counts: 32 bits each, little-endian."""
    cells = array("I", (*counts.keys(), *counts.values()))
    if sys.byteorder == "big":
        cells.byteswap()
    return cells.tobytes()


def _unpack(blob: bytes) -> Iterator[tuple[int, int]]:
    cells = array("I")
    cells.frombytes(blob)
    if sys.byteorder == "big":
        cells.byteswap()
    half = len(cells) // 2
    return zip(cells[:half], cells[half:], strict=True)

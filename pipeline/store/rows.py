"""From the columns of frames to the rows of a segment: ids, dimension ids, index text. Pure and hot.

An id is the time: microseconds since 2000 shifted left by 12, plus a sequence number that tells apart the
events of one microsecond. What a microsecond cannot hold spills into the next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice, repeat
from operator import le, lt
from typing import Any

import orjson

from monitoring.pipeline.bus.frame import Columns, Frame
from monitoring.pipeline.events.levels import group

__all__ = [
    "EPOCH_US",
    "ID_SHIFT",
    "MICROSECONDS_A_MINUTE",
    "MINUTE_SHIFT",
    "ROW_COLUMNS",
    "TOKEN_MARK",
    "Dimensions",
    "Rows",
    "allocate",
    "id_floor",
    "index_words",
    "leaves",
    "plain",
    "resource_text",
    "rows_of",
    "timestamp_ns",
]

EPOCH_US = 946_684_800_000_000
"""2000-01-01 in microseconds since 1970: ids last until 2071."""
ID_SHIFT = 12
MICROSECONDS_A_MINUTE = 60_000_000
MINUTE_SHIFT = MICROSECONDS_A_MINUTE << ID_SHIFT
TOKEN_MARK = "\ue000"  # noqa: S105 - a token of the index, no password
"""First character of dimension tokens: private use, which unicode61 takes for a letter. Stripped from users' text."""
_DAY_NS = 86_400 * 1_000_000_000


def id_floor(timestamp: int) -> int:
    """The least id an event of this time (nanoseconds since 1970) can have."""
    return (timestamp // 1000 - EPOCH_US) << ID_SHIFT


def timestamp_ns(row_id: int, offset_ns: int) -> int:
    """The true time of a row, nanoseconds since 1970."""
    return ((row_id >> ID_SHIFT) + EPOCH_US) * 1000 + offset_ns


class Dimensions:
    """Repeated strings of a segment and their small numbers; remembers which are new since `take_new`."""

    def __init__(self, known: Iterable[tuple[int, str, str]] = ()) -> None:
        self._ids = {(kind, value): number for number, kind, value in known}
        self._next = max(self._ids.values(), default=0) + 1
        self._new: list[tuple[int, str, str]] = []

    def number(self, kind: str, value: str) -> int:
        """The number of this string, a new one if it has none."""
        found = self._ids.get((kind, value))
        if found is None:
            found = self._ids[kind, value] = self._next
            self._new.append((found, kind, value))
            self._next += 1
        return found

    def __len__(self) -> int:
        return len(self._ids)

    def by_kind(self) -> dict[str, dict[str, int]]:
        """The numbers of all strings, by kind and value."""
        found: dict[str, dict[str, int]] = {}
        for (kind, value), number in self._ids.items():
            found.setdefault(kind, {})[value] = number
        return found

    def take_new(self) -> list[tuple[int, str, str]]:
        """Rows for the dimension table that are not yet in it."""
        new, self._new = self._new, []
        return new


ROW_COLUMNS = (
    "timestamp", "level", "service", "resource", "logger", "host",
    "message", "trace_id", "span_id", "request_id", "exception", "attributes", "words",
)  # fmt: skip
"""True time in nanoseconds, the columns of `log` behind id and offset, and the text to index."""


class Rows:
    """Rows that have no id yet, as columns (`ROW_COLUMNS`): turning events into tuples and back cost 2 us each."""

    def __init__(self, columns: list[list[Any]] | None = None) -> None:
        self.columns: list[list[Any]] = columns or [[] for _ in ROW_COLUMNS]

    def __len__(self) -> int:
        return len(self.columns[0])

    def __getitem__(self, part: slice) -> Rows:
        return Rows([column[part] for column in self.columns])

    def extend(self, other: Rows) -> None:
        """Put the rows of another behind these."""
        for mine, more in zip(self.columns, other.columns, strict=True):
            mine += more

    def by_time(self) -> Rows:
        """The same rows, the oldest first."""
        times = self.columns[0]
        if all(map(le, times, islice(times, 1, None))):
            return self
        order = sorted(range(len(times)), key=times.__getitem__)
        return Rows([[column[place] for place in order] for column in self.columns])


_TEXTS = slice(7, 13)  # message … attributes within event.COLUMNS
_LEVEL_TOKENS = [f"{TOKEN_MARK}l{group(level)}" for level in range(1, 25)]


def rows_of(frame: Frame, columns: Columns, count: int, dimensions: Dimensions) -> Rows:
    """The rows of a frame's events, in the frame's order."""
    if not count:
        return Rows()
    times = _bounded(columns[0], 0, frame.created + _DAY_NS)
    levels = _bounded(columns[1], 1, 24)
    services = _numbers("service", columns[2], dimensions)
    resources = _resources(columns[3], columns[4], dimensions)
    loggers = _numbers("logger", columns[5], dimensions)
    hosts = _numbers("host", columns[6], dimensions)
    words = index_words(count, levels, services, hosts, columns[5], columns[_TEXTS])
    stored = (times, levels, services, resources, loggers, hosts, *columns[_TEXTS])
    return Rows([*(_spread(column, count) for column in stored), words])


def index_words(count: int, levels: Any, services: Any, hosts: Any, loggers: Any, texts: Sequence[Any]) -> list[str]:
    """The text to index of so many events: columns of numbers, of loggers' names, and the texts `message` and on.

    A column is a list, or the value that all of them have.
    """
    index = _IndexText()
    for column in texts:
        index.add(column)
    index.add(loggers)
    index.add_tokens(levels, lambda level: _LEVEL_TOKENS[level - 1])
    index.add_tokens(services, lambda number: f"{TOKEN_MARK}s{number}")
    index.add_tokens(hosts, lambda number: f"{TOKEN_MARK}h{number}")
    return index.build(count)


class _IndexText:
    """Gathers the index text column by column; what all events share is written once."""

    def __init__(self) -> None:
        self._shared: list[str] = []
        self._varying: list[Iterable[str]] = []

    def add(self, column: Any) -> None:
        if type(column) is not list:
            if column:
                self._shared.append(plain(column))
            return
        # Text that the tokenizer would misread is rare, so it is looked for in all of the column at once.
        together = "".join(column)
        readable = "\\" not in together and TOKEN_MARK not in together
        self._varying.append(column if readable else map(plain, column))

    def add_tokens(self, column: Any, token: Callable[[int], str]) -> None:
        if type(column) is list:
            tokens = {value: token(value) for value in set(column)}
            self._varying.append(map(tokens.__getitem__, column))
        else:
            self._shared.append(token(column))

    def build(self, count: int) -> list[str]:
        parts = [*self._varying, repeat(" ".join(self._shared), count)]
        return list(map(" ".join, zip(*parts, strict=True)))


def plain(text: str) -> str:
    """Text as the tokenizer should see it.

    JSON is decoded where it escapes (the n of `\\n` would be glued to the next word), our token mark taken out.
    """
    if "\\" in text and text[:1] in '{["':
        try:
            text = " ".join(leaves(orjson.loads(text)))
        except orjson.JSONDecodeError:
            text = text.replace("\\", " ")
    return text.replace(TOKEN_MARK, "")


def leaves(value: Any) -> Iterator[str]:
    """The keys and values of decoded JSON as text, in their order; what is no text as JSON writes it."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner)
    else:
        yield value if isinstance(value, str) else orjson.dumps(value).decode()


def _spread(column: Any, count: int) -> list[Any]:
    return column if type(column) is list else [column] * count


def _bounded(column: Any, low: int, high: int) -> Any:
    """The column with each value moved into [low, high]: readers do so too, but a frame may come from anywhere."""
    if type(column) is not list:
        return min(max(column, low), high)
    if min(column) >= low and max(column) <= high:
        return column
    return [min(max(value, low), high) for value in column]


def _numbers(kind: str, column: Any, dimensions: Dimensions) -> Any:
    if type(column) is not list:
        return dimensions.number(kind, column)
    numbers = {value: dimensions.number(kind, value) for value in set(column)}
    return [numbers[value] for value in column]


def _resources(environments: Any, releases: Any, dimensions: Dimensions) -> Any:
    if type(environments) is not list and type(releases) is not list:
        return dimensions.number("resource", resource_text(environments, releases))
    count = len(environments if type(environments) is list else releases)
    pairs = list(zip(_spread(environments, count), _spread(releases, count), strict=True))
    numbers = {pair: dimensions.number("resource", resource_text(*pair)) for pair in set(pairs)}
    return [numbers[pair] for pair in pairs]


def resource_text(environment: str, release: str) -> str:
    """The resource dimension of these: JSON of those that are not empty."""
    facts = {"environment": environment, "release": release}
    return orjson.dumps({key: value for key, value in facts.items() if value}).decode()


def allocate(
    times: Sequence[int],
    *,
    newest: int | None,
    taken: Callable[[Sequence[int]], set[int]],
    hints: dict[int, int],
) -> list[int]:
    """Ids for events at these rising times, nanoseconds: strictly rising, none of them in use.

    `newest` is the greatest id in the segment (None: it is empty); `taken` tells which of some rising ids are
    in use; `hints` remembers, over calls, the next free id of microseconds that were found full.
    """
    ids = [time // 1000 - EPOCH_US << ID_SHIFT for time in times]
    if not all(map(lt, ids, islice(ids, 1, None))):
        last = -1 << 63
        for place, floor in enumerate(ids):
            last = floor if floor > last else last + 1
            ids[place] = last
    if newest is None or ids[0] > newest:
        return ids
    used = taken([row_id for row_id in ids if row_id <= newest])
    return ids if not used else _allocate_around(ids, used, taken, hints)


_HINTS = 4096
"""Microseconds whose next free id is remembered: lines stamped with a second each need one."""


def _allocate_around(
    ids: list[int], used: set[int], taken: Callable[[Sequence[int]], set[int]], hints: dict[int, int]
) -> list[int]:
    """Move the ids that are in use, and those these push on, to the next free ones."""
    result: list[int] = []
    last = -1 << 63
    free: Iterator[int] = iter(())
    microsecond = None
    for row_id in ids:
        wanted = max(row_id, last + 1)
        if wanted != row_id or wanted in used:
            if microsecond != row_id >> ID_SHIFT:
                microsecond = row_id >> ID_SHIFT
                free = _free_from(max(wanted, hints.get(microsecond, wanted)), taken)
            wanted = next(candidate for candidate in free if candidate >= wanted)
            if len(hints) >= _HINTS:
                hints.clear()
            hints[microsecond] = wanted + 1
        last = wanted
        result.append(wanted)
    return result


def _free_from(start: int, taken: Callable[[Sequence[int]], set[int]]) -> Iterator[int]:
    """Free ids from `start` on, looked up in growing strides."""
    stride = 16
    while True:
        probe = range(start, start + stride)
        used = taken(probe)
        yield from (row_id for row_id in probe if row_id not in used)
        start += stride
        stride = min(stride * 4, 4096)

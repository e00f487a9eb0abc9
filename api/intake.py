"""From a body to events: NDJSON, a JSON array, or one object, told apart by looking.

The Content-Type is not asked: `curl --data-binary` calls everything a form. What is not an event is kept as
`Rejected`, so that it reaches the dead-letter table; only a body whose parts cannot be told apart is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import orjson

from monitoring.api.problems import Problem
from monitoring.pipeline.events.event import MAX_EVENT_BYTES, Rejected
from monitoring.pipeline.events.lenient import Defaults, NotAnEvent, event_from_json_line, rejected
from monitoring.pipeline.events.signals import Row
from monitoring.pipeline.ingest.intake import Intake

__all__ = ["parse"]

_BOM = b"\xef\xbb\xbf"
_COMPRESSED = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_SPACE = re.compile(rb"[ \t\r\n]*+")
_RUN = re.compile(rb'[^"\[\]{}]*+(?:"(?:[^"\\]++|\\.)*+"[^"\[\]{}]*+)*+[\[\]{}]', re.DOTALL)
"""Everything up to the next bracket that stands outside of strings."""
_SCALAR = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[^\s,"\[\]{}]++', re.DOTALL)
_SEPARATOR = re.compile(rb"[ \t\r\n]*+([,\]])[ \t\r\n]*+")
_OPEN = frozenset(b"{[")
_MAY_GROW = MAX_EVENT_BYTES // 8
"""A control character becomes six bytes (`\\u0001`) in attributes, so a shorter line cannot make too large an event."""


def parse(
    body: bytes,
    defaults: Defaults,
    source: str,
    most: int,
    read: Callable[[bytes, Defaults], Row] = event_from_json_line,
) -> Intake:
    """The events of a body of at most `most` lines or items; `read` reads one, and raises NotAnEvent.

    Raises Problem 413 where there are more, 400 for an array that is no JSON and for compressed bytes.
    """
    for magic, coding in _COMPRESSED.items():
        if body.startswith(magic):
            raise Problem(400, f"the body is {coding} data", field="Content-Encoding", fix=f"say so: {coding}")
    body = body.removeprefix(_BOM)
    events: list[Row] = []
    refused: list[Rejected] = []
    keep = events.append
    for number, line in _parts(body, most):
        try:
            event = read(line, defaults)
            if len(line) > _MAY_GROW and sum(len(text.encode()) for text in event[2:]) > MAX_EVENT_BYTES:
                raise NotAnEvent(f"longer than {MAX_EVENT_BYTES} bytes")
        except NotAnEvent as error:
            if line and not line.isspace():
                refused.append(rejected(error.reason, line, source, number))
            continue
        keep(event)
    if len(events) + len(refused) > most:
        raise _too_many(most)
    return Intake(events, refused)


def _parts(body: bytes, most: int) -> Iterator[tuple[int, bytes]]:
    """Numbered lines, or the items of an array, or the one object there is."""
    start = _SPACE.match(body).end()  # type: ignore[union-attr]  # an empty run matches too
    head = body[start : start + 1]
    if head == b"[":
        return enumerate((body[first:end] for first, end in _items(body, start + 1, most)), 1)
    if head == b"{" and b"\n" in body and _is_one_object(body):
        return iter([(1, body)])
    if body.count(b"\n") > most:
        raise _too_many(most)
    return enumerate(body.split(b"\n"), 1)


def _is_one_object(body: bytes) -> bool:
    """Whether the body is one object over several lines. Costs little for NDJSON: its second line is an error."""
    if len(body) > MAX_EVENT_BYTES + 2:
        return False
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    return True


def _items(body: bytes, position: int, most: int) -> list[tuple[int, int]]:
    """Where the items of the array begin and end. They are found but not parsed: a bad one spoils only itself."""
    found: list[tuple[int, int]] = []
    position = _SPACE.match(body, position).end()  # type: ignore[union-attr]  # an empty run matches too
    if body[position:].rstrip() == b"]":
        return found
    while True:
        end = _item_end(body, position)
        found.append((position, end))
        separator = _SEPARATOR.match(body, end)
        if separator is None:
            raise _unreadable(end)
        if len(found) > most:
            raise _too_many(most)
        position = separator.end()
        if separator[1] == b"]":
            if position != len(body):
                raise _unreadable(position)
            return found


def _item_end(body: bytes, start: int) -> int:
    if body[start : start + 1] not in (b"{", b"["):
        scalar = _SCALAR.match(body, start)
        if scalar is None:
            raise _unreadable(start)
        return scalar.end()
    depth, position = 0, start
    while True:
        run = _RUN.match(body, position)
        if run is None:
            raise _unreadable(start)
        position = run.end()
        depth += 1 if body[position - 1] in _OPEN else -1
        if depth == 0:
            return position


def _too_many(most: int) -> Problem:
    return Problem(413, f"more than {most} lines or items", field="body", fix="split the body")


def _unreadable(position: int) -> Problem:
    return Problem(
        400, f"the array cannot be read from byte {position} on", field="body", fix="send a whole JSON array, or NDJSON"
    )

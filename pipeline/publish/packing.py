"""From events to payloads: one bad event must not spoil the thousand that share its frame.

Pure. What cannot be encoded is mended (lone surrogates, None for a text, numbers out of range). What cannot be
mended, or turns out too large, goes to the dead letters, because the buffer has accepted it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson

from monitoring.pipeline.bus.frame import MAX_FRAME_BYTES, MAX_FRAME_EVENTS, Columns, collapse, encode_columns
from monitoring.pipeline.events.event import COLUMNS, MAX_EVENT_BYTES, Event, Rejected
from monitoring.pipeline.publish.buffer import BASE_BYTES, text_bytes

__all__ = ["LATEST_NS", "Packed", "Packing", "mend", "pack"]

LATEST_NS = 3_198_000_000_000_000_000
"""Five days before a row's id, microseconds since 2000 shifted by 12, leaves 64 bits in May 2071."""
_LETTER_BYTES = 64 << 10
"""Enough of an event that is too large to recognise it."""
_LARGEST_LINE = (1 << 63) - 1
_WIDTH = len(COLUMNS)
_MESSAGE, _EXCEPTION, _ATTRIBUTES = (COLUMNS.index(name) for name in ("message", "exception", "attributes"))


class Packed(NamedTuple):
    """One frame's payload and how many events, rejected ones included, are in it."""

    payload: bytes
    events: int


class Packing(NamedTuple):
    """The payloads of a batch, what did not fit into any frame by reason, and the batch's `text_bytes`."""

    frames: list[Packed]
    dropped: dict[str, int]
    text_bytes: int


def pack(events: Sequence[Event], rejected: Sequence[Rejected] = (), *, max_text_bytes: int) -> Packing:
    """Encode a batch as few payloads as `max_text_bytes` (an aim) and the frame's bounds allow. Never raises."""
    columns = _columns(events)
    size = text_bytes((), rejected)
    rejected = [item if len(item.raw) <= MAX_EVENT_BYTES else _mend_rejected(item) for item in rejected]
    size += text_bytes(events) if columns is None else _text_bytes(columns)
    many = len(events) + len(rejected)
    if many > 1 and (size > 2 * max_text_bytes or many > MAX_FRAME_EVENTS):
        return _halves(events, rejected, max_text_bytes, size)
    if columns is None:
        return _mended(events, rejected, max_text_bytes, size)
    collapsed = collapse(columns)
    if not _sound(collapsed, columns):
        return _mended(events, rejected, max_text_bytes, size)
    try:
        payload = encode_columns(collapsed, rejected)
    except TypeError:
        return _mended(events, rejected, max_text_bytes, size)
    if len(payload) > MAX_EVENT_BYTES:
        large = [event for event in events if _utf8_bytes(event) > MAX_EVENT_BYTES]
        if large:
            small = [event for event in events if _utf8_bytes(event) <= MAX_EVENT_BYTES]
            reason = f"the event is larger than {MAX_EVENT_BYTES} bytes"
            rest = pack(small, [*rejected, *(_letter(event, reason) for event in large)], max_text_bytes=max_text_bytes)
            return Packing(rest.frames, rest.dropped, size)
        if len(payload) > MAX_FRAME_BYTES:
            return _halves(events, rejected, max_text_bytes, size)
    return Packing([Packed(payload, many)] if many else [], {}, size)


def _columns(events: Sequence[Event]) -> list[tuple[Any, ...]] | None:
    """The events turned by a quarter; None where they are not all of the right width."""
    try:
        widths = set(map(len, events))
    except TypeError:
        return None
    return list(zip(*events)) if widths <= {_WIDTH} else None  # noqa: B905 - the widths are known, `strict` costs 10 %


def _text_bytes(columns: list[tuple[Any, ...]]) -> int:
    """`text_bytes`, three times as fast from columns."""
    if not columns:
        return 0
    long = (columns[_MESSAGE], columns[_EXCEPTION], columns[_ATTRIBUTES])
    return sum(sum(map(len, column)) for column in long) + BASE_BYTES * len(columns[0])


def _sound(collapsed: Columns, columns: list[tuple[Any, ...]]) -> bool:
    """Whether the drain will accept these types and numbers."""
    if not columns:
        return True
    times, levels, *texts = (
        column if column is whole else (column,) for column, whole in zip(collapsed, columns, strict=True)
    )
    return (
        set(map(type, times)) == {int} == set(map(type, levels))
        and min(times) >= 0
        and max(times) <= LATEST_NS
        and all(1 <= level <= 24 for level in set(levels))
        and all(set(map(type, column)) == {str} for column in texts)
    )


def _halves(events: Sequence[Event], rejected: Sequence[Rejected], max_text_bytes: int, size: int) -> Packing:
    """Two batches instead of one; a single rejected input always fits, because `mend` bounds it."""
    if len(events) + len(rejected) < 2:
        return Packing([], {"too_large": len(events) + len(rejected)}, size)
    middle, rejected_middle = (len(events) + 1) // 2, len(rejected) // 2
    first = pack(events[:middle], rejected[:rejected_middle], max_text_bytes=max_text_bytes)
    second = pack(events[middle:], rejected[rejected_middle:], max_text_bytes=max_text_bytes)
    return Packing(first.frames + second.frames, _sum(first.dropped, second.dropped), size)


def _mended(events: Sequence[Event], rejected: Sequence[Rejected], max_text_bytes: int, size: int) -> Packing:
    mended = [(event, mend(event)) for event in events]
    letters = [_letter(event, "not an event") for event, sound in mended if sound is None]
    whole = [*map(_mend_rejected, rejected), *letters]
    rest = pack([sound for _, sound in mended if sound is not None], whole, max_text_bytes=max_text_bytes)
    return Packing(rest.frames, rest.dropped, size)


def _sum(left: dict[str, int], right: dict[str, int]) -> dict[str, int]:
    return {reason: left.get(reason, 0) + right.get(reason, 0) for reason in {**left, **right}}


def mend(event: Event) -> Event | None:
    """The event with values that can be encoded and stored; None where it is not an event at all."""
    try:
        timestamp, level, *texts = event
        if len(texts) != _WIDTH - 2:
            return None
        return Event(
            min(max(int(timestamp), 0), LATEST_NS),
            min(max(int(level), 1), 24),
            *("" if text is None else _clean(str(text)) for text in texts),
        )
    except (TypeError, ValueError, OverflowError):
        return None


def _mend_rejected(item: Rejected) -> Rejected:
    raw: object = item.raw  # whatever the caller put there
    kept = (
        raw
        if isinstance(raw, bytes)
        else bytes(raw)
        if isinstance(raw, bytearray)
        else str(raw).encode(errors="replace")
    )
    line: object = item.line
    number = min(max(int(line), 0), _LARGEST_LINE) if isinstance(line, int) else 0
    return Rejected(_clean(str(item.reason)), kept[:MAX_EVENT_BYTES], _clean(str(item.source)), number)


def _clean(text: str) -> str:
    """The text without lone surrogates: pairs become the character they mean, others U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _letter(event: Event, reason: str) -> Rejected:
    """The dead letter of an event that was accepted and cannot be stored, its beginning kept."""
    try:
        raw = orjson.dumps(dict(zip(COLUMNS, event, strict=True)))
    except (TypeError, ValueError):
        raw = repr(event).encode(errors="backslashreplace")
    return Rejected(reason, raw[:_LETTER_BYTES], "publisher")


def _utf8_bytes(event: Event) -> int:
    return sum(len(text.encode()) for text in event[2:])
